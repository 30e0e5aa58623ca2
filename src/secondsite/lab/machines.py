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
from pathlib import Path
from typing import TypeVar

from ..errors import ActionError, ActionTimeout, Effect
from . import cgroups, disks, keys, processes
from .model import LabHost, LabSettings
from .rules import machine_id

# Positional: the group files, "--", the command. A process joins its groups before it becomes the supervisor.
_JOIN_AND_BECOME = 'while [ "$1" != -- ]; do echo 0 > "$1"; shift; done; shift; exec "$@"'
_PARALLEL = 5
_UNMOUNT_WITHIN_S = 10.0
T = TypeVar("T")


def in_parallel(work: Callable[[LabHost], T], hosts: Iterable[LabHost]) -> list[T]:
    """Do the same for each host, several at once; the first failure is raised when all have ended."""
    with ThreadPoolExecutor(max_workers=_PARALLEL) as pool:
        return list(pool.map(work, hosts))


def prepare(settings: LabSettings, host: LabHost, rootfs: Path) -> None:
    """Mount the host's overlay and disk; give a fresh one its identity, as a hoster's installer would."""
    folder = settings.host_dir(host.name)
    for name in ("upper", "work", "root"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    root = folder / "root"
    if not root.is_mount():
        options = f"lowerdir={rootfs},upperdir={folder / 'upper'},workdir={folder / 'work'}"
        _run(["mount", "-t", "overlay", f"secondsite-{settings.instance}", "-o", options, str(root)])
    if not (folder / "identity").exists():
        _write_identity(settings, host, root)
        (folder / "identity").touch()
    if host.disk is not None:
        disks.attach(settings, host, host.disk, rootfs)


def _write_identity(settings: LabSettings, host: LabHost, root: Path) -> None:
    etc = root / "etc"
    addresses = "".join(f"{address.ip} {host.name}\n" for address in list(host.addresses.values())[:1])
    _put(etc / "hostname", f"{host.name}\n")
    _put(etc / "hosts", f"127.0.0.1 localhost\n{addresses}")
    _put(etc / "machine-id", f"{machine_id(settings.instance, host.name)}\n", mode=0o444)
    private = keys.host_key(settings, host.name)
    _put(etc / "ssh/ssh_host_ed25519_key", private.read_text(encoding="ascii"), mode=0o600)
    _put(etc / "ssh/ssh_host_ed25519_key.pub", f"{keys.public_key(private)}\n")
    (root / "root/.ssh").mkdir(mode=0o700, exist_ok=True)
    _put(root / "root/.ssh/authorized_keys", f"{keys.public_key(settings.key)}\n", mode=0o600)


def _put(path: Path, text: str, *, mode: int = 0o644) -> None:
    path.unlink(missing_ok=True)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "w", encoding="utf-8") as out:
        out.write(text)
    path.chmod(mode)


def start(settings: LabSettings, host: LabHost) -> None:
    """Boot the prepared host; its supervisor outlives this process, whose own namespace it does not keep."""
    joins = cgroups.make_groups(settings, host.name)
    with (settings.host_dir(host.name) / "console.log").open("ab") as console:
        subprocess.Popen(
            ["sh", "-c", _JOIN_AND_BECOME, "sh", *map(str, joins), "--", "nsenter", f"--net=/run/netns/{settings.wires}",
             *_supervisor(settings, host, own_group=bool(joins))],
            stdin=subprocess.DEVNULL, stdout=console, stderr=subprocess.STDOUT, start_new_session=True, cwd="/",
            env={
                "PATH": "/usr/sbin:/usr/bin:/sbin:/bin",
                "SYSTEMD_CGROUP_ENABLE_LEGACY_FORCE": "1",
                "SYSTEMD_NSPAWN_API_VFS_WRITABLE": "network",
            },
        )  # fmt: skip


def _supervisor(settings: LabSettings, host: LabHost, *, own_group: bool) -> list[str]:
    folder = settings.host_dir(host.name)
    binds = []
    if host.disk is not None:
        binds = [f"--bind={folder / 'disk' / inner.name}:{inner.path}" for inner in host.disk.folders]
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
    sent = time.monotonic()
    for pid in found.values():
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
            sent = time.monotonic()
    if freeze_disks:
        for host in found if chosen is None else chosen:
            survived = settings.host_dir(host) / "write-cache-survived"
            if not disks.freeze_as_it_is(settings, host):
                survived.touch()
    return sent


def wait_until_dead(settings: LabSettings, hosts: Iterable[str] | None = None) -> None:
    """End what is left of the hosts outside their inits, and wait until no process of theirs is there."""
    chosen = None if hosts is None else set(hosts)
    left = [
        process.pid
        for process in (*processes.inhabitants(settings), *processes.supervisors(settings))
        if process.host not in ("wires", "control") and (chosen is None or process.host in chosen)
    ]
    processes.end(left)


def take_apart(settings: LabSettings, host: str) -> None:
    """Unmount the dead host's disk and overlay and remove its control groups; its files stay."""
    folder = settings.host_dir(host)
    _patiently(lambda: disks.detach(settings, host), folder)
    if (folder / "root").is_mount():
        _patiently(lambda: _run(["umount", str(folder / "root")]), folder)
    cgroups.remove_groups(settings, host)


def forget(settings: LabSettings, host: str) -> None:
    """Remove the dead host's files: its next start is from the golden image."""
    folder = settings.host_dir(host)
    if (folder / "root").is_mount() or (folder / "disk").is_mount():
        raise ActionError(f"{folder} is still mounted", effect=Effect.NONE, next_step="secondsite lab down")
    shutil.rmtree(folder, ignore_errors=False)


def _patiently(work: Callable[[], object], folder: Path) -> None:
    """Try again while the kernel is still letting go of a dead guest's mounts."""
    until = time.monotonic() + _UNMOUNT_WITHIN_S
    while True:
        try:
            work()
        except ActionError as error:
            if time.monotonic() > until:
                raise ActionTimeout(f"{folder} could not be unmounted: {error}", next_step="findmnt") from error
            time.sleep(0.02)
        else:
            return


def _run(argv: list[str]) -> None:
    result = subprocess.run(argv, capture_output=True, text=True, timeout=30, check=False)
    if result.returncode != 0:
        reason = " ".join(result.stderr.split())[:500]
        raise ActionError(f"{' '.join(argv)}: {reason}", effect=Effect.UNKNOWN, next_step="secondsite lab down")
