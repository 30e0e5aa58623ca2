"""Look at every host once, and judge."""

from __future__ import annotations

import contextlib
import datetime as dt
import json
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..checks.model import Check, Result, Section, State, World
from ..checks.rules import CHECKS
from ..checks.rules.differences import with_unused
from ..checks.rules.erasures import AUDIT
from ..checks.rules.escrow import ESCROW
from ..checks.rules.flows import FLOWS
from ..checks.rules.frame import concerned, judged
from ..checks.rules.paging import TEST_PAGES
from ..checks.rules.procedures import PROCEDURES
from ..checks.rules.standby import KIT, NEWEST_RUN
from ..errors import ConfigError, SecondsiteError, Unreachable, UsageError
from ..estate.model import Estate, Host, HostName
from ..hands.secrets import ca_directory
from ..probes.collecting import TRIES, Collector, notes
from ..probes.erasures import audited
from ..probes.flows.matrix import FlowMatrix, Order
from ..probes.pages import TestPages
from ..store.checks import KeptChecks
from ..store.lock import CHECK_LOCK_NAME, RunLock
from .lookout import Lookout, open_lookout
from .places import PROJECT, SENT_KIT

if TYPE_CHECKING:
    from .bench import Bench

_AFTER_ANOTHER = dt.timedelta(seconds=60)
_SEEN_WITHIN_S = 2.0  # a look makes its connections while it begins
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
    with open_lookout(estate) as lookout:
        begun = lookout.clock.monotonic()
        results = checked(lookout, chosen)
        KeptChecks(lookout.state).keep(results, at=lookout.clock.now(), whole=not tags)
        return CheckEnd(results=results, seconds=lookout.clock.monotonic() - begun)


def checked(lookout: Lookout | Bench, chosen: Sequence[Check]) -> tuple[Result, ...]:
    """Look at the hosts once and judge. Two looks at once would see each other's tries, so the second waits.

    Raises:
        Unreachable: no host could be reached; nothing was decided.
        LockHeld: another check did not end in time; nothing was looked at.
    """
    since = lookout.clock.now().isoformat(timespec="seconds")
    lock = RunLock(lookout.state, name=CHECK_LOCK_NAME)
    with lock.awaited(purpose="a check", since=since, clock=lookout.clock, within=_AFTER_ANOTHER):
        world = _world(lookout, chosen)
    results = tuple(judged(check, world) for check in chosen)
    return with_unused(results, lookout.estate) if len(results) == len(choose((), lookout.estate)) else results


def _world(lookout: Lookout | Bench, chosen: Sequence[Check]) -> World:
    empty = World(estate=lookout.estate, now=lookout.clock.now(), hosts={})
    wanted: dict[HostName, set[str]] = {}
    for check in chosen:
        for host in concerned(empty, check.groups):
            wanted.setdefault(host.name, set()).update(name for name in check.reads if not name.startswith("@"))
    collector = Collector(estate=lookout.estate, hands=lookout.hands, roots=_roots(lookout))

    matrix = FlowMatrix(lookout.hands, lookout.estate) if any(FLOWS in check.outside for check in chosen) else None
    told: dict[HostName, dict[str, Section]] = {}

    def ask(tries: Mapping[HostName, Order]) -> Mapping[HostName, Section]:
        found = collector.collect(wanted, noted=matrix is not None, tries=tries)
        tried = {name: found[name].pop(TRIES) for name in tries}
        told.update({name: sections for name, sections in found.items() if sections})  # some were asked to try only
        return tried

    with matrix or contextlib.nullcontext(), ThreadPoolExecutor(max_workers=1) as aside:
        outside = aside.submit(_outside, lookout, chosen)
        if matrix is None:
            ask({})
            seen = outside.result()
        else:
            matrix.begin(notes(wanted))
            flows = Section(value=matrix.try_all(ask))
            seen = {**outside.result(), FLOWS: flows}
    _require_one_reached(told)
    return World(estate=lookout.estate, now=lookout.clock.now(), hosts=told, outside=seen)


def _require_one_reached(told: Mapping[HostName, Mapping[str, Section]]) -> None:
    reached = [name for name, sections in told.items() if any(not one.trouble for one in sections.values())]
    if told and not reached:
        troubles = {section.trouble for sections in told.values() for section in sections.values()}
        raise Unreachable(
            f"none of {len(told)} hosts told anything: {'; '.join(sorted(troubles))[:400]}",
            not_done="nothing was decided",
            next_step="are the hosts up? For the lab: secondsite lab status",
        )


