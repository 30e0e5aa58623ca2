"""Say which boot of which kernel this is, and read its monotonic clock: copied to a host and run there as root.

A container manager may lay a file of its own over the kernel's boot id. This script takes a mount namespace of its own
and looks below, so that hosts on one kernel say the same id; nothing outside the script changes. Then it answers every
line on its standard input with the clock's reading.
"""

from __future__ import annotations

import ctypes
import json
import os
import sys
import time
from pathlib import Path

_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
_CLONE_NEWNS = 0x00020000
_MS_REC, _MS_PRIVATE = 0x4000, 0x40000


def kernel_boot_id() -> str:
    """Return the kernel's own boot id; what was laid over it is taken off for this process only."""
    libc = ctypes.CDLL(None, use_errno=True)
    private = libc.unshare(_CLONE_NEWNS) == 0
    if private and libc.mount(b"none", b"/", None, _MS_REC | _MS_PRIVATE, None) == 0:
        while libc.umount2(os.fsencode(_BOOT_ID), 0) == 0:
            pass
    return _BOOT_ID.read_text().strip()


def main() -> int:
    """Answer until the input ends."""
    seen = _BOOT_ID.read_text().strip()
    sys.stdout.write(json.dumps({"kernel": kernel_boot_id(), "seen": seen}) + "\n")
    sys.stdout.flush()
    while sys.stdin.readline():
        sys.stdout.write(f"{time.monotonic()!r}\n")
        sys.stdout.flush()
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
