"""Who had which part in a drill, read from its bundle and checked against the rest of it.

``records/roles.json`` is written when a drill ends: who began it and its runs, who answers for each run's runbook with
which signature, every signed answer at a gate, and who signs standing orders. What else in the bundle names somebody
(the keys that sealed it, the envelopes of standing orders, the consents that were recorded) counts besides, so that
leaving a person out of one place hides nobody whom another place names.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence

from ..errors import EvidenceError, Problem
from .canonical import canonical
from .manifest import ENVELOPE, KEYS
from .ports import Signatures
from .roles import (
    APPROVAL_NAMESPACE,
    RUNBOOK_NAMESPACE,
    Part,
    Role,
    Roles,
    approval_statement,
    fingerprint,
    runbook_statement,
    runbook_version,
    same_name,
)

SCHEMA_VERSION = 1
ROLES = "roles.json"
RECORD = f"records/{ROLES}"
_PROMISED, _APPROVALS = "records/promised.json", "records/approvals.json"
_ORDER, _ORDERS, _PLANS = "standing-order.json", "standing-orders/", "plans/"
_LISTS: Mapping[str, type] = {"executors": str, "runs": dict, "answers": dict, "order_signers": dict}
_KEY_LENGTH = 64
_MOST_SIGNATURES = 1000
NOT_RECORDED = (
    "the evidence does not say who had which part: it is of a version that did not record that, or it could not be read"
    " when the drill ended"
)


def recorded_roles(files: Mapping[str, bytes], signatures: Signatures | None) -> Roles:
    """Return who had which part as a bundle's files show.

    Without ``signatures`` nothing that persons signed is checked: the keys are those that were stated.
    """
    reader = _Reader(files, signatures)
    reader.read()
    return Roles(
        parts=tuple(dict.fromkeys(reader.parts)),
        missing=tuple(dict.fromkeys(reader.missing)),
        unsigned=tuple(dict.fromkeys(reader.unsigned)),
        unknown=tuple(dict.fromkeys(reader.unknown)),
        problems=tuple(reader.problems),
    )


class _Reader:
    """Collects what one bundle says. Whatever it holds may be hostile: what is not as it should be is a problem."""

    def __init__(self, files: Mapping[str, bytes], signatures: Signatures | None) -> None:
        self.files, self.signatures = files, signatures
        self.parts: list[Part] = []
        self.missing: list[str] = []
        self.unsigned: list[str] = []
        self.unknown: list[str] = []
        self.problems: list[Problem] = []
        self._checked = 0

    def read(self) -> None:
        """Read all of it, in the order in which it is told."""
        record = self._document(RECORD)
        self._check_shape(record)
        runs = _objects(record, "runs")
        for number, run in enumerate(runs):
            self._author(run, f"/runs/{number}")
        self._executors(record, runs)
        self._sealers()
        self._answers(_objects(record, "answers"))
        self._orders(record)
        self._consents(record)
        if RECORD not in self.files:
            self.missing.append(NOT_RECORDED)
            return
        told = {_text(run, "run") for run in runs}
        self.missing += [
            f"the evidence does not say who answers for the runbook of {name}"
            for name in self._plans()
            if name not in told
        ]
        if not any(part.name for part in self.parts if part.role is Role.EXECUTOR):
            self.missing.append("the evidence does not say who began the drill")

    def _check_shape(self, record: Mapping[str, object]) -> None:
        if not record:
            return
        if record.get("schema_version") != SCHEMA_VERSION:
            self._problem(RECORD, f"it is not of schema version {SCHEMA_VERSION}", "/schema_version")
        for name, kind in _LISTS.items():
            found = record.get(name)
            if not isinstance(found, list) or not all(isinstance(one, kind) for one in found):
                self._problem(RECORD, "it is missing, or not a list as it should be", f"/{name}")

    def _author(self, run: Mapping[str, object], pointer: str) -> None:
        runbook, version, name = (_text(run, field) for field in ("runbook", "version", "run"))
        of = f"{runbook}, version {version[:12]}"
        author = run.get("author")
        if version or isinstance(author, Mapping):  # else the run was never begun, and nobody is said to answer for it
            self._check_version(name, runbook, version, pointer)
        if not isinstance(author, Mapping):
            why = _text(run, "why") or "it is not signed"
            told = version[:12] or "not known"
            self.unsigned.append(f"nobody answers for this version of {runbook} ({told}): {why}")
            return
        who, key = _text(author, "name"), _text(author, "key")
        statement = canonical(runbook_statement(runbook=runbook, version=version, author=who, at=_text(author, "at")))
        signed = statement, _text(author, "signature"), RUNBOOK_NAMESPACE
        self._check_signature(signed, key=key, who=who, pointer=f"{pointer}/author")
        self.parts.append(Part(role=Role.AUTHOR, name=who, key=key, of=of))

    def _check_version(self, run: str, runbook: str, version: str, pointer: str) -> None:
        plan = self._document(f"{_PLANS}{run}.json")
        pins = plan.get("pins")
        if not isinstance(pins, Mapping):
            self._problem(RECORD, f"the plan of {run!r:.80} is not in the bundle", pointer)
        elif (
            plan.get("runbook") != runbook or runbook_version(runbook, {k: str(v) for k, v in pins.items()}) != version
        ):
            self._problem(RECORD, f"the version of {runbook!r:.80} is not that of the plan of {run!r:.80}", pointer)

    def _executors(self, record: Mapping[str, object], runs: Sequence[Mapping[str, object]]) -> None:
        names = [*_texts(record, "executors"), _text(self._document(_PROMISED), "started_by")]
        self.parts += [Part(role=Role.EXECUTOR, name=name, of="the drill") for name in names if name]
        for run in runs:
            of = f"run {_text(run, 'run')}"
            self.parts += [Part(role=Role.EXECUTOR, name=name, of=of) for name in _texts(run, "began")]

    def _sealers(self) -> None:
        """Whose key sealed the bundle, by the keys in it and by the signatures over it."""
        names = {_text(key, "public"): _text(key, "name") for key in _objects(self._document(KEYS), "keys")}
        for public in {**names, **dict.fromkeys(_signing_keys(self._document(ENVELOPE)), "")}:
            if _is_key(public):
                name, key = names.get(public, ""), fingerprint(public)
                self.parts.append(Part(role=Role.EXECUTOR, name=name, key=key, of="the drill, sealing its evidence"))

    def _answers(self, answers: Sequence[Mapping[str, object]]) -> None:
        for number, one in enumerate(answers):
            answer, key = one.get("answer"), _text(one, "key")
            if not isinstance(answer, Mapping):
                self._problem(RECORD, "an answer is no object", f"/answers/{number}")
                continue
            who = _text(answer, "who")
            signed = approval_statement(answer), _text(answer, "signature"), APPROVAL_NAMESPACE
            self._check_signature(signed, key=key, who=who, pointer=f"/answers/{number}")
            of = f"{_text(answer, 'gate')} in run {_text(answer, 'run')}"
            self.parts.append(Part(role=Role.APPROVER, name=who, key=key, of=of))

    def _orders(self, record: Mapping[str, object]) -> None:
        names = {_text(one, "public"): _text(one, "name") for one in _objects(record, "order_signers")}
        for path in sorted(self.files):
            if path != _ORDER and not path.startswith(_ORDERS):
                continue
            of = path.removeprefix(_ORDERS).removesuffix(".json")
            for public in filter(_is_key, _signing_keys(self._document(path))):
                part = Part(role=Role.ORDER_SIGNER, name=names.get(public, ""), key=fingerprint(public), of=of)
                self.parts.append(part)

    def _consents(self, record: Mapping[str, object]) -> None:
        """Whoever consented by the record counts, also without a signed answer; whose key is not known then."""
        signers = {_text(one, "name"): _text(one, "public") for one in _objects(record, "order_signers")}
        for role, who, of in self._recorded_consents():
            if any(part.role is role and same_name(part.name, who) for part in self.parts):
                continue
            public = signers.get(who, "") if role is Role.ORDER_SIGNER else ""
            key = fingerprint(public) if _is_key(public) else ""
            self.parts.append(Part(role=role, name=who, key=key, of=of))
            self.unknown += [] if key else [f"with which key {who} consented to {of}"]

    def _recorded_consents(self) -> Iterator[tuple[Role, str, str]]:
        document = self._document(_APPROVALS)
        order = document.get("standing_order")
        for who in _texts(order, "signed_by") if isinstance(order, Mapping) else ():
            yield Role.ORDER_SIGNER, who, "the standing order in force"
        for consent in _objects(document, "approvals"):
            role = Role.ORDER_SIGNER if consent.get("by") == "standing-order" else Role.APPROVER
            for who in _texts(consent, "persons"):
                yield role, who, _text(consent, "gate")

    def _plans(self) -> Iterator[str]:
        for path in sorted(self.files):
            if path.startswith(_PLANS) and path.endswith(".json"):
                yield path.removeprefix(_PLANS).removesuffix(".json")

    def _check_signature(self, signed: tuple[bytes, str, str], *, key: str, who: str, pointer: str) -> None:
        if self.signatures is None:
            return
        self._checked += 1
        if self._checked > _MOST_SIGNATURES:
            raise EvidenceError(f"{RECORD}: more than {_MOST_SIGNATURES} signatures", not_done="nothing was verified")
        statement, signature, namespace = signed
        try:
            found = self.signatures.key_of(statement, signature, namespace=namespace)
        except EvidenceError as error:
            self._problem(RECORD, f"{who!r:.80} did not sign what is recorded: {error.what}", pointer)
            return
        if found != key:
            self._problem(RECORD, f"{who!r:.80} is recorded with key {key!r:.80} and signed with {found}", pointer)

    def _document(self, path: str) -> Mapping[str, object]:
        if path not in self.files:
            return {}
        try:
            found = json.loads(self.files[path])
        except (ValueError, RecursionError):
            found = None
        if isinstance(found, dict):
            return found
        if not any(problem.file == path for problem in self.problems):
            self._problem(path, "it is no JSON object, so who had which part can't be read from it", "")
        return {}

    def _problem(self, file: str, what: str, pointer: str) -> None:
        self.problems.append(Problem(file=file, line=None, pointer=pointer, what=what))


def _signing_keys(envelope: Mapping[str, object]) -> list[str]:
    """Return the ids of the keys that signed an envelope: an id is the key itself (``evidence.sign``)."""
    return [_text(signature, "keyid") for signature in _objects(envelope, "signatures")]


def _is_key(word: str) -> bool:
    return len(word) == _KEY_LENGTH and not set(word) - set("0123456789abcdef")


def _objects(document: Mapping[str, object], name: str) -> list[Mapping[str, object]]:
    found = document.get(name)
    return [one for one in found if isinstance(one, Mapping)] if isinstance(found, list) else []


def _texts(document: Mapping[str, object], name: str) -> list[str]:
    found = document.get(name)
    return [one for one in found if isinstance(one, str)] if isinstance(found, list) else []


def _text(document: Mapping[str, object], name: str) -> str:
    found = document.get(name)
    return found if isinstance(found, str) else ""
