"""The report of one drill: what the templates print, worked out from the records and nothing else."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import jinja2
from markupsafe import Markup

from ..evidence.recorded_roles import ROLES, recorded_roles
from ..measure import FILES, DrillResult, Status, Verdict, read_records, recompute
from ..measure.facts import Facts, gather
from ..measure.milestones import between
from ..measure.model import Arm, Instant, ObjectiveResult, Records, RuleResult, StepOutcome, StepRecord
from ..measure.projection.rules import LARGEST_FACTOR
from .charts import draw_availability, draw_latency, draw_writability
from .text import amount, clean, hours, number, objective_seconds, plural, seconds
from .timeline import critical_path, draw_timeline, failover_steps

LONGEST_SENTENCE = 1200
REPORTED = (*FILES, ROLES)
"""The record files that a report is made from: those that are judged, and who had which part."""
NEVER_RAN = frozenset({StepOutcome.SKIPPED, StepOutcome.NEVER_EXECUTED, StepOutcome.REFUSED})
WORDS = (
    ("RTO, RTA", "Recovery time objective: how long a workload may be away. Recovery time actual: how long it was."),
    (
        "RPO, RPA",
        "Recovery point objective: how much may be lost, as time. Recovery point actual: the age, at the fault, of the "
        "earliest acknowledged write that is missing; 0 when none is.",
    ),
    ("MTPD", "Maximum tolerable period of disruption: beyond it the business is in danger. Always at least the RTO."),
    ("acknowledged write", "A write the customer was told is kept. Only these can be lost."),
    ("unknown", "The customer was told neither yes nor no. Such a write may be there or not; both are right."),
    ("phantom", "A write that is there though the customer was told it had failed."),
    (
        "control arm",
        "A database replicated without waiting, whose replication is held back before the fault. It must lose writes: "
        "this shows that the check can see loss.",
    ),
    ("fencing", "Stopping the old site from serving or writing. Confirmed: proven from outside, before promotion."),
    ("writer", "A node that can accept writes. Two at once are split brain and fail the drill."),
    ("standing order", "Two people's signed consent, given beforehand, to a failover under stated conditions."),
    ("critical path", "The chain of steps that decided when the failover ended; only shortening these shortens it."),
    ("not measured", "Nobody measured it, or not well enough. It never counts as passed, and is never printed as 0."),
    (
        "author, executor, approver, assessor",
        "Who answers for a version of a runbook; who began the run and sealed its evidence; who consented; who judges "
        "the evidence afterwards and is none of the others.",
    ),
    (
        "95 % upper bound",
        "Of a projection: what a restart in production is believed to exceed at most once in twenty times, if what it"
        " rests on holds.",
    ),
    ("limitation", "Something that was not real or not tested in this drill."),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Seal:
    """What a report says about the bundle it belongs to."""

    manifest_sha256: str
    signed_by: tuple[str, ...]
    verify_command: str
    note: str = ""
    assess_command: str = ""


def assess_command(bundle: Path) -> str:
    """Return what an assessor types about a bundle."""
    return (
        f"./secondsite evidence assess {bundle} --as NAME --key FILE --finding agrees|disagrees"
        " --words 'what you looked at, and what you found'"
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Tile:
    """One key figure."""

    name: str
    value: str
    beside: str
    kind: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """One part of the time from fault to service, as a share of the whole in percent."""

    name: str
    took: str
    left: float
    width: float


@dataclass(frozen=True, slots=True, kw_only=True)
class StepRow:
    """One attempt as the step table prints it; instants are relative to the fault."""

    record: StepRecord
    start: str
    end: str
    took: str
    critical: bool


def _finalize(value: object) -> object:
    return value if isinstance(value, Markup) else clean(value, longest=LONGEST_SENTENCE)


@functools.cache
def environment() -> jinja2.Environment:
    """Return the template environment: undefined names are errors, every value is cleaned, cut and escaped."""
    made = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent / "templates"),
        autoescape=jinja2.select_autoescape(enabled_extensions=("html.j2",), default=False),
        undefined=jinja2.StrictUndefined,
        finalize=_finalize,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters |= {"short": lambda value: clean(value, longest=90), "seconds": seconds, "number": number}
    made.filters |= {"hours": hours, "amount": amount}
    made.filters |= {"objective": objective_seconds, "cell": _cell}
    return made


def _cell(value: object) -> str:
    """Return text that can't leave a cell of a Markdown table or become markup there."""
    text = clean(value)
    for character in "\\`*_[]|#~":
        text = text.replace(character, "\\" + character)
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def kind_of(status: Status) -> str:
    """Return the colour class of a status."""
    return {Status.SATISFIED: "good", Status.NOT_SATISFIED: "bad"}.get(status, "open")


def reasons(result: DrillResult) -> list[RuleResult]:
    """Return the rules that made the verdict what it is; none for a pass."""
    failed = [rule for rule in result.rules if rule.status is Status.NOT_SATISFIED]
    return failed or [rule for rule in result.rules if rule.status is Status.NOT_MEASURED]


