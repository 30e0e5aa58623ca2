"""Asking keepers, and having them keep: by mutual TLS, each believed by its own name only."""

from __future__ import annotations

import http.client
import json
import socket
import ssl
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

from . import rules
from .rules import Entry, Record, Wrong
from .settings import Keeper, Settings

TIMEOUT_S = 4.0
LARGEST = 8 << 20
PAGE = 500


class NotKept(Exception):
    """Too few keepers answered, or took it; the text says who and why."""


class Refused(Exception):
    """A keeper answered that it will not; the number is HTTP's."""

    def __init__(self, code: int, why: str) -> None:
        super().__init__(why)
        self.code = code


def trusting(tls: Mapping[str, str]) -> ssl.SSLContext:
    """Return a client with this host's certificate, which is read anew each time: certificates are renewed."""
    context = ssl.create_default_context(cafile=tls["authorities"])
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_cert_chain(tls["certificate"], tls["key"])
    return context


class Line(http.client.HTTPSConnection):
    """A connection by address to a keeper that must prove its name."""

    def __init__(self, keeper: Keeper, tls: Mapping[str, str], *, timeout: float = TIMEOUT_S) -> None:
        super().__init__(keeper.name, keeper.port, timeout=timeout, context=trusting(tls))
        self._address = keeper.address

    def connect(self) -> None:
        """Connect, and see that it is who it should be."""
        plain = socket.create_connection((self._address, self.port), self.timeout)
        try:
            self.sock = self._context.wrap_socket(plain, server_hostname=self.host)
        except BaseException:
            plain.close()
            raise

    def ask(self, path: str, document: Any) -> dict[str, Any]:
        """Return what was answered.

        Raises:
            Refused: it was not done.
            OSError, http.client.HTTPException, ValueError: there was no answer, or none that can be read.
        """
        self.request("POST", path, json.dumps(document).encode(), {"Content-Type": "application/json"})
        answer = self.getresponse()
        body = answer.read(LARGEST)
        words = json.loads(body)
        if not isinstance(words, dict):
            raise ValueError("the answer is no object")
        if answer.status != 200:
            raise Refused(answer.status, str(words.get("refused"))[:300])
        return words


def ask(keeper: Keeper, tls: Mapping[str, str], path: str, document: Any) -> dict[str, Any]:
    """Ask one keeper one thing; see ``Line.ask``."""
    line = Line(keeper, tls)
    try:
        return line.ask(path, document)
    finally:
        line.close()


@dataclass(frozen=True, slots=True, kw_only=True)
class Answers:
    """What each keeper answered, and why the others did not."""

    given: Mapping[str, dict[str, Any]] = field(default_factory=dict)
    missing: Mapping[str, str] = field(default_factory=dict)

    def why(self) -> str:
        """Say why some did not answer."""
        return "; ".join(f"{name}: {why}" for name, why in sorted(self.missing.items()))


def ask_all(keepers: Sequence[Keeper], tls: Mapping[str, str], path: str, document: Any) -> Answers:
    """Ask several at once."""

    def one(keeper: Keeper) -> dict[str, Any] | str:
        try:
            return ask(keeper, tls, path, document)
        except (Refused, OSError, http.client.HTTPException, ValueError) as error:
            return f"{error}" or type(error).__name__

    with ThreadPoolExecutor(max(len(keepers), 1)) as pool:
        came = dict(zip([keeper.name for keeper in keepers], pool.map(one, keepers), strict=True))
    given = {name: words for name, words in came.items() if isinstance(words, dict)}
    return Answers(given=given, missing={name: why for name, why in came.items() if isinstance(why, str)})


