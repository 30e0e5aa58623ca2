"""A customer of the shop: one file of plain Python, copied to the customers' host and run there.

``customer.py traffic`` sends requests open loop until its standard input ends or SIGTERM comes;
``customer.py journey`` signs in, orders, and reads order, bill and login back, once.

The order is one line of JSON on standard input; what was seen goes to standard output as JSON Lines. Every request asks
the system's resolver for the name and opens a connection of its own, as customers do: a pool would hide a failover.
"""

from __future__ import annotations

import collections
import heapq
import json
import queue
import signal
import socket
import ssl
import sys
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

ITEM = "tea"
OWN_ACCOUNT = "own account"  # what is read until a first order was acknowledged
_DONE = (200, 201)
_IN_DOUBT = (202, 500, 502, 504)
_SIGN_IN_AGAIN = (401,)
_HEAD_LIMIT = 1 << 16
_BODY_LIMIT = 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Shop:
    """Where the shop is, as a customer knows it."""

    name: str
    port: int
    ca_file: str
    timeout_s: float
    connect_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What came back. ``address`` is where the name led."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    address: str

    def words(self) -> dict[str, object]:
        """Return the body's JSON object; empty when it is something else."""
        try:
            found = json.loads(self.body)
        except ValueError:
            return {}
        return found if isinstance(found, dict) else {}


class NoAnswer(Exception):  # noqa: N818  what was observed
    """Nothing usable came back. ``sent`` says whether the request may have reached the shop."""

    def __init__(self, why: str, *, sent: bool, address: str | None) -> None:
        """Keep what is known."""
        super().__init__(why)
        self.sent = sent
        self.address = address


class Door:
    """Opens a connection for every request, with the certificate and the name checked."""

    def __init__(self, shop: Shop) -> None:
        """Read the authorities once."""
        self._shop = shop
        self._tls = ssl.create_default_context(cafile=shop.ca_file)
        self._tls.minimum_version = ssl.TLSVersion.TLSv1_2

    def ask(
        self, method: str, path: str, *, deadline: float, words: Mapping[str, str] | None = None, token: str = ""
    ) -> Answer:
        """Send one request and read its answer, all before the deadline.

        Raises:
            NoAnswer: with what is known of the request's fate.
        """
        address = self._resolve()
        request = _request(self._shop.name, method, path, words, token)
        try:
            connection = self._connect(address, deadline)
        except (OSError, ValueError) as error:
            raise NoAnswer(f"connect: {_said(error)}", sent=False, address=address) from error
        with connection:
            try:
                connection.sendall(request)
                return _read(connection, deadline, address)
            except (OSError, ValueError) as error:
                raise NoAnswer(f"no answer: {_said(error)}", sent=True, address=address) from error

    def _resolve(self) -> str:
        try:
            found = socket.getaddrinfo(self._shop.name, self._shop.port, socket.AF_INET, socket.SOCK_STREAM)
        except OSError as error:
            raise NoAnswer(f"resolve: {_said(error)}", sent=False, address=None) from error
        return str(found[0][4][0])

    def _connect(self, address: str, deadline: float) -> ssl.SSLSocket:
        limit = min(deadline, time.monotonic() + self._shop.connect_s)
        raw = socket.create_connection((address, self._shop.port), timeout=_left(limit))
        try:
            raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            raw.settimeout(_left(limit))
            connection = self._tls.wrap_socket(raw, server_hostname=self._shop.name)
        except BaseException:
            raw.close()
            raise
        connection.settimeout(_left(deadline))
        return connection


def _left(deadline: float) -> float:
    left = deadline - time.monotonic()
    if left <= 0:
        raise TimeoutError("timed out")
    return left


def _request(name: str, method: str, path: str, words: Mapping[str, str] | None, token: str) -> bytes:
    body = b"" if words is None else json.dumps(words).encode()
    lines = [f"{method} {path} HTTP/1.1", f"Host: {name}", "Connection: close", f"Content-Length: {len(body)}"]
    if token:
        lines.append(f"Authorization: Bearer {token}")
    return "\r\n".join([*lines, "", ""]).encode() + body


