"""The golden image: Debian 13 with every package on disk and every service disabled, built once, cached by content."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from importlib import resources
from pathlib import Path

from ..errors import ActionError, ActionTimeout, Effect, UsageError
from .mirror import checked_mirror, configured_mirror

SUITE = "trixie"
PACKAGES = (
    "systemd", "systemd-sysv", "dbus", "openssh-server", "sudo", "python3", "python3-apt", "ca-certificates",
    "nftables", "iproute2", "iputils-ping", "locales", "curl", "openssl", "procps", "rsync", "e2fsprogs", "acl",
    "postgresql-17", "postgresql-client-17", "patroni", "python3-etcd", "python3-psycopg", "python3-psycopg-pool",
    "etcd-server", "etcd-client", "nginx-light", "knot", "knot-dnsutils", "unbound", "chrony",
    "python3-starlette", "python3-uvicorn", "python3-httptools", "python3-uvloop", "python3-dnspython",
    "bird2", "keepalived", "conntrack", "conntrackd", "wireguard-tools", "wireguard-go", "tcpdump",
    "pgbouncer", "pgbackrest", "restic", "restic-rest-server", "git", "fcgiwrap", "postfix",
    "nut-server", "nut-client", "age", "faketime",
)  # fmt: skip
ARCHIVE = "image.tar.gz"
KEPT_IMAGE = "/var/lib/secondsite-image"
"""Where a host that keeps the image has it."""
_BUILD_TIMEOUT_S = 1500
_APT_OPTIONS = ('APT::Install-Recommends "false"', "Acquire::Retries 3")
_DPKG_OPTIONS = (
    "path-exclude=/usr/share/man/*",
    "path-exclude=/usr/share/doc/*",
    "path-include=/usr/share/doc/*/copyright",
    "path-exclude=/usr/share/locale/*",
    "path-include=/usr/share/locale/locale.alias",
)


def recipe() -> str:
    """Return the script that turns fresh packages into the golden image."""
    return resources.files(__package__).joinpath("golden.sh").read_text(encoding="utf-8")


def image_key() -> str:
    """Return the key under which the image is cached: a digest over all that decides its content."""
    content = json.dumps([SUITE, PACKAGES, _APT_OPTIONS, _DPKG_OPTIONS, recipe()])
    return hashlib.sha256(content.encode()).hexdigest()[:16]


def image_path(cache: Path, key: str) -> Path:
    """Return where the image of that key is, or would be."""
    return cache / "images" / key / "rootfs"


def archive_of(rootfs: Path) -> Path:
    """Return where the image of a root file system lies as one file, for whoever keeps a copy of it."""
    return rootfs.parent / "kept" / ARCHIVE


def ensure_archive(rootfs: Path, *, say: Callable[[str], None]) -> Path:
    """Return the image as one compressed file, made now if there is none; with it lies its digest.

    Raises:
        ActionError: it could not be made; nothing half-made is left under its name.
    """
    path = archive_of(rootfs)
    if not path.exists():
        with _building(rootfs.parents[2], say):
            if not path.exists():
                say("packing the lab image into one file, for the host that keeps it")
                _pack(rootfs, path)
    return path


def _pack(rootfs: Path, path: Path) -> None:
    part = path.parent.with_name("kept.part")
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True)
    made = part / ARCHIVE
    packed = subprocess.run(
        ["tar", "--create", f"--directory={rootfs}", "--numeric-owner", "--xattrs", "--use-compress-program=gzip -1",
         f"--file={made}", "."],
        check=False, capture_output=True, text=True, timeout=_BUILD_TIMEOUT_S,
    )  # fmt: skip
    if packed.returncode != 0:
        raise ActionError(f"the image can't be packed: {packed.stderr.strip()[-300:]}", effect=Effect.NONE)
    with made.open("rb") as stream:
        digest = hashlib.file_digest(stream, "sha256").hexdigest()
    (part / f"{ARCHIVE}.sha256").write_text(f"{digest}  {ARCHIVE}\n", encoding="ascii")
    shutil.rmtree(path.parent, ignore_errors=True)
    part.rename(path.parent)


def unpack_archive(archive: Path, into: Path) -> Path:
    """Lay an image out from one file, and return its root file system.

    Raises:
        ActionError: it is no such file.
    """
    rootfs = into / "rootfs"
    shutil.rmtree(into, ignore_errors=True)
    rootfs.mkdir(parents=True)
    laid = subprocess.run(
        ["tar", "--extract", f"--directory={rootfs}", "--numeric-owner", "--xattrs", "--gzip", f"--file={archive}"],
        check=False, capture_output=True, text=True, timeout=_BUILD_TIMEOUT_S,
    )  # fmt: skip
    if laid.returncode != 0:
        raise ActionError(f"{archive} can't be laid out: {laid.stderr.strip()[-300:]}", effect=Effect.NONE)
    return rootfs


def is_cached(cache: Path) -> bool:
    """Say whether the image that today's recipe asks for is already on disk."""
    return image_path(cache, image_key()).is_dir()


