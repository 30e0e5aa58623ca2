"""What belongs to a cold restart alone, in a simulated drill: the vault, and what measures afterwards."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from ..drill.model import TrialSize
from ..drill.ports import Attempt, Fetched, Left, Passage
from ..estate.model import HostName, SiteName
from .drill import ImpossibleWorld, SimulatedDrill, WritabilityOf


@dataclass(slots=True)
class AnewOf:
    """What belongs to a cold restart alone, and the vault, in a simulated drill."""

    world: SimulatedDrill
    closed: bool = False

    @property
    def vault(self) -> AnewOf:
        """It is the same world."""
        return self

    @property
    def erasures(self) -> AnewOf:
        """It is the same world."""
        return self

    def open(self) -> None:
        """Make a customer."""
        self.world.moment("open-accounts")

    def erase(self) -> Sequence[str]:
        """Erase it."""
        self.world.moment("erase-accounts")
        if self.world.dark:
            raise ImpossibleWorld("somebody was erased in a database without power")
        return ("somebody",)

    def present(self) -> Mapping[str, bool]:
        """Say that it is not there."""
        self.world.moment("look-for-accounts")
        return {"somebody": False}

    def fetch_image(self) -> Fetched | None:
        """Fetch it."""
        self.world.moment("fetch-image")
        now = self.world.monotonic()
        return Fetched(path="/image", source=HostName("vault"), bytes=7, sha256="00", began=now, ended=now + 1.0)

    def attack(self) -> Sequence[Attempt]:
        """Try; it is refused."""
        self.world.moment("attack")
        if self.world.dark:
            raise ImpossibleWorld("an intruder used hosts without power")
        return [Attempt(producer=HostName("db-dc1"), place="the vault", refused=True, saw="forbidden")]

    def grow(self, size: TrialSize) -> None:
        """Back it up."""
        self.world.moment("grow")
        if self.world.dark:
            raise ImpossibleWorld("hosts without power were backed up")
        self.world.backed_up.append(size)

    def trials(self) -> Iterator[Passage]:
        """Restore what was backed up."""
        self.world.moment("trials")
        for size in self.world.backed_up:
            began = self.world.monotonic()
            yield Passage(
                store="a", phase="databases", source="vault", amounts={"bytes": size.database_bytes}, began=began,
                ended=began + 1.0, until="", verified_by="counting", is_trial=True,
            )  # fmt: skip

    def left(self) -> Left:
        """Measure on, once there is something."""
        self.world.moment("left")
        if not self.world.began_anew:
            raise ImpossibleWorld("nothing was left to measure on")
        return Left(
            isolation=_Stays(),
            replication=self.world,
            steady=self.world,
            writability=WritabilityOf(self.world),
            vault=self,
        )

    def close(self) -> None:
        """Take note."""
        self.closed = True


@dataclass(frozen=True, slots=True)
class _Stays:
    """The isolation of a site that stays lost is no fault that was left."""

    def in_force(self) -> Sequence[str]:
        """Name nothing."""
        return ()

    def lift_unless_promoted(self, *, origin: SiteName, target: SiteName) -> None:
        """Leave it."""
