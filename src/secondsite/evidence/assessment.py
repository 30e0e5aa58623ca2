"""Assessments: what somebody who had no other part finds of a drill's evidence, signed, beside the bundle.

The bundle is sealed and stays as it is. An assessment names it by its manifest's digest, and repeats what was found
there of drill, verdict and roles, so that it can't be read as being about anything else.
"""

from __future__ import annotations

import datetime as dt
import enum
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from ..errors import EvidenceError, Problem, Refused, UsageError
from .canonical import canonical
from .model import Verification
from .ports import Signatures
from .roles import ASSESSMENT_NAMESPACE, NAME, Independence, Roles, conflicts, independence, roles_document

SCHEMA_VERSION = 1
LONGEST_WORDS = 4000
NOBODYS_KEY_CHECKED = (
    "no assessors were given: that the signatures are whole was checked, and not whose keys made them; give the file"
    " that names your assessors and their keys with --assessors FILE"
)
_FIELDS = frozenset(
    {"kind", "schema_version", "manifest_sha256", "drill", "verdict", "finding", "words", "assessor", "at", "roles"}
)


class Judgement(enum.Enum):
    """Whether an assessor agrees with the verdict that was computed. It never replaces that verdict."""

    AGREES = "agrees"
    DISAGREES = "disagrees"


@dataclass(frozen=True, slots=True, kw_only=True)
class Assessment:
    """One assessment as found beside a bundle, and what is wrong with it.

    ``assessor``, ``finding``, ``words`` and ``at`` are as written in it, and empty where they can't be read. ``key``
    is what made the signature, empty if it is none; ``is_known`` says whether the assessors given name that key.
    """

    file: str
    assessor: str = ""
    finding: str = ""
    words: str = ""
    at: str = ""
    key: str = ""
    is_known: bool = False
    independence: Independence = Independence.UNKNOWN
    problems: tuple[Problem, ...] = ()

    @property
    def counts(self) -> bool:
        """It is whole, by a key that the reader knows, of somebody shown to have had no other part."""
        return not self.problems and self.is_known and self.independence is Independence.INDEPENDENT


def statement_of(
    verification: Verification, roles: Roles, *, assessor: str, finding: Judgement, words: str, at: dt.datetime
) -> dict[str, object]:
    """Return what an assessor signs of a bundle that verifies.

    Raises:
        UsageError: the name can't be one, or there are no words, or too many.
    """
    if not NAME.match(assessor):
        raise UsageError(
            f"{assessor!r:.80} is no name of a person: letters, digits and . _ @ -", not_done="nothing was signed"
        )
    if not words.strip() or len(words) > LONGEST_WORDS:
        raise UsageError(
            f"say in 1 to {LONGEST_WORDS} letters what you looked at and what you found, not in {len(words.strip())}",
            not_done="nothing was signed",
            next_step="--words TEXT",
        )
    stated = {"assessor": assessor, "finding": finding.value, "words": words, "at": at.isoformat(timespec="seconds")}
    return {**stated, **_about(verification, roles)}


def _about(verification: Verification, roles: Roles) -> dict[str, object]:
    """Return what an assessment of this bundle must say of it."""
    recomputed = verification.recomputed or {}
    return {
        "kind": "assessment",
        "schema_version": SCHEMA_VERSION,
        "manifest_sha256": verification.manifest_sha256,
        "drill": recomputed.get("drill"),
        "verdict": recomputed.get("verdict"),
        "roles": roles_document(roles),
    }


def require_independent(assessor: str, key: str, roles: Roles) -> None:
    """Pass when somebody may assess a drill in which these had a part.

    That nobody answers for a runbook, or a key that is not known, keeps nobody from assessing: it is told with the
    assessment, which is then not shown to be independent.

    Raises:
        Refused: that person, or that key, had another part, or the evidence does not say who had. Each reason is named.
    """
    missing = [f"nobody can be told apart from those who had a part in the drill: {why}" for why in roles.missing]
    reasons = [*missing, *conflicts(assessor, key, roles)]
    if reasons:
        raise Refused(
            *reasons,
            next_step="have it assessed by somebody with a key of their own, who had no part in it"
            if not missing
            else "drill again with this version, and have that drill's evidence assessed",
        )


