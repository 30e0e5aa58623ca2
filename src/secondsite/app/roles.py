"""Who had which part in a drill, as it is recorded when the drill ends (``records/roles.json``)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from ..errors import EvidenceError
from ..evidence.recorded_roles import SCHEMA_VERSION
from ..evidence.roles import APPROVAL_NAMESPACE, approval_statement
from ..hands.authors import LAB_LIMITATION
from ..hands.openssh import OpenSshSignatures
from ..run.model import Authorship, Note
from ..run.roles import answers_in, authorship_body, beginning_in, nobody_answers

NO_ROLES = "who had which part in this drill could not be recorded: nobody can be shown to be independent of it"
NOT_RECORDED = "its run did not come so far as to record it"


def roles_record(
    *,
    by: str,
    runs: Mapping[str, Sequence[Note]],
    by_hand: Mapping[str, Authorship],
    order_signers: Sequence[Mapping[str, str]],
) -> dict[str, object]:
    """Return who began a drill, who answers for each runbook of it, and every signed answer at its gates.

    Args:
        by: Who began the drill.
        runs: What was noted of each of its runs, by the run's name.
        by_hand: Who answers for what was carried out by hand, by the name of its plan in the bundle.
        order_signers: The names and keys (hexadecimal) of those who sign standing orders.
    """
    listed = [*(_of_run(name, notes) for name, notes in runs.items())]
    listed += [{"run": name, "began": [by], **authorship_body(found)} for name, found in by_hand.items()]
    return {
        "schema_version": SCHEMA_VERSION,
        "executors": [by],
        "runs": listed,
        "answers": [one for notes in runs.values() for one in _answers(notes)],
        "order_signers": [dict(one) for one in order_signers],
    }


def _of_run(name: str, notes: Sequence[Note]) -> dict[str, object]:
    beginning = beginning_in(notes)
    found = beginning.authorship or Authorship(runbook=name.partition("-")[2], version="", why=NOT_RECORDED)
    return {"run": name, "began": list(beginning.by), **authorship_body(found)}


def _answers(notes: Sequence[Note]) -> Iterator[dict[str, object]]:
    for answer in answers_in(notes):
        signature = str(answer.get("signature", ""))
        try:
            key = OpenSshSignatures().key_of(approval_statement(answer), signature, namespace=APPROVAL_NAMESPACE)
        except EvidenceError:  # it is recorded as it is, and whoever verifies the bundle is told
            key = ""
        yield {"key": key, "answer": dict(answer)}


def limitations(record: Mapping[str, object], *, is_lab: bool) -> list[str]:
    """Say of every runbook that nobody answers for, and of a lab that it signed for itself."""
    runs = record["runs"]
    listed = [one for one in runs if isinstance(one, dict)] if isinstance(runs, list) else []
    unsigned = [
        nobody_answers(Authorship(runbook=one["runbook"], version=one["version"], why=one["why"]))
        for one in listed
        if one["author"] is None
    ]
    of_lab = [LAB_LIMITATION] if is_lab and len(unsigned) < len(listed) else []
    return [*dict.fromkeys(unsigned), *of_lab]
