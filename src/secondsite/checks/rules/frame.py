"""How a rule becomes a check, and what becomes of its findings. See docs/how-to/add-a-check.md."""

from __future__ import annotations

import datetime as dt
import fnmatch
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from typing import NotRequired, TypedDict, Unpack

from ...estate.model import Difference, Host, HostName
from ..model import Check, Facts, Finding, Pair, Result, State, World
from .twins import pairs

MANY = 6
LONGEST = 700

# What a wrong or hostile answer of a host makes of a rule. A bug of ours looks the same: unknown, never passed.
MALFORMED = (KeyError, TypeError, ValueError, AttributeError, IndexError)

HostRule = Callable[[Host, Facts, World], Iterable[Finding]]
PairRule = Callable[[Pair, Facts, Facts, World], Iterable[Finding]]
EstateRule = Callable[[World, Mapping[HostName, Facts]], Iterable[Finding]]


class Words(TypedDict):
    """What every check says of itself; lists are words with spaces between them."""

    expected: str
    fix: str
    reads: str
    commitments: str
    controls: str
    tags: NotRequired[str]
    outside: NotRequired[str]


def good(saw: str, *hosts: HostName) -> Finding:
    """All is as expected at one place."""
    return Finding(state=State.PASSED, saw=saw, hosts=hosts)


def bad(saw: str, *hosts: HostName, difference: str = "", fix: str = "") -> Finding:
    """Something is not as expected; with ``difference`` it is one that the estate may declare."""
    return Finding(state=State.FAILED, saw=saw, hosts=hosts, difference=difference, fix=fix)


def unclear(saw: str, *hosts: HostName) -> Finding:
    """It can't be told."""
    return Finding(state=State.UNKNOWN, saw=saw, hosts=hosts)


def host_check(id: str, *, groups: str = "", **words: Unpack[Words]) -> Callable[[HostRule], Check]:  # noqa: A002
    """Make a check of a rule that looks at one host at a time."""

    def made(rule: HostRule) -> Check:
        def judge(world: World) -> Iterator[Finding]:
            for host in concerned(world, frozenset(groups.split())):
                told = facts_of(world, host.name, check.reads)
                if isinstance(told, Finding):
                    yield told
                else:
                    yield from guarded(partial(rule, host, told, world), host.name)

        check = _check(id, rule, judge, groups, words)
        return check

    return made


def pair_check(id: str, *, groups: str = "", **words: Unpack[Words]) -> Callable[[PairRule], Check]:  # noqa: A002
    """Make a check of a rule that compares twins."""

    def made(rule: PairRule) -> Check:
        def judge(world: World) -> Iterator[Finding]:
            among = {host.name for host in concerned(world, frozenset(groups.split()))}
            for pair in pairs(world.estate):
                if among.isdisjoint(pair.names):
                    continue
                first, second = (facts_of(world, name, check.reads) for name in pair.names)
                if isinstance(first, Finding) or isinstance(second, Finding):
                    yield from (told for told in (first, second) if isinstance(told, Finding))
                else:
                    yield from guarded(partial(rule, pair, first, second, world), *pair.names)

        check = _check(id, rule, judge, groups, words)
        return check

    return made


def estate_check(id: str, *, groups: str = "", **words: Unpack[Words]) -> Callable[[EstateRule], Check]:  # noqa: A002
    """Make a check of a rule that looks at all hosts together; it is unknown where one could not be read."""

    def made(rule: EstateRule) -> Check:
        def judge(world: World) -> Iterator[Finding]:
            readable: dict[HostName, Facts] = {}
            for host in concerned(world, frozenset(groups.split())):
                told = facts_of(world, host.name, check.reads)
                if isinstance(told, Finding):
                    yield told
                else:
                    readable[host.name] = told
            if readable or not check.reads:
                yield from guarded(partial(rule, world, readable))

        check = _check(id, rule, judge, groups, words)
        return check

    return made


