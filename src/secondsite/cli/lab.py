"""``secondsite lab``: start, stop, save and break the lab."""

from __future__ import annotations

import os
from dataclasses import asdict, replace
from pathlib import Path

import rich_click as click

from ..errors import UsageError
from ..lab import processes, saves, service
from ..lab.load import load_topology
from ..lab.model import LabSettings, LabStatus, Phase
from ..lab.state import standing_home, standing_topology
from .lab_fault import fault
from .terminal import DEFAULT_ESTATE, emit, emit_json, json_option, say

_FAILED = 3
STATES = Path("/var/lib/secondsite")
SIZES = {"full": DEFAULT_ESTATE, "small": DEFAULT_ESTATE.with_name("small")}
_CONSOLE = {
    "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    "HOME": "/root",
    "TERM": "xterm",
    "LANG": "C.UTF-8",
}


@click.group()
@click.option(
    "--instance",
    envvar="SECONDSITE_LAB",
    default="ss",
    show_default=True,
    help="Name of the lab; several can stand side by side.",
)
@click.option(
    "--state",
    envvar="SECONDSITE_STATE",
    type=click.Path(path_type=Path),
    show_default="the standing lab's, else /var/lib/secondsite/lab",
    help="Folder of the lab's state.",
)
@click.option(
    "--cache",
    envvar="SECONDSITE_CACHE",
    type=click.Path(path_type=Path),
    default=Path("/var/cache/secondsite"),
    show_default=True,
    help="Folder of the image and of the saves.",
)
@click.option(
    "--estate",
    envvar="SECONDSITE_ESTATE",
    type=click.Path(path_type=Path),
    show_default="the standing lab's, else inventories/lab",
    help="Folder whose lab.yml is the topology.",
)
@click.pass_context
def lab(context: click.Context, *, instance: str, state: Path | None, cache: Path, estate: Path | None) -> None:
    """Start, stop, save and break the lab: two datacenters on this machine. Needs root."""
    context.obj = _settings(instance, state=state, cache=cache, estate=estate)


def _settings(instance: str, *, state: Path | None, cache: Path, estate: Path | None) -> LabSettings:
    """Return which lab is meant: where nothing is said, the one of that name that stands."""
    begun = state is None and estate is None
    standing = standing_home(instance) if begun else None
    folder = estate or DEFAULT_ESTATE
    try:
        settings = LabSettings(
            instance=instance,
            state=standing.parent if standing else (state or STATES / folder.absolute().name).absolute(),
            cache=cache.absolute(),
            topology=folder.absolute() / "lab.yml",
        )
    except ValueError as error:
        raise UsageError(
            str(error), not_done="nothing was attempted", next_step="see --instance, --state and --cache"
        ) from error
    known = standing_topology(settings) if estate is None else None
    return settings if known is None else replace(settings, topology=known)


lab.add_command(fault)


@lab.command()
@click.option(
    "--mirror",
    envvar="SECONDSITE_MIRROR",
    help="Debian mirror to build the image from, instead of the one apt uses on this machine.",
)
@click.option(
    "--size",
    type=click.Choice(sorted(SIZES)),
    help="full: the whole estate. small: nine hosts without edges, for quick work. Stands for an --estate.",
)
@click.pass_context
def up(context: click.Context, mirror: str | None, size: str | None) -> None:
    """Start all hosts; returns when they answer SSH. Recovers a lab that ended uncleanly."""
    settings: LabSettings = context.obj
    if size is not None and context.parent is not None:
        given = context.parent.params
        if given["estate"] is not None:
            raise UsageError(
                "both --size and --estate are given", not_done="nothing was attempted", next_step="keep one"
            )
        settings = _settings(given["instance"], state=given["state"], cache=given["cache"], estate=SIZES[size])
    report = service.up(replace(settings, mirror=mirror), say=say)
    if report.already_up:
        say(f"the lab {settings.instance} is up already")
    else:
        how = " again" if report.recovered else ""
        say(f"the lab {settings.instance} is up{how}: {report.hosts} hosts answer SSH ({report.seconds:.1f} s)")
    if settings.topology.parent != DEFAULT_ESTATE:
        say(f"other commands work on it with --estate {settings.topology.parent}")
    for item in report.faults:
        say(f"fault in force: {item}")


@lab.command()
@click.pass_obj
def down(settings: LabSettings) -> int:
    """Remove the lab from this machine. Keys and saves stay on disk."""
    left = service.down(settings)
    for item in left:
        say(f"left: {item}", style="bold red")
    if not left:
        say(f"the lab {settings.instance} is down: nothing is left")
    return _FAILED if left else 0


@lab.command()
@json_option
@click.pass_obj
def status(settings: LabSettings, *, as_json: bool) -> None:
    """Show what stands, what is broken on purpose and what an unclean end left."""
    found = service.status(settings)
    if as_json:
        emit_json({"lab": asdict(found) | {"phase": found.phase.value}})
    else:
        _show(found)


def _show(found: LabStatus) -> None:
    emit(f"lab {found.instance}: {found.phase.value}, image {found.image}, memory {found.memory_mib} MiB")
    if found.phase is not Phase.DOWN:
        for host in found.hosts:
            state = "answers SSH" if host.answers_ssh else "runs, no SSH" if host.running else "off"
            emit(f"  {host.name:<12} {host.site:<10} {host.management:<14} {state}")
    for item in found.faults:
        emit(f"fault in force: {item}")
    for left in found.leftovers:
        emit(f"left: {left}")
    if not found.standing:
        emit("nothing of the lab is left on this machine")
    if found.saves:
        emit(f"saves: {', '.join(found.saves)}")


@lab.command()
@click.argument("name")
@click.pass_obj
def save(settings: LabSettings, name: str) -> None:
    """Keep the lab's present state under NAME."""
    report = saves.save(settings, name, say=say)
    say(f"saved {name} ({report.seconds:.1f} s)")


@lab.command()
@click.argument("name")
@click.pass_obj
def restore(settings: LabSettings, name: str) -> None:
    """Put the lab into the state saved under NAME."""
    report = saves.restore(settings, name, say=say)
    say(f"the lab {settings.instance} is up as saved under {name} ({report.seconds:.1f} s)")


@lab.command(context_settings={"ignore_unknown_options": True})
@click.argument("host")
@click.argument("command", nargs=-1, type=click.UNPROCESSED)
@click.pass_obj
def shell(settings: LabSettings, host: str, command: tuple[str, ...]) -> None:
    """Open a root shell at HOST's console, or run COMMAND there. It needs no network and no key."""
    topology = load_topology(settings.topology)
    if host not in topology.hosts:
        raise UsageError(
            f"the lab has no host {host!r}", not_done="nothing was attempted",
            next_step=f"one of: {', '.join(topology.hosts)}",
        )  # fmt: skip
    running = processes.inits(settings)
    if host not in running:
        raise UsageError(
            f"{host} does not run in the lab {settings.instance!r}",
            not_done="nothing was attempted",
            next_step="secondsite lab status",
        )
    console = [
        "nsenter",
        f"--target={running[host]}",
        "--mount",
        "--uts",
        "--ipc",
        "--net",
        "--pid",
        "--root",
        "--wdns=/root",
    ]
    words = [*console, "--", *(command or ("/bin/bash", "-l"))]
    os.execvpe(words[0], words, _CONSOLE)  # noqa: S606  it takes this place
