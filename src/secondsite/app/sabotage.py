"""Plant faults in a healthy lab, one after the other, and see that the right checks notice each."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from ..checks.load import load_sabotages
from ..checks.model import Sabotage, State
from ..checks.rules import CHECKS
from ..checks.rules.planted import (
    Planted,
    States,
    alarms,
    changed,
    confirmed,
    missed,
    reasons_not_healthy,
    states_of,
    target,
)
from ..checks.rules.twins import pairs
from ..errors import ActionError, Refused, SecondsiteError, UsageError
from ..estate.model import Estate, Host
from .bench import Bench, open_bench
from .check import checked, choose
from .places import PROJECT, lab_of

SABOTAGES = PROJECT / "drtests" / "sabotages"
_PREAMBLE = "set -eu\naddress() { getent ahostsv4 \"$1\" | head -n 1 | cut -d ' ' -f 1; }\n"
_SHELL_WITHIN = dt.timedelta(seconds=60)
_PAUSE = dt.timedelta(milliseconds=500)
_UNTIL_GREEN = dt.timedelta(seconds=300)  # a machine denied its processors keeps routes down for minutes


def sabotages() -> dict[str, Sabotage]:
    """Return every sabotage by its id."""
    return load_sabotages(SABOTAGES, checks=CHECKS)


def run_sabotages(estate: Estate, ids: Sequence[str], *, say: Callable[[str], None]) -> tuple[Planted, ...]:
    """Plant the named sabotages, or all, and return how each went.

    Raises:
        Refused: the estate is no lab, or is not healthy to begin with. Nothing was planted.
        UsageError: no such sabotage, or no host for it.
        SecondsiteError: a fault could not be planted or taken back; it says which.
    """
    known = sabotages()
    wrong = [name for name in ids if name not in known]
    if wrong:
        raise UsageError(f"no sabotage {', '.join(wrong)}", next_step=f"choose of {', '.join(known)}")
    homeless = [name for name in ids if target(known[name], estate) is None]
    if homeless:
        raise UsageError(
            f"the estate has no host for {', '.join(homeless)}",
            not_done="nothing was planted",
            next_step="leave it out, or name an estate that has one with --estate",
        )
    if lab_of(estate) is None:
        raise Refused("sabotages are planted in a lab only", next_step="secondsite check looks and changes nothing")
    with open_bench(estate) as bench:
        return _Saboteur(bench=bench, say=say).carry_out([known[name] for name in ids or known])


@dataclass(kw_only=True)
class _Saboteur:
    bench: Bench
    say: Callable[[str], None]
    _before: States = field(default_factory=dict, init=False)
    _saw: dict[str, str] = field(default_factory=dict, init=False)

    def carry_out(self, chosen: Sequence[Sabotage]) -> tuple[Planted, ...]:
        settled = self.bench.clock.monotonic() + _UNTIL_GREEN.total_seconds()
        self._before = self._look_until(lambda seen: not reasons_not_healthy(seen), settled)
        if reasons := reasons_not_healthy(self._before):
            raise Refused(
                f"the estate is not healthy to begin with: {', '.join(reasons)}",
                next_step="secondsite check says why",
            )
        return tuple(self._planted(one, host) for one in chosen for host in [target(one, self.bench.estate)] if host)

    def _planted(self, sabotage: Sabotage, host: Host) -> Planted:
        try:
            begun = self.bench.clock.monotonic()
            self._shell(sabotage, host, "inject")
            until = begun + sabotage.within.total_seconds()
            after = self._look_until(lambda seen: not missed(sabotage, self._before, seen), until)
            seconds = self.bench.clock.monotonic() - begun
            after = self._lasting(sabotage, after)
        finally:
            self._shell(sabotage, host, "revert")
        healthy = self.bench.clock.monotonic() + _UNTIL_GREEN.total_seconds()
        again = self._look_until(lambda seen: not changed(self._before, seen), healthy)
        planted = Planted(
            sabotage=sabotage,
            host=host.name,
            red=frozenset(name for name, state in after.items() if state is State.FAILED),
            missed=missed(sabotage, self._before, after),
            alarms=alarms(sabotage, self._before, after),
            not_green_again=changed(self._before, again),
            seconds=seconds,
        )
        self.say(_told(planted))
        return planted

    def _lasting(self, sabotage: Sabotage, after: States) -> States:
        """Return the states without alarms that pass by themselves while the fault stays: those were not about it.

        A machine that is busy may cost an edge its routes or a leader its place for a moment, which a check rightly
        says; the estate mends it. A check that this fault has wrongly turned red stays so.
        """
        until, said = self.bench.clock.monotonic() + _UNTIL_GREEN.total_seconds(), set[str]()
        while doubtful := alarms(sabotage, self._before, after):
            for name in sorted(doubtful - said):
                self.say(f"{sabotage.id}: {name} was not expected; it saw: {self._saw.get(name, '')[:300]}")
            said |= doubtful
            if self.bench.clock.monotonic() > until:
                break
            after = confirmed(sabotage, self._before, after, self._look())
        return after

    def _look(self) -> States:
        results = checked(self.bench, choose((), self.bench.estate))
        self._saw = {result.check.id: result.saw for result in results}
        return states_of(results)

    def _look_until(self, enough: Callable[[States], bool], until: float) -> States:
        while True:
            seen = self._look()
            if enough(seen) or self.bench.clock.monotonic() > until:
                return seen
            self.bench.clock.sleep(_PAUSE.total_seconds())

    def _shell(self, sabotage: Sabotage, host: Host, what: str) -> None:
        twin = next((name for pair in pairs(self.bench.estate) for name in pair.names if host.name in pair.names
                     and name != host.name), "")  # fmt: skip
        preamble = (
            f"{_PREAMBLE}SELF={host.name}; TWIN={twin}; KEPT=/run/secondsite-sabotage/{sabotage.id}; mkdir -p $KEPT\n"
        )
        try:
            self.bench.hands.run(
                host.name,
                ["sudo", "-n", "/bin/sh", "-s"],
                stdin=f"{preamble}{sabotage.script}\n{what}\n",
                timeout=_SHELL_WITHIN,
            )
        except SecondsiteError as error:
            effect = error.effect.value if isinstance(error, ActionError) else "none"
            raise SecondsiteError(
                f"{sabotage.id}: {what} failed on {host.name} (effect: {effect}): {error.what}",
                not_done="the sabotages after it",
                next_step="secondsite lab restore, or secondsite run provision",
            ) from error


def _told(planted: Planted) -> str:
    told = f"{planted.sabotage.id} on {planted.host}: "
    told += "noticed" if planted.noticed else "NOT NOTICED"
    told += f" in {planted.seconds:.1f} s ({', '.join(sorted(planted.sabotage.expect_red - planted.missed))})"
    for words, ids in (
        ("missed by", planted.missed),
        ("FALSE ALARM of", planted.alarms),
        ("NOT GREEN AGAIN:", planted.not_green_again),
    ):
        told += f"; {words} {', '.join(sorted(ids))}" if ids else ""
    return told