def _read(connection: ssl.SSLSocket, deadline: float, address: str) -> Answer:
    received = b""
    while b"\r\n\r\n" not in received:
        received += _more(connection, deadline)
        if len(received) > _HEAD_LIMIT:
            raise ValueError("the answer's head is too long")
    head, _, body = received.partition(b"\r\n\r\n")
    first, *rest = head.decode("latin-1").split("\r\n")
    headers = {key.strip().lower(): value.strip() for key, _, value in (line.partition(":") for line in rest)}
    wanted = int(headers.get("content-length", ""))
    if wanted > _BODY_LIMIT:
        raise ValueError("the answer is too long")
    while len(body) < wanted:
        body += _more(connection, deadline)
    return Answer(status=int(first.split()[1]), headers=headers, body=body, address=address)


def _more(connection: ssl.SSLSocket, deadline: float) -> bytes:
    connection.settimeout(_left(deadline))
    chunk = connection.recv(1 << 16)
    if not chunk:
        raise ConnectionError("closed before the answer was whole")
    return chunk


def _said(error: Exception) -> str:
    return str(error) or type(error).__name__


# Traffic


@dataclass(frozen=True, slots=True, kw_only=True)
class Arm:
    """One stream of requests: ``rate`` a second."""

    arm: str
    kind: str
    rate: float


def due(arms: Sequence[Arm], start: float) -> Iterator[tuple[float, Arm]]:
    """Yield every instant at which a request is due, in order, for ever; instants never depend on answers."""
    first = [(start + index / (len(arms) * arm.rate), index, 0) for index, arm in enumerate(arms)]
    heap = list(first)
    heapq.heapify(heap)
    while True:
        instant, index, count = heapq.heappop(heap)
        yield instant, arms[index]
        begin = first[index][0]
        heapq.heappush(heap, (begin + (count + 1) / arms[index].rate, index, count + 1))


def outcome_of(kind: str, status: int) -> str:
    """Say what a status means for the request: a write is failed only if it surely was not applied."""
    if status in _DONE:
        return "ok"
    if kind == "write" and status in _IN_DOUBT:
        return "unknown"
    return "failed"


class Lines:
    """Writes JSON Lines in a thread of its own, so that a slow reader never delays a request."""

    def __init__(self) -> None:
        """Begin to write."""
        self._queue: queue.SimpleQueue[Mapping[str, object] | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._write, name="lines", daemon=True)
        self.broken = threading.Event()
        self.count = 0
        self._thread.start()

    def put(self, line: Mapping[str, object]) -> None:
        """Queue one line."""
        self._queue.put(line)

    def close(self) -> None:
        """Write what is queued."""
        self._queue.put(None)
        self._thread.join()

    def _write(self) -> None:
        try:
            while (line := self._queue.get()) is not None:
                sys.stdout.write(json.dumps(line) + "\n")
                if self._queue.empty():
                    sys.stdout.flush()
                self.count += 1
            sys.stdout.flush()
        except OSError:
            self.broken.set()


class Identity:
    """The customer's token, renewed when the shop no longer takes it."""

    def __init__(self, door: Door, shop: Shop, customer: str, password: str) -> None:
        """Sign in to nothing yet."""
        self._door, self._shop = door, shop
        self._words = {"customer": customer, "password": password}
        self._renewing = threading.Lock()
        self.token = ""

    def sign_in(self) -> str:
        """Sign in and return why it failed, or nothing."""
        try:
            deadline = time.monotonic() + self._shop.timeout_s
            answer = self._door.ask("POST", "/signin", deadline=deadline, words=self._words)
        except NoAnswer as error:
            return str(error)
        if answer.status not in _DONE:
            return f"status {answer.status}"
        self.token = str(answer.words()["token"])
        return ""

    def renew(self) -> None:
        """Sign in again, unless somebody does so already."""
        if self._renewing.acquire(blocking=False):
            try:
                self.sign_in()
            finally:
                self._renewing.release()