def records_after(line: Line, *, number: int, head: str, keeper: str | None) -> tuple[list[Record], dict[str, Any]]:
    """Return a keeper's records after so many, and what its chain is then; they must follow what was seen before.

    Raises:
        Wrong: they do not.
    """
    found: list[Record] = []
    while True:
        said = line.ask("/records", {"after": number + len(found), "most": PAGE})
        about = {"keeper": str(said["keeper"]), "number": int(said["number"]), "head": str(said["head"])}
        if keeper is not None and about["keeper"] != keeper:
            raise Wrong("it began another chain meanwhile")
        keeper = about["keeper"]
        page = [rules.record_in(words) for words in said["records"]]
        found += page
        if number + len(found) >= about["number"] or not page:
            break
    reached = rules.head_of(found, keeper=keeper, number=number, head=head)
    if number + len(found) < about["number"] or (number + len(found) == about["number"] and reached != about["head"]):
        raise Wrong("its records do not lead to the digest that it names")
    return found, {"keeper": keeper, "number": number + len(found), "head": reached}


class Ledger:
    """The ledger as its keepers have it."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._apart = {one.name: one.apart for one in settings.keepers}

    def whole(self, keeper: Keeper) -> tuple[list[Record], dict[str, Any]]:
        """Return one keeper's whole chain, verified.

        Raises:
            Wrong: the chain is broken.
            Refused, OSError, http.client.HTTPException, ValueError: it does not answer.
        """
        line = Line(keeper, self._settings.tls)
        try:
            return records_after(line, number=0, head="", keeper=None)
        finally:
            line.close()

    def read(self, *, only: str = "") -> tuple[list[Entry], dict[str, dict[str, Any]]]:
        """Return every entry that any keeper has, and each one's chain; a majority must answer, or the one that is named.

        Raises:
            NotKept: too few did, or their chains are broken.
        """
        wanted = [one for one in self._settings.keepers if only in ("", one.name)]
        entries: list[Entry] = []
        heads: dict[str, dict[str, Any]] = {}
        reasons = [] if wanted else [f"{only or 'nobody'} keeps no ledger"]
        for keeper in wanted:
            try:
                records, heads[keeper.name] = self.whole(keeper)
                entries += [record.entry for record in records]
            except (Refused, OSError, http.client.HTTPException, ValueError) as error:
                reasons.append(f"{keeper.name}: {error or type(error).__name__}")
        if len(heads) < (1 if only else rules.enough(len(self._apart))):
            raise NotKept("; ".join(reasons))
        return rules.in_order(entries), heads

    def add(self, entry: Entry) -> tuple[str, ...]:
        """Have the entry kept; return who has it. Adding it again changes nothing.

        Raises:
            NotKept: too few took it. Those that did pass it on: it may come into force later.
        """
        came = ask_all(self._settings.keepers, self._settings.tls, "/add", {"entries": [entry.words()]})
        reasons = list(rules.reasons_not_to_acknowledge(entry, took=came.given, keepers=self._apart))
        if reasons:
            raise NotKept("; ".join([*reasons, *([came.why()] if came.missing else [])]))
        return tuple(sorted(came.given))

    def live_keys(self, subjects: Sequence[str]) -> Answers:
        """Ask each keeper which of these accounts it still has keys of."""
        return ask_all(self._settings.keepers, self._settings.tls, "/live-keys", {"subjects": list(subjects)})

    def erased(self, subjects: Sequence[str]) -> Answers:
        """Ask each keeper which of these accounts were erased."""
        return ask_all(self._settings.keepers, self._settings.tls, "/erased", {"subjects": list(subjects)})

    @property
    def majority(self) -> int:
        """Return how many keepers any two majorities have one in common of."""
        return rules.enough(len(self._apart))

    def keys(self, subject: str) -> Iterator[tuple[Keeper, dict[str, Any] | Refused]]:
        """Yield what each keeper that answers has for an account, those of the own site first."""
        for keeper in self._settings.keepers:
            try:
                yield keeper, ask(keeper, self._settings.tls, "/keys", {"subject": subject})
            except Refused as refused:
                yield keeper, refused
            except (OSError, http.client.HTTPException, ValueError):
                continue

    def add_key(self, key: Mapping[str, Any]) -> None:
        """Have a key kept by a majority.

        Raises:
            NotKept: too few took it; it must not be used.
        """
        came = ask_all(self._settings.keepers, self._settings.tls, "/add-key", dict(key))
        if len(came.given) < rules.enough(len(self._apart)):
            raise NotKept(came.why() or "there are no keepers")
