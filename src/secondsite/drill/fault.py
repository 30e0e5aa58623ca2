"""The fault of a drill: brought about, proven, and taken back, whatever happens in between."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Protocol

from ..errors import SecondsiteError
from ..estate.model import Estate, SiteName
from .kit import Kit
from .model import ComesBack, FaultKind, Scenario
from .ports import Silence
from .rules import names_to_prove, targets_of

_SILENCE_S = 2.0
_SHORT_SILENCE_S = 1.0
"""Where nobody can be listened to for longer, because something is done about it meanwhile."""


class Note(Protocol):
    """Records an event of the drill."""

    def __call__(self, name: str, *, at: float | None = None, detail: object = "") -> None:
        """Record it, at this instant or an earlier one."""
        ...


@dataclass(slots=True, kw_only=True)
class Fault:
    """What is broken on purpose now, and how to mend it."""

    scenario: Scenario
    estate: Estate
    kit: Kit
    note: Note
    pool: ThreadPoolExecutor
    begun_at: float = field(default=0.0, init=False)
    _cut: list[str] = field(default_factory=list, init=False)
    _apart: SiteName | None = field(default=None, init=False)
    _begun: bool = field(default=False, init=False)
    _lies: bool = field(default=False, init=False)

    @property
    def keeps_hosts_dark(self) -> bool:
        """Whether hosts are without power now."""
        return bool(self._cut)

    def bring_about(self) -> Future[None]:
        """Do to the estate what the scenario says; what comes is its proof, already under way."""
        match self.scenario.fault:
            case FaultKind.CUT_POWER:
                return self._pull_the_plug()
            case FaultKind.CUT_LINK:
                return self._cut_off()
            case _:
                return self._begin()

    def lie(self) -> None:
        """Let the fence lie that the scenario names, if it names one."""
        if self.scenario.lying_fence is not None:
            self._lies = True
            self.kit.injector.begin_lying(self.scenario.lying_fence)
            self.note("fence-lies", detail=self.scenario.lying_fence)

    def lose_as_well(self, site: SiteName) -> None:
        """Take another site's power away, and prove it.

        Raises:
            SecondsiteError: it is not silent.
        """
        hosts = [host.name for host in self.estate.hosts_at(site)]
        self._cut += hosts
        cut = self.kit.injector.cut_power(hosts)
        self.note("also-lost", at=cut.first_wire_dropped_at, detail=", ".join(hosts))
        self.kit.view.say(f"the plug of {site} is pulled too: {', '.join(hosts)}")
        silence = self.kit.injector.prove_silence(hosts, seconds=_SHORT_SILENCE_S)
        if not silence.proven:
            raise SecondsiteError(f"{site} is not silent after its power was cut")
        self.note("also-lost-proven", detail=f"{_SHORT_SILENCE_S} s without a packet or an answer")

    def throw_away(self, site: SiteName, image: str = "") -> None:
        """Put new machines in the place of a site's, which have no power: what they held is gone for good."""
        hosts = [str(host.name) for host in self.estate.hosts_at(site)]
        began = self.kit.clock.monotonic()
        names = self.kit.injector.deliver(hosts, image=image)
        self._cut = [host for host in self._cut if host not in names]
        self.note("delivered", at=began, detail=", ".join(names))
        self.kit.view.say(f"all that {site} held is gone; new machines stand there: {', '.join(names)}")

    def take_back(self) -> None:
        """Give back what was taken, in the course of the drill, and say when that began."""
        self.note("fault-ended")
        self.tell_the_truth()
        if self._begun:
            self.end()
        elif self._apart is not None:
            self.join_links()
            self.note("links-restored", detail=self.scenario.fault_site)
        else:
            self.power_back()

    def undoing(self) -> tuple[Callable[[], None], ...]:
        """Return everything that mends something, each harmless where nothing is broken."""
        return self._power_on, self.join_links, self.end, self.tell_the_truth

    def power_back(self) -> None:
        """Give what was cut its power back, and say when that began: from then on nobody knows what its hosts do."""
        hosts = list(self._cut)
        began = self.kit.clock.monotonic()
        self.kit.injector.restore_power(hosts)
        self._cut = []
        self.note("power-restored", at=began, detail=", ".join(hosts))
        self.kit.view.say(f"the power is back: {', '.join(hosts)}")

    def _begin(self) -> Future[None]:
        """Bring about what cuts neither power nor whole links."""
        fault, targets = self.scenario.fault, targets_of(self.scenario)
        self._begun = True
        begun = self.kit.injector.begin(fault, targets)
        self.begun_at = begun.first_at
        named = ", ".join(names_to_prove(self.scenario, self.estate))
        self.note("fault-begun", at=begun.first_at, detail=f"{fault.value}: {named}")
        self.note("fault-done", at=begun.last_at)
        self.kit.view.say(f"{fault.value}: {named}")
        return self.pool.submit(
            self._prove,
            list(names_to_prove(self.scenario, self.estate)),
            prove=lambda: self.kit.injector.prove(fault, targets, seconds=_SILENCE_S),
        )

    def _cut_off(self) -> Future[None]:
        """Cut every link of the site; its hosts live on."""
        site = self._apart = self.scenario.fault_site
        cut = self.kit.injector.cut_links(site)
        self.begun_at = cut.first_wire_dropped_at
        links = ", ".join(f"{carrier} {site}" for carrier in cut.carriers)
        self.note("fault-begun", at=cut.first_wire_dropped_at, detail=links)
        self.note("fault-done", at=cut.last_wire_dropped_at)
        self.kit.view.say(f"the links of {site} are cut: {links}")
        hosts = [host.name for host in self.estate.hosts_at(site)]
        return self.pool.submit(
            self._prove, hosts, prove=lambda: self.kit.injector.prove_links_silent(site, seconds=_SILENCE_S)
        )

    def _pull_the_plug(self) -> Future[None]:
        sites = self.scenario.sites_without_power
        hosts = [host.name for site in sites for host in self.estate.hosts_at(site)]
        self._cut += hosts
        cut = self.kit.injector.cut_power(hosts)
        self.begun_at = cut.first_wire_dropped_at
        self.note("fault-begun", at=cut.first_wire_dropped_at, detail=", ".join(hosts))
        self.note("fault-done", at=cut.last_init_killed_at)
        self.kit.view.say(f"the plug of {' and '.join(sites)} is pulled: {', '.join(hosts)}")
        return self.pool.submit(self._prove, hosts)

    def _prove(self, hosts: Sequence[str], *, prove: Callable[[], Silence] | None = None) -> None:
        seconds = _SILENCE_S
        if self.scenario.comes_back is ComesBack.WHILE_PROMOTING:
            seconds = _SHORT_SILENCE_S  # its power is back before more could be heard
        silence = prove() if prove is not None else self.kit.injector.prove_silence(hosts, seconds=seconds)
        self.kit.records.write(
            "silence",
            {
                "hosts": list(silence.hosts),
                "watched_from": silence.watched_from,
                "watched_until": silence.watched_until,
                "packets_heard": silence.packets_heard,
                "answers": list(silence.answers),
            },
        )
        if silence.proven:
            heard = "an answer" if self._begun else "a packet or an answer"  # what was asked is not listened for
            self.note("fault-proven", detail=f"{seconds} s without {heard}")
        self.kit.view.say("the cut is proven by silence" if silence.proven else "the cut is NOT proven")

    def _power_on(self) -> None:
        if self._cut:
            self.kit.injector.restore_power(self._cut)
            self._cut = []

    def join_links(self) -> None:
        """Join the links that were cut. Harmless when none was."""
        if self._apart is not None:
            self.kit.injector.repair_links(self._apart)
            self._apart = None

    def end(self) -> None:
        """Take back what cuts neither power nor whole links. Harmless when nothing of that kind was begun."""
        if self._begun:
            self.kit.injector.end(self.scenario.fault, targets_of(self.scenario))
            self._begun = False

    def tell_the_truth(self) -> None:
        """Let the fence do again what it is told. Harmless when it never lied."""
        if self._lies and self.scenario.lying_fence is not None:
            self.kit.injector.end_lying(self.scenario.lying_fence)
            self._lies = False
