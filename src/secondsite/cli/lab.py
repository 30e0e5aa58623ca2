"""``secondsite lab``: start, stop and break the lab."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import rich_click as click

from ..errors import UsageError
from ..lab import service
from ..lab.load import load_topology
from ..lab.model import LabSettings
from ..lab.netns import enter_control
from .terminal import DEFAULT_ESTATE, say


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
    default=Path("/var/lib/secondsite/lab"),
    show_default=True,
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
    default=DEFAULT_ESTATE,
    show_default="inventories/lab",
    help="Folder whose lab.yml is the topology.",
)
@click.pass_context
def lab(context: click.Context, instance: str, state: Path, cache: Path, estate: Path) -> None:
    """Start, stop and break the lab: two datacenters on this machine."""
    try:
        context.obj = LabSettings(
            instance=instance, state=state.absolute(), cache=cache.absolute(), topology=estate.absolute() / "lab.yml"
        )
    except ValueError as error:
        raise UsageError(str(error), not_done="nothing was attempted") from error


@lab.command()
@click.option(
    "--mirror",
    envvar="SECONDSITE_MIRROR",
    help="Debian mirror to build the image from, instead of the one apt uses here.",
)
@click.pass_obj
def up(settings: LabSettings, mirror: str | None) -> None:
    """Start the nine hosts; returns when all answer SSH. Recovers a lab that ended uncleanly."""
    from dataclasses import replace

    report = service.up(replace(settings, mirror=mirror), say=say)
    say(f"lab {settings.instance}: {report.hosts} hosts answer SSH ({report.seconds:.1f} s)")


@lab.command()
@click.pass_obj
def down(settings: LabSettings) -> None:
    """Remove the lab from this machine."""
    left = service.down(settings)
    for item in left:
        say(f"left: {item}")
    if left:
        raise SystemExit(3)
    say(f"lab {settings.instance}: nothing left")


@lab.command(context_settings={"ignore_unknown_options": True})
@click.argument("host")
@click.argument("command", nargs=-1, type=click.UNPROCESSED)
@click.pass_obj
def shell(settings: LabSettings, host: str, command: tuple[str, ...]) -> None:
    """Open a root shell on HOST over its management address, or run COMMAND there."""
    topology = load_topology(settings.topology)
    if host not in topology.hosts:
        raise UsageError(f"the lab has no host {host!r}", next_step=f"one of: {', '.join(topology.hosts)}")
    enter_control(settings)
    os.execvp("ssh", [
        "ssh", "-i", str(settings.key), "-o", f"UserKnownHostsFile={settings.known_hosts}", "-o", "StrictHostKeyChecking=yes",
        "-o", "IdentitiesOnly=yes", "-o", "LogLevel=ERROR", f"root@{topology.hosts[host].management.ip}", "--", *command,
    ])  # fmt: skip
