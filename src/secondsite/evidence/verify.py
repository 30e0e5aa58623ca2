"""Verification by an outsider: digests, signatures, and every number again from the raw records."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from ..errors import EvidenceError, Problem
from ..measure import FILES, read_records, recompute, to_document
from .canonical import canonical
from .load import parse_trust
from .manifest import ENVELOPE, KEYS, MANIFEST, RESULT, differences, from_bytes, sha256
from .model import Bundle, Trust, Verification
from .sign import STATEMENT_TYPE, open_envelope

PATHS_OF_THE_MACHINE = frozenset({"report", "evidence"})
RECORDS = "records/"
PREDICATE = "urn:secondsite:drill-result:1"
STATEMENT = "https://in-toto.io/Statement/v1"
OWN_KEYS = "the bundle's own keys"
OWN_KEYS_WARNING = (
    "no trusted keys were given: the signatures were checked against the keys inside the bundle, which proves that it "
    "is whole under *those* keys and not who made it; give the keys you trust with --trust FILE"
)


def _problem(file: str, what: str, pointer: str = "") -> Problem:
    return Problem(file=file, line=None, pointer=pointer, what=what)


def statement_for(manifest: bytes, result: bytes, *, drill: str, verdict: str) -> bytes:
    """Return the in-toto statement that is signed: it names the manifest by digest, and the verdict."""
    return canonical(
        {
            "_type": STATEMENT,
            "subject": [{"name": MANIFEST, "digest": {"sha256": sha256(manifest)}}],
            "predicateType": PREDICATE,
            "predicate": {"drill": drill, "verdict": verdict, "result_sha256": sha256(result)},
        }
    )


def compare(stated: object, found: object, pointer: str = "") -> Iterator[tuple[str, str]]:
    """Yield (JSON pointer, sentence) for each place where the stated result isn't the recomputed one."""
    if isinstance(stated, dict) and isinstance(found, dict):
        for key in sorted({*stated, *found}):
            if key not in stated or key not in found:
                yield f"{pointer}/{key}", f"{'only recomputed' if key in found else 'stated, never recomputed'}"
            else:
                yield from compare(stated[key], found[key], f"{pointer}/{key}")
    elif isinstance(stated, list) and isinstance(found, list) and len(stated) == len(found):
        for number, (one, other) in enumerate(zip(stated, found, strict=True)):
            yield from compare(one, other, f"{pointer}/{number}")
    elif type(stated) is not type(found) or stated != found:
        yield pointer, f"stated {stated!r:.120}, recomputed {found!r:.120}"


def recompute_document(files: Mapping[str, bytes]) -> dict[str, object]:
    """Return the result document recomputed from a bundle's raw records alone."""
    records = {name: files[RECORDS + name] for name in FILES if RECORDS + name in files}
    return to_document(recompute(read_records(records)))


def _without_paths(document: Mapping[str, object]) -> dict[str, object]:
    return {key: value for key, value in document.items() if key not in PATHS_OF_THE_MACHINE}


def _stated(files: Mapping[str, bytes]) -> dict[str, object]:
    try:
        document = json.loads(files.get(RESULT, b"null"))
    except (ValueError, RecursionError) as error:
        raise EvidenceError("not JSON") from error
    if not isinstance(document, dict):
        raise EvidenceError("missing, or not a JSON object")
    return document


def _signatures(files: Mapping[str, bytes], trust: Trust) -> tuple[bytes, tuple[str, ...]]:
    content = files.get(ENVELOPE, b"null")
    try:
        envelope = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise EvidenceError("not JSON") from error
    if not isinstance(envelope, dict) or canonical(envelope) != content:
        raise EvidenceError("missing, or not a JSON object in canonical form")
    payload, signed = open_envelope(envelope, trust, payload_type=STATEMENT_TYPE)
    return payload, tuple(key.name for key in signed)


class _Verifier:
    """One verification, collecting problems instead of stopping at the first."""

    def __init__(self, bundle: Bundle, trusted: Trust | None) -> None:
        self.files = bundle.files
        self.trusted = trusted
        self.problems: list[Problem] = []
        self.signed_by: tuple[str, ...] = ()

    def trust(self) -> Trust | None:
        """Return whose keys count; the bundle's own when none were given."""
        if self.trusted is not None:
            return self.trusted
        try:
            return replace(parse_trust(self.files.get(KEYS, b""), source=OWN_KEYS), others_may_sign=False)
        except EvidenceError as error:
            self.problems.append(_problem(KEYS, error.what))
            return None

    def check_files(self) -> None:
        """Compare every file with the manifest."""
        try:
            self.problems.extend(differences(from_bytes(self.files.get(MANIFEST, b"")), self.files))
        except EvidenceError as error:
            self.problems.append(_problem(MANIFEST, error.what))

    def check_signatures(self, stated: Mapping[str, object] | None) -> None:
        """Check who signed, and that what they signed is this manifest and this result."""
        trust = self.trust()
        if trust is None:
            return
        try:
            payload, self.signed_by = _signatures(self.files, trust)
        except EvidenceError as error:
            self.problems.append(_problem(ENVELOPE, error.what))
            return
        words = stated or {}
        expected = statement_for(
            self.files.get(MANIFEST, b""),
            self.files.get(RESULT, b""),
            drill=str(words.get("drill")),
            verdict=str(words.get("verdict")),
        )
        if payload == expected:
            return
        self.problems.append(_problem(ENVELOPE, "what was signed is not this manifest, this result and this verdict"))
        for name in (MANIFEST, RESULT):
            if sha256(self.files.get(name, b"")).encode() not in payload:
                self.problems.append(_problem(name, "its digest is not the one that was signed"))

    def check_result(self, stated: Mapping[str, object], recomputed: Mapping[str, object]) -> None:
        """Compare the stated result with the recomputed one, number by number."""
        for pointer, what in compare(_without_paths(stated), _without_paths(recomputed)):
            self.problems.append(_problem(RESULT, what, pointer))


def verify(bundle: Bundle, trusted: Trust | None = None) -> Verification:
    """Return every problem of a bundle: changed, missing or added files, signatures, and numbers that do not follow.

    Needs nothing but the bundle and the keys: no engine, no network, no clock.
    """
    verifier = _Verifier(bundle, trusted)
    verifier.check_files()
    stated: dict[str, object] | None = None
    recomputed = recompute_document(bundle.files)
    try:
        stated = _stated(bundle.files)
        verifier.check_result(stated, recomputed)
    except EvidenceError as error:
        verifier.problems.append(_problem(RESULT, error.what))
    verifier.check_signatures(stated)
    manifest = bundle.files.get(MANIFEST)
    return Verification(
        bundle=bundle.source,
        manifest_sha256=None if manifest is None else sha256(manifest),
        signed_by=verifier.signed_by,
        trust=trusted.source if trusted else OWN_KEYS,
        stated=stated,
        recomputed=recomputed,
        problems=tuple(verifier.problems),
        warnings=() if trusted else (OWN_KEYS_WARNING,),
    )


def raise_on(problems: Sequence[Problem], *, bundle: str) -> None:
    """Raise an EvidenceError that names every problem, if there is any."""
    if problems:
        named = "\n".join(f"  {problem}" for problem in problems)
        raise EvidenceError(
            f"{bundle} does not verify:\n{named}",
            not_done="its numbers are not confirmed",
            next_step="ask for the bundle again from where it was sealed, and compare the manifest's digest",
        )
