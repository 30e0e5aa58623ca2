"""Customers: their traffic, and one journey of one of them."""

from __future__ import annotations

import datetime as dt
import json
import threading
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from ..drill.model import TrafficShape
from ..drill.ports import Records, Tally
from ..errors import MeasurementError
from ..estate.model import HostName
from ..run.ports import Hands, Stream
from .ship import ship

TENANT_FILE = "/etc/secondsite/tenant.json"
AUTHORITIES = "/etc/secondsite/tls/ca-bundle.crt"
UNKNOWN_COUNT = -1
_SLACK = dt.timedelta(seconds=10)


@dataclass(frozen=True, slots=True, kw_only=True)
class Customer:
    """Who asks for what, and from where. The password lies on that host and nowhere here."""

    host: HostName
    shop: str
    name: str
    port: int = 443
    authorities: str = AUTHORITIES
    tenant_file: str = TENANT_FILE
    timeout: dt.timedelta = dt.timedelta(seconds=2)

    def order(self, *, connect: dt.timedelta | None = None) -> dict[str, object]:
        """Return what every customer script must be told."""
        shop = {
            "name": self.shop,
            "port": self.port,
            "ca_file": self.authorities,
            "timeout_s": self.timeout.total_seconds(),
            "connect_s": (connect or self.timeout).total_seconds(),
        }
        return {"shop": shop, "tenant_file": self.tenant_file, "customer": self.name}


class CustomerTraffic:
    """Open-loop traffic from the customers' host; every request becomes a record of kind ``requests``."""

    def __init__(
        self, hands: Hands, customer: Customer, *, records: Records, latency: dt.timedelta, in_flight: int = 400
    ) -> None:
        """Send nothing yet. ``latency`` is the service level's: a slower answer is a bad one."""
        self._hands, self._customer, self._records, self._in_flight = hands, customer, records, in_flight
        self._latency_s = latency.total_seconds()
        self._last_bad_due_at: float | None = None
        self._stream: Stream | None = None
        self._lock = threading.Lock()
        self._outcomes: Counter[str] = Counter()
        self._last_served_by = ""
        self._signed_in = threading.Event()
        self._why_not = "it said nothing"
        self._end: Mapping[str, object] | None = None

    def start(self, shape: TrafficShape, *, within: dt.timedelta = _SLACK) -> None:
        """Sign in and begin to send.

        Raises:
            MeasurementError: the customer could not sign in in time; nothing was sent.
            Unreachable, ActionError: the customers' host could not be used.
        """
        if self._stream is not None:
            raise MeasurementError("the traffic was started already")
        argv = ship(self._hands, self._customer.host, "customer", "traffic")
        order = self._customer.order() | {"in_flight": self._in_flight, "arms": _arms(shape)}
        self._stream = self._hands.stream(
            self._customer.host, argv, stdin=json.dumps(order) + "\n", on_line=self._on_line
        )
        if not self._signed_in.wait(within.total_seconds()):
            self.stop()
            raise MeasurementError(
                f"{self._customer.name} could not sign in at {self._customer.shop} from {self._customer.host}:"
                f" {self._why_not}",
                not_done="no traffic was sent",
            )

    def tally(self) -> Tally:
        """Count what was recorded so far."""
        with self._lock:
            return Tally(
                ok=self._outcomes["ok"],
                failed=self._outcomes["failed"],
                unknown=self._outcomes["unknown"],
                last_served_by=self._last_served_by,
                last_bad_due_at=self._last_bad_due_at,
            )

    def stop(self) -> int | None:
        """End, wait for the last answers, and return how many requests there were.

        None if it wasn't running; ``UNKNOWN_COUNT`` if the generator was lost before it could say how many, so that
        the records can't pass for complete.
        """
        stream, self._stream = self._stream, None
        if stream is None:
            return None
        stream.stop()
        count = self._end.get("recorded") if self._end else None
        return count if isinstance(count, int) else UNKNOWN_COUNT

    def _on_line(self, line: str) -> None:
        seen = read_object(line)
        if "t0" in seen:
            self._records.append("requests", seen)
            with self._lock:
                self._outcomes[str(seen.get("outcome"))] += 1
                if seen.get("outcome") == "ok":
                    self._last_served_by = str(seen.get("web"))
                due, answered = seen.get("t0"), seen.get("t1")
                if isinstance(due, float) and isinstance(answered, float):
                    self._note_quality(due, answered, ok=seen.get("outcome") == "ok")
        elif seen.get("event") == "sign-in":
            self._note_sign_in(seen.get("error"))
        elif seen.get("end") is True:
            self._end = seen

    def _note_quality(self, due: float, answered: float, *, ok: bool) -> None:
        if not ok or answered - due > self._latency_s:
            self._last_bad_due_at = max(due, self._last_bad_due_at or due)

    def _note_sign_in(self, error: object) -> None:
        if error is None:
            self._signed_in.set()
        else:
            self._why_not = str(error)


def _arms(shape: TrafficShape) -> list[dict[str, object]]:
    return [
        {"arm": "main", "kind": "write", "rate": shape.writes},
        {"arm": "control", "kind": "write", "rate": shape.control_writes},
        {"arm": "main", "kind": "read", "rate": shape.reads},
    ]


def journey(hands: Hands, customer: Customer, *, served_by: str | None, within: dt.timedelta) -> dict[str, object]:
    """Sign in, order, and read order, bill and login back, again and again until it works once or the time is over.

    ``served_by`` is the web host that must serve all of it; None accepts any. The answer's ``ok`` says whether it
    worked, ``order`` is the id that was ordered, ``error`` what went wrong last.

    Raises:
        MeasurementError: the script ended without a word, so nothing is known.
    """
    argv = ship(hands, customer.host, "customer", "journey")
    order = customer.order(connect=dt.timedelta(milliseconds=500))
    order |= {"within_s": within.total_seconds(), "served_by": served_by}
    ended = hands.run(customer.host, argv, stdin=json.dumps(order) + "\n", timeout=within + _SLACK, accept=(0, 1))
    seen = read_object(ended.stdout)
    if not isinstance(seen.get("ok"), bool):
        raise MeasurementError(f"the journey from {customer.host} said nothing usable: {ended.stderr.strip()[-300:]}")
    return seen


def lines_to(take: Callable[[Mapping[str, object]], None]) -> Callable[[str], None]:
    """Hand each line over as the JSON object it is; other lines are not ours."""

    def on_line(line: str) -> None:
        seen = read_object(line)
        if seen:
            take(seen)

    return on_line


def read_object(line: str) -> dict[str, object]:
    """Return the JSON object in a line; empty if there is none. What a host sends is not trusted to be ours."""
    try:
        seen = json.loads(line)
    except (ValueError, RecursionError):
        return {}
    return seen if isinstance(seen, dict) else {}