def headline(result: DrillResult, facts: Facts | None) -> str:
    """Return the one sentence a person takes away."""
    match result.verdict:
        case Verdict.PASSED:
            return _passed(result, facts)
        case Verdict.FAILED:
            return f"{plural(len(reasons(result)), 'rule is', 'rules are')} not satisfied:"
        case Verdict.INCONCLUSIVE:
            return f"Not everything was measured, so nothing is claimed. Of {len(result.rules)} rules, not measured:"
        case Verdict.ABORTED:
            return "The drill was aborted before its end. Not measured:"


def _passed(result: DrillResult, facts: Facts | None) -> str:
    where = facts.promised.serves_at if facts else "the new site"
    main = next(item for item in result.objectives if item.arm is Arm.MAIN)
    lost = f"None of {plural(result.writes.acknowledged or 0, 'acknowledged write', 'acknowledged writes')}"
    restored = f"Customers were served again from {where} after {seconds(result.times.fault_to_restored)}"
    if facts and facts.promised.refused:
        return f"The failover was refused, as it had to be. {restored}. {lost} was lost."
    if facts and facts.promised.begins_anew:
        return f"{restored}, with what the vault kept and nothing else. {_of_production(result)}"
    return f"{restored}; {objective_seconds(main.rto)} were promised. {lost} was lost."


def _of_production(result: DrillResult) -> str:
    of = plural(result.writes.acknowledged or 0, "acknowledged write was", "acknowledged writes were")
    found = result.projection
    upper, target = (found.upper_95_s, found.target_s) if found is not None else (None, None)
    return (
        f"{number(result.writes.lost)} of {of} lost. Projected to production: {hours(upper)} at the 95 % upper bound,"
        f" where {hours(target)} were promised."
    )


def tiles(result: DrillResult) -> list[Tile]:
    """Return the key figures, each coloured by the rule that judges it."""
    writes, by_id = result.writes, {rule.id: kind_of(rule.status) for rule in result.rules}
    main: list[ObjectiveResult] = [item for item in result.objectives if item.arm is Arm.MAIN]
    promised = objective_seconds(min((item.rto for item in main), default=None))
    rto = next((kind_of(item.rto_status) for item in main if item.rto_status is not Status.SATISFIED), "good")
    rpo = next((kind_of(item.rpo_status) for item in main if item.rpo_status is not Status.SATISFIED), "good")
    control = by_id.get("control-loss-seen", "open")
    writers = by_id.get("one-writer", "open")
    last = Tile(
        name="Control arm lost",
        value=number(writes.control_lost),
        beside="more than 0 shows loss can be seen",
        kind=control,
    )
    if "resumed" in by_id:  # nothing was held back, for nothing was to fail over
        last = Tile(
            name="Longest time without a write",
            value=seconds(result.gaps.write),
            beside="then writes waited for no copy any more",
            kind=by_id["resumed"],
        )
    if "production-in-time" in by_id:
        upper = result.projection.upper_95_s if result.projection is not None else None
        last = Tile(
            name="In production, at the upper bound",
            value=hours(upper),
            beside=f"promised: {hours(result.projection.target_s if result.projection is not None else None)}",
            kind=by_id["production-in-time"],
        )
    if "fence-refuted" in by_id:
        last = Tile(
            name="Promoted on a lie",
            value="nothing" if by_id["fence-refuted"] == "good" else "not excluded",
            beside="a fence answered success and dropped nothing",
            kind=by_id["fence-refuted"],
        )
    return [
        Tile(name="Fault to service restored", value=seconds(result.times.fault_to_restored),
             beside=f"promised: at most {promised}", kind=rto if main else "open"),
        Tile(name="Acknowledged writes lost", value=number(writes.lost),
             beside=f"of {number(writes.acknowledged)} acknowledged", kind=rpo if main else "open"),
        Tile(name="Longest client gap", value=seconds(result.gaps.client),
             beside="nobody at all was served", kind="plain"),
        Tile(name="Waited on people", value=seconds(result.times.waited_on_people),
             beside="part of the time above", kind="plain"),
        Tile(name="Nodes that could write at once", value=number(result.max_writers),
             beside="more than 1 is split brain", kind=writers),
        last,
    ]  # fmt: skip


def time_parts(facts: Facts) -> list[Part]:
    """Return where the time from fault to service went; a part that is not measured has no width."""
    m, main = facts.milestones, facts.restorations.get(Arm.MAIN)
    restored = main.at if main else None
    chain: list[tuple[str, Instant | None, Instant | None]] = [
        ("fault to detected", m.fault_begun, m.detected),
        ("detected to declared", m.detected, m.declared),
        ("declared to approved", m.declared, m.approved),
        ("approved to writable", m.approved, m.writable),
        ("writable to customers served", m.writable, restored),
    ]
    whole = between(m.fault_begun, restored) or 0.0
    parts = []
    for name, begin, end in chain:
        took, before = between(begin, end), between(m.fault_begun, begin)
        drawn = took is not None and before is not None and whole > 0
        left, width = (before / whole * 100, took / whole * 100) if drawn and before is not None and took else (0, 0)
        parts.append(Part(name=name, took=seconds(took), left=round(left, 2), width=round(width, 2)))
    return parts


