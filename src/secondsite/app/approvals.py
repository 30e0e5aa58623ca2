"""Answer a gate of a run, as a person with a key."""

from __future__ import annotations

from pathlib import Path

from ..errors import UsageError
from ..estate.model import Estate
from ..hands.approvers import sign_answer
from ..run.model import Answer
from ..run.service import answer_for
from .bench import approvers_of, lab_persons, run_store, ssh_agent
from .places import lab_of


def give_answer(  # noqa: PLR0913  all that a person says
    estate: Estate, *, number: str, gate: str, who: str, granted: bool, key: Path | None, reason: str = ""
) -> Answer:
    """Sign a person's answer to a gate and record it.

    Raises:
        UsageError: there is no such run, or no key to sign with; nothing was recorded.
        Refused: the gate is not open, or the answer does not count; every reason is named, nothing was recorded.
    """
    store = run_store(estate)
    folder = store.folders.find(number)
    approvers = approvers_of(estate)
    if key is None:
        if lab_of(estate) is None:
            raise UsageError("which key is yours?", not_done="nothing was signed", next_step="name it with --key FILE")
        key = lab_persons(estate) / Path(who).name
    now = store.clock.now()
    asked = answer_for(folder.plan(), run=folder.id, gate=gate, who=who, granted=granted, at=now, reason=reason)
    answer = sign_answer(asked, key=key, agent=ssh_agent())
    store.answer(folder, answer, approvers=approvers)
    return answer
