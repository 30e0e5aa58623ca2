"""Look at every host once, and judge."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from ..checks.model import Check, Result, Section, State, World
from ..checks.rules import CHECKS
from ..checks.rules.differences import with_unused
from ..checks.rules.flows import FLOWS
from ..checks.rules.frame import concerned, judged
from ..checks.rules.procedures import PROCEDURES
from ..checks.rules.standby import NEWEST_RUN
from ..errors import ConfigError, Unreachable, UsageError
from ..estate.model import Estate, Host, HostName
from ..hands.secrets import ca_directory
from ..hands.ssh import certificate_shown
from ..probes.collecting import SLOW, Collector
from ..probes.flows.matrix import FlowMatrix
from ..store.checks import KeptChecks
from ..store.lock import CHECK_LOCK_NAME, RunLock
from .bench import PROJECT, Bench, open_bench
from .procedures import expected_digests
from .standby import copy_name

_AFTER_ANOTHER = dt.timedelta(seconds=60)
_CODES = {State.PASSED: 0, State.FAILED: 3, State.UNKNOWN: 8}


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckEnd:
    """How the checks came out."""

    results: tuple[Result, ...]
    seconds: float

    @property
    def exit_code(self) -> int:
        """3 if any failed, else 8 if any is unknown, else 0."""
        states = {result.state for result in self.results}
        return next(_CODES[state] for state in (State.FAILED, State.UNKNOWN, State.PASSED) if state in states)


def choose(tags: Sequence[str], estate: Estate) -> tuple[Check, ...]:
    """Return the checks with any of these tags or ids (all without any) that concern hosts of the estate.

    Raises:
        UsageError: no check has such a tag or id, or none of them concerns a host of the estate.
    """
    known = {tag for check in CHECKS for tag in (check.id, *check.tags)}
    wrong = [tag for tag in tags if tag not in known]
    if wrong:
        raise UsageError(
            f"no check has the tag or id {', '.join(map(repr, wrong))}",
            not_done="nothing was checked",
            next_step=f"choose of {', '.join(sorted(known))}",
        )
    groups = {group for host in estate.hosts.values() for group in host.groups}
    chosen = [check for check in CHECKS if not tags or {check.id, *check.tags} & set(tags)]
    concerning = tuple(check for check in chosen if not check.groups or check.groups & groups)
    if not concerning:
        raise UsageError(
            f"the estate has no hosts that {', '.join(check.id for check in chosen)} could look at",
            not_done="nothing was checked",
            next_step="leave the tag out, or name an estate that has such hosts with --estate",
        )
    return concerning


def run_checks(estate: Estate, tags: Sequence[str] = ()) -> CheckEnd:
    """Collect facts from every host in one round, judge them, and keep how they came out for whoever begins a run.

    Raises:
        UsageError: no such tag, or the lab is not up; nothing was looked at.
        Unreachable: no host could be reached; nothing was decided.
    """
    chosen = choose(tags, estate)
    with open_bench(estate) as bench:
        begun = bench.clock.monotonic()
        results = checked(bench, chosen)
        KeptChecks(bench.state).keep(results, at=bench.clock.now(), whole=not tags)
        return CheckEnd(results=results, seconds=bench.clock.monotonic() - begun)


def checked(bench: Bench, chosen: Sequence[Check]) -> tuple[Result, ...]:
    """Look at the hosts once and judge. Two looks at once would see each other's tries, so the second waits.

    Raises:
        Unreachable: no host could be reached; nothing was decided.
        LockHeld: another check did not end in time; nothing was looked at.
    """
    since = bench.clock.now().isoformat(timespec="seconds")
    lock = RunLock(bench.state, name=CHECK_LOCK_NAME)
    with lock.awaited(purpose="a check", since=since, clock=bench.clock, within=_AFTER_ANOTHER):
        world = _world(bench, chosen)
    results = tuple(judged(check, world) for check in chosen)
    return with_unused(results, bench.estate) if len(results) == len(choose((), bench.estate)) else results


def _world(bench: Bench, chosen: Sequence[Check]) -> World:
    empty = World(estate=bench.estate, now=bench.clock.now(), hosts={})
    wanted: dict[HostName, set[str]] = {}
    for check in chosen:
        for host in concerned(empty, check.groups):
            wanted.setdefault(host.name, set()).update(name for name in check.reads if not name.startswith("@"))
    collector = Collector(estate=bench.estate, hands=bench.hands, roots=_roots(bench))

    with ThreadPoolExecutor(max_workers=2) as aside:
        slow = aside.submit(collector.collect, {name: sections & SLOW for name, sections in wanted.items()})
        if tries := any(FLOWS in check.outside for check in chosen):
            collector.note_before_tries(wanted)
        others = {name: sections - SLOW for name, sections in wanted.items()}
        fast = aside.submit(collector.collect, others, noted=tries)
        outside = _outside(bench, chosen)
        told = fast.result()
        for name, sections in slow.result().items():
            told[name] = told.get(name, {}) | sections
    _require_one_reached(told)
    return World(estate=bench.estate, now=bench.clock.now(), hosts=told, outside=outside)


def _require_one_reached(told: Mapping[HostName, Mapping[str, Section]]) -> None:
    reached = [name for name, sections in told.items() if any(not one.trouble for one in sections.values())]
    if told and not reached:
        troubles = {section.trouble for sections in told.values() for section in sections.values()}
        raise Unreachable(
            f"none of {len(told)} hosts told anything: {'; '.join(sorted(troubles))[:400]}",
            not_done="nothing was decided",
            next_step="are the hosts up? For the lab: secondsite lab status",
        )


def _outside(bench: Bench, chosen: Sequence[Check]) -> dict[str, Section]:
    """See what the controller can see by itself."""
    wanted = {name for check in chosen for name in check.outside}
    with ThreadPoolExecutor(max_workers=len(OUTSIDE)) as pool:
        looks = {name: pool.submit(look, bench) for name, look in OUTSIDE.items() if name in wanted}
        return {name: look.result() for name, look in looks.items()}


def _flows(bench: Bench) -> Section:
    """Try what may pass between hosts, and what may not."""
    return Section(value=FlowMatrix(bench.hands, bench.estate).try_all())


def _ssh(bench: Bench) -> Section:
    """See which certificate each host shows, and which authority and key it should be of."""
    lines = bench.trust.pins.read_text().splitlines() if bench.trust.pins.exists() else []
    pins = dict(line.split(" ", 1) for line in lines if " " in line)

    def look(host: Host) -> Section:
        address = str(host.management)
        expected = {"authority": bench.trust.authority(host.site), "pinned": pins.get(address, "")}
        try:
            return Section(value={"presented": certificate_shown(address), **expected})
        except Unreachable as error:
            return Section(trouble=error.what)

    hosts = tuple(bench.estate.hosts.values())
    with ThreadPoolExecutor(max_workers=max(1, len(hosts))) as pool:
        return Section(value=dict(zip((host.name for host in hosts), pool.map(look, hosts), strict=True)))


def _procedures(bench: Bench) -> Section:
    """Print the procedures as the plan is now, for comparison with what the sites keep."""
    try:
        return Section(value=expected_digests(bench.estate, root=PROJECT))
    except ConfigError as error:
        return Section(trouble=error.what)


def _newest_run(bench: Bench) -> Section:
    """Name the newest run of this controller, and the copy in which another one must find it."""
    runs = [path.parent.name for path in (bench.state / "runs").glob("[0-9]*/plan.json")]
    return Section(value={"newest": max(runs, default=""), "copy": copy_name(bench.estate)})


# What the controller looks at by itself, by the name that checks give in `outside`, or with a `@` in `reads`.
OUTSIDE: Mapping[str, Callable[[Bench], Section]] = {
    FLOWS: _flows,
    "ssh": _ssh,
    PROCEDURES: _procedures,
    NEWEST_RUN: _newest_run,
}


def _roots(bench: Bench) -> str:
    """Return the certificates of the sites' authorities: all that a client of the estate has to trust."""
    found = sorted(ca_directory(bench.safe.directory).rglob("*.crt"))
    return "\n".join(path.read_text() for path in found)