class Traffic:
    """Requests that are due by the clock, whatever became of those before them."""

    def __init__(self, shop: Shop, arms: Sequence[Arm], *, identity: Identity, door: Door, in_flight: int) -> None:
        """Send nothing yet."""
        self._shop, self._arms, self._identity, self._door = shop, arms, identity, door
        self._lines = Lines()
        self._pool = ThreadPoolExecutor(max_workers=in_flight)
        self._room = threading.Semaphore(in_flight)
        self._acknowledged: collections.deque[str] = collections.deque(maxlen=64)
        self.stopping = threading.Event()
        self._counting = threading.Lock()
        self._recorded = 0

    def sign_in(self) -> bool:
        """Sign in, again and again; False, and closed, if the traffic was stopped before it worked."""
        while not self.stopping.is_set():
            why = self._identity.sign_in()
            self._lines.put({"event": "sign-in", "t": time.monotonic(), "error": why or None})
            if not why:
                return True
            self.stopping.wait(0.5)
        self._close(0, 0.0)
        return False

    def send(self) -> None:
        """Send until stopped, then wait for the last answers."""
        scheduled, latest = 0, 0.0
        for instant, arm in due(self._arms, time.monotonic() + 0.05):
            if self._stopped_before(instant):
                break
            scheduled += 1
            latest = max(latest, time.monotonic() - instant)
            if self._room.acquire(blocking=False):
                self._pool.submit(self._one, instant, arm)
            else:
                self._record(instant, arm, str(uuid.uuid4()), outcome="failed", error="generator saturated")
        self._close(scheduled, latest)

    def _close(self, scheduled: int, latest: float) -> None:
        self._pool.shutdown(wait=True)
        self._lines.put({"end": True, "scheduled": scheduled, "recorded": self._recorded, "latest_s": latest})
        self._lines.close()

    def _stopped_before(self, instant: float) -> bool:
        while (left := instant - time.monotonic()) > 0:
            if self.stopping.wait(left) or self._lines.broken.is_set():
                return True
        return self.stopping.is_set() or self._lines.broken.is_set()

    def _one(self, instant: float, arm: Arm) -> None:
        try:
            number, ask = self._prepare(arm)
            try:
                answer = ask()
            except NoAnswer as error:
                outcome = "unknown" if error.sent and arm.kind == "write" else "failed"
                self._record(instant, arm, number, outcome=outcome, error=str(error), address=error.address)
                return
            self._record_answer(instant, arm, number, answer)
        finally:
            self._room.release()

    def _prepare(self, arm: Arm) -> tuple[str, Callable[[], Answer]]:
        deadline = time.monotonic() + self._shop.timeout_s
        token = self._identity.token
        if arm.kind == "read":
            known = self._acknowledged[-1] if self._acknowledged else OWN_ACCOUNT
            path = "/customers/me" if known == OWN_ACCOUNT else f"/orders/{known}"
            return known, lambda: self._door.ask("GET", path, deadline=deadline, token=token)
        number = str(uuid.uuid4())
        path, words = (
            ("/control", {"id": number}) if arm.arm == "control" else ("/orders", {"id": number, "item": ITEM})
        )
        return number, lambda: self._door.ask("POST", path, deadline=deadline, words=words, token=token)

    def _record_answer(self, instant: float, arm: Arm, number: str, answer: Answer) -> None:
        outcome = outcome_of(arm.kind, answer.status)
        self._record(
            instant,
            arm,
            number,
            outcome=outcome,
            error=None if outcome == "ok" else f"status {answer.status}",
            address=answer.address,
            web=answer.headers.get("x-served-by"),
            db=answer.headers.get("x-database"),
        )
        if outcome == "ok" and arm.kind == "write" and arm.arm == "main":
            self._acknowledged.append(number)
        if answer.status in _SIGN_IN_AGAIN:
            self._identity.renew()

    def _record(self, instant: float, arm: Arm, number: str, **seen: str | None) -> None:
        line = {"t0": instant, "t1": time.monotonic(), "kind": arm.kind, "arm": arm.arm, "id": number}
        self._lines.put(line | {"web": None, "db": None, "address": None} | seen)
        with self._counting:
            self._recorded += 1


# Journey


def journey(door: Door, shop: Shop, words: Mapping[str, object], password: str) -> dict[str, object]:
    """Go the whole way until it works once, or the time is over; return how the last try went."""
    until = time.monotonic() + float(str(words["within_s"]))
    order, tries = str(uuid.uuid4()), 0
    while True:
        tries += 1
        seen: dict[str, object] = {"ok": False, "order": order, "tries": tries, "steps": []}
        try:
            _go(door, shop, words, password, seen)
        except (NoAnswer, LookupError) as error:
            seen["error"] = str(error)
        if seen["ok"] or time.monotonic() > until:
            return seen
        time.sleep(0.05)


