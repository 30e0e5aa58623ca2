"""Files that only the keys named beside them open (age, X25519): the one door to pyrage.

    recipients      one line per key: a name and an age recipient. One of them is called `escrow`.
    NAME.age        sealed for all of them, or for escrow alone

Who runs the engine holds the identity of one recipient. Escrow's identity opens everything. It lies nowhere as it is:
it is sealed so that two holders open it together (``escrow``).
"""

from __future__ import annotations

import base64
import binascii
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pyrage

from ..errors import ConfigError, Problem, UsageError

ESCROW = "escrow"
ENGINE = "engine"
RECIPIENTS = "recipients"
LAB_LIMITATION = (
    "the lab made the keys that open its secrets, those of escrow's holders too, and keeps them (mode 0600) beside what"
    " they open"
)
SECRET_KEY = "AGE-SECRET-KEY-"  # noqa: S105  what every identity begins with
_NOTHING = "nothing was attempted"
_ARMOR = b"-----BEGIN AGE ENCRYPTED FILE-----"
_STANZA = b"-> X25519 "


@dataclass(frozen=True, slots=True, kw_only=True)
class Safe:
    """Where sealed files lie, and the file with the identity that opens them here.

    ``escrow`` has two holders open escrow and returns its identity; it is there only where holders' keys are at hand:
    in a lab, or when people brought theirs to recover. ``make`` makes what keys are missing: a lab's does.
    """

    directory: Path
    identity: Path
    escrow: Callable[[], str] | None = None
    make: Callable[[], None] | None = None

    @property
    def makes_keys(self) -> bool:
        """Say whether it makes its own keys: a lab's does."""
        return self.make is not None

    def prepare(self) -> None:
        """See that there are recipients, escrow among them, and that a lab has its keys.

        Raises:
            UsageError: nobody named them yet; nothing was sealed.
            ConfigError: the file that names them is wrong.
        """
        self.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        if self.make is not None:
            self.make()
        self.recipients()

    def require_identity(self) -> None:
        """Refuse when the identity here is missing, or is none of the recipients'.

        Raises:
            UsageError: nothing that is sealed could be opened here.
            ConfigError: its file holds no identity.
        """
        mine = recipient_of(read_identity(self.identity))
        if mine not in self.recipients().values():
            raise UsageError(
                f"the identity in {self.identity} is none of those named in {self.directory / RECIPIENTS}",
                not_done=_NOTHING,
                next_step=f"add a line to it: {ENGINE} {mine}",
            )

    def seal(self, name: str, secret: bytes, *, for_escrow_alone: bool = False) -> None:
        """Write ``NAME.age``, whole or not at all, so that only its recipients can open it."""
        named = self.recipients()
        chosen = [named[ESCROW]] if for_escrow_alone else list(named.values())
        write_private(self._path(name), sealed_for(chosen, secret))

    def open(self, name: str) -> bytes:
        """Return what is sealed in ``NAME.age``.

        Raises:
            UsageError: the identity is missing, or is not one of the file's recipients.
        """
        return self._open(name, lambda: read_identity(self.identity), whose=f"the identity in {self.identity}")

    def recover(self, name: str) -> bytes:
        """Open a file with escrow's identity, which two holders open for it.

        Raises:
            UsageError: no holders' keys are at hand, or they do not open escrow, or escrow does not open the file.
        """
        if self.escrow is None:
            raise UsageError(
                f"{self._path(name)} is for escrow alone, and nobody opened escrow",
                not_done="nothing was changed",
                next_step="have two holders bring their keys, and name both files in SECONDSITE_HOLDERS (FILE:FILE)",
            )
        return self._open(name, self.escrow, whose="escrow's identity")

    def can_open(self, name: str) -> bool:
        """Say whether the file is there and the identity at hand is one of its recipients."""
        return self.holds(name) and opened(self._path(name).read_bytes(), read_identity(self.identity)) is not None

    def holds(self, name: str) -> bool:
        """Say whether there is such a file."""
        return self._path(name).exists()

    def _open(self, name: str, identity: Callable[[], str], *, whose: str) -> bytes:
        path = self._path(name)
        if not path.exists():
            raise UsageError(f"no secrets at {path}", not_done=_NOTHING, next_step="secondsite run provision")
        secret = opened(path.read_bytes(), identity())
        if secret is None:
            raise UsageError(
                f"{path} can't be opened with {whose}: it is sealed for others, or was changed since",
                not_done=_NOTHING,
                next_step=f"name another identity in SECONDSITE_IDENTITY; {self.directory / RECIPIENTS} says whose",
            )
        return secret

    def _path(self, name: str) -> Path:
        return self.directory / f"{name}.age"

    def recipients(self) -> Mapping[str, str]:
        """Return by name who may open what is sealed, escrow among them.

        Raises:
            UsageError: nobody is named.
            ConfigError: the file that names them is wrong.
        """
        path = self.directory / RECIPIENTS
        if not path.exists():
            raise UsageError(
                f"nobody is named who may open the estate's secrets: {path} is missing",
                not_done=_NOTHING,
                next_step=f"write a line `{ENGINE} age1...` (secondsite identity), then: secondsite escrow seal",
            )
        lost = f"none is called {ESCROW}: secrets would be lost with this controller"
        return read_recipients(path, lambda named: [] if ESCROW in named else [lost])