def ensure_image(cache: Path, *, mirror: str | None, say: Callable[[str], None]) -> Path:
    """Return the golden image, built now if it is not cached; a half-built one is never seen.

    Raises:
        UsageError: the mirror does not answer or lacks packages, or none is configured.
    """
    target = image_path(cache, image_key())
    if target.is_dir():
        return target
    with _building(cache, say):
        if not target.is_dir():
            source = checked_mirror(mirror) if mirror else configured_mirror()
            say(f"building the lab image {image_key()} ({len(PACKAGES)} packages of Debian {SUITE} from {source})")
            _build(cache, target, source)
    return target


@contextlib.contextmanager
def _building(cache: Path, say: Callable[[str], None]) -> Iterator[None]:
    """Hold the one lock under which images are built; wait for another builder to finish."""
    (cache / "images").mkdir(parents=True, exist_ok=True)
    with (cache / "images" / ".lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say("another process is building the lab image: waiting for it")
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _build(cache: Path, target: Path, mirror: str) -> None:
    work = cache / "images" / f"{target.parent.name}.building"
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    script = work / "golden.sh"
    script.write_text(recipe(), encoding="utf-8")
    script.chmod(0o755)
    log = work / "build.log"
    # Its own mount and process namespaces, and a death signal: a builder killed half-way leaves no mount behind.
    cage = [
        "setpriv", "--pdeathsig", "KILL",
        "unshare", "--mount", "--propagation", "slave", "--pid", "--fork", "--kill-child", "--mount-proc",
    ]  # fmt: skip
    with log.open("wb") as out:
        try:
            code = subprocess.run(
                [*cage, *_mmdebstrap(work / "rootfs", script, mirror)], check=False, timeout=_BUILD_TIMEOUT_S,
                stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT,
                env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C.UTF-8", "TMPDIR": str(work)},
            ).returncode  # fmt: skip
        except subprocess.TimeoutExpired as error:
            raise ActionTimeout(
                f"the lab image was not built from {mirror} in {_BUILD_TIMEOUT_S} s", next_step=f"read {log}"
            ) from error
    if code != 0:
        raise _build_failed(log, mirror)
    os.sync()
    shutil.rmtree(target.parent, ignore_errors=True)
    work.rename(target.parent)


def _mmdebstrap(rootfs: Path, script: Path, mirror: str) -> list[str]:
    return [
        "mmdebstrap", "--mode=root", "--variant=minbase", "--format=directory",
        *(f"--aptopt={option}" for option in _APT_OPTIONS),
        *(f"--dpkgopt={option}" for option in _DPKG_OPTIONS),
        f"--include={','.join(PACKAGES)}",
        f'--essential-hook={script} before "$1"',
        f'--customize-hook={script} after "$1"',
        SUITE, str(rootfs), mirror,
    ]  # fmt: skip


def _build_failed(log: Path, mirror: str) -> UsageError | ActionError:
    tail = log.read_text(encoding="utf-8", errors="replace").splitlines()
    errors = [line for line in tail if line.startswith(("E:", "Err:"))][-4:] or tail[-4:]
    text = " | ".join(line.strip() for line in errors)
    if any(word in text for word in ("Could not resolve", "Could not connect", "Failed to fetch", "Unable to connect")):
        return UsageError(
            f"the Debian mirror {mirror} does not answer, and the lab image is not cached: {text}",
            not_done="the lab was not started",
            next_step="connect the machine, or name another mirror with --mirror",
        )
    return ActionError(
        f"the lab image could not be built from {mirror}: {text}", effect=Effect.NONE, next_step=f"read {log}"
    )
