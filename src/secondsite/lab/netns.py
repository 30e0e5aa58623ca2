"""Network namespaces: make, fill, enter. Nothing here depends on the namespace the caller happens to be in."""

from __future__ import annotations

import ctypes
import os
import threading
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import TypeVar

from ..errors import UsageError
from .commands import run
from .model import LabSettings

_CLONE_NEWNET = 0x40000000
_FOLDER = Path("/run/netns")
_left: list[int] = []  # the namespace this process was started in, kept open once it moved into the control namespace
T = TypeVar("T")


def path_of(namespace: str) -> Path:
    """Return where a named namespace is mounted."""
    return _FOLDER / namespace


def exists(namespace: str) -> bool:
    """Say whether a named namespace stands (a bare file left by a crash does not count)."""
    try:
        return path_of(namespace).stat().st_dev != _FOLDER.stat().st_dev
    except OSError:
        return False


def identity(path: Path) -> int | None:
    """Return the kernel's number of a namespace, or None if there is none at the path."""
    try:
        return path.stat().st_ino
    except OSError:
        return None


def add(namespace: str) -> None:
    """Make a named namespace."""
    run_ip(["netns", "add", namespace])


def delete(namespace: str) -> None:
    """Remove a named namespace, also one whose mount is gone and whose file is left."""
    if exists(namespace):
        run_ip(["netns", "delete", namespace])
    path_of(namespace).unlink(missing_ok=True)


def named(prefix: str) -> list[str]:
    """Return all named namespaces whose name begins with the prefix."""
    if not _FOLDER.is_dir():
        return []
    return sorted(entry.name for entry in _FOLDER.iterdir() if entry.name.startswith(prefix))


def run_ip(argv: list[str]) -> str:
    """Run ``ip`` and return what it printed."""
    return run(["ip", *argv])


def batch(namespace: str, lines: Iterable[str]) -> None:
    """Run ``ip`` lines in a namespace with one process; the first that fails stops and is named."""
    run(["ip", "-n", namespace, "-batch", "-"], stdin="\n".join(lines) + "\n")


def write_settings(namespace: str, settings: Mapping[str, str]) -> None:
    """Set values under ``/proc/sys/net`` of a namespace."""

    def write() -> None:
        for name, value in settings.items():
            Path("/proc/sys/net", name).write_text(value, encoding="ascii")

    in_namespace(path_of(namespace), write)


def in_namespace(path: Path, work: Callable[[], T]) -> T:
    """Do the work in a thread of its own that has entered the namespace; sockets made there stay there."""
    outcome: list[T] = []
    failure: list[BaseException] = []

    def enter_and_work() -> None:
        try:
            _enter(path)
            outcome.append(work())
        except BaseException as error:  # noqa: BLE001  handed to the caller's thread, raised there
            failure.append(error)

    thread = threading.Thread(target=enter_and_work, name=f"in {path.name}")
    thread.start()
    thread.join()
    if failure:
        raise failure[0]
    return outcome[0]


def machine_namespace() -> Path:
    """Return the namespace this process was started in: the machine's own, also after ``enter_control``."""
    return Path(f"/proc/self/fd/{_left[0]}") if _left else Path("/proc/thread-self/ns/net")


def enter_control(settings: LabSettings) -> None:
    """Move this thread, and all it starts later, into the control namespace: out-of-band only, for good.

    Raises:
        UsageError: the lab is not up, or this is not root.
    """
    if not exists(settings.control):
        raise UsageError(
            f"the lab {settings.instance!r} is not up: there is no namespace {settings.control}",
            not_done="nothing was attempted",
            next_step="start it: secondsite lab up",
        )
    try:
        if not _left:
            _left.append(os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC))
        _enter(path_of(settings.control))
    except PermissionError as error:
        raise UsageError(
            f"entering {settings.control} needs root", not_done="nothing was attempted", next_step="run it as root"
        ) from error


def _enter(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        libc = ctypes.CDLL(None, use_errno=True)
        if libc.setns(descriptor, _CLONE_NEWNET) != 0:
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number), str(path))
    finally:
        os.close(descriptor)
