"""Whether escrow's identity opens all that a bare host would need: tried in a folder with nothing else in it."""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TypeVar

from ..errors import ActionError, Effect, SecondsiteError, UsageError
from .age import opened
from .authorities import authority_in, public_of, sealed_name
from .escrow import FOLDER, brought_by, open_for, read_manifest
from .keys import public_line_of, ssh_public_of

_PATH = re.compile(r"(?:[A-Za-z0-9][A-Za-z0-9._@+-]{0,200}/){0,4}[A-Za-z0-9][A-Za-z0-9._@+-]{0,200}\Z")
_TWO = 2
_SITES = "secrets/ca/sites"

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Proof:
    """Which two opened escrow, from which packages, and what it opened."""

    pairs: tuple[tuple[str, str], ...]
    manifest: str
    opened: tuple[str, ...]

    @property
    def holders(self) -> tuple[str, ...]:
        """Return everybody who came."""
        return tuple(sorted({name for pair in self.pairs for name in pair}))


def lay_down(returned: Mapping[str, bytes], folder: Path) -> None:
    """Write what a host returned below a folder. Names are a host's word: one that could lead elsewhere is refused.

    Raises:
        ActionError: a name is none.
    """
    for name, content in returned.items():
        if not _PATH.match(name):
            raise ActionError(f"it returned a file called {name!r:.80}", effect=Effect.NONE)
        path = folder / name
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        path.write_bytes(content)
        path.chmod(0o600)


def prove_opening(folder: Path, keys: Sequence[Path]) -> Proof:
    """Open escrow with each two of the keys, and with it everything in the folder.

    Raises:
        UsageError: fewer than two keys were brought, or one is none of a holder's.
        ActionError: escrow does not open all that a bare host would need; what is named.
    """
    if len(keys) < _TWO:
        raise UsageError(
            "escrow is opened by two of its holders together",
            not_done="nothing was opened",
            next_step="name their key files: --holder FILE --holder FILE",
        )
    manifest = _as_returned(lambda: read_manifest(folder / FOLDER))
    came = [brought_by(manifest, pair) for pair in itertools.combinations(keys, _TWO)]
    found = [_as_returned(partial(open_for, folder / FOLDER, manifest, pair)) for pair in came]
    pairs = tuple((first, second) for first, second in came)
    return Proof(pairs=pairs, manifest=manifest.digest, opened=_opened_names(folder, found[0]))


def _as_returned(attempt: Callable[[], T]) -> T:
    """Look at what a host returned: what is wrong with it is not the fault of whoever asked."""
    try:
        return attempt()
    except UsageError as error:
        raise ActionError(error.what, effect=Effect.NONE, next_step="secondsite run provision") from error


def _opened_names(folder: Path, identity: str) -> tuple[str, ...]:
    sealed = {path.stem: path.read_bytes() for path in sorted((folder / "secrets").glob("*.age"))}
    secrets = {name: opened(content, identity) for name, content in sealed.items()}
    troubles = [f"escrow does not open {name}" for name, secret in secrets.items() if secret is None]
    try:
        troubles += _troubles(folder, secrets)
    except (ValueError, SecondsiteError) as error:
        troubles.append(f"what was opened makes no sense: {error}")
    if troubles:
        raise ActionError("; ".join(troubles), effect=Effect.NONE, next_step="secondsite run provision")
    return tuple(secrets)


def _troubles(folder: Path, secrets: Mapping[str, bytes | None]) -> Iterator[str]:
    """Yield what a bare host would lack: the shared secrets, and the keys that belong to the public halves."""
    if secrets.get("secrets") is None or not isinstance(json.loads(secrets["secrets"] or b""), dict):
        yield "the estate's shared secrets are not among what was returned"
    certificates = sorted((folder / _SITES).glob("*.crt"))
    for path in certificates:
        authority = authority_in(path.read_bytes(), site=path.name.partition(".")[0])
        key = secrets.get(sealed_name(authority))
        if key is None or public_of(key) != authority.public_key:
            yield f"the key of the TLS authority {authority.name} is not among what was returned"
    publics = sorted((folder / "keys" / "ca").glob("*.pub"))
    for path in publics:
        key = secrets.get(f"ssh-{path.stem}")
        if key is None or ssh_public_of(key) != public_line_of(path):
            yield f"the key of the SSH authority of {path.stem} is not among what was returned"
    if not certificates or not publics:
        yield "no site's authority is among what was returned"
