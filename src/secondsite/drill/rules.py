"""Decisions about a drill: facts in, reasons out."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Mapping, Sequence

from ..estate.model import DrillWindow, Estate, SiteKind
from .model import ComesBack, FaultKind, Scenario
from .ports import CheckResult, Fetched, Passage

OPERATING_SYSTEM = "operating-system"
_CAUSES_TOLD, _CHECKS_NAMED, _WORDS_SHOWN = 5, 3, 200
MARKS: Mapping[str, str] = {
    "detect": "detected",
    "declare": "declared",
    "authorise": "approved",
    "confirm-fencing": "fenced",
}
"""Which instant of the disruption the end of a step marks. Steps by kind: see ``mark_of``."""

MARKS_BY_PREFIX: Mapping[str, str] = {
    "promote-": "writable",
    "redirect-": "redirected",
    "open-": "opened",
    "verify-": "restored-verified",
}


def mark_of(step: str) -> str | None:
    """Return the event that the end of a step marks, if any."""
    if step in MARKS:
        return MARKS[step]
    return next((event for prefix, event in MARKS_BY_PREFIX.items() if step.startswith(prefix)), None)


def as_record(passage: Passage) -> dict[str, object]:
    """Return a restore as a line of the drill's records."""
    return {
        "t0": passage.began,
        "t1": passage.ended,
        "store": passage.store,
        "phase": passage.phase,
        "from": passage.source,
        "amounts": dict(passage.amounts),
        "until": passage.until,
        "verified_by": passage.verified_by,
        "is_trial": passage.is_trial,
    }


def passage_of(fetched: Fetched) -> Passage:
    """Return what new machines are made from as one more thing that was restored."""
    return Passage(
        store=OPERATING_SYSTEM,
        phase=OPERATING_SYSTEM,
        source=fetched.source,
        amounts={"bytes": fetched.bytes},
        began=fetched.began,
        ended=fetched.ended,
        until=fetched.sha256[:12],
        verified_by="its SHA-256",
        is_trial=False,
    )


def targets_of(scenario: Scenario) -> tuple[str, ...]:
    """Name what an injector is to break where it cuts neither power nor whole links."""
    match scenario.fault:
        case FaultKind.STOP_ETCD:
            return scenario.fault_hosts
        case FaultKind.CUT_CONTROLLER:
            return ("the controller",)
        case _:
            return (scenario.fault_site,)


def names_to_prove(scenario: Scenario, estate: Estate) -> tuple[str, ...]:
    """Name everything that must fall silent for the fault to be proven."""
    match scenario.fault:
        case FaultKind.STOP_ETCD:
            return tuple(f"etcd of {host}" for host in scenario.fault_hosts)
        case FaultKind.CUT_CONTROLLER:
            return targets_of(scenario)
        case _:
            sites = scenario.sites_without_power or (scenario.fault_site,)
            return tuple(host.name for site in sites for host in estate.hosts_at(site))


def reasons_not_steady(results: Sequence[CheckResult]) -> Iterator[str]:
    """Yield each thing that was seen instead of health, once, with the checks that saw it; and that none was run."""
    if not results:
        yield "no check was run"
    causes: dict[tuple[str, str], list[str]] = {}
    for result in results:
        if result.state != "passed":
            causes.setdefault((result.state, result.saw), []).append(result.id)
    for (state, saw), names in list(causes.items())[:_CAUSES_TOLD]:
        shown = ", ".join(names[:_CHECKS_NAMED])
        others = f" and {len(names) - _CHECKS_NAMED} more" if len(names) > _CHECKS_NAMED else ""
        yield f"{shown}{others} {'is' if len(names) == 1 else 'are'} {state}: {saw[:_WORDS_SHOWN]}"
    if len(causes) > _CAUSES_TOLD:
        yield f"{len(causes) - _CAUSES_TOLD} more causes are in the records"


def reasons_not_to_drill(scenario: Scenario, estate: Estate) -> Iterator[str]:
    """Yield every reason why this scenario can't be conducted on this estate."""
    if not estate.injections:
        yield (
            f"{estate.name} permits no injection (drills/injections is empty), so there is readiness to see here and"
            " no drill: secondsite check, secondsite doctor"
        )
        return
    yield from _reasons_about_sites(scenario, estate)
    yield from _reasons_about_consent(scenario, estate)
    yield from _reasons_about_hold(scenario, estate)
    wanted = [scenario.fault.value]
    wanted += ["lying-fence"] if scenario.refused else []
    wanted += ["age-primary"] if scenario.comes_back is ComesBack.A_DAY_LATER else []
    wanted += ["destroy-data"] if scenario.begins_anew else []
    for injection in wanted:
        if injection not in estate.injections:
            yield f"the estate does not permit the injection {injection}"
    yield from _reasons_about_hosts(scenario, estate)
    yield from _reasons_about_a_cold_restart(scenario, estate)
    yield from _reasons_about_terms(scenario, estate)


