"""Files that only the keys named beside them open (age, X25519): the one door to pyrage.

    recipients      one line per key: a name and an age recipient. One of them is called `escrow`.
    NAME.age        sealed for all of them, or for escrow alone

Who runs the engine holds the identity of one recipient. Escrow's identity lies where neither site's loss reaches it,
and opens everything. A lab makes both by itself beside the files: there they keep nothing secret, and a report says so.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pyrage

from ..errors import ConfigError, Problem, UsageError

ESCROW = "escrow"
LAB_LIMITATION = (
    "the lab made the keys that open its secrets, escrow's too, and keeps them (mode 0600) beside what they open"
)
_RECIPIENTS = "recipients"
_NOTHING = "nothing was attempted"


@dataclass(frozen=True, slots=True, kw_only=True)
class Safe:
    """Where sealed files lie, and the file with the identity that opens them here.

    ``escrow`` is set only where escrow's identity is at hand as well: in a lab, or when people brought it to recover.
    """

    directory: Path
    identity: Path
    escrow: Path | None = None
    makes_keys: bool = False

    def prepare(self) -> None:
        """See that there are recipients, escrow among them, and that a lab has its keys.

        Raises:
            UsageError: nobody named them yet; nothing was sealed.
            ConfigError: the file that names them is wrong.
        """
        self.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        path = self.directory / _RECIPIENTS
        if self.makes_keys and self.escrow is not None:
            lines = [f"engine {_public_of(self.identity)}\n", f"{ESCROW} {_public_of(self.escrow)}\n"]
            if not path.exists():
                write_private(path, "".join(lines).encode())
        self._recipients()

    def require_identity(self) -> None:
        """Refuse when the identity here is missing, or is none of the recipients'.

        Raises:
            UsageError: nothing that is sealed could be opened here.
            ConfigError: its file holds no identity.
        """
        mine = str(_identity_of(self.identity).to_public())
        if mine not in [str(one) for one in self._recipients().values()]:
            raise UsageError(
                f"the identity in {self.identity} is none of those named in {self.directory / _RECIPIENTS}",
                not_done=_NOTHING,
                next_step=f"add a line to it: engine {mine}",
            )

    def seal(self, name: str, secret: bytes, *, for_escrow_alone: bool = False) -> None:
        """Write ``NAME.age``, whole or not at all, so that only its recipients can open it."""
        named = self._recipients()
        chosen = [named[ESCROW]] if for_escrow_alone else list(named.values())
        write_private(self._path(name), pyrage.encrypt(secret, chosen, armored=True))

    def open(self, name: str) -> bytes:
        """Return what is sealed in ``NAME.age``.

        Raises:
            UsageError: the identity is missing, or is not one of the file's recipients.
        """
        return self._open(name, self.identity)

    def recover(self, name: str) -> bytes:
        """Open a file with escrow's identity.

        Raises:
            UsageError: escrow's identity is not at hand, or does not open it.
        """
        if self.escrow is None:
            raise UsageError(
                f"{self._path(name)} is for escrow alone, and escrow's identity is not here",
                not_done="nothing was changed",
                next_step="have it brought, and name its file in SECONDSITE_ESCROW",
            )
        return self._open(name, self.escrow)

    def can_open(self, name: str) -> bool:
        """Say whether the file is there and the identity at hand is one of its recipients."""
        if not self.holds(name):
            return False
        try:
            pyrage.decrypt(self._path(name).read_bytes(), [_identity_of(self.identity)])
        except pyrage.DecryptError:
            return False
        return True

    def holds(self, name: str) -> bool:
        """Say whether there is such a file."""
        return self._path(name).exists()

    def _open(self, name: str, identity: Path) -> bytes:
        path = self._path(name)
        if not path.exists():
            raise UsageError(f"no secrets at {path}", not_done=_NOTHING, next_step="secondsite run provision")
        try:
            return pyrage.decrypt(path.read_bytes(), [_identity_of(identity)])
        except pyrage.DecryptError as error:
            raise UsageError(
                f"{path} can't be opened with the identity in {identity}: {error}",
                not_done=_NOTHING,
                next_step=f"name another identity in SECONDSITE_IDENTITY; {self.directory / _RECIPIENTS} says whose",
            ) from error

    def _path(self, name: str) -> Path:
        return self.directory / f"{name}.age"

    def _recipients(self) -> Mapping[str, pyrage.x25519.Recipient]:
        path = self.directory / _RECIPIENTS
        if not path.exists():
            raise UsageError(
                f"nobody is named who may open the estate's secrets: {path} is missing",
                not_done=_NOTHING,
                next_step=f"write a line `NAME age1...` for each, one of them called {ESCROW} (see age-keygen)",
            )
        named, problems = _read_recipients(path)
        problems += [] if ESCROW in named else [f"none is called {ESCROW}: secrets would be lost with this controller"]
        if problems:
            raise ConfigError([Problem(file=str(path), line=None, pointer="", what=what) for what in problems])
        return named


def own_safe(directory: Path) -> Safe:
    """Return a safe that makes its own keys, escrow's too: a lab's."""
    return Safe(
        directory=directory, identity=directory / "identity", escrow=directory / ESCROW / "identity", makes_keys=True
    )


def make_identity(path: Path) -> str:
    """Make an identity where there is none, and return its recipient.

    Raises:
        FileExistsError: something is there; it stays as it is.
        OSError: it can't be written.
    """
    made = pyrage.x25519.Identity.generate()
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="ascii") as stream:
        stream.write(f"# public key: {made.to_public()}\n{made}\n")
    return str(made.to_public())


def write_private(path: Path, content: bytes) -> None:
    """Write a file that only its owner may read, whole or not at all; it is never there with another mode."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.new")
    partial.unlink(missing_ok=True)
    with os.fdopen(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as stream:
        stream.write(content)
        stream.flush()
        os.fsync(stream.fileno())
    partial.rename(path)


def _public_of(identity: Path) -> str:
    """Return an identity's recipient; the identity is made when there is none."""
    if not identity.exists():
        write_private(identity, f"{pyrage.x25519.Identity.generate()}\n".encode())
    return str(_identity_of(identity).to_public())


def _identity_of(path: Path) -> pyrage.x25519.Identity:
    if not path.exists():
        raise UsageError(
            f"the identity that opens the estate's secrets is not at {path}",
            not_done=_NOTHING,
            next_step="name its file in SECONDSITE_IDENTITY",
        )
    keys = [line for line in path.read_text(encoding="ascii").split("\n") if line.startswith("AGE-SECRET-KEY-")]
    try:
        (key,) = keys
        return pyrage.x25519.Identity.from_str(key)
    except (ValueError, pyrage.IdentityError) as error:
        what = "holds not exactly one age identity"
        raise ConfigError([Problem(file=str(path), line=None, pointer="", what=what)]) from error


def _read_recipients(path: Path) -> tuple[dict[str, pyrage.x25519.Recipient], list[str]]:
    named: dict[str, pyrage.x25519.Recipient] = {}
    seen: set[str] = set()
    problems: list[str] = []
    for words in _lines(path):
        match words:
            case [name, key] if name not in named and key not in seen:
                try:
                    named[name] = pyrage.x25519.Recipient.from_str(key)
                except pyrage.RecipientError:
                    problems.append(f"{name}: not an age recipient (age1...)")
                seen.add(key)
            case [name, *_]:
                problems.append(f"{name}: a name and a key of its own are needed, each once")
            case _:
                continue
    return named, problems


def _lines(path: Path) -> Iterator[list[str]]:
    for line in path.read_text(encoding="utf-8").splitlines():
        yield line.partition("#")[0].split()
