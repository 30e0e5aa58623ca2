"""What the lab needs from the machine, and which Debian package brings it."""

from __future__ import annotations

import shutil
from pathlib import Path

from ..errors import UsageError
from .image import is_cached

_PROGRAMS = {
    "systemd-nspawn": "systemd-container",
    "ip": "iproute2",
    "mkfs.ext4": "e2fsprogs",
    "losetup": "mount",
    "mount": "mount",
    "nsenter": "util-linux",
    "setpriv": "util-linux",
    "setsid": "util-linux",
    "ssh": "openssh-client",
}
_TO_BUILD = {"mmdebstrap": "mmdebstrap"}
_KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
_SBIN = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def missing_system_packages(cache: Path) -> tuple[str, ...]:
    """Return the Debian packages to install before a lab can start; mmdebstrap only while no image is cached."""
    building = not is_cached(cache)
    needed = _PROGRAMS | _TO_BUILD if building else _PROGRAMS
    missing = {package for program, package in needed.items() if shutil.which(program, path=_SBIN) is None}
    if building and not _KEYRING.exists():
        missing.add("debian-archive-keyring")
    return tuple(sorted(missing))


def require_system_packages(cache: Path) -> None:
    """Refuse when a program the lab needs is not installed, naming the package of each."""
    missing = missing_system_packages(cache)
    if missing:
        raise UsageError(
            f"this machine lacks {', '.join(missing)}",
            not_done="nothing was attempted",
            next_step=f"as root: apt-get install --no-install-recommends {' '.join(missing)}",
        )
