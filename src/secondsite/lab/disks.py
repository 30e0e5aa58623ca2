"""Durable disks with power-loss semantics: ext4 on a loop device whose file stays as it was at the cut.

A disk is mounted only in the mount namespace of its host's supervisor (see ``machine.sh``): when the last process of
the machine is gone the kernel unmounts it and frees the loop device, whoever else copied the mounts of this machine.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import struct
from pathlib import Path

from ..errors import ActionError, Effect
from .commands import run
from .model import Disk, LabSettings

_EXT4_IOC_SHUTDOWN = 0x8004587D  # _IOR('X', 125, __u32); what xfstests' "godown" uses
_NO_LOG_FLUSH = 2
_TIMEOUT_S = 60


def image_file(settings: LabSettings, host: str) -> Path:
    """Return the backing file of a host's disk."""
    return settings.host_dir(host) / "disk.img"


def mount_point(settings: LabSettings, host: str) -> Path:
    """Return where the host's supervisor, and nobody else, sees the disk."""
    return settings.host_dir(host) / "disk"


def make(settings: LabSettings, host: str, disk: Disk, rootfs: Path) -> None:
    """Make the host's backing file, its folders on it with their owners, unless it has one."""
    path = image_file(settings, host)
    if path.exists():
        return
    content, fresh = path.with_suffix(".content"), path.with_suffix(".new")
    shutil.rmtree(content, ignore_errors=True)
    for folder in disk.folders:
        (content / folder.name).mkdir(parents=True)
        os.chown(content / folder.name, *_owner(rootfs, folder.owner))
        (content / folder.name).chmod(0o755 if folder.path.startswith("/srv") else 0o700)
    with fresh.open("wb") as out:
        out.truncate(disk.size_mib * 1024 * 1024)
    options = "lazy_itable_init=1,lazy_journal_init=1,nodiscard"
    run(["mkfs.ext4", "-q", "-F", "-m", "0", "-E", options, "-d", str(content), str(fresh)], timeout_s=_TIMEOUT_S)
    shutil.rmtree(content)
    fresh.rename(path)


def freeze_as_it_is(settings: LabSettings, host: str, supervisor: int) -> bool:
    """Take the power from a running host's disk: nothing not yet on it will ever get there.

    Returns:
        Whether the kernel could; if not, un-synced data will survive, and ``limitations`` says so.
    """
    where = f"/proc/{supervisor}/root{mount_point(settings, host)}"
    try:
        descriptor = os.open(where, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.ioctl(descriptor, _EXT4_IOC_SHUTDOWN, struct.pack("I", _NO_LOG_FLUSH))
    except OSError:
        return False
    finally:
        os.close(descriptor)
    return True


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
