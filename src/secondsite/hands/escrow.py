"""Escrow's identity, sealed so that any two of its holders open it together, and nobody alone.

Below one folder, nothing of which opens anything by itself:

    manifest.json            who the holders are, escrow's own recipient, and the SHA-256 of each package
    FIRST+SECOND.ID.age      one for each two holders: escrow's identity sealed for the second, and that for the first

Anybody opens a package without us: ``age -d -i FIRST PACKAGE | age -d -i SECOND``. A package is never written over:
its name ends in what it is, and the manifest, which comes last, names those that count.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import itertools
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..errors import UsageError
from .age import (
    ENGINE,
    ESCROW,
    RECIPIENTS,
    Safe,
    count_of_recipients,
    identity_in,
    make_identity,
    new_identity,
    opened,
    read_identity,
    read_recipients,
    recipient_of,
    sealed_for,
    write_private,
)

FOLDER = "escrow"
HOLDERS = "holders"
MANIFEST = "manifest.json"
OPENED = "opened.json"
LAB_HOLDERS = ("holder-1", "holder-2")
"""A lab's holders where the estate declares none."""
_LAB_KEYS = "lab-holders"
_SCHEMA_VERSION = 1
_TWO = 2
_LARGEST = 256 << 10
_FILE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@+-]{0,180}\.age\Z")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@-]{0,63}\Z")
_NOTHING = "nothing was opened"


