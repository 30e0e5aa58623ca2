"""Carry open gates to the desks of an estate, and the answers that persons leave there into the journal."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field

from ..errors import ActionError, SecondsiteError, Unreachable
from ..estate.model import Estate, SiteName
from ..hands.desks import GROUP, WaitingGate, exchange
from ..plan.consent import TWO_PERSONS
from ..plan.model import Plan
from ..run.model import Answer, Transition
from ..run.ports import Approvers, Hands
from ..run.rules import step_of_gate, targets_of
from ..run.service import APPROVAL_LASTS
from ..store.folders import RunFolder
from ..store.runs import RunStore

EVERY_S = 1.0


@dataclass(kw_only=True)
class Desks:
    """Watches runs; while a gate of one waits, every desk has it and is asked for answers once a second.

    A desk that can't be reached is passed over: that is what several are for. What a desk hands over is worth what its
    signatures are worth, and is checked as any other answer.
    """

    store: RunStore
    approvers: Approvers
    hands: Hands
    desks: tuple[str, ...]
    say: Callable[[str], None]
    _gates: dict[tuple[str, str], WaitingGate] = field(default_factory=dict, init=False)
    _taken: set[str] = field(default_factory=set, init=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, init=False)
    _stopping: threading.Event = field(default_factory=threading.Event, init=False)
    _threads: list[threading.Thread] = field(default_factory=list, init=False)

    def __call__(self, transition: Transition, /) -> None:
        """Take note of gates that open and close."""
        gate, key = transition.detail.get("gate"), transition.run
        with self._lock:
            if isinstance(gate, str):
                told = transition.detail.get("to_override")
                asks = "; ".join(map(str, told)) if isinstance(told, list) else ""
                self._gates[key, gate] = self._waiting(self.store.folders.find(transition.run), gate, asks)
            else:
                closed = [one for one in self._gates if one[0] == key and step_of_gate(one[1]) == transition.step]
                for one in closed if "answer_refused" not in transition.detail else ():
                    del self._gates[one]
            begin = bool(self._gates) and not self._threads
        for desk in self.desks if begin else ():  # each its own: one that is gone must not keep the others waiting
            thread = threading.Thread(target=self._keep_asking, args=(desk,), name=f"desk {desk}", daemon=True)
            self._threads.append(thread)
            thread.start()

    def waiting(self) -> tuple[WaitingGate, ...]:
        """Return the gates that wait now."""
        with self._lock:
            return tuple(self._gates.values())

    def stop(self) -> None:
        """Ask no more, and clear the desks that can be reached."""
        self._stopping.set()
        for thread in self._threads:
            thread.join()
        self._threads = []

    def _waiting(self, folder: RunFolder, gate: str, asks: str) -> WaitingGate:
        plan: Plan = folder.plan()
        step = next(step for step in plan.steps if step.name == step_of_gate(gate))
        asked = "" if gate == step.name else "Did this happen before the interruption? "
        asked = f"OVERRIDE, that is {asks}, at: " if asks else asked
        return WaitingGate(
            run=folder.id,
            gate=gate,
            title=f"{asked}{step.title}",
            plan_digest=plan.digest,
            targets=targets_of(plan, gate),
            persons=TWO_PERSONS if asks else step.gate.persons if step.gate else 1,
            opened_at=self.store.clock.now().isoformat(timespec="seconds"),
            lasts_s=APPROVAL_LASTS.total_seconds(),
        )

    def _keep_asking(self, desk: str) -> None:
        while not self._stopping.is_set():
            for answer in self._ask(desk, self.waiting()):
                self._take(answer)
            self._stopping.wait(EVERY_S)
        self._ask(desk, ())

    def _ask(self, desk: str, gates: tuple[WaitingGate, ...]) -> tuple[Answer, ...]:
        try:
            return exchange(self.hands, desk, gates)
        except (Unreachable, ActionError):
            return ()

    def _take(self, answer: Answer) -> None:
        with self._lock:
            if answer.signature in self._taken:
                return
            self._taken.add(answer.signature)
        try:
            self.store.answer(self.store.folders.find(answer.run), answer, approvers=self.approvers)
        except SecondsiteError as error:
            self.say(f"an answer left at a desk was refused: {error.what}")
            return
        self.say(f"{answer.who} said {'yes' if answer.granted else 'no'} to {answer.gate} of {answer.run}, at a desk")


def desks_of(estate: Estate, site: SiteName | None = None) -> tuple[str, ...]:
    """Name the desks of an estate, or those at one site."""
    return tuple(
        str(host.name) for host in estate.hosts.values() if GROUP in host.groups and (site is None or host.site == site)
    )