def _outside(lookout: Lookout | Bench, chosen: Sequence[Check]) -> dict[str, Section]:
    """See what the controller can see by itself, flows apart."""
    wanted = {name for check in chosen for name in check.outside}
    with ThreadPoolExecutor(max_workers=len(OUTSIDE)) as pool:
        looks = {name: pool.submit(look, lookout) for name, look in OUTSIDE.items() if name in wanted}
        return {name: look.result() for name, look in looks.items()}


def _ssh(lookout: Lookout | Bench) -> Section:
    """See which certificate each host shows, and which authority and key it should be of."""
    lines = lookout.trust.pins.read_text().splitlines() if lookout.trust.pins.exists() else []
    pins = dict(line.split(" ", 1) for line in lines if " " in line)
    begun = lookout.clock.monotonic() - _SEEN_WITHIN_S

    def look(host: Host) -> Section:
        address = str(host.management)
        expected = {"authority": lookout.trust.authority(host.site), "pinned": pins.get(address, "")}
        try:
            return Section(value={"presented": lookout.hands.certificate(host.name, not_before=begun), **expected})
        except Unreachable as error:
            return Section(trouble=error.what)

    hosts = tuple(lookout.estate.hosts.values())
    with ThreadPoolExecutor(max_workers=max(1, len(hosts))) as pool:
        return Section(value=dict(zip((host.name for host in hosts), pool.map(look, hosts), strict=True)))


def _procedures(lookout: Lookout | Bench) -> Section:
    """Print the procedures as the plan is now, for comparison with what the sites keep."""
    from .procedures import expected_digests  # noqa: PLC0415  what prints takes long to import

    try:
        return Section(value=expected_digests(lookout.estate, root=PROJECT))
    except ConfigError as error:
        return Section(trouble=error.what)


def _newest_run(lookout: Lookout | Bench) -> Section:
    """Name the newest run of this controller, and the copy in which another one must find it."""
    from .standby import copy_name  # noqa: PLC0415  as above

    runs = [path.parent.name for path in (lookout.state / "runs").glob("[0-9]*/plan.json")]
    return Section(value={"newest": max(runs, default=""), "copy": copy_name(lookout.estate)})


def _kit(lookout: Lookout | Bench) -> Section:
    """Tell which version runs here, and which kit the vault was given last; nothing if none ever was."""
    from .kit import program_version  # noqa: PLC0415  as above

    try:
        noted = lookout.state / SENT_KIT
        sent = json.loads(noted.read_text(encoding="ascii")) if noted.exists() else {}
        return Section(value={"sent": sent, "version": program_version(lookout.estate)})
    except (OSError, ValueError) as error:
        return Section(trouble=f"the program can't be read: {error}")


def _escrow(lookout: Lookout | Bench) -> Section:
    """Tell what hosts that keep packages of escrow must have."""
    from .escrow import expected_of_hosts  # noqa: PLC0415  as above
    from .escrow_steps import folder_name  # noqa: PLC0415
    from .standby import copy_name  # noqa: PLC0415

    try:
        expected = expected_of_hosts(lookout.estate, lookout.safe, lookout.state)
    except SecondsiteError as error:
        return Section(trouble=error.what)
    return Section(value={**expected, "folder": folder_name(lookout.estate), "copy": copy_name(lookout.estate)})


def _test_pages(lookout: Lookout | Bench) -> Section:
    """Have test pages sent, and see where they arrive."""
    return TestPages(lookout.hands, lookout.estate).try_all(at=lookout.clock.now())


# What the controller looks at by itself, by the name that checks give in `outside`, or with a `@` in `reads`.
OUTSIDE: Mapping[str, Callable[[Lookout | Bench], Section]] = {
    "ssh": _ssh,
    PROCEDURES: _procedures,
    TEST_PAGES: _test_pages,
    AUDIT: lambda lookout: audited(lookout.hands, lookout.estate),
    NEWEST_RUN: _newest_run,
    ESCROW: _escrow,
    KIT: _kit,
}


def _roots(lookout: Lookout | Bench) -> str:
    """Return the certificates of the sites' authorities: all that a client of the estate has to trust."""
    found = sorted(ca_directory(lookout.safe.directory).rglob("*.crt"))
    return "\n".join(path.read_text() for path in found)
