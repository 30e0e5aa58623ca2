"""Standing orders on disk: signed envelopes, the keys they are trusted by, and whether one covers a step.

An order is two persons' consent given beforehand. It is bound to the digest of one plan (so to its runbook, its
direction, the estate's files and every file the plan pins) and to an expiry. On the lab, two identities that the lab
makes for itself sign it; the report says so.
"""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Callable, Iterator
from pathlib import Path

from ..errors import EvidenceError
from ..estate.model import Estate, StandingOrderReference
from ..evidence.model import PublicKey
from ..evidence.sign import Identity, load_identity, new_identity, save_identity
from ..evidence.statement import sign_statement, verify_statement
from ..plan.model import Intent, Plan, Step
from ..run.ports import Covered, NotCovered

LAB_IDENTITIES = ("lab identity 1", "lab identity 2")
LIMITATION = (
    "standing order and evidence are signed by two identities that the lab made for itself: they show that nothing was"
    " changed since, not that two persons agreed"
)
_PERSONS = 2
_CONDITIONS = {
    Intent.FAILOVER: "the site is lost to every vantage host, as the plan's own guard finds",
    Intent.FAILBACK: "no node of the returned site accepts a write, as the plan's own guard finds",
}
_TRUSTED = "trusted.json"


class SignedOrders:
    """The standing orders of one estate."""

    def __init__(self, state: Path, *, estate: Estate, now: Callable[[], dt.datetime]) -> None:
        """Read nothing yet."""
        self._folder = state / "standing-orders"
        self._estate = estate
        self._now = now

    def covering(self, plan: Plan, step: Step) -> Covered | NotCovered:
        """Return the order that covers this step of this plan now, or every reason why none does."""
        if step.gate is None or not step.gate.standing_order:
            return NotCovered(reasons=(f"no standing order may consent to {step.name}",))
        reasons: list[str] = []
        meant = (plan.runbook, plan.origin, plan.target)
        for reference in self._estate.standing_orders:
            if (reference.runbook, reference.origin, reference.target) != meant:
                continue
            try:
                order = self._read(reference)
            except EvidenceError as error:
                reasons.append(f"{reference.name}: {error.what}")
                continue
            against = list(reasons_not_covered(order, plan=plan, now=self._now()))
            if not against:
                return Covered(digest=str(order["plan_digest"]), signers=self._signers())
            reasons += [f"{reference.name}: {reason}" for reason in against]
        return NotCovered(reasons=tuple(reasons) or ("the estate declares no standing order for this",))

    def sign_as_lab(self, plan: Plan, *, reference: StandingOrderReference, lasts: dt.timedelta) -> Path:
        """Sign an order for a plan with the lab's two own identities, and return where it lies."""
        identities = self.lab_identities()
        now = self._now()
        order = {
            "schema_version": 1,
            "name": reference.name,
            "estate": plan.estate,
            "runbook": plan.runbook,
            "origin": plan.origin,
            "target": plan.target,
            "plan_digest": plan.digest,
            "conditions": [_CONDITIONS[plan.intent]] if plan.intent in _CONDITIONS else [],
            "not_before": now.isoformat(),
            "expires": (now + lasts).isoformat(),
        }
        keys = [{"name": one.public_key.name, "public": one.public_key.public} for one in identities]
        _replace(self._folder / _TRUSTED, {"keys": keys})
        path = self.path_of(reference)
        _replace(path, sign_statement(order, identities))
        return path

    def lab_identities(self) -> list[Identity]:
        """Return the lab's two identities, made if they were not there."""
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        return [self._lab_identity(name) for name in LAB_IDENTITIES]

    def path_of(self, reference: StandingOrderReference) -> Path:
        """Return where the signed order lies, if there is one."""
        return self._folder / f"{reference.name}.json"

    def document(self, reference: StandingOrderReference) -> dict[str, object]:
        """Return a verified order, with who signed it."""
        return {**self._read(reference), "signed_by": list(self._signers())}

    def _read(self, reference: StandingOrderReference) -> dict[str, object]:
        path = self.path_of(reference)
        try:
            envelope = json.loads(path.read_text())
        except (OSError, ValueError) as error:
            raise EvidenceError(f"no order can be read from {path}: {error}") from error
        if not isinstance(envelope, dict):
            raise EvidenceError(f"{path} holds no signed order")
        return verify_statement(envelope, self._trusted(), threshold=_PERSONS)

    def _trusted(self) -> list[PublicKey]:
        try:
            keys = json.loads((self._folder / _TRUSTED).read_text())["keys"]
            return [PublicKey(name=key["name"], public=key["public"]) for key in keys]
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise EvidenceError(f"the keys that standing orders are trusted by can't be read: {error}") from error

    def signers(self) -> list[dict[str, str]]:
        """Return the names and keys (hexadecimal) of those whose signatures count; none where there are no orders.

        Raises:
            EvidenceError: they can't be read.
        """
        if not (self._folder / _TRUSTED).exists():
            return []
        return [{"name": key.name, "public": key.public} for key in self._trusted()]

    def _signers(self) -> tuple[str, ...]:
        return tuple(key.name for key in self._trusted())

    def _lab_identity(self, name: str) -> Identity:
        path = self._folder / f"{name.replace(' ', '-')}.pem"
        if not path.exists():
            save_identity(new_identity(name), path)
        return load_identity(name, path)


def reasons_not_covered(order: dict[str, object], *, plan: Plan, now: dt.datetime) -> Iterator[str]:
    """Yield every reason why an order does not consent to a plan now."""
    for field in ("estate", "runbook", "origin", "target"):
        if order.get(field) != getattr(plan, field):
            yield f"its {field} is {order.get(field)}, the plan's is {getattr(plan, field)}"
    if order.get("plan_digest") != plan.digest:
        yield f"it consents to plan {str(order.get('plan_digest'))[:12]}, this is {plan.digest[:12]}"
    try:
        begins, ends = (dt.datetime.fromisoformat(str(order[field])) for field in ("not_before", "expires"))
    except (KeyError, ValueError):
        yield "it does not say from when until when it holds"
        return
    if not begins <= now < ends:
        yield f"it holds from {begins} until {ends}"


def _replace(path: Path, document: object) -> None:
    partial = path.with_name(f".{path.name}")
    partial.touch(mode=0o600)
    partial.write_text(json.dumps(document, indent=1, sort_keys=True))
    partial.replace(path)
