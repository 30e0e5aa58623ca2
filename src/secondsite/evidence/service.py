"""What an outsider does with a bundle: examine it with what was signed beside it, and assess it."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from .assessment import (
    NOBODYS_KEY_CHECKED,
    Assessment,
    Judgement,
    read_assessment,
    require_independent,
    statement_of,
    to_bytes,
)
from .beside import keep_assessment, load_assessments
from .canonical import canonical
from .load import load_bundle
from .model import Trust, Verification
from .ports import Signatures
from .recorded_roles import recorded_roles
from .roles import ASSESSMENT_NAMESPACE, Independence, Roles
from .verify import raise_on, verify

Sign = Callable[[bytes], str]
NEVER_INDEPENDENT = "it is not shown that {assessor} had no other part in the drill: {why}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Examined:
    """A bundle, who had which part, and what assessors said; every problem is in ``verification``."""

    verification: Verification
    roles: Roles
    assessments: tuple[Assessment, ...]


def examine(bundle: Path, *, trusted: Trust | None, signatures: Signatures, allowed: Path | None = None) -> Examined:
    """Verify a bundle, the signatures of the persons it names, and every assessment beside it.

    Args:
        bundle: A folder or an archive.
        trusted: Whose seal counts; the bundle's own keys when it is None.
        signatures: What checks signatures of persons.
        allowed: Who may assess, with which key (``allowed_signers``); when it is None, nobody's key is known.

    Raises:
        EvidenceError: the bundle, or what lies beside it, can't be read.
    """
    loaded = load_bundle(bundle)
    verification, roles = verify(loaded, trusted), recorded_roles(loaded.files, signatures)
    assessments = tuple(
        read_assessment(name, content, verification=verification, roles=roles, signatures=signatures, allowed=allowed)
        for name, content in load_assessments(bundle).items()
    )
    problems = [*roles.problems, *(problem for one in assessments for problem in one.problems)]
    warnings = [NOBODYS_KEY_CHECKED] if assessments and allowed is None else []
    for one in assessments:
        if one.independence is Independence.UNKNOWN and not one.problems:
            why = "; ".join((*roles.unsigned, *roles.unknown))
            warnings.append(NEVER_INDEPENDENT.format(assessor=one.assessor, why=why))
    whole = replace(
        verification,
        problems=(*verification.problems, *problems),
        warnings=(*verification.warnings, *warnings),
    )
    return Examined(verification=whole, roles=roles, assessments=assessments)


def assess(  # noqa: PLR0913  all that an assessor says
    bundle: Path,
    *,
    assessor: str,
    finding: Judgement,
    words: str,
    at: dt.datetime,
    trusted: Trust | None,
    signatures: Signatures,
    sign: Sign,
) -> tuple[Path, Assessment]:
    """Write somebody's signed assessment beside a bundle that verifies; return where, and how it reads.

    Raises:
        EvidenceError: the bundle does not verify; nothing was signed.
        UsageError: the name, the words or the key can't be used, or there is one already; nothing was written.
        Refused: whoever assesses had another part in the drill, by name or by key; nothing was written.
    """
    loaded = load_bundle(bundle)
    verification, roles = verify(loaded, trusted), recorded_roles(loaded.files, signatures)
    raise_on((*verification.problems, *roles.problems), bundle=verification.bundle)
    statement = statement_of(verification, roles, assessor=assessor, finding=finding, words=words, at=at)
    signature = sign(canonical(statement))
    key = signatures.key_of(canonical(statement), signature, namespace=ASSESSMENT_NAMESPACE)
    require_independent(assessor, key, roles)
    content = to_bytes(statement, signature)
    path = keep_assessment(bundle, assessor, content)
    return path, read_assessment(
        path.name, content, verification=verification, roles=roles, signatures=signatures, allowed=None
    )
