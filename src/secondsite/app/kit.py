"""The kit at the vault: what this controller is made of, kept where another one can be rebuilt from it."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from ..errors import ActionError, Effect, SecondsiteError, Unreachable, UsageError
from ..estate.model import Estate
from ..hands.large_files import fetch_file, send_file
from ..probes.remote.collectors.standby import KIT_PLACE
from ..run.functions import ActionFrom, words
from ..run.model import Json
from ..run.ports import Hands, Outcome, Registry, StepContext
from ..store.kit import (
    FILE,
    NOTE,
    Kit,
    is_whole,
    kit_in,
    make_kit,
    needed_wheels,
    program_files,
    unpack_kit,
    version_of,
)
from .places import PROJECT, SENT_KIT, cache_path

_TIMEOUT_S = 120.0
_PYTHON = ("sudo", "-n", "--", "/usr/bin/python3", "-I", "-c")
# What comes is written beside what is there and takes its place only when it is whole. Without any input it only tells.
_KEEP = """
import hashlib, os, sys
from pathlib import Path
place, file, wanted, note, text = Path(sys.argv[1]), sys.argv[2], sys.argv[3], sys.argv[4], sys.argv[5]
os.umask(0o077)
place.mkdir(mode=0o700, parents=True, exist_ok=True)
def digest_of(path):
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
def put(path, content):
    part = path.with_name("." + path.name)
    with part.open("wb") as out:
        size = 0
        for block in content:
            size += out.write(block)
        out.flush()
        os.fsync(out.fileno())
    return part
part = put(place / file, iter(lambda: sys.stdin.buffer.read(1 << 20), b""))
came = part.stat().st_size > 0
if came and digest_of(part) == wanted:
    os.replace(part, place / file)
part.unlink(missing_ok=True)
if (place / file).is_file() and digest_of(place / file) == wanted:
    if not (place / note).is_file() or (place / note).read_text() != text:
        os.replace(put(place / note, [text.encode()]), place / note)
        came = True
    print("changed" if came else "same")
else:
    print("another")
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Steps:
    """The step that keeps the kit at the vault."""

    estate: Estate
    hands: Hands
    ssh_config: Path
    state: Path

    def registry(self) -> Registry:
        """Name the action."""
        return Registry(actions={"keep-kit": ActionFrom(self._keep)}, probes={})

    def _keep(self, arguments: Json, _context: StepContext) -> Outcome:
        """Make the kit of what runs here, and have each host keep it that does not.

        Raises:
            UsageError: the packages are not at hand, or the kit can't be written.
            Unreachable: a host did not answer; the others have it.
        """
        archive, kit = todays_kit(self.estate)
        hosts = words(arguments, "hosts")
        with ThreadPoolExecutor(max_workers=max(1, len(hosts))) as pool:
            done = dict(zip(hosts, pool.map(lambda host: self._place(host, archive, kit), hosts), strict=True))
        silent = {host: error for host, error in done.items() if isinstance(error, SecondsiteError)}
        if silent:
            raise Unreachable(
                "; ".join(f"{host}: {error.what}" for host, error in silent.items()),
                not_done="the other hosts keep the kit",
                next_step="bring them up, then provision again",
            )
        (self.state / SENT_KIT).write_text(json.dumps(kit.document(), indent=1) + "\n", encoding="ascii")
        return Outcome(changed=any(done.values()), detail={**kit.document(), "changed": done})

    def _place(self, host: str, archive: Path, kit: Kit) -> bool | SecondsiteError:
        text = json.dumps(kit.document(), indent=1) + "\n"
        argv = [*_PYTHON, _KEEP, KIT_PLACE, FILE, kit.sha256, NOTE, text]
        try:
            if (said := self._sent(host, argv, None)) == "another":
                said = self._sent(host, argv, archive)
        except SecondsiteError as error:
            return error
        if said not in {"same", "changed"}:
            return ActionError(f"the kit did not come whole to {host}", effect=Effect.UNKNOWN, retryable=True)
        return said == "changed"

    def _sent(self, host: str, argv: Sequence[str], archive: Path | None) -> str:
        return send_file(self.ssh_config, host, argv, content=archive, within_s=_TIMEOUT_S).strip()


def todays_kit(estate: Estate) -> tuple[Path, Kit]:
    """Return the kit of what runs here and what it is; it is made once for each version.

    Raises:
        UsageError: the packages are not at hand, or it can't be written.
    """
    files = program_files(PROJECT, Path(estate.directory).resolve())
    place = cache_path() / "kits" / version_of(files)[:16]
    try:
        kit = kit_in((place / NOTE).read_text(encoding="ascii"))
        if is_whole(place / FILE, kit):
            return place / FILE, kit
    except (OSError, UsageError):
        pass  # there is none yet
    kit = make_kit(files, needed_wheels(PROJECT), estate=inside(estate), into=place)
    _forget_others(place)
    return place / FILE, kit


def inside(estate: Estate) -> str:
    """Return where an estate's files are in the kit."""
    directory = Path(estate.directory).resolve()
    return str(directory.relative_to(PROJECT)) if directory.is_relative_to(PROJECT) else f"inventories/{directory.name}"


def program_version(estate: Estate) -> str:
    """Return the version of what runs here."""
    return version_of(program_files(PROJECT, Path(estate.directory).resolve()))


def fetched_kit(config: Path, host: str, into: Path) -> str:
    """Fetch the kit that a host keeps, and return what is noted beside it.

    Raises:
        SecondsiteError: it keeps none, or it could not be fetched.
    """
    place = into.with_suffix(".json")
    try:
        fetch_file(config, host, f"{KIT_PLACE}/{NOTE}", into=place, within_s=_TIMEOUT_S)
        fetch_file(config, host, f"{KIT_PLACE}/{FILE}", into=into, within_s=_TIMEOUT_S)
        return place.read_text(errors="replace")
    except Unreachable as error:
        raise SecondsiteError(
            f"no kit to rebuild a controller from came: {error.what}", next_step="secondsite run provision keeps one"
        ) from error
    finally:
        place.unlink(missing_ok=True)


def rebuilt(archive: Path, note: str, *, into: Path) -> Path:
    """Lay out the program that came from the vault, and return its folder.

    Raises:
        UsageError: it is not what was noted.
    """
    return unpack_kit(archive, into, noted=kit_in(note))


def _forget_others(place: Path) -> None:
    """Keep no kit of earlier versions: each is as large as all packages."""
    for other in place.parent.iterdir():
        if other != place:
            shutil.rmtree(other, ignore_errors=True)
