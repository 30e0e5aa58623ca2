"""Which processes are the lab's: found by facts the kernel keeps, never by a remembered number alone."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from ..errors import ActionTimeout
from . import netns
from .model import LabSettings

BACK = 15
"""By how much a process steps back that shall not take processors from others: a number that no unit asks for."""

_HELPERS = (b"mount", b"umount", b"mkfs.ext4", b"losetup", b"cp", b"nsenter", b"unshare", b"setsid")


_TIMES_TO_LOOK = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Process:
    """One process of the lab: a guest's init, one of its children, or the supervisor outside it."""

    pid: int
    host: str
    role: str


def supervisors(settings: LabSettings) -> Iterator[Process]:
    """Yield the processes outside the guests that run or start a machine of this lab."""
    folder = b"--directory=" + os.fsencode(str(settings.home)) + b"/hosts/"
    for pid, arguments in _command_lines():
        place = next((argument for argument in arguments if argument.startswith(folder)), None)
        if place is not None and b"systemd-nspawn" in arguments:
            yield Process(pid=pid, host=os.fsdecode(place[len(folder) :].split(b"/")[0]), role="supervisor")


def helpers(settings: LabSettings) -> Iterator[Process]:
    """Yield the short-lived programs a killed ``up`` may have left working on this lab."""
    folder = os.fsencode(str(settings.home)) + b"/hosts/"
    namespace = os.fsencode(f"{settings.instance}-")
    for pid, arguments in _command_lines():
        program = os.path.basename(arguments[0])  # noqa: PTH119  bytes, as the kernel gives them
        if program == b"ip":
            ours = any(argument.startswith(namespace) for argument in arguments)
        elif program == b"sh":  # any shell may speak of our files; only ours becomes a machine
            ours = b"machine.sh" in arguments and any(folder in argument for argument in arguments)
        else:
            ours = program in _HELPERS and any(folder in argument for argument in arguments)
        if ours:
            yield Process(pid=pid, host="", role="helper")


def inhabitants(settings: LabSettings) -> Iterator[Process]:
    """Yield every process in a namespace of this lab: inits and children of guests, and whoever else entered."""
    homes = {
        number: name.removeprefix(f"{settings.instance}-")
        for name in netns.named(f"{settings.instance}-")
        if (number := netns.identity(netns.path_of(name))) is not None
    }
    for pid in _pids():
        with contextlib.suppress(OSError):
            host = homes.get(Path(f"/proc/{pid}/ns/net").stat().st_ino)
            if host is not None:
                yield Process(pid=pid, host=host, role="init" if _is_init(pid) else "child")


def inits(settings: LabSettings) -> dict[str, int]:
    """Return the init of each running guest, by host: process 1 of its own namespace, in the host's network."""
    return {process.host: process.pid for process in inhabitants(settings) if process.role == "init"}


def end(pids: Iterable[int], *, number: signal.Signals = signal.SIGKILL, within_s: float = 10.0) -> float:
    """Signal the processes and wait until they are gone; return the instant of the last signal.

    Raises:
        ActionTimeout: one of them is still there.
    """
    handles = {}
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            handles[pid] = os.pidfd_open(pid)
    try:
        for handle in handles.values():
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(handle, number)
        sent = time.monotonic()
        for pid, handle in handles.items():
            left = max(0.0, sent + within_s - time.monotonic())
            if not select.select([handle], [], [], left)[0]:
                raise ActionTimeout(f"process {pid} did not end in {within_s:.0f} s", next_step="secondsite lab down")
    finally:
        for handle in handles.values():
            os.close(handle)
    return sent


def wait_until_gone(pids: Iterable[int], *, within_s: float) -> None:
    """Return when none of the processes runs any more.

    Raises:
        ActionTimeout: one of them still does.
    """
    until = time.monotonic() + within_s
    for pid in pids:
        try:
            handle = os.pidfd_open(pid)
        except ProcessLookupError:
            continue
        try:
            if not select.select([handle], [], [], max(0.0, until - time.monotonic()))[0]:
                raise ActionTimeout(f"process {pid} did not end in {within_s:.0f} s", next_step="secondsite lab down")
        finally:
            os.close(handle)


def step_forward(settings: LabSettings, hosts: Iterable[str]) -> None:
    """Give the hosts' processes that stepped back at their start the place of all others."""
    chosen = set(hosts)
    spaces = {_pid_space(pid) for host, pid in inits(settings).items() if host in chosen} - {None}
    ours = os.getpriority(os.PRIO_PROCESS, 0)
    for _ in range(_TIMES_TO_LOOK):  # one that was just being started may have taken after one not yet seen
        behind = [thread for thread in _threads_in(spaces) if _niceness(thread) == ours + BACK]
        for thread in behind:
            with contextlib.suppress(OSError):
                os.setpriority(os.PRIO_PROCESS, thread, ours)
        if not behind:
            return


def _threads_in(spaces: set[int | None]) -> Iterator[int]:
    for pid in _pids():
        if _pid_space(pid) in spaces:
            with contextlib.suppress(OSError):
                yield from sorted(int(thread.name) for thread in Path(f"/proc/{pid}/task").iterdir())


def _pid_space(pid: int) -> int | None:
    try:
        return Path(f"/proc/{pid}/ns/pid").stat().st_ino
    except OSError:
        return None


def _niceness(thread: int) -> int | None:
    try:
        return os.getpriority(os.PRIO_PROCESS, thread)
    except OSError:
        return None


def memory_mib(settings: LabSettings) -> int:
    """Return the memory all processes of the lab hold, shared pages counted once (their proportional set size)."""
    pids = {process.pid for process in (*inhabitants(settings), *supervisors(settings))} - {os.getpid()}
    total = 0
    for pid in pids:
        with contextlib.suppress(OSError):
            for line in Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii").splitlines():
                if line.startswith("Pss:"):
                    total += int(line.split()[1])
    return total // 1024


def _is_init(pid: int) -> bool:
    for line in Path(f"/proc/{pid}/status").read_text(encoding="utf-8", errors="replace").splitlines():
        if line.startswith("NSpid:"):
            numbers = line.split()[1:]
            return len(numbers) > 1 and numbers[-1] == "1"
    return False


def _pids() -> Iterator[int]:
    for entry in os.scandir("/proc"):
        if entry.name.isdigit():
            yield int(entry.name)


def _command_lines() -> Iterator[tuple[int, list[bytes]]]:
    for pid in _pids():
        with contextlib.suppress(OSError):
            arguments = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
            if pid not in (os.getpid(), os.getppid()):
                yield pid, arguments