# --- keys and what is sealed, as text and bytes ---


def new_identity() -> str:
    """Return an identity that nobody has yet."""
    return str(pyrage.x25519.Identity.generate())


def recipient_of(identity: str) -> str:
    """Return the public half of an identity."""
    return str(pyrage.x25519.Identity.from_str(identity).to_public())


def sealed_for(recipients: Sequence[str], secret: bytes) -> bytes:
    """Return a secret so that whoever has the identity of any of these recipients can open it, and nobody else."""
    return pyrage.encrypt(secret, [pyrage.x25519.Recipient.from_str(one) for one in recipients], armored=True)


def opened(sealed: bytes, identity: str) -> bytes | None:
    """Return what is sealed; None where it is sealed for others, or was changed since."""
    try:
        return pyrage.decrypt(sealed, [pyrage.x25519.Identity.from_str(identity)])
    except pyrage.DecryptError:
        return None


def count_of_recipients(sealed: bytes) -> int:
    """Return for how many keys something is sealed, as its header says; nothing is opened.

    Raises:
        ValueError: it is not sealed with age.
    """
    plain = sealed
    if sealed.startswith(_ARMOR):
        lines = sealed.split(b"\n")[1:]
        try:
            plain = base64.b64decode(b"".join(line for line in lines if not line.startswith(b"-")), validate=True)
        except binascii.Error as error:
            raise ValueError("it is not sealed with age") from error
    header, end, _ = plain.partition(b"\n---")
    if not plain.startswith(b"age-encryption.org/v1\n") or not end:
        raise ValueError("it is not sealed with age")
    return sum(line.startswith(_STANZA) for line in header.split(b"\n"))


def identity_in(text: str) -> str:
    """Return the one identity in a text, as ``age-keygen`` writes it.

    Raises:
        ValueError: there is not exactly one.
    """
    keys = [line.strip() for line in text.splitlines() if line.startswith(SECRET_KEY)]
    try:
        (key,) = keys
        recipient_of(key)
    except (ValueError, pyrage.IdentityError) as error:
        raise ValueError("holds not exactly one age identity") from error
    return key


def read_identity(path: Path) -> str:
    """Return the identity in a file.

    Raises:
        UsageError: there is no such file, or it can't be read.
        ConfigError: it holds no identity.
    """
    if not path.exists():
        raise UsageError(
            f"the identity that opens the estate's secrets is not at {path}",
            not_done=_NOTHING,
            next_step="name its file in SECONDSITE_IDENTITY; where it is lost, two holders open escrow"
            " (secondsite recover)",
        )
    try:
        return identity_in(path.read_text(encoding="ascii"))
    except OSError as error:
        raise UsageError(f"{path} can't be read: {error.strerror}", not_done=_NOTHING) from error
    except ValueError as error:
        what = "holds not exactly one age identity"
        raise ConfigError([Problem(file=str(path), line=None, pointer="", what=what)]) from error


def make_identity(path: Path) -> str:
    """Make an identity where there is none, and return its recipient.

    Raises:
        FileExistsError: something is there; it stays as it is.
        OSError: it can't be written.
    """
    made = new_identity()
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="ascii") as stream:
        stream.write(f"# public key: {recipient_of(made)}\n{made}\n")
    return recipient_of(made)


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


def read_recipients(path: Path, wrong: Callable[[Mapping[str, str]], list[str]]) -> Mapping[str, str]:
    """Return by name the recipients in a file; ``wrong`` says what else is wrong with them.

    Raises:
        ConfigError: a line is none, a name or a key stands there twice, or ``wrong`` said something.
    """
    named: dict[str, str] = {}
    seen: set[str] = set()
    problems: list[str] = []
    for words in _lines(path):
        match words:
            case [name, key] if name not in named and key not in seen:
                try:
                    named[name] = str(pyrage.x25519.Recipient.from_str(key))
                except pyrage.RecipientError:
                    problems.append(f"{name}: not an age recipient (age1...)")
                seen.add(key)
            case [name, *_]:
                problems.append(f"{name}: a name and a key of its own are needed, each once")
            case _:
                continue
    problems += wrong(named)
    if problems:
        raise ConfigError([Problem(file=str(path), line=None, pointer="", what=what) for what in problems])
    return named


def _lines(path: Path) -> Iterator[list[str]]:
    for line in path.read_text(encoding="utf-8").splitlines():
        yield line.partition("#")[0].split()
