"""The machines: an overlay of the golden image each, booted by systemd-nspawn in the host's own network namespace."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from importlib import resources
from pathlib import Path
from typing import TypeVar

from ..errors import ActionTimeout, UsageError
from . import cgroups, disks, keys, processes
from .image import KEPT_IMAGE, archive_of
from .model import LabHost, LabSettings
from .rules import machine_id
from .state import write_whole

_PARALLEL = 5
_FORK_TIMEOUT_S = 30
_SUPERVISOR_ENDS_WITHIN_S = 1.5  # once its guest is dead; then it removes its own files
_RELEASED_WITHIN_S = 10.0
_TUN = Path("/dev/net/tun")
DELIVERED = "delivered"
"""Where the image lies from which machines that were delivered later were made."""
MADE_FROM = "made-from"
"""Names the root file system that a machine was made from, where that is not the lab's own image."""
T = TypeVar("T")


def in_parallel(work: Callable[[LabHost], T], hosts: Iterable[LabHost]) -> list[T]:
    """Do the same for each host, several at once; the first failure is raised when all have ended."""
    with ThreadPoolExecutor(max_workers=_PARALLEL) as pool:
        return list(pool.map(work, hosts))


def prepare(settings: LabSettings, host: LabHost, rootfs: Path) -> None:
    """Make the host's folders and disk; give a fresh one its identity, as a hoster's installer would."""
    folder = settings.host_dir(host.name)
    if any(char in str(folder) + str(rootfs) for char in ",:\\"):
        raise UsageError(
            f"the path {folder} or {rootfs} holds a character that an overlay's options cannot",
            not_done="the lab was not started", next_step="choose --state and --cache without ',', ':' and '\\'",
        )  # fmt: skip
    for name in ("upper", "work", "root", "disk"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    if not (folder / "identity").exists():
        _write_identity(settings, host, folder / "upper")
        (folder / "identity").touch()
    if host.disk is not None:
        disks.make(settings, host.name, host.disk, rootfs)


def _write_identity(settings: LabSettings, host: LabHost, upper: Path) -> None:
    upper.chmod(0o755)
    for name, mode in (("etc", 0o755), ("etc/ssh", 0o755), ("root", 0o700), ("root/.ssh", 0o700)):
        (upper / name).mkdir(exist_ok=True)
        (upper / name).chmod(mode)
    addresses = "".join(f"{address.ip} {host.name}\n" for address in list(host.addresses.values())[:1])
    _put(upper / "etc/hostname", f"{host.name}\n")
    _put(upper / "etc/hosts", f"127.0.0.1 localhost\n{addresses}")
    _put(
        upper / "etc/machine-id",
        f"{machine_id(settings.instance, host.name, delivery=_deliveries(settings, host))}\n",
        mode=0o444,
    )
    private = keys.host_key(settings, host.name)
    _put(upper / "etc/ssh/ssh_host_ed25519_key", private.read_text(encoding="ascii"), mode=0o600)
    _put(upper / "etc/ssh/ssh_host_ed25519_key.pub", f"{keys.public_key(private)}\n")
    _put(upper / "root/.ssh/authorized_keys", f"{keys.public_key(settings.key)}\n", mode=0o600)


def _put(path: Path, text: str, *, mode: int = 0o644) -> None:
    path.unlink(missing_ok=True)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "w", encoding="utf-8") as out:
        out.write(text)
    path.chmod(mode)


def scrap(settings: LabSettings, host: LabHost) -> None:
    """Throw a dead machine away, disk and all: the next one of that name is another machine, fresh from the image.

    Its host key is new, and so is its machine id, as those of any machine that is delivered.
    """
    folder = settings.host_dir(host.name)
    for name in ("upper", "work", "root", "disk"):
        shutil.rmtree(folder / name, ignore_errors=True)
    for name in ("identity", "disk.img", "write-cache-survived", MADE_FROM):
        (folder / name).unlink(missing_ok=True)
    delivered = folder / "delivered"
    write_whole(delivered, f"{_deliveries(settings, host) + 1}\n")
    keys.host_key(settings, host.name).unlink(missing_ok=True)


def made_from(settings: LabSettings, host: LabHost, rootfs: Path) -> Path:
    """Return the root file system that the host's machine was made from; ``rootfs`` unless it was told another."""
    try:
        other = Path((settings.host_dir(host.name) / MADE_FROM).read_text(encoding="utf-8").strip())
    except FileNotFoundError:
        return rootfs
    return other if other.is_dir() else rootfs


def _deliveries(settings: LabSettings, host: LabHost) -> int:
    """Return how many machines of that name were thrown away."""
    try:
        return int((settings.host_dir(host.name) / "delivered").read_text(encoding="ascii"))
    except FileNotFoundError:
        return 0


