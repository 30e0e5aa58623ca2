"""The record files that are one JSON document each, as nouns."""

from __future__ import annotations

from .fields import Fields, Malformed
from .model import (
    A_DAY_LATER,
    AT_THE_END,
    ONCE_PROMOTED,
    WHILE_PROMOTING,
    Approvals,
    Arm,
    Clocks,
    Consent,
    Promised,
    PromisedWorkload,
    ServiceLevel,
    Silence,
)
from .phases import parse_production

LONGEST_SUSTAINED = 24 * 3600
_JUDGED = frozenset(
    {
        "schema_version",
        "drill",
        "scenario",
        "estate",
        "anchored",
        "origin",
        "target",
        "fault_hosts",
        "returns",
        "nodes",
        "workloads",
        "service_level",
        "endured",
        "resumes_within_s",
        "writers_may_stop",
        "refused",
        "comes_back",
        "begins_anew",
        "stores",
        "producers",
        "erases",
        "production",
    }
)


def _workload(fields: Fields) -> PromisedWorkload:
    rto, mtpd = fields.number("rto_s"), fields.number("mtpd_s")
    if not 0 < rto <= mtpd:
        raise Malformed(f"need 0 < rto_s <= mtpd_s, found {rto} and {mtpd}")
    return PromisedWorkload(
        name=fields.text("name"),
        arm=fields.word("arm", Arm),
        rto=rto,
        rpo=fields.number_or_none("rpo_s"),
        mtpd=mtpd,
        writers=fields.texts("writers"),
    )


def _whole_seconds(fields: Fields, name: str) -> int:
    value = fields.number(name)
    if value != int(value):
        raise Malformed(f"{name!r} must be whole seconds, found {value}")
    return int(value)


def _service_level(fields: Fields) -> ServiceLevel:
    sustained = _whole_seconds(fields, "sustained_s")
    after_return = _whole_seconds(fields, "return_sustained_s") if "return_sustained_s" in fields.all else sustained
    level = ServiceLevel(
        ratio=fields.number("ratio"),
        latency=fields.number("latency_s"),
        sustained=sustained,
        sustained_after_return=after_return,
        served_before=fields.number_or_none("served_before_s"),
    )
    if not 0 < level.ratio <= 1 or level.latency <= 0:
        raise Malformed("service_level needs 0 < ratio <= 1 and latency_s > 0")
    if level.served_before is not None and level.served_before < 1:
        raise Malformed("served_before_s must be at least 1")
    if not (1 <= sustained <= LONGEST_SUSTAINED and 1 <= after_return <= LONGEST_SUSTAINED):
        raise Malformed(f"sustained_s and return_sustained_s must be from 1 to {LONGEST_SUSTAINED}")
    return level


def _is(fields: Fields, name: str) -> bool:
    """Read what older evidence does not say, and then is not so."""
    return fields.truth(name) if name in fields.all else False


def parse_promised(value: object) -> Promised:
    """Return what was pinned before the start; a promise that can't be meant is refused."""
    fields = Fields(value)
    workloads = tuple(_workload(item) for item in fields.objects("workloads"))
    names = [workload.name for workload in workloads]
    if len(set(names)) != len(names) or not any(workload.arm is Arm.MAIN for workload in workloads):
        raise Malformed("workloads needs one entry per name and at least one of the main arm")
    production, target = (None, None)
    if fields.all.get("production") is not None:
        production, target = parse_production(fields.all["production"])
    promised = Promised(
        drill=fields.text("drill"),
        scenario=fields.text("scenario"),
        estate=fields.text("estate"),
        anchored=fields.truth("anchored"),
        origin=fields.text("origin"),
        target=fields.text("target"),
        fault_hosts=fields.texts("fault_hosts"),
        returns=fields.truth("returns"),
        nodes=fields.text_map("nodes"),
        workloads=workloads,
        service_level=_service_level(Fields(fields.all.get("service_level"))),
        endured=_is(fields, "endured"),
        writers_may_stop=_is(fields, "writers_may_stop"),
        refused=_is(fields, "refused"),
        comes_back=fields.text("comes_back") if "comes_back" in fields.all else AT_THE_END,
        resumes_within=fields.number_or_none("resumes_within_s"),
        begins_anew=_is(fields, "begins_anew"),
        stores=fields.texts_or_none("stores"),
        erases=_is(fields, "erases"),
        producers=fields.texts_or_none("producers"),
        production=production,
        production_target=target,
        shown={key: item for key, item in fields.all.items() if key not in _JUDGED},
    )
    _require_one_end(promised)
    return promised


def _require_one_end(promised: Promised) -> None:
    if promised.endured and (promised.resumes_within is None or promised.resumes_within <= 0 or promised.returns):
        raise Malformed("what is endured needs resumes_within_s > 0, and nothing returns")
    if promised.refused and (promised.endured or promised.returns):
        raise Malformed("what is refused is not endured, and nothing returns")
    if promised.begins_anew and (promised.endured or promised.refused or promised.returns):
        raise Malformed("a cold restart is neither endured nor refused, and nothing returns")
    if promised.writers_may_stop and not promised.endured:
        raise Malformed("writers_may_stop is for what is endured")
    if promised.comes_back not in {AT_THE_END, WHILE_PROMOTING, ONCE_PROMOTED, A_DAY_LATER}:
        raise Malformed(f"comes_back is {promised.comes_back!r:.80}")
    if promised.origin == promised.target:
        raise Malformed(f"origin and target are both {promised.origin!r:.80}")


def parse_silence(value: object) -> Silence:
    """Return what was heard after the cut."""
    fields = Fields(value)
    return Silence(
        hosts=fields.texts("hosts"),
        watched_from=fields.instant("watched_from"),
        watched_until=fields.instant("watched_until"),
        packets_heard=fields.count("packets_heard"),
        answers=fields.texts("answers"),
    )


def parse_clocks(value: object) -> Clocks:
    """Return whose clock each recorder read."""
    fields = Fields(value)
    return Clocks(
        clock=fields.text("clock"),
        controller=fields.text("controller"),
        hosts=fields.text_map("hosts"),
        uncertainty=fields.number_or_none("uncertainty_s"),
    )


def limitations_from(value: object) -> tuple[str, ...]:
    """Return the sentences."""
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise Malformed("expected a list of sentences")
    return tuple(value)


def _consent(fields: Fields) -> Consent:
    consent = Consent(
        gate=fields.text("gate"),
        by=fields.text("by"),
        persons=fields.texts_or_none("persons"),
        asked=fields.instant("asked"),
        answered=fields.instant("answered"),
    )
    if consent.by not in {"standing-order", "persons"}:
        raise Malformed(f"'by' must be standing-order or persons, found {consent.by!r:.80}")
    if consent.answered < consent.asked:
        raise Malformed(f"the gate {consent.gate!r:.80} was answered before it was asked")
    return consent


def parse_approvals(value: object) -> Approvals:
    """Return who consented to what, and the standing order in force."""
    fields = Fields(value)
    order = fields.all.get("standing_order")
    return Approvals(
        standing_order=None if order is None else Fields(order).all,
        consents=tuple(_consent(item) for item in fields.objects("approvals")),
    )
