"""``secondsite evidence``."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import rich_click as click

from ..errors import EvidenceError, UsageError
from ..evidence import Verification, load_trust, raise_on
from ..evidence.assessment import Assessment, Judgement, assessment_document
from ..evidence.roles import ASSESSMENT_NAMESPACE, Role, Roles, roles_document
from ..evidence.service import Examined, assess, examine
from ..hands.openssh import OpenSshSignatures, sign_statement
from ..store.clock import SystemClock
from .terminal import emit, emit_json, json_option, say

SCHEMA_VERSION = 1
_trust_option = click.option(
    "--trust",
    type=click.Path(path_type=Path),
    help="File with the public keys you trust, and how many must have signed (the form of a bundle's keys.json).",
)


@click.group()
def evidence() -> None:
    """Verify records and recompute their numbers, offline; assess them."""


def as_document(examined: Examined) -> dict[str, object]:
    """Return what was found of a bundle as plain JSON values."""
    verification = examined.verification
    return {
        "schema_version": SCHEMA_VERSION,
        "bundle": verification.bundle,
        "verifies": verification.verifies,
        "manifest_sha256": verification.manifest_sha256,
        "signed_by": list(verification.signed_by),
        "trusted": verification.trust,
        "verdict": (verification.recomputed or {}).get("verdict"),
        "roles": roles_document(examined.roles),
        "assessments": [assessment_document(one) for one in examined.assessments],
        "recomputed": verification.recomputed,
        "problems": [
            {"file": problem.file, "pointer": problem.pointer, "what": problem.what}
            for problem in verification.problems
        ],
        "warnings": list(verification.warnings),
    }


def _say_good(examined: Examined) -> None:
    verification = examined.verification
    recomputed = verification.recomputed or {}
    emit(
        f"verifies: every file, {len(verification.signed_by)} signatures, and every number recomputed from the records"
    )
    emit(f"manifest: sha256:{verification.manifest_sha256}")
    emit(f"signed by: {', '.join(verification.signed_by)} (against {verification.trust})")
    emit(f"drill {recomputed.get('drill')}: {recomputed.get('verdict')}")
    for line in _told_of_roles(examined.roles):
        emit(line)
    for one in examined.assessments:
        emit(f"assessed by {_told_of(one)}")
    if not examined.assessments:
        emit("assessed by: nobody; secondsite evidence assess BUNDLE is for somebody who had no part in it")


def _told_of_roles(roles: Roles) -> Iterator[str]:
    for heading, wanted in (
        ("author", (Role.AUTHOR,)),
        ("executor", (Role.EXECUTOR,)),
        ("approvers", (Role.APPROVER, Role.ORDER_SIGNER)),
    ):
        told = dict.fromkeys(f"{part.name or 'nameless'} ({part.key or 'no key'})" for part in roles.of(*wanted))
        yield f"{heading}: {', '.join(told) or 'nobody is named'}"
    for why in (*roles.unsigned, *roles.unknown, *roles.missing):
        yield f"not known of the roles: {why}"


def _told_of(one: Assessment) -> str:
    known = "a key the assessors given name" if one.is_known else "nobody's key was checked"
    return (
        f"{one.assessor} ({one.key}; {known}; {one.independence.value}) at {one.at}: {one.finding} with the verdict:"
        f" {one.words}"
    )


def _raise_on_assessments(examined: Examined) -> None:
    """Tell a bundle that is whole from what was laid beside it and is not.

    Raises:
        EvidenceError: nothing but an assessment has a problem.
    """
    wrong = [problem for one in examined.assessments for problem in one.problems]
    if wrong and len(wrong) == len(examined.verification.problems):
        named = "\n".join(f"  {problem}" for problem in wrong)
        raise EvidenceError(
            f"{examined.verification.bundle} verifies, and what is beside it does not:\n{named}",
            not_done="no judgement on this drill is confirmed; its numbers are",
            next_step="ask the assessor for it again, or move away what nobody signed who may",
        )


@evidence.command(name="verify")
@click.argument("bundle", type=click.Path(path_type=Path))
@_trust_option
@click.option(
    "--assessors",
    type=click.Path(path_type=Path),
    help="File that names who may assess and their keys, as ssh-keygen's allowed_signers.",
)
@json_option
def verify_command(bundle: Path, trust: Path | None, assessors: Path | None, as_json: bool) -> int:
    """Check a BUNDLE (folder or .tar.gz) and compute every number again from its raw records.

    Says who had which part in the drill, and checks every assessment beside the bundle: whole, about this bundle, by
    somebody who had no other part. Needs no network, no lab and no engine. Ends with 0 if all of it verifies, else 7.
    """
    if assessors is not None and not assessors.is_file():
        raise UsageError(
            f"there is no file {assessors}",
            not_done="nothing was verified",
            next_step='a line for each assessor: NAME namespaces="assessment@secondsite" ssh-ed25519 KEY',
        )
    trusted = load_trust(trust) if trust else None
    examined = examine(bundle, trusted=trusted, signatures=OpenSshSignatures(), allowed=assessors)
    verification: Verification = examined.verification
    for warning in verification.warnings:
        say(f"warning: {warning}")
    if as_json:
        emit_json(as_document(examined))
        return 0 if verification.verifies else EvidenceError.exit_code
    _raise_on_assessments(examined)
    raise_on(verification.problems, bundle=verification.bundle)
    _say_good(examined)
    return 0


@evidence.command(name="assess")
@click.argument("bundle", type=click.Path(path_type=Path))
@click.option("--as", "who", metavar="NAME", required=True, help="Who assesses.")
@click.option(
    "--key",
    metavar="FILE",
    type=click.Path(path_type=Path),
    required=True,
    help="Your SSH key, or its public half if an agent holds it.",
)
@click.option(
    "--finding",
    type=click.Choice([one.value for one in Judgement]),
    required=True,
    help="Whether you agree with the verdict that was computed.",
)
@click.option("--words", metavar="TEXT", required=True, help="What you looked at, and what you found.")
@click.option("--agent", envvar="SSH_AUTH_SOCK", hidden=True, default="")
@_trust_option
@json_option
def assess_command(  # noqa: PLR0913  as many as its options
    *,
    bundle: Path,
    who: str,
    key: Path,
    finding: str,
    words: str,
    agent: str,
    trust: Path | None,
    as_json: bool,
) -> int:
    """Verify a BUNDLE and sign what you find of it, as somebody who had no other part in the drill.

    The assessment is written beside the bundle; it never replaces the verdict. It is refused with 5 if you, by your
    name or your key, wrote the runbook, began the drill, sealed its evidence, consented to anything in it or signed a
    standing order for it; with 7 if the bundle does not verify.
    """

    def sign(statement: bytes) -> str:
        return sign_statement(statement, key=key, namespace=ASSESSMENT_NAMESPACE, agent=agent)

    path, made = assess(
        bundle,
        assessor=who,
        finding=Judgement(finding),
        words=words,
        at=SystemClock().now(),
        trusted=load_trust(trust) if trust else None,
        signatures=OpenSshSignatures(),
        sign=sign,
    )
    if as_json:
        emit_json({"path": str(path), "assessment": assessment_document(made)})
        return 0
    emit(f"written: {path}")
    emit(f"{made.assessor} ({made.key}) {made.finding} with the verdict; {made.independence.value}")
    say(f"others check it with: secondsite evidence verify {bundle} --assessors FILE")
    return 0