def to_bytes(statement: Mapping[str, object], signature: str) -> bytes:
    """Return an assessment as it is written."""
    return canonical({"statement": dict(statement), "signature": signature}) + b"\n"


def read_assessment(
    file: str,
    content: bytes,
    *,
    verification: Verification,
    roles: Roles,
    signatures: Signatures,
    allowed: Path | None,
) -> Assessment:
    """Return an assessment found beside a bundle with everything that is wrong with it.

    Without ``allowed`` (a file in the format of ``allowed_signers``) nobody's key is known.
    """

    def problem(what: str, pointer: str = "") -> Problem:
        return Problem(file=file, line=None, pointer=pointer, what=what)

    try:
        statement, signature = _parsed(content)
    except EvidenceError as error:
        return Assessment(file=file, problems=(problem(error.what),))
    assessor = str(statement["assessor"])
    problems = [problem(what, pointer) for pointer, what in _differences(statement, _about(verification, roles))]
    key, is_known = "", False
    try:
        key = signatures.key_of(canonical(statement), signature, namespace=ASSESSMENT_NAMESPACE)
        if allowed is not None:
            signed = canonical(statement)
            signatures.key_of_person(assessor, signed, signature, namespace=ASSESSMENT_NAMESPACE, allowed=allowed)
            is_known = True
    except EvidenceError as error:
        whose = "it is not signed by a key of" if key else "nothing whole is signed in the name of"
        problems.append(problem(f"{whose} {assessor}: {error.what}", "/signature"))
    problems += [problem(f"{assessor} is not independent: {why}") for why in conflicts(assessor, key, roles)]
    problems += [problem(f"whether {assessor} is independent can't be told: {why}") for why in roles.missing]
    return Assessment(
        file=file,
        assessor=assessor,
        finding=str(statement["finding"]),
        words=str(statement["words"]),
        at=str(statement["at"]),
        key=key,
        is_known=is_known,
        independence=independence(assessor, key, roles),
        problems=tuple(problems),
    )


def _parsed(content: bytes) -> tuple[Mapping[str, object], str]:
    try:
        document = json.loads(content)
        again = canonical(document) + b"\n"
    except (ValueError, RecursionError) as error:
        raise EvidenceError("it is not JSON") from error
    if not isinstance(document, dict) or again != content:
        raise EvidenceError("it is not a JSON object in canonical form")
    statement, signature = document.get("statement"), document.get("signature")
    if set(document) != {"statement", "signature"} or not isinstance(signature, str):
        raise EvidenceError("it is not a statement and its signature")
    if not isinstance(statement, dict) or set(statement) != _FIELDS:
        raise EvidenceError(f"its statement is not {', '.join(sorted(_FIELDS))}")
    if str(statement["finding"]) not in {one.value for one in Judgement}:
        raise EvidenceError(f"its finding is {statement['finding']!r:.80}")
    if not NAME.match(str(statement["assessor"])):
        raise EvidenceError(f"its assessor is {statement['assessor']!r:.80}, which is no name")
    return statement, signature


def _differences(statement: Mapping[str, object], expected: Mapping[str, object]) -> Iterator[tuple[str, str]]:
    """Yield (JSON pointer, sentence) where an assessment is about something else than this bundle."""
    if statement["manifest_sha256"] != expected["manifest_sha256"]:
        found = f"{statement['manifest_sha256']!s:.64}"
        yield "/statement/manifest_sha256", f"it is about another bundle, with manifest sha256:{found}"
        return
    for name in ("kind", "schema_version", "drill", "verdict", "roles"):
        if statement[name] != expected[name]:
            what = f"it says {statement[name]!r:.200}, the bundle shows {expected[name]!r:.200}"
            yield f"/statement/{name}", what


def assessment_document(one: Assessment) -> dict[str, object]:
    """Return an assessment as plain JSON values; what can't be read is null."""
    return {
        "file": one.file,
        "assessor": one.assessor or None,
        "finding": one.finding or None,
        "words": one.words or None,
        "at": one.at or None,
        "key": one.key or None,
        "key_known": one.is_known,
        "independence": one.independence.value,
        "counts": one.counts,
        "problems": [{"pointer": problem.pointer, "what": problem.what} for problem in one.problems],
    }
