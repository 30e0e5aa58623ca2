"""What the lab remembers: its phase, its faults in force, its keys; written whole and synced before the effect."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from ..errors import JournalError, LockHeld, UsageError
from . import netns
from .model import FaultInForce, LabSettings, Phase


@dataclass(frozen=True, slots=True, kw_only=True)
class LabState:
    """The lab's memory: which phase, from which image, of which topology, what is broken on purpose."""

    phase: Phase = Phase.DOWN
    image_key: str = ""
    boot_id: str = ""
    topology: str = ""
    faults: tuple[FaultInForce, ...] = ()


def boot_id() -> str:
    """Return the running kernel's own id: another one means the machine was restarted."""
    return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()


def read_state(settings: LabSettings) -> LabState:
    """Return what the lab remembers; a lab never started is DOWN.

    Raises:
        JournalError: the state file is there and cannot be understood.
    """
    path = settings.home / "lab.json"
    try:
        raw: Any = json.loads(path.read_text(encoding="utf-8"))
        faults = tuple(FaultInForce(**fault) for fault in raw["faults"])
        return LabState(
            phase=Phase(raw["phase"]), image_key=raw["image_key"], boot_id=raw["boot_id"], faults=faults,
            topology=raw.get("topology", ""),
        )  # fmt: skip
    except FileNotFoundError:
        return LabState()
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise JournalError(
            f"the lab's state {path} cannot be understood: {error}",
            not_done="nothing was attempted",
            next_step="secondsite lab down, then: secondsite lab up",
        ) from error


def write_state(settings: LabSettings, state: LabState) -> None:
    """Keep the state: whole, or as it was before; on disk when this returns."""
    document = {
        "phase": state.phase.value, "image_key": state.image_key, "boot_id": state.boot_id,
        "topology": state.topology, "faults": [asdict(fault) for fault in state.faults],
    }  # fmt: skip
    write_whole(settings.home / "lab.json", json.dumps(document, indent=1) + "\n")


def forget_state(settings: LabSettings) -> None:
    """Remember nothing more: the lab is DOWN. Needs no room on the disk."""
    for name in ("lab.json", ".lab.json.new"):
        (settings.home / name).unlink(missing_ok=True)


def write_whole(path: Path, text: str, *, mode: int = 0o644) -> None:
    """Write a file so that a reader sees the old content or the new one."""
    fresh = path.with_name(f".{path.name}.new")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode), "w", encoding="utf-8") as out:
            out.write(text)
            out.flush()
            os.fsync(out.fileno())
        fresh.replace(path)
    except OSError as error:
        raise JournalError(
            f"the lab's state could not be written: {error}", next_step=f"make room under {path.parent}"
        ) from error


def set_phase(settings: LabSettings, phase: Phase, *, image_key: str | None = None) -> None:
    """Remember a phase of the lab as of this boot of the machine."""
    state = replace(read_state(settings), phase=phase, boot_id=boot_id(), topology=str(settings.topology))
    write_state(settings, state if image_key is None else replace(state, image_key=image_key))


def begin_faults(settings: LabSettings, faults: Iterable[FaultInForce]) -> None:
    """Remember faults before they are brought about."""
    state = read_state(settings)
    fresh = {(fault.kind, fault.target): fault for fault in (*state.faults, *faults)}
    write_state(settings, replace(state, faults=tuple(fresh.values())))


def end_faults(settings: LabSettings, kind: str, targets: Iterable[str]) -> None:
    """Forget faults after they were taken back."""
    gone = set(targets)
    state = read_state(settings)
    kept = tuple(fault for fault in state.faults if fault.kind != kind or fault.target not in gone)
    write_state(settings, replace(state, faults=kept))


@contextlib.contextmanager
def exclusively(settings: LabSettings) -> Iterator[None]:
    """Hold the one lock under which a lab is changed; the kernel lets go of it when the holder dies.

    Raises:
        LockHeld: another process holds it; its number is named.
        UsageError: not root, or a lab of this name stands with another state folder.
    """
    require_root()
    settings.run_dir.mkdir(parents=True, exist_ok=True)
    path = settings.run_dir / f"lab-{settings.instance}.lock"
    with os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644), "r+", encoding="utf-8") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise LockHeld(
                f"process {lock.read().partition(' ')[0] or 'unknown'} is changing the lab {settings.instance!r} now",
                not_done="nothing was attempted",
                next_step="wait for it to end, or end it, and try again",
            ) from error
        _refuse_another_home(settings)
        lock.seek(0)
        lock.truncate()
        lock.write(f"{os.getpid()} \n")
        lock.flush()
        yield


def owner_file(settings: LabSettings) -> Path:
    """Return the file that says which state folder the standing lab of this name belongs to; gone after a restart."""
    return settings.run_dir / f"lab-{settings.instance}.home"


def standing_home(instance: str, run_dir: Path = Path("/run/secondsite")) -> Path | None:
    """Return the home of the lab of that name that stands, or None."""
    try:
        home = (run_dir / f"lab-{instance}.home").read_text(encoding="utf-8").strip()
    except OSError:
        return None
    return Path(home) if home and netns.named(f"{instance}-") else None


def standing_topology(settings: LabSettings) -> Path | None:
    """Return the topology of the lab that was started in this home, or None when none was."""
    try:
        known = read_state(settings).topology
    except JournalError:
        return None  # whoever reads the state next says so
    return Path(known) if known else None


def _refuse_another_home(settings: LabSettings) -> None:
    try:
        home = owner_file(settings).read_text(encoding="utf-8").strip()
    except FileNotFoundError:
        return
    if home and home != str(settings.home) and netns.named(f"{settings.instance}-"):
        raise UsageError(
            f"a lab named {settings.instance!r} stands already, with its state in {home}",
            not_done="nothing was attempted",
            next_step=f"use that state (SECONDSITE_STATE={Path(home).parent}), or another name (SECONDSITE_LAB=NAME)",
        )


def require_root() -> None:
    """Refuse when this is not root."""
    if os.geteuid() != 0:
        raise UsageError(
            "the lab needs root: it makes network namespaces, mounts and machines",
            not_done="nothing was attempted",
            next_step="run the same command as root",
        )