@dataclass(frozen=True, slots=True, kw_only=True)
class Package:
    """Escrow's identity for two holders, in the order in which they open it."""

    holders: tuple[str, str]
    file: str
    sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """What was sealed for whom. ``recipient`` is escrow's own; ``holders`` are theirs by name."""

    estate: str
    recipient: str
    holders: Mapping[str, str]
    packages: tuple[Package, ...]
    sealed_at: str

    @property
    def digest(self) -> str:
        """Return what tells this manifest, and so all it names, from every other."""
        return hashlib.sha256(self.content()).hexdigest()

    def content(self) -> bytes:
        """Return it as its file."""
        document = {
            "schema_version": _SCHEMA_VERSION,
            "estate": self.estate,
            "escrow": self.recipient,
            "holders": dict(self.holders),
            "packages": [
                {"holders": list(one.holders), "file": one.file, "sha256": one.sha256} for one in self.packages
            ],
            "sealed_at": self.sealed_at,
        }
        return json.dumps(document, indent=1, sort_keys=True).encode() + b"\n"

    def package_for(self, first: str, second: str) -> Package | None:
        """Return the package of two holders, in whatever order they come."""
        return next((one for one in self.packages if set(one.holders) == {first, second}), None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Opened:
    """Escrow's identity, and who opened it."""

    identity: str = field(repr=False)
    holders: tuple[str, str]
    manifest: Manifest


def pairs_of(holders: Sequence[str]) -> tuple[tuple[str, str], ...]:
    """Return each two of them once."""
    return tuple(itertools.combinations(sorted(holders), 2))


# --- seal ---


def seal_packages(folder: Path, *, estate: str, identity: str, holders: Mapping[str, str]) -> Manifest:
    """Seal escrow's identity for each two holders, and open nothing else. What was sealed before goes last.

    Raises:
        UsageError: there are not two holders with keys of their own; nothing was sealed.
    """
    recipient = recipient_of(identity)
    if len(holders) < _TWO or len({*holders.values(), recipient}) <= len(holders):
        what = f"escrow needs two holders with keys of their own, and {_all(holders)} do not make two"
        raise UsageError(what, not_done="nothing was sealed", next_step=f"see {HOLDERS}: a line `NAME age1...` each")
    secret = f"# escrow of {estate}: opens everything that is sealed\n# public key: {recipient}\n{identity}\n".encode()
    packages = []
    for first, second in pairs_of(list(holders)):
        sealed = sealed_for([holders[first]], sealed_for([holders[second]], secret))
        digest = hashlib.sha256(sealed).hexdigest()
        package = Package(holders=(first, second), file=f"{first}+{second}.{digest[:12]}.age", sha256=digest)
        write_private(folder / package.file, sealed)
        packages.append(package)
    made = dt.datetime.fromtimestamp((folder / packages[-1].file).stat().st_mtime, tz=dt.UTC)
    manifest = Manifest(
        estate=estate,
        recipient=recipient,
        holders=dict(holders),
        packages=tuple(packages),
        sealed_at=made.isoformat(timespec="seconds"),
    )
    write_private(folder / MANIFEST, manifest.content())
    for path in set(folder.glob("*.age")) - {folder / one.file for one in packages}:
        path.unlink()
    return manifest


def read_holders(directory: Path, *, names: Sequence[str]) -> Mapping[str, str]:
    """Return the holders' recipients, as they gave them, of exactly those that the estate declares.

    Raises:
        UsageError: the file that names them is missing.
        ConfigError: it names others, or none of a key.
    """
    path = directory / HOLDERS
    if not path.exists():
        raise UsageError(
            f"no holder of escrow gave a key yet: {path} is missing",
            not_done="nothing was sealed",
            next_step="have each make one (secondsite identity FILE) and write a line `NAME age1...` for each",
        )

    def wrong(named: Mapping[str, str]) -> list[str]:
        strange = [f"{name} is not declared as a holder of escrow" for name in named if name not in names]
        return strange + [f"{name} gave no key" for name in names if name not in named]

    return read_recipients(path, wrong)


# --- open ---


def read_manifest(folder: Path) -> Manifest:
    """Return the manifest in a folder. What was brought from elsewhere is hostile: it is read strictly.

    Raises:
        UsageError: there is none, or it makes no sense.
    """
    path = folder / MANIFEST
    try:
        content = path.read_bytes() if path.stat().st_size <= _LARGEST else b""
        return manifest_in(content)
    except OSError as error:
        what = f"{folder} holds no packages of escrow: {MANIFEST} can't be read ({error.strerror})"
        raise UsageError(what, not_done=_NOTHING, next_step="bring the folder that lies at the vault") from error
    except ValueError as error:
        raise UsageError(f"{path} is no manifest of escrow: {error}", not_done=_NOTHING) from error


def manifest_in(content: bytes) -> Manifest:
    """Return the manifest that a file holds.

    Raises:
        ValueError: it is none.
    """
    try:
        document: Any = json.loads(content)
        manifest = Manifest(
            estate=str(document["estate"]),
            recipient=str(document["escrow"]),
            holders={str(name): str(key) for name, key in document["holders"].items()},
            packages=tuple(
                Package(
                    holders=(str(one["holders"][0]), str(one["holders"][1])), file=one["file"], sha256=one["sha256"]
                )
                for one in document["packages"]
            ),
            sealed_at=str(document["sealed_at"]),
        )
        if document["schema_version"] != _SCHEMA_VERSION:
            raise ValueError(f"it is of version {document['schema_version']!r:.20}")
        wrong = [one.file for one in manifest.packages if not _FILE.match(one.file)]
        wrong += [name for name in manifest.holders if not _NAME.match(name)]
    except (KeyError, TypeError, IndexError, AttributeError, RecursionError) as error:
        raise ValueError(f"it lacks something ({type(error).__name__})") from error
    if wrong or manifest.content() != content:
        raise ValueError(f"it was not written by us ({'; '.join(map(repr, wrong)) or 'its form is another':.100})")
    return manifest


def open_packages(folder: Path, keys: Sequence[Path]) -> Opened:
    """Open escrow with the keys of two holders, and keep nothing.

    Raises:
        UsageError: there are not two keys of two holders, or the package is not what was sealed; nothing was opened.
        ConfigError: a file holds no key.
    """
    manifest = read_manifest(folder)
    identities = brought_by(manifest, keys)
    first, second = identities
    return Opened(identity=open_for(folder, manifest, identities), holders=(first, second), manifest=manifest)


def brought_by(manifest: Manifest, keys: Sequence[Path]) -> Mapping[str, str]:
    """Return the identities of the two holders who came, by name.

    Raises:
        UsageError: there are not two keys of two holders.
        ConfigError: a file holds no key.
    """
    if len(keys) != _TWO:
        brought = f"{len(keys)} keys were brought" if len(keys) != 1 else "one key was brought"
        raise UsageError(
            f"escrow is opened by two of its holders together, and {brought}",
            not_done=_NOTHING,
            next_step=f"name the key files of two of {_all(manifest.holders)}: --holder FILE --holder FILE",
        )
    by_recipient = {key: name for name, key in manifest.holders.items()}
    identities: dict[str, str] = {}
    for path in keys:
        if not path.exists():
            raise UsageError(f"there is no holder's key at {path}", not_done=_NOTHING, next_step="name the key's file")
        identity = read_identity(path)
        name = by_recipient.get(recipient_of(identity))
        if name is None:
            what = f"the key in {path} is none of a holder's; holders are {_all(manifest.holders)}"
            raise UsageError(what, not_done=_NOTHING, next_step="the packages know each holder by the key of that day")
        if name in identities:
            what = f"both keys are {name}'s, and nobody opens escrow alone"
            raise UsageError(what, not_done=_NOTHING, next_step=f"have another of {_all(manifest.holders)} come")
        identities[name] = identity
    return identities


def open_for(folder: Path, manifest: Manifest, identities: Mapping[str, str]) -> str:
    """Return escrow's identity, opened by two holders.

    Raises:
        UsageError: their package is lost, or is not what was sealed; nothing was opened.
    """
    names = " and ".join(identities)
    package = manifest.package_for(*identities)
    if package is None:
        raise UsageError(f"there is no package for {names}", not_done=_NOTHING, next_step="have another holder come")
    path = folder / package.file
    try:
        sealed = path.read_bytes()
    except OSError as error:
        what = f"the package for {names} is lost: {path} can't be read ({error.strerror})"
        raise UsageError(
            what, not_done=_NOTHING, next_step="bring it from another host, or have others come"
        ) from error
    if hashlib.sha256(sealed).hexdigest() != package.sha256:
        what = f"the package for {names} is not what was sealed: the SHA-256 of {path} is another than the manifest's"
        raise UsageError(what, not_done=_NOTHING, next_step="bring it from another host, or have others come")
    for name in package.holders:
        unwrapped = opened(sealed, identities[name])
        if unwrapped is None:
            raise UsageError(f"{path} can't be opened with {name}'s key", not_done=_NOTHING)
        sealed = unwrapped
    try:
        identity = identity_in(sealed.decode("ascii"))
    except ValueError as error:
        raise UsageError(f"{path} holds no identity", not_done=_NOTHING) from error
    if recipient_of(identity) != manifest.recipient:
        raise UsageError(f"{path} holds another identity than escrow's", not_done=_NOTHING)
    return identity


def spoilt_packages(folder: Path, manifest: Manifest) -> Iterator[str]:
    """Yield which packages are lost, or are not what was sealed."""
    for one in manifest.packages:
        path, names = folder / one.file, " and ".join(one.holders)
        if not path.is_file():
            yield f"the package for {names} is lost"
        elif hashlib.sha256(path.read_bytes()).hexdigest() != one.sha256:
            yield f"the package for {names} is not what was sealed"


def _all(holders: Mapping[str, str]) -> str:
    return ", ".join(sorted(holders)) or "nobody"


# --- begin anew ---


def begin_anew(directory: Path, *, identity: Path, escrow: str, recall: Sequence[str] = ()) -> tuple[str, ...]:
    """Seal everything for a new engine in the old one's place; return the names of what it can open now.

    What was for escrow alone stays so, but for those named in ``recall``. ``identity`` is made where there is none. A
    crash in between is taken up by calling it again: escrow opens everything at every moment.

    Raises:
        UsageError: escrow does not open everything, or is another's; nothing was changed.
    """
    safe = Safe(directory=directory, identity=identity)
    named = safe.recipients()
    if named[ESCROW] != recipient_of(escrow):
        what = f"the packages open another escrow than the one that {directory} is sealed for"
        raise UsageError(what, not_done="nothing was changed", next_step="bring the packages and the copy of one day")
    found = {path.stem: path.read_bytes() for path in sorted(directory.glob("*.age"))}
    secrets = {name: opened(sealed, escrow) for name, sealed in found.items()}
    if closed := sorted(name for name, secret in secrets.items() if secret is None):
        what = f"escrow does not open {', '.join(closed)}: sealed for others, or changed since"
        raise UsageError(what, not_done="nothing was changed")
    if not identity.exists():
        make_identity(identity)
    new = {**named, ENGINE: recipient_of(read_identity(identity))}
    for name, secret in secrets.items():
        if secret is not None and (name in recall or count_of_recipients(found[name]) > 1):
            write_private(directory / f"{name}.age", sealed_for(list(new.values()), secret))
    text = "".join(f"{name} {key}\n" for name, key in new.items())
    write_private(directory / RECIPIENTS, text.encode("ascii"))
    return tuple(name for name in found if safe.can_open(name))


# --- a lab's ---


@dataclass(frozen=True, slots=True, kw_only=True)
class _LabKeys:
    """Makes a lab's keys: the engine's, each holder's, and escrow's, which is sealed to the holders and forgotten."""

    directory: Path
    estate: str
    holders: tuple[str, ...]

    def make(self) -> None:
        """Make what is missing. In a lab that began from a copy nothing is: its people have their keys elsewhere."""
        recipients, clear = self.directory / RECIPIENTS, self.directory / FOLDER / "identity"
        if recipients.exists() and not clear.exists():
            return
        if not recipients.exists() and not (self.directory / "identity").exists():
            make_identity(self.directory / "identity")
        escrow = read_identity(clear) if clear.exists() else new_identity()
        self.seal(escrow)
        clear.unlink(missing_ok=True)  # where an earlier release kept it
        if not recipients.exists():
            engine = recipient_of(read_identity(self.directory / "identity"))
            write_private(recipients, f"{ENGINE} {engine}\n{ESCROW} {recipient_of(escrow)}\n".encode())

    def seal(self, identity: str) -> Manifest:
        """Seal escrow to whoever is declared now; who has no key yet gets one."""
        for name in self.holders:
            if not lab_key(self.directory, name).exists():
                make_identity(lab_key(self.directory, name))
        held = {name: recipient_of(read_identity(lab_key(self.directory, name))) for name in self.holders}
        write_private(self.directory / HOLDERS, "".join(f"{name} {key}\n" for name, key in held.items()).encode())
        return seal_packages(self.directory / FOLDER, estate=self.estate, identity=identity, holders=held)


def lab_key(directory: Path, holder: str) -> Path:
    """Return where a lab keeps a holder's key: each in a folder of its own, and in no copy of the state."""
    return directory / _LAB_KEYS / holder / "identity"


def own_keys(directory: Path) -> list[Path]:
    """Return two keys of a lab's holders with which its escrow opens; fewer where the lab began from a copy."""
    held = lab_keys(directory)
    return [held[name] for name in read_manifest(directory / FOLDER).holders if name in held][:_TWO]


def own_safe(
    directory: Path, *, estate: str = "lab", holders: Sequence[str] = LAB_HOLDERS, keys: Sequence[Path] = ()
) -> Safe:
    """Return a safe that makes its own keys, those of escrow's holders too: a lab's.

    ``keys`` are holders' keys that were brought; without them two of the lab's own open escrow.
    """
    made = _LabKeys(directory=directory, estate=estate, holders=tuple(holders))
    return Safe(
        directory=directory,
        identity=directory / "identity",
        escrow=lambda: open_packages(directory / FOLDER, keys or own_keys(directory)).identity,
        make=made.make,
    )


def lab_keys(directory: Path) -> Mapping[str, Path]:
    """Return the keys of a lab's holders that lie here, by name; none where the lab began from a copy."""
    held = sorted((directory / _LAB_KEYS).glob("*/identity"))
    return {path.parent.name: path for path in held}


def reseal_lab(directory: Path, *, estate: str, holders: Sequence[str], identity: str) -> Manifest:
    """Seal a lab's escrow to the holders that are declared now; the lab makes the keys of new ones."""
    return _LabKeys(directory=directory, estate=estate, holders=tuple(holders)).seal(identity)


def reasons_to_seal(manifest: Manifest, *, holders: Mapping[str, str], escrow: str) -> Iterator[str]:
    """Yield why packages are not those of today: whom they lack, who gave another key, whom they hold in spite.

    A holder with an empty recipient is one whose key is lost.
    """
    for name, key in holders.items():
        if name not in manifest.holders:
            yield f"{name} holds no key to them"
        elif manifest.holders[name] != key:
            yield f"{name} gave another key since" if key else f"the key of {name} is lost"
    yield from (
        f"{name} holds a key to them and is no holder any more" for name in manifest.holders if name not in holders
    )
    yield from (
        f"they lack the one for {a} and {b}" for a, b in pairs_of(list(holders)) if not manifest.package_for(a, b)
    )
    if manifest.recipient != escrow:
        yield "they open another escrow than the one that secrets are sealed for"