def _check(
    id: str,  # noqa: A002
    rule: Callable[..., object],
    judge: Callable[[World], Iterator[Finding]],
    groups: str,
    words: Words,
) -> Check:
    """Refuse a check that does not say all that a check must say."""
    title = (rule.__doc__ or "").strip().splitlines()
    if not title or not all(words[key] for key in ("expected", "fix", "commitments", "controls")):
        raise ValueError(f"{id} needs a docstring, what is expected, a fix, commitments and controls")
    return Check(
        id=id,
        title=title[0],
        expected=words["expected"],
        fix=words["fix"],
        tags=frozenset(words.get("tags", "").split()),
        commitments=tuple(words["commitments"].split()),
        controls=tuple(words["controls"].split()),
        reads=tuple(words["reads"].split()),
        groups=frozenset(groups.split()),
        judge=judge,
        outside=(*words.get("outside", "").split(), *(name[1:] for name in words["reads"].split() if name[0] == "@")),
    )


def concerned(world: World, groups: frozenset[str]) -> tuple[Host, ...]:
    """Return the hosts a check is about: all, or those of its groups."""
    return tuple(host for host in world.estate.hosts.values() if not groups or groups & set(host.groups))


def facts_of(world: World, host: HostName, reads: Sequence[str]) -> Facts | Finding:
    """Return what a rule needs of a host, or the finding that it can't be told."""
    sections = {name: world.section(host, name) for name in reads}
    troubles = sorted({section.trouble for section in sections.values() if section.trouble})
    if troubles:
        return unclear(f"{host}: {'; '.join(troubles)}", host)
    return {name: section.value for name, section in sections.items()}


def guarded(rule: Callable[[], Iterable[Finding]], *hosts: HostName) -> Iterator[Finding]:
    """Yield what a rule finds; where it trips over what a host told, that is unknown."""
    try:
        yield from rule()
    except MALFORMED as error:
        where = f"{', '.join(hosts)}: " if hosts else ""
        yield unclear(f"{where}what was told can't be judged: {type(error).__name__} {error}"[:200], *hosts)


def judged(check: Check, world: World) -> Result:
    """Return how a check comes out: failed if anything is bad, else unknown if anything is, else passed."""
    found = list(check.judge(world))
    differences = frozenset(one.difference for one in found if one.difference)
    findings = [_with_declared(finding, world) for finding in found]
    by_state = {state: [one for one in findings if one.state is state] for state in State}
    for state in (State.FAILED, State.UNKNOWN, State.PASSED):
        told = by_state[state]
        if told:
            others = by_state[State.UNKNOWN] if state is State.FAILED else []
            return Result(
                check=check,
                state=state,
                saw=_summary([one.saw for one in (*told, *others)]),
                hosts=tuple(dict.fromkeys(host for one in told for host in one.hosts)),
                fix=next((one.fix for one in told if one.fix), check.fix),
                differences=differences,
            )
    return Result(check=check, state=State.UNKNOWN, saw="there was nothing to look at", hosts=(), fix=check.fix)


def _with_declared(finding: Finding, world: World) -> Finding:
    """Turn a difference that the estate declares, and that has not run out, into one that is as expected."""
    declared = declaring(finding, world.estate.differences)
    if declared is None or finding.state is not State.FAILED:
        return finding
    if has_expired(declared, world.now):
        return bad(f"{finding.saw} (declared, but only until {declared.until})", *finding.hosts)
    return good(f"{finding.saw} (declared until {declared.until}: {declared.why})", *finding.hosts)


def declaring(finding: Finding, differences: Iterable[Difference]) -> Difference | None:
    """Return the declaration that covers a difference."""
    if not finding.difference:
        return None
    return next((one for one in differences if fnmatch.fnmatchcase(finding.difference, one.what)), None)


def has_expired(difference: Difference, now: dt.datetime) -> bool:
    """Say whether a declared difference is no longer accepted; its last day counts."""
    return now.date() > difference.until


def _summary(saws: Sequence[str]) -> str:
    distinct = list(dict.fromkeys(saws))
    more = f"; and {len(distinct) - MANY} more" if len(distinct) > MANY else ""
    text = "; ".join(distinct[:MANY])
    return (text if len(text) <= LONGEST else text[: LONGEST - 3] + "...") + more