def start(settings: LabSettings, host: LabHost, rootfs: Path, *, stepping_back: bool = False) -> None:
    """Boot the prepared host; its supervisor outlives this process, whose own namespaces it does not keep.

    With ``stepping_back`` all its processes yield to those of other hosts until ``processes.step_forward``.
    """
    folder = settings.host_dir(host.name)
    joins = cgroups.make_groups(settings, host.name, stepping_back=stepping_back)
    back = ["nice", "-n", str(processes.BACK)] if stepping_back else []
    overlay = f"lowerdir={rootfs},upperdir={folder / 'upper'},workdir={folder / 'work'}"
    disk = str(disks.image_file(settings, host.name)) if host.disk is not None else ""
    with (folder / "console.log").open("ab") as console:
        subprocess.run(
            ["setsid", "--fork", *back, "nsenter", f"--net=/run/netns/{settings.wires}",
             "unshare", "--mount", "--propagation", "slave",
             "sh", "-c", _become_machine(), "machine.sh", *map(str, joins), "--",
             overlay, str(folder / "root"), disk, str(folder / "disk"),
             *_supervisor(settings, host, rootfs, own_group=bool(joins))],
            stdin=subprocess.DEVNULL, stdout=console, stderr=subprocess.STDOUT, cwd="/", check=True,
            timeout=_FORK_TIMEOUT_S,
            env={
                "PATH": "/usr/sbin:/usr/bin:/sbin:/bin",
                "SYSTEMD_CGROUP_ENABLE_LEGACY_FORCE": "1",
                "SYSTEMD_NSPAWN_API_VFS_WRITABLE": "network",
                "SYSTEMD_NSPAWN_LOCK": "0",  # a lock file for each start would stay; the lab has its own lock
            },
        )  # fmt: skip


def _become_machine() -> str:
    return resources.files(__package__).joinpath("machine.sh").read_text(encoding="utf-8")


def _supervisor(settings: LabSettings, host: LabHost, rootfs: Path, *, own_group: bool) -> list[str]:
    folder = settings.host_dir(host.name)
    # A guest is given a boot id of its own; the machine's stands beside it, to show that all share one kernel's clock.
    binds = ["--bind-ro=/proc/sys/kernel/random/boot_id:/run/secondsite/kernel-boot-id"]
    if host.edge and _TUN.exists():  # for WireGuard in user space: this machine's kernel may not have it
        binds.append(f"--bind={_TUN}")
    if host.disk is not None:
        binds += [f"--bind={folder / 'disk' / inner.name}:{inner.path}" for inner in host.disk.folders]
    if host.keeps_image and (kept := archive_of(rootfs)).exists():
        binds.append(f"--bind-ro={kept.parent}:{KEPT_IMAGE}")
    return [
        "systemd-nspawn", "--quiet", "--settings=no", "--register=no", *(["--keep-unit"] if own_group else []),
        "--boot", f"--directory={folder / 'root'}", f"--machine={settings.namespace(host.name)}",
        f"--hostname={host.name}", f"--network-namespace-path=/run/netns/{settings.namespace(host.name)}",
        "--capability=CAP_NET_ADMIN,CAP_NET_RAW", "--private-users=no", "--resolv-conf=off", "--timezone=off",
        "--link-journal=no", "--console=pipe", "-E", "SYSTEMD_CGROUP_ENABLE_LEGACY_FORCE=1", *binds,
    ]  # fmt: skip


def kill(settings: LabSettings, hosts: Iterable[str] | None = None, *, freeze_disks: bool) -> float:
    """End the hosts' inits, all at once, as a power cut does; return the instant of the last signal.

    With ``freeze_disks`` nothing that was not yet on a disk gets there any more.
    """
    chosen = None if hosts is None else set(hosts)
    found = {host: pid for host, pid in processes.inits(settings).items() if chosen is None or host in chosen}
    outer = {process.host: process.pid for process in processes.supervisors(settings)} if freeze_disks else {}
    sent = time.monotonic()
    for pid in found.values():
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
            sent = time.monotonic()
    for host, pid in outer.items():
        has_disk = disks.image_file(settings, host).exists()
        if host in found and has_disk and not disks.freeze_as_it_is(settings, host, pid):
            (settings.host_dir(host) / "write-cache-survived").touch()
    return sent


def wait_until_dead(settings: LabSettings, hosts: Iterable[str] | None = None) -> None:
    """End what is left of the hosts outside their inits, and wait until no process of theirs is there."""
    chosen = None if hosts is None else set(hosts)
    outer = [p.pid for p in processes.supervisors(settings) if chosen is None or p.host in chosen]
    with contextlib.suppress(ActionTimeout):  # one whose guest never began does not end by itself
        processes.wait_until_gone(outer, within_s=_SUPERVISOR_ENDS_WITHIN_S)
    left = [
        process.pid
        for process in (*processes.inhabitants(settings), *processes.supervisors(settings))
        if process.host not in ("wires", "control") and (chosen is None or process.host in chosen)
    ]
    processes.end(left)


def wait_until_released(settings: LabSettings, host: str | None = None) -> None:
    """Return when the kernel has let go of a dead host's disk, or of all: everything it kept is on file then.

    Raises:
        ActionTimeout: a loop device is still there.
    """
    path = settings.home if host is None else disks.image_file(settings, host)
    until = time.monotonic() + _RELEASED_WITHIN_S
    while held := disks.devices_of(path):
        if time.monotonic() > until:
            raise ActionTimeout(f"{', '.join(held)} of {path} is not released", next_step="losetup --list")
        time.sleep(0.01)
