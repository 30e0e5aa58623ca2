"""What evidence is made of: nouns only."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from ..errors import Problem


@dataclass(frozen=True, slots=True, kw_only=True)
class PublicKey:
    """An Ed25519 public key (32 bytes as hexadecimal) and the name its holder goes by."""

    name: str
    public: str

    def __post_init__(self) -> None:
        """Refuse what is no Ed25519 key."""
        if len(self.public) != 64 or set(self.public) - set("0123456789abcdef"):  # noqa: PLR2004  32 bytes
            raise ValueError(f"{self.public!r:.80} is not 32 bytes as lower-case hexadecimal")


@dataclass(frozen=True, slots=True, kw_only=True)
class Trust:
    """Whose signatures count, and how many of them, by *different key bytes*, are needed.

    ``others_may_sign``: signatures by further keys are passed over; where not, each one must verify.
    """

    keys: tuple[PublicKey, ...]
    threshold: int
    source: str
    others_may_sign: bool = True

    def __post_init__(self) -> None:
        """Refuse a threshold that can't be met or means nothing."""
        distinct = len({key.public for key in self.keys})
        if not 1 <= self.threshold <= distinct:
            raise ValueError(f"the threshold {self.threshold} does not fit {distinct} different keys")


@dataclass(frozen=True, slots=True, kw_only=True)
class FileEntry:
    """One file of a bundle by digest."""

    path: str
    sha256: str
    size: int
    lines: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Bundle:
    """A bundle's files, read into memory; names are relative, with forward slashes."""

    source: str
    files: Mapping[str, bytes]


@dataclass(frozen=True, slots=True, kw_only=True)
class Verification:
    """What verifying found: no problem means that it verifies under ``trust``."""

    bundle: str
    manifest_sha256: str | None
    signed_by: tuple[str, ...]
    trust: str
    stated: Mapping[str, object] | None
    recomputed: Mapping[str, object] | None
    problems: tuple[Problem, ...]
    warnings: tuple[str, ...]

    @property
    def verifies(self) -> bool:
        """No problem was found."""
        return not self.problems
