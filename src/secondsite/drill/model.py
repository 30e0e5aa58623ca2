"""What a drill is to do: nouns only."""

from __future__ import annotations

import datetime as dt
import enum
from dataclasses import dataclass, replace

from ..estate.model import HostName, SiteName, WorkloadName


class ExerciseKind(enum.Enum):
    """HSEEP's and NIST SP 800-84's kinds, as far as this product conducts them."""

    UNPLANNED = "unplanned"
    PLANNED = "planned"
    COLD_RESTART = "cold-restart"
    """Both live copies are lost with the controller: operations begin anew with what the vault kept."""


class FaultKind(enum.Enum):
    """Faults a scenario may ask for; the estate must permit them."""

    CUT_POWER = "cut-power"
    CUT_LINK = "cut-link"
    """Every link of the site, all at once: its hosts live on, and nobody but who manages them reaches them."""
    CUT_LINK_INWARD = "cut-link-inward"
    """One direction of every link of the site: what it sends arrives, and nothing comes in."""
    STOP_ETCD = "stop-etcd"
    """The members of the quorum on the hosts named, and nothing else of these hosts."""
    CUT_CONTROLLER = "cut-controller"
    """The controller's only wire: it reaches no host, and no host misses it."""


class ComesBack(enum.Enum):
    """When the power of a site that failed over comes back."""

    AT_THE_END = "at-the-end"
    WHILE_PROMOTING = "while-promoting"
    """As soon as consent is given: its hosts boot while the other site is promoted."""
    ONCE_PROMOTED = "once-promoted"
    A_DAY_LATER = "a-day-later"
    """Once the new primary keeps nothing any more that the old one could catch up with."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TrafficShape:
    """Open-loop rates, in requests a second."""

    writes: int
    reads: int
    control_writes: int

    def __post_init__(self) -> None:
        """A drill without traffic measures nothing."""
        if min(self.writes, self.reads, self.control_writes) < 1:
            raise ValueError("each rate must be at least 1 a second")


@dataclass(frozen=True, slots=True, kw_only=True)
class TrialSize:
    """How much is restored in one trial: bytes of a database, bytes of files, and a number of small files."""

    database_bytes: int
    file_bytes: int
    files: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """One drill, as data: what is done to the estate, in which direction, and how long things are watched.

    ``hold_for`` is how long the control arm's replication is held back before the fault; ``sustained`` how long
    customers must be served within the service level for restoration to count. ``begins_at`` is where operations are
    before the drill, when that is not the origin: they are moved to the origin first, and back at the end.

    ``consent_at`` is the site where deputies sit who consent to the failover, instead of a standing order;
    ``also_lost`` a site that loses its power as well, once the run waits for that consent.

    A scenario that is ``endured`` has no runbook: the origin is lost, operations are at the target and must stay
    there, and customers must be served again within ``resumes_within`` without anybody's help. The fault lasts at
    least ``lasts``, if that is given. ``fault_hosts`` are those of a fault at single hosts; ``together_with`` is a
    site that loses its power in the same instant, and both get it back as soon as the loss is proven;
    ``writers_may_stop`` says that nobody can be asked to go on writing meanwhile.

    ``lying_fence`` is a carrier whose isolation answers success and drops nothing: the failover must be refused, and
    the origin serves again when its power is back.

    ``by_hand`` has the runbook carried out from its printed page, over ssh, and nothing of the engine.

    A cold restart loses both sites in the same instant (``together_with`` is the target), throws the target's machines
    away with all they hold, and answers with another controller. ``trials`` are the sizes at which restores are timed
    besides; the first is the smallest.
    """

    name: str
    title: str
    kind: ExerciseKind
    origin: SiteName
    target: SiteName
    fault: FaultKind
    fault_site: SiteName
    traffic: TrafficShape
    warm_up: dt.timedelta
    sustained: dt.timedelta
    maximum: dt.timedelta
    digest: str
    runbook: str = ""
    return_runbook: str = ""
    hold: WorkloadName | None = None
    hold_for: dt.timedelta = dt.timedelta(0)
    resumes_within: dt.timedelta | None = None
    lasts: dt.timedelta = dt.timedelta(0)
    begins_at: SiteName | None = None
    consent_at: SiteName | None = None
    also_lost: SiteName | None = None
    comes_back: ComesBack = ComesBack.AT_THE_END
    fault_hosts: tuple[HostName, ...] = ()
    together_with: SiteName | None = None
    writers_may_stop: bool = False
    lying_fence: HostName | None = None
    by_hand: bool = False
    trials: tuple[TrialSize, ...] = ()

    def __post_init__(self) -> None:
        """Refuse a scenario that can't be meant."""
        if self.origin == self.target:
            raise ValueError(f"origin and target are both {self.origin}")
        self._require_an_answer()
        self._require_a_fitting_loss()
        self._require_one_thing_at_a_time()
        if self.warm_up + self.hold_for + max(self.sustained, self.lasts) >= self.maximum:
            raise ValueError("warm_up, hold and sustained (or lasts) together exceed the maximum duration")
        if self.also_lost is not None and self.consent_at is None:
            raise ValueError("also_lost loses its power while the run waits for consent, so consent_at must be given")
        if self.consent_at in (self.origin, self.also_lost) and self.consent_at is not None:
            raise ValueError(f"nobody can consent at {self.consent_at}, which is lost")

    @property
    def may_use_an_order(self) -> bool:
        """Whether a standing order may stand for the consent of persons."""
        return bool(self.runbook) and self.consent_at is None and not self.by_hand and not self.begins_anew

    @property
    def begins_anew(self) -> bool:
        """Whether both live copies are lost, and operations begin anew with what the vault kept."""
        return self.kind is ExerciseKind.COLD_RESTART

    @property
    def returns(self) -> bool:
        """Whether operations are brought home in the course of the drill."""
        return not self.endured and not self.refused and not self.begins_anew

    @property
    def refused(self) -> bool:
        """Whether the failover must be refused."""
        return self.lying_fence is not None

    @property
    def sites_without_power(self) -> tuple[SiteName, ...]:
        """The sites whose plug is pulled by the fault itself."""
        if self.fault is not FaultKind.CUT_POWER:
            return ()
        return (self.fault_site, self.together_with) if self.together_with is not None else (self.fault_site,)

    @property
    def endured(self) -> bool:
        """Whether the estate has to bear the fault as it stands, and no runbook answers it."""
        return self.resumes_within is not None

    @property
    def home(self) -> SiteName:
        """Where operations are before the fault, and after all of it."""
        return self.target if self.endured else self.origin

    def _require_an_answer(self) -> None:
        answers = {"runbook": self.runbook, "return_runbook": self.return_runbook, "hold": self.hold}
        if self.refused or self.begins_anew:
            answers = {"runbook": self.runbook}
        if self.endured and (given := [name for name, value in answers.items() if value]):
            raise ValueError(f"what is endured (resumes_within) has no {given[0]}")
        if not self.endured and (missing := [name for name, value in answers.items() if not value]):
            raise ValueError(f"{missing[0]} is missing; only what is endured (resumes_within) goes without")
        if self.endured and (self.consent_at or self.also_lost):
            raise ValueError("what is endured (resumes_within) asks nobody's consent")
        if not self.endured and (self.fault is not FaultKind.CUT_POWER or self.lasts):
            raise ValueError(
                "a site fails over when its power is cut; links are cut, and lasts given, where it is endured"
            )
        if self.endured and self.fault_site != self.origin:
            raise ValueError(f"fault_site is {self.fault_site}: what is endured is the loss of the origin")

    def _require_a_fitting_loss(self) -> None:
        if self.begins_anew:
            self._require_a_cold_restart()
        elif self.trials:
            raise ValueError("trials are for a cold restart")
        if not self.endured and self.writers_may_stop:
            raise ValueError("writers_may_stop is for what is endured (resumes_within)")
        if not self.endured and not self.begins_anew and self.together_with is not None:
            raise ValueError("together_with is for what is endured (resumes_within), and for a cold restart")

    def _require_one_thing_at_a_time(self) -> None:
        if bool(self.fault_hosts) != (self.fault is FaultKind.STOP_ETCD):
            raise ValueError("fault_hosts names the hosts for stop-etcd, and only for that")
        if self.together_with is not None and (
            self.fault is not FaultKind.CUT_POWER or self.together_with == self.fault_site
        ):
            raise ValueError("together_with is another site that loses its power with the first")
        if self.endured and (self.comes_back is not ComesBack.AT_THE_END or self.refused):
            raise ValueError("comes_back and lying_fence are for a failover, and here nothing fails over")
        if self.refused and (self.comes_back is not ComesBack.AT_THE_END or self.hold or self.return_runbook):
            raise ValueError("what is refused (lying_fence) has no hold and no return")
        if self.by_hand and (self.endured or self.refused or self.consent_at is not None):
            raise ValueError("by_hand is for a failover that is neither refused nor signed for at a desk")
        if self.consent_at is not None and (self.refused or self.comes_back is not ComesBack.AT_THE_END):
            raise ValueError("consent_at goes with neither lying_fence nor comes_back")

    def _require_a_cold_restart(self) -> None:
        if self.endured or self.refused or self.by_hand or self.hold or self.return_runbook or self.consent_at:
            raise ValueError("a cold restart has a runbook, and no hold, return_runbook, consent_at or resumes_within")
        if self.together_with != self.target or self.fault_site != self.origin:
            raise ValueError("a cold restart loses the origin (fault_site) together_with the target")
        if self.comes_back is not ComesBack.AT_THE_END:
            raise ValueError("comes_back is for a failover: after a cold restart nothing of the old comes back")
        ascending = sorted(self.trials, key=lambda one: (one.database_bytes, one.file_bytes, one.files))
        if list(self.trials) != ascending:
            raise ValueError("trials are listed from the smallest to the largest")

    def soaked(self, soak: dt.timedelta) -> Scenario:
        """Return the same scenario with customers watched at the target for that long.

        Raises:
            ValueError: nobody is served at the target in it, or it would be watched for less than it is anyway.
        """
        if self.endured or self.refused:
            raise ValueError(f"in {self.name} nothing moves, so that there is nothing to be watched for longer")
        if soak < self.sustained:
            raise ValueError(f"{soak} is shorter than the {self.sustained} of the scenario")
        return replace(self, sustained=soak, maximum=self.maximum + soak)

    def directed(self, *, origin: SiteName, target: SiteName) -> Scenario:
        """Return the same scenario from one site to another: what it does to its origin, it does to that one.

        Raises:
            ValueError: both are the same site.
        """
        if self.fault_hosts or (self.together_with is not None and not self.begins_anew):
            raise ValueError(f"{self.name} names what it breaks, so there is no other direction")
        swapped = {self.origin: origin, self.target: target}
        return replace(
            self,
            origin=origin,
            target=target,
            fault_site=swapped.get(self.fault_site, self.fault_site),
            together_with=target if self.begins_anew else self.together_with,
            consent_at=swapped.get(self.consent_at, self.consent_at) if self.consent_at is not None else None,
        )