def _reasons_about_hosts(scenario: Scenario, estate: Estate) -> Iterator[str]:
    for name in scenario.fault_hosts:
        host = estate.hosts.get(name)
        if host is None or "etcd" not in host.groups:
            yield f"fault_hosts names {name}, which is no member of the quorum (group etcd)"
    carrier = estate.hosts.get(scenario.lying_fence) if scenario.lying_fence is not None else None
    if scenario.lying_fence is not None and (
        carrier is None or estate.sites[carrier.site].kind is not SiteKind.CARRIER
    ):
        yield f"lying_fence is {scenario.lying_fence}, which is no carrier of this estate"
    if scenario.together_with is not None and scenario.together_with not in estate.sites:
        yield f"together_with is {scenario.together_with}, which the estate does not have"


def _reasons_about_a_cold_restart(scenario: Scenario, estate: Estate) -> Iterator[str]:
    if not scenario.begins_anew:
        return
    without = [str(name) for name, one in estate.workloads.items() if one.from_vault is None]
    if without:
        yield f"{', '.join(without)} declares no from_vault, so that a cold restart of it could not be judged"
    kept = [host for host in estate.hosts.values() if estate.sites[host.site].kind is SiteKind.VAULT]
    for group in ("repository", "append_only", "standby"):
        if not any(group in host.groups for host in kept):
            yield f"no host at a vault is of the group {group}, so that nothing could be begun anew from there"


def reasons_not_now(scenario: Scenario, estate: Estate, *, now: dt.datetime) -> Iterator[str]:
    """Yield why a drill may not begin at this instant: it would not be inside one window, to its longest end."""
    windows = estate.drills.windows if estate.drills is not None else ()
    if not windows or any(_is_inside(window, now, now + scenario.maximum) for window in windows):
        return
    ends = now + scenario.maximum
    yield (
        f"drills are held on {estate.name} in its windows only ({'; '.join(map(str, windows))}), and {scenario.name}"
        f" may take {scenario.maximum}: from now, {now:%a %Y-%m-%d %H:%M} UTC, until {ends:%a %H:%M} UTC"
    )


def _is_inside(window: DrillWindow, begins: dt.datetime, ends: dt.datetime) -> bool:
    days = (begins.date() + dt.timedelta(days=by) for by in (-2, -1, 0, 1))
    openings = (window.opening_on(day) for day in days)
    return any(one is not None and one[0] <= begins and ends <= one[1] for one in openings)


def reasons_not_to_disrupt(scenario: Scenario, estate: Estate, *, is_lab: bool) -> Iterator[str]:
    """Yield why this scenario's fault may not be brought about on these hosts, whatever the estate permits."""
    if not is_lab:
        yield (
            f"{scenario.name} disrupts ({scenario.fault.value}), and {estate.name} is no lab: that takes the consent of"
            " two persons, for which there is no way yet, because only a lab's faults can be brought about so far"
        )


def _reasons_about_hold(scenario: Scenario, estate: Estate) -> Iterator[str]:
    if scenario.hold is None:
        return
    held = estate.workloads.get(scenario.hold)
    if held is None:
        yield f"hold names the workload {scenario.hold}, which the estate does not have"
    elif not held.is_control_arm:
        yield f"hold names {scenario.hold}, which is no control arm: customers' data is never held back"
    if "hold-replication" not in estate.injections:
        yield "the estate does not permit the injection hold-replication"


def _reasons_about_sites(scenario: Scenario, estate: Estate) -> Iterator[str]:
    for key, name in (("origin", scenario.origin), ("target", scenario.target), ("fault_site", scenario.fault_site)):
        site = estate.sites.get(name)
        if site is None:
            yield f"{key} is {name}, which the estate does not have"
        elif site.kind is SiteKind.VAULT and scenario.endured and key != "target":
            continue  # a third place may be lost too, where nobody has to take over from it
        elif site.kind is not SiteKind.DATACENTER:
            yield f"{key} is {name}, which is no datacenter"


def _reasons_about_consent(scenario: Scenario, estate: Estate) -> Iterator[str]:
    lost = estate.sites.get(scenario.also_lost) if scenario.also_lost is not None else None
    if scenario.also_lost is not None and lost is None:
        yield f"also_lost is {scenario.also_lost}, which the estate does not have"
    elif lost is not None and lost.kind is not SiteKind.HEADQUARTERS:
        yield f"also_lost is {scenario.also_lost}, which is no headquarters: what is left could not go on"
    at = scenario.consent_at
    if at is not None and not any(host.site == at and "desk" in host.groups for host in estate.hosts.values()):
        yield f"consent_at is {at}, where no host is a desk (group desk) at which a deputy could consent"


def _reasons_about_terms(scenario: Scenario, estate: Estate) -> Iterator[str]:
    if estate.service_level is None:
        yield "the estate declares no service_level, so nothing could be judged"
    elif scenario.sustained < estate.service_level.sustained:
        yield f"sustained is {scenario.sustained}, shorter than the estate's {estate.service_level.sustained}"
    if estate.drills is None:
        yield "the estate declares no terms for drills"
    elif scenario.maximum > estate.drills.longest:
        yield f"maximum is {scenario.maximum}, longer than the estate's {estate.drills.longest}"