def step_rows(records: Records, facts: Facts) -> list[StepRow]:
    """Return every attempt, by start; what never ran comes last."""
    zero, path = facts.milestones.fault_begun, critical_path(failover_steps(facts))
    outbound = {id(step) for step in failover_steps(facts)}

    def relative(t: Instant | None) -> str:
        return "never" if t is None else f"{t - zero:+.3f}" if zero is not None else f"{t:.3f}"

    ordered = sorted(records.steps or (), key=lambda step: (step.t0 is None, step.t0 or 0.0))
    return [
        StepRow(
            record=step,
            start=relative(step.t0),
            end=relative(step.t1),
            took=seconds(between(step.t0, step.t1)) if step.t0 is not None else "never executed",
            critical=step.step in path and id(step) in outbound,
        )
        for step in ordered
    ]


def texts(shown: Mapping[str, object], name: str) -> Sequence[object]:
    """Return a list from what only reports print; anything else is shown as one entry."""
    value = shown.get(name)
    return value if isinstance(value, list) else [] if value is None else [value]


def commitments(shown: Mapping[str, object]) -> list[tuple[str, str]]:
    """Return (id, how it is kept)."""
    listed = [item for item in texts(shown, "commitments") if isinstance(item, dict)]
    return [(str(item.get("id", "")), str(item.get("kept_by", ""))) for item in listed]


def view(files: Mapping[str, bytes], seal: Seal | None) -> dict[str, object]:
    """Return everything the templates print."""
    records = read_records(files)
    result = recompute(records)
    facts = gather(records, records.promised) if records.promised else None
    shared: dict[str, object] = {
        "result": result,
        "records": records,
        "facts": facts,
        "seal": seal,
        "headline": headline(result, facts),
        "reasons": reasons(result),
        "tiles": tiles(result),
        "kind_of": kind_of,
        "projection": result.projection,
        "largest_factor": LARGEST_FACTOR,
        "words": WORDS,
        "seconds": seconds,
        **_parts(files),
    }
    if facts is None:
        return shared
    return shared | {
        "parts": time_parts(facts),
        "steps": step_rows(records, facts),
        "never_ran": NEVER_RAN,
        "timeline": draw_timeline(facts),
        "availability": draw_availability(facts),
        "zoomed": draw_availability(facts, zoomed=True),
        "latency": draw_latency(facts),
        "writability": draw_writability(facts),
        "commitments": commitments(facts.promised.shown),
        "out_of_scope": texts(facts.promised.shown, "out_of_scope"),
        "criteria": texts(facts.promised.shown, "success_criteria"),
        "identity": _identity(facts),
        **_order(records),
    }


def _parts(files: Mapping[str, bytes]) -> dict[str, object]:
    """Return who had which part, line by line, and what is not known of that. Signatures are not checked here."""
    roles = recorded_roles({f"records/{name}": content for name, content in files.items()}, None)
    rows = [(part.role.value, part.name or "no name", part.key, part.of) for part in roles.parts]
    return {"parts_of": rows, "roles_unknown": [*roles.unsigned, *roles.unknown, *roles.missing]}


def _order(records: Records) -> dict[str, object]:
    """Return the standing order in force and who signed it; the lab's own identities are called what they are."""
    order = records.approvals.standing_order if records.approvals else None
    signers = [str(name) for name in texts(order or {}, "signed_by")]
    lab = bool(signers) and all(name.startswith("lab") for name in signers)
    return {"order": order, "order_signers": signers or ["nobody named"], "signed_by_lab": lab}


def _identity(facts: Facts) -> list[tuple[str, str]]:
    promised, shown = facts.promised, facts.promised.shown
    pairs: list[tuple[str, object]] = [
        ("Drill", promised.drill),
        ("Scenario", promised.scenario),
        ("Estate", promised.estate),
        ("Direction", f"{promised.origin} to {promised.target}"),
        ("Hosts cut", ", ".join(promised.fault_hosts)),
        ("Why", shown.get("why")),
        ("Started by", shown.get("started_by")),
        ("Plan digest", shown.get("plan_digest")),
        ("Estate digest", shown.get("estate_digest")),
    ]
    versions = shown.get("versions")
    if isinstance(versions, dict):
        pairs.append(("Versions", ", ".join(f"{name} {version}" for name, version in sorted(versions.items()))))
    anchored = "yes" if promised.anchored else "no: the store began without the log's previous head"
    return [(name, clean(value)) for name, value in [*pairs, ("Anchored", anchored)] if value]


def render_html(files: Mapping[str, bytes], *, seal: Seal | None = None) -> str:
    """Return the report as one HTML page that needs nothing else: no script, no font, no picture from elsewhere.

    Args:
        files: The record files by name, as in ``measure.FILES``; whatever they contain is shown as text.
        seal: The evidence bundle the report belongs to, when there is one.
    """
    return environment().get_template("drill.html.j2").render(view(files, seal))


def render_markdown(files: Mapping[str, bytes], *, seal: Seal | None = None) -> str:
    """Return the report as Markdown, short enough for a CI summary."""
    return environment().get_template("drill.md.j2").render(view(files, seal))
