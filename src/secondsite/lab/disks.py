"""Durable disks with power-loss semantics: ext4 on a loop device whose file stays as it was at the cut."""

from __future__ import annotations

import contextlib
import fcntl
import os
import struct
import subprocess
from pathlib import Path

from ..errors import ActionError, Effect
from .model import Disk, LabHost, LabSettings

_EXT4_IOC_SHUTDOWN = 0x8004587D  # _IOR('X', 125, __u32); what xfstests' "godown" uses
_NO_LOG_FLUSH = 2
_TIMEOUT_S = 60


def image_file(settings: LabSettings, host: str) -> Path:
    """Return the backing file of a host's disk."""
    return settings.host_dir(host) / "disk.img"


def mount_point(settings: LabSettings, host: str) -> Path:
    """Return where a host's disk is mounted on this machine."""
    return settings.host_dir(host) / "disk"


def make(settings: LabSettings, host: LabHost, disk: Disk) -> None:
    """Make the host's backing file with an empty file system on it, unless it has one."""
    path = image_file(settings, host.name)
    if path.exists():
        return
    fresh = path.with_suffix(".new")
    with fresh.open("wb") as out:
        out.truncate(disk.size_mib * 1024 * 1024)
    _run(["mkfs.ext4", "-q", "-F", "-m", "0", "-E", "lazy_itable_init=1,lazy_journal_init=1,nodiscard", str(fresh)])
    fresh.rename(path)


def attach(settings: LabSettings, host: LabHost, disk: Disk, rootfs: Path) -> None:
    """Mount the host's disk: after a cut this replays its journal; its folders exist with their owners."""
    make(settings, host, disk)
    where = mount_point(settings, host.name)
    where.mkdir(exist_ok=True)
    if not where.is_mount():
        device = _loop_device(image_file(settings, host.name))
        try:
            _run(["mount", "-t", "ext4", "-o", "noatime,noinit_itable,errors=remount-ro", device, str(where)])
        except ActionError:
            _run(["losetup", "--detach", device])
            raise
    for folder in disk.folders:
        inside = where / folder.name
        if not inside.is_dir():
            inside.mkdir()
            os.chown(inside, *_owner(rootfs, folder.owner))
            inside.chmod(0o755 if folder.path.startswith("/srv") else 0o700)


def _loop_device(path: Path) -> str:
    """Return a loop device of the file: with direct I/O if the file system below can, so no write lingers above it."""
    for direct in (["--direct-io=on"], []):
        with contextlib.suppress(ActionError):
            return _run(["losetup", "--find", "--show", *direct, str(path)]).strip()
    raise ActionError(f"no loop device could be made for {path}", effect=Effect.NONE, next_step="losetup --list")


def freeze_as_it_is(settings: LabSettings, host: str) -> bool:
    """Take the power from the host's disk: nothing not yet on it will ever get there.

    Returns:
        Whether the kernel could; if not, un-synced data will survive, and ``limitations`` says so.
    """
    where = mount_point(settings, host)
    if not where.is_mount():
        return True
    descriptor = os.open(where, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.ioctl(descriptor, _EXT4_IOC_SHUTDOWN, struct.pack("I", _NO_LOG_FLUSH))
    except OSError:
        return False
    finally:
        os.close(descriptor)
    return True


def detach(settings: LabSettings, host: str) -> None:
    """Unmount the host's disk and free its loop device, if there are any."""
    where = mount_point(settings, host)
    if where.is_mount():
        _run(["umount", str(where)])
    for device in devices_of(image_file(settings, host)):
        _run(["losetup", "--detach", device])


def devices_of(path: Path) -> list[str]:
    """Return the loop devices of one backing file, or of all files below a folder."""
    found = []
    for entry in sorted(Path("/sys/block").glob("loop*/loop/backing_file")):
        with contextlib.suppress(OSError):
            backing = Path(entry.read_text(encoding="utf-8").strip().removesuffix(" (deleted)"))
            if backing == path or path in backing.parents:
                found.append(f"/dev/{entry.parent.parent.name}")
    return found


def direct_io(device: str) -> bool:
    """Say whether a loop device writes past the page cache of the file system below."""
    try:
        return Path("/sys/block", Path(device).name, "loop/dio").read_text(encoding="ascii").strip() == "1"
    except OSError:
        return False


def _owner(rootfs: Path, name: str) -> tuple[int, int]:
    for line in (rootfs / "etc/passwd").read_text(encoding="utf-8").splitlines():
        fields = line.split(":")
        if fields[0] == name:
            return int(fields[2]), int(fields[3])
    raise ActionError(f"the image has no user {name!r} to own a disk folder", effect=Effect.NONE)


def _run(argv: list[str]) -> str:
    result = subprocess.run(argv, capture_output=True, text=True, timeout=_TIMEOUT_S, check=False)
    if result.returncode != 0:
        reason = " ".join(result.stderr.split())[:500]
        raise ActionError(f"{' '.join(argv)}: {reason}", effect=Effect.UNKNOWN, next_step="secondsite lab down")
    return result.stdout
