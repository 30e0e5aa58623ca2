"""The kit another controller is rebuilt from: this program, the estate's files, and every package they need.

It is one file that an empty machine with Python can begin with: unpack it and call ``./secondsite``, which makes its
environments from the packages beside it and asks no index. No key and no state is in it; that comes with the copy
(``standby``). The same program and packages always give the same bytes, so a digest tells whether a kit is this one.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import platform
import re
import sys
import tarfile
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path, PurePosixPath

from ..errors import UsageError

FILE = "kit.tar"
NOTE = "kit.json"
FOLDER = "secondsite"
"""What the kit unpacks to."""
WHEELS = "wheels"
GATHERED = ".wheels"
LOCKS = ("main.lock", "pyinfra.lock")
_TOPS = ("secondsite", "pyproject.toml", "ansible.cfg", "README.md", "requirements", "src", "runbooks", "roles")
_TOPS_TOO = ("inventories", "drtests", "docs")
_LEFT_OUT = frozenset({"__pycache__", ".ansible", ".pytest_cache", ".mypy_cache", ".ruff_cache"})
_SEALED = "secrets"  # beside an estate's files; the copy of the state has them
_HASH = re.compile(r"--hash=sha256:([0-9a-f]{64})")


@dataclass(frozen=True, slots=True, kw_only=True)
class Kit:
    """What a kit is, as it is noted beside it. ``python`` and ``machine`` are what its packages were made for."""

    version: str
    sha256: str
    bytes: int
    estate: str
    python: str
    machine: str

    def document(self) -> dict[str, object]:
        """Return it as it is written down."""
        return asdict(self)


def kit_in(text: str) -> Kit:
    """Read what was noted of a kit.

    Raises:
        UsageError: it is no such note.
    """
    try:
        told = json.loads(text)
        words = {name: str(told[name]) for name in ("version", "sha256", "estate", "python", "machine")}
        return Kit(bytes=int(told["bytes"]), **words)
    except (ValueError, KeyError, TypeError) as error:
        raise UsageError(
            "what lies beside the kit does not tell what it is", not_done="nothing was unpacked"
        ) from error


def program_files(root: Path, estate: Path) -> Mapping[str, Path]:
    """Return every file of the program, by its path in the kit, with those of an estate that lies elsewhere."""
    tops = [root / name for name in (*_TOPS, *_TOPS_TOO)]
    found = {str(path.relative_to(root)): path for top in tops for path in _below(top)}
    if not estate.is_relative_to(root):
        inside = (path for path in _below(estate) if path.relative_to(estate).parts[0] != _SEALED)
        found |= {f"inventories/{estate.name}/{path.relative_to(estate)}": path for path in inside}
    return dict(sorted(found.items()))


def _below(top: Path) -> Iterator[Path]:
    if top.is_file():
        yield top
        return
    for folder, folders, names in os.walk(top):
        folders[:] = [name for name in folders if name not in _LEFT_OUT]
        yield from (Path(folder) / name for name in names if not name.endswith(".pyc"))


def version_of(files: Mapping[str, Path]) -> str:
    """Return the digest of a program: the names of its files, what is in them, and which of them are programs."""
    digest = hashlib.sha256()
    for name, path in files.items():
        content = path.read_bytes()
        digest.update(f"{name}\0{_mode(path):o}\0{len(content)}\0".encode())
        digest.update(content)
    return digest.hexdigest()


def needed_wheels(root: Path) -> list[Path]:
    """Return the packages that lie beside the program, each with a digest that a lock has.

    ``./secondsite`` gathers them before it begins, for a run has no way to an index; a kit brings its own.

    Raises:
        UsageError: there are none, or one of them has another digest than any lock has.
    """
    wheels = next((root / name for name in (WHEELS, GATHERED) if (root / name).is_dir()), None)
    if wheels is None:
        raise UsageError(
            "the packages that a controller is rebuilt from are not at hand",
            not_done="no kit was made",
            next_step="is the package index reachable? ./secondsite run provision gathers them first",
        )
    locked = {found for lock in LOCKS for found in _HASH.findall((root / "requirements" / lock).read_text())}
    found = sorted(path for path in wheels.iterdir() if path.suffix in {".whl", ".gz"})
    for path in found:
        if _digest_of(path) not in locked:
            raise UsageError(
                f"{path.name} is no package that requirements/{' or '.join(LOCKS)} names",
                not_done="no kit was made",
                next_step=f"remove {wheels}, then ./secondsite run provision",
            )
    return found


def make_kit(files: Mapping[str, Path], wheels: Iterable[Path], *, estate: str, into: Path) -> Kit:
    """Make the kit and note beside it what it is; nothing half-made is left under its name.

    Raises:
        UsageError: it can't be written, or a file of the program went away meanwhile.
    """
    into.mkdir(parents=True, exist_ok=True)
    try:
        with tempfile.NamedTemporaryFile(dir=into, prefix=".kit-", delete=False) as out:
            part = Path(out.name)
            try:
                with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as archive:
                    for name, path in (*files.items(), *((f"{WHEELS}/{one.name}", one) for one in wheels)):
                        _add(archive, path, name=f"{FOLDER}/{name}")
                out.flush()
                os.fsync(out.fileno())
                kit = Kit(
                    version=version_of(files),
                    sha256=_digest_of(part),
                    bytes=part.stat().st_size,
                    estate=estate,
                    python=f"{sys.version_info.major}.{sys.version_info.minor}",
                    machine=platform.machine(),
                )
                part.replace(into / FILE)
            except BaseException:
                part.unlink(missing_ok=True)
                raise
    except OSError as error:
        raise UsageError(f"the kit can't be made: {error}", not_done="no kit was made") from error
    (into / NOTE).write_text(json.dumps(kit.document(), indent=1) + "\n", encoding="ascii")
    return kit


def is_whole(archive: Path, noted: Kit) -> bool:
    """Say whether a file is the kit that was noted, to the last bit.

    Raises:
        OSError: it can't be read.
    """
    return archive.stat().st_size == noted.bytes and _digest_of(archive) == noted.sha256


def unpack_kit(archive: Path, into: Path, *, noted: Kit) -> Path:
    """Lay a kit out if it is the one that was noted, and return the program's folder.

    Raises:
        UsageError: it is another one, or can't be unpacked; nothing was laid out.
    """
    digest = _digest_of(archive)
    if digest != noted.sha256:
        raise UsageError(
            f"{archive} has the digest {digest[:12]}, and {noted.sha256[:12]} was noted",
            not_done="nothing was unpacked",
            next_step="fetch it again; if it stays another one, somebody changed it at the vault",
        )
    try:
        with tarfile.open(archive) as kit:
            kit.extractall(into, filter="data")
    except (OSError, tarfile.TarError) as error:
        raise UsageError(f"{archive} can't be unpacked: {error}", not_done="no program was laid out") from error
    return into / FOLDER


def _add(archive: tarfile.TarFile, path: Path, *, name: str) -> None:
    """Add a file without what differs from one machine to the next: owner, times, and finer rights."""
    content = path.read_bytes()
    member = tarfile.TarInfo(str(PurePosixPath(name)))
    member.size, member.mode = len(content), _mode(path)
    archive.addfile(member, io.BytesIO(content))


def _mode(path: Path) -> int:
    return 0o755 if path.stat().st_mode & 0o100 else 0o644


def _digest_of(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
