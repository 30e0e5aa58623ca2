"""The gates of one run: opening them, counting answers, closing them."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from ..plan.model import Plan, Step
from .model import Consent, HeardAnswer, Note, NoteKind
from .ports import Approvers, Clock, Covered, Journal, NotSigned, StandingOrders
from .rules import answer_from, answer_name, consent_from, reasons_not_to_accept, tally


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenGate:
    """A gate that waits. ``step`` is whose gate it is; ``persons`` how many distinct persons must grant it.

    ``what`` is what they let pass, line by line, where that is no step but something that a rule refused.
    """

    name: str
    step: Step
    persons: int
    opened_at: dt.datetime
    what: tuple[str, ...] = ()
    seen_at: float | None = None
    """On the monotonic clock, if this process opened it: what a stepped clock can't bend."""


class GateKeeper:
    """Keeps the gates of one run. Everything it knows is in the journal, so a successor knows the same."""

    def __init__(
        self, *, plan: Plan, run: str, journal: Journal, orders: StandingOrders, approvers: Approvers, clock: Clock
    ) -> None:
        """Begin with no open gate."""
        self._approvers = approvers
        self._plan, self._run = plan, run
        self._journal, self._orders, self._clock = journal, orders, clock
        self.open: dict[str, OpenGate] = {}
        self._answers: dict[str, list[HeardAnswer]] = {}

    def begin_waiting(self, name: str, step: Step, *, persons: int, what: tuple[str, ...] = ()) -> OpenGate:
        """Open a gate, or take up one that was opened before; its waiting time counts from the first opening."""
        now = self._clock.now()
        body = {"opened_at": now.isoformat(), "persons": persons, "step": step.name, "what": list(what)}
        seen_at: float | None = self._clock.monotonic()
        if not self._journal.note(self._run, NoteKind.GATE_OPENED, name, body):
            seen_at = None
            earlier = _only(self._journal.notes(self._run), NoteKind.GATE_OPENED, name)
            now = dt.datetime.fromisoformat(str(earlier.body["opened_at"]))
        self.open[name] = OpenGate(name=name, step=step, persons=persons, what=what, opened_at=now, seen_at=seen_at)
        return self.open[name]

    def consult_standing_order(self, gate: OpenGate) -> Consent | tuple[str, ...]:
        """Close the gate if a standing order covers its step; else return every reason why none does."""
        if gate.step.gate is None or not gate.step.gate.standing_order:
            return ("this gate takes no standing order",)
        found = self._orders.covering(self._plan, gate.step)
        if isinstance(found, Covered):
            return self._close(gate, granted=True, by=found.signers, standing_order=found.digest)
        return found.reasons

    def hear(self, note: Note) -> Iterator[str]:
        """Take an answer from the journal; yield every reason to refuse it instead. It is checked again each time."""
        answer = answer_from(note.body)
        now = self._clock.now()
        reasons = [*reasons_not_to_accept(answer, run=self._run, plan=self._plan, gates=(answer.gate,), now=now)]
        if note.run != self._run or note.name != answer_name(answer):
            reasons.append(f"it was recorded as {note.name} of run {note.run}, which is not what it says")
        signed = self._approvers.signed(answer)
        if isinstance(signed, NotSigned) or reasons:
            yield from (*reasons, *(signed.reasons if isinstance(signed, NotSigned) else ()))
            return
        self._answers.setdefault(answer.gate, []).append(HeardAnswer(answer=answer, key=signed.key))

    def decided(self) -> Iterator[tuple[OpenGate, Consent]]:
        """Close and yield every open gate whose answers decide it."""
        for gate in tuple(self.open.values()):
            answers = self._answers.get(gate.name, [])
            granted = tally(answers, persons=gate.persons)
            if granted is not None:
                yield gate, self._close(gate, granted=granted, by=_who(answers, granted=granted))

    def _close(self, gate: OpenGate, *, granted: bool, by: tuple[str, ...], standing_order: str = "") -> Consent:
        body = {
            "granted": granted,
            "by": list(by),
            "standing_order": standing_order,
            "waited_ms": self._waited_ms(gate),
            "what": list(gate.what),
        }
        self._journal.note(self._run, NoteKind.GATE_CLOSED, gate.name, body)
        del self.open[gate.name]
        return consent_from(body)

    def _waited_ms(self, gate: OpenGate) -> int:
        """Return how long a gate waited: by the monotonic clock where one process saw all of it; never less than 0."""
        if gate.seen_at is not None:
            return int((self._clock.monotonic() - gate.seen_at) * 1000)
        return max(0, (self._clock.now() - gate.opened_at) // dt.timedelta(milliseconds=1))


def _who(answers: Sequence[HeardAnswer], *, granted: bool) -> tuple[str, ...]:
    return tuple(dict.fromkeys(heard.answer.who for heard in answers if heard.answer.granted is granted))


def _only(notes: Sequence[Note], kind: NoteKind, name: str) -> Note:
    return next(note for note in notes if note.kind is kind and note.name == name)
