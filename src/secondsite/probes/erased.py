"""Customers who are erased in a drill: opened early enough to be in every backup, erased too late to be in any log."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from ..errors import MeasurementError
from ..run.ports import Hands

GROUP = "erasures"
NUMBER = 3
_REASON = "a drill: the request of a person who does not exist"
_TIMEOUT = dt.timedelta(seconds=60)


@dataclass(kw_only=True)
class ErasedCustomers:
    """Implements the drill room's ``Erasures``. ``leader`` names the host that leads the customers' database."""

    hands: Hands
    leader: Callable[[], str]
    drill: str
    names: tuple[str, ...] = field(init=False)

    def __post_init__(self) -> None:
        """Touch nothing yet."""
        self.names = tuple(f"{self.drill}-erased-{number}" for number in range(1, NUMBER + 1))

    def open(self) -> None:
        """Make the customers."""
        for name in self.names:
            self._accountctl("open", name, stdin=f"of {name} and of nobody else")

    def erase(self) -> Sequence[str]:
        """Erase them, and return their names once the ledger and the database have it."""
        for name in self.names:
            self._accountctl("erase", name, *_REASON.split(" "))
        return self.names

    def present(self) -> Mapping[str, bool]:
        """Say of each whether anything of it is in the database.

        Raises:
            MeasurementError: that is not known of every one.
        """
        told = json.loads(self._accountctl("present", *self.names))
        found = told.get("present") if isinstance(told, dict) else None
        if not isinstance(found, dict) or set(found) != set(self.names):
            raise MeasurementError("whether erased customers are in the database is not known of every one")
        return {str(name): bool(there) for name, there in found.items()}

    def _accountctl(self, *words: str, stdin: str = "") -> str:
        argv = ["sudo", "-n", "--", "accountctl", *words]
        return self.hands.run(self.leader(), argv, stdin=stdin, timeout=_TIMEOUT).stdout
