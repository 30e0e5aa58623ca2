"""``secondsite evidence``."""

from __future__ import annotations

from pathlib import Path

import rich_click as click

from ..errors import EvidenceError
from ..evidence import Verification, load_bundle, load_trust, raise_on, verify
from .terminal import emit, emit_json, json_option, say

SCHEMA_VERSION = 1


@click.group()
def evidence() -> None:
    """Verify records and recompute their numbers, offline."""


def as_document(verification: Verification) -> dict[str, object]:
    """Return a verification as plain JSON values."""
    return {
        "schema_version": SCHEMA_VERSION,
        "bundle": verification.bundle,
        "verifies": verification.verifies,
        "manifest_sha256": verification.manifest_sha256,
        "signed_by": list(verification.signed_by),
        "trusted": verification.trust,
        "verdict": (verification.recomputed or {}).get("verdict"),
        "recomputed": verification.recomputed,
        "problems": [
            {"file": problem.file, "pointer": problem.pointer, "what": problem.what}
            for problem in verification.problems
        ],
        "warnings": list(verification.warnings),
    }


def _say_good(verification: Verification) -> None:
    recomputed = verification.recomputed or {}
    emit(
        f"verifies: every file, {len(verification.signed_by)} signatures, and every number recomputed from the records"
    )
    emit(f"manifest: sha256:{verification.manifest_sha256}")
    emit(f"signed by: {', '.join(verification.signed_by)} (against {verification.trust})")
    emit(f"drill {recomputed.get('drill')}: {recomputed.get('verdict')}")


@evidence.command(name="verify")
@click.argument("bundle", type=click.Path(path_type=Path))
@click.option(
    "--trust",
    type=click.Path(path_type=Path),
    help="File with the public keys you trust, and how many must have signed (the form of a bundle's keys.json).",
)
@json_option
def verify_command(bundle: Path, trust: Path | None, as_json: bool) -> int:
    """Check a BUNDLE (folder or .tar.gz) and compute every number again from its raw records.

    Needs no network, no lab and no engine. Ends with 0 if the bundle verifies and with 7 if not.
    """
    verification = verify(load_bundle(bundle), load_trust(trust) if trust else None)
    for warning in verification.warnings:
        say(f"warning: {warning}")
    if as_json:
        emit_json(as_document(verification))
        return 0 if verification.verifies else EvidenceError.exit_code
    raise_on(verification.problems, bundle=verification.bundle)
    _say_good(verification)
    return 0