def _go(door: Door, shop: Shop, words: Mapping[str, object], password: str, seen: dict[str, object]) -> None:
    def step(
        name: str,
        method: str,
        path: str,
        accept: tuple[int, ...],
        body: dict[str, str] | None = None,
        token: str = "",
    ) -> Answer:
        begun = time.monotonic()
        answer = door.ask(method, path, deadline=begun + shop.timeout_s, words=body, token=token)
        steps = seen["steps"]
        assert isinstance(steps, list)  # noqa: S101  it was made above
        steps.append({"step": name, "seconds": time.monotonic() - begun, "status": answer.status})
        seen["served_by"], seen["address"] = answer.headers.get("x-served-by"), answer.address
        seen["database"] = answer.headers.get("x-database", seen.get("database"))
        if answer.status not in accept:
            raise LookupError(f"{name}: status {answer.status}")
        if words["served_by"] not in (None, seen["served_by"]):
            raise LookupError(f"{name}: served by {seen['served_by']}, not by {words['served_by']}")
        return answer

    signed = step("sign in", "POST", "/signin", (200,), _credentials(str(words["customer"]), password))
    token, login = str(signed.words()["token"]), signed.words()["login"]
    order = str(seen["order"])
    step("order", "POST", "/orders", (200, 201), {"id": order, "item": ITEM}, token=token)
    if step("read the order", "GET", f"/orders/{order}", (200,), token=token).words().get("item") != ITEM:
        raise LookupError("read the order: it is another item")
    bills = step("read the bill", "GET", f"/bills?order={order}", (200,), token=token).words()["bills"]
    if not (isinstance(bills, list) and len(bills) == 1 and bills[0]["cents"] > 0):
        raise LookupError(f"read the bill: {bills!r} instead of one")
    logins = step("find the login", "GET", "/customers/me", (200,), token=token).words()["logins"]
    if not (isinstance(logins, list) and login in [one["id"] for one in logins]):
        raise LookupError("find the login: it was not recorded")
    _be_refused(step, str(words["customer"]), password)
    seen["ok"] = True


def _be_refused(step: Callable[..., Answer], customer: str, password: str) -> None:
    """Try what the tenant's customer on hold may not do, and the one whose access was revoked."""
    tenant = customer.partition("-")[0]
    signed = step("sign in on hold", "POST", "/signin", (200,), _credentials(f"{tenant}-held", password))
    order = {"id": str(uuid.uuid4()), "item": ITEM}
    step("order on hold", "POST", "/orders", (403,), order, token=str(signed.words()["token"]))
    step("sign in revoked", "POST", "/signin", (403,), _credentials(f"{tenant}-revoked", password))


def _credentials(customer: str, password: str) -> dict[str, str]:
    return {"customer": customer, "password": password}


def _traffic(door: Door, shop: Shop, words: Mapping[str, object], password: str) -> None:
    arms = words["arms"]
    assert isinstance(arms, list)  # noqa: S101  our own sender's
    traffic = Traffic(
        shop,
        [Arm(**arm) for arm in arms],
        identity=Identity(door, shop, str(words["customer"]), password),
        door=door,
        in_flight=int(str(words["in_flight"])),
    )
    signal.signal(signal.SIGTERM, lambda *_: traffic.stopping.set())
    threading.Thread(target=_stop_at_end_of_input, args=(traffic.stopping,), daemon=True).start()
    if traffic.sign_in():
        traffic.send()


def _stop_at_end_of_input(stopping: threading.Event) -> None:
    while sys.stdin.readline():
        pass
    stopping.set()


def main() -> int:
    """Do what the first argument says; exit 0 when a journey succeeded or the traffic was stopped."""
    threading.stack_size(512 * 1024)
    words = json.loads(sys.stdin.readline())
    shop = Shop(**words.pop("shop"))
    password = str(json.loads(Path(words.pop("tenant_file")).read_text())["password"])
    door = Door(shop)
    if sys.argv[1:] == ["traffic"]:
        _traffic(door, shop, words, password)
        return 0
    if sys.argv[1:] == ["journey"]:
        seen = journey(door, shop, words, password)
        sys.stdout.write(json.dumps(seen) + "\n")
        return 0 if seen["ok"] else 1
    sys.stderr.write("usage: customer.py traffic | journey\n")
    return 2


if __name__ == "__main__":
    raise SystemExit(main())
