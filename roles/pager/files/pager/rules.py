"""When a person is told, of what, and when it is over: facts in, pages out."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from .settings import IDENTIFIER

CLEAR_AFTER_S = 25.0  # longer than two looks: what comes and goes is one trouble
NEVER_FOR_S = 900.0
AHEAD_S = 120.0
KEPT_WITHIN_S = 15.0
WAITS_S = 35.0
FREE_PERCENT = 5.0
TURN_S = 10.0
HEARS_NOBODY = "hears-nobody"
SILENT = "silent:"
TOLD = ("id", "kind", "host", "key", "text", "since", "at")
KINDS = frozenset({"trouble", "still", "clear", "test"})
LONGEST_WORDS = 2000
SEGMENT = re.compile(r"[0-9A-F]{24}")
_SEGMENTS_A_LOG = 256  # of 16 MiB


@dataclass(frozen=True, slots=True, kw_only=True)
class Open:
    """A trouble of which a person was told. Instants are in seconds of the host's clock."""

    text: str
    since: float
    paged_at: float
    seen_at: float
    page: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """What a person is told. ``kind`` is trouble, still, clear or test."""

    id: str
    kind: str
    host: str
    key: str
    text: str
    since: float
    at: float


def page_of(kind: str, host: str, key: str, text: str, *, since: float, at: float) -> Page:
    """Return a page with a name that no other one has."""
    digest = hashlib.sha256(f"{host} {key} {kind} {at:.6f}".encode()).hexdigest()[:12]
    return Page(id=f"{int(at)}-{host}-{digest}", kind=kind, host=host, key=key, text=text, since=since, at=at)


def checked(page: Any) -> dict[str, Any]:
    """Return of a page what a person is told, and nothing besides.

    Raises:
        ValueError: that is no page.
    """
    if not isinstance(page, Mapping) or not page.keys() >= set(TOLD):
        raise ValueError("that is no page")
    told = {name: page[name] for name in TOLD}
    words = all(isinstance(told[name], str) and len(told[name]) <= LONGEST_WORDS for name in TOLD[:5])
    numbers = all(isinstance(told[name], (int, float)) for name in TOLD[5:])
    if not (words and numbers and told["kind"] in KINDS and IDENTIFIER.fullmatch(told["id"])):
        raise ValueError("that is no page")
    return told


def folded(
    opened: Mapping[str, Open], troubles: Mapping[str, str], *, host: str, now: float, repeat_s: float
) -> tuple[dict[str, Open], list[Page]]:
    """Return which troubles are open now, and the pages that are due: one for each, again in a while, and an all-clear."""
    after: dict[str, Open] = {}
    pages: list[Page] = []
    for key, text in troubles.items():
        known = opened.get(key)
        if known is None or now - known.paged_at >= repeat_s:
            since = known.since if known else now
            pages.append(page_of("still" if known else "trouble", host, key, text, since=since, at=now))
            after[key] = Open(text=text, since=since, paged_at=now, seen_at=now, page=pages[-1].id)
        else:
            after[key] = replace(known, text=text, seen_at=now)
    for key, known in opened.items():
        if key in after:
            continue
        if now - known.seen_at < CLEAR_AFTER_S:
            after[key] = known
        else:
            pages.append(page_of("clear", host, key, known.text, since=known.since, at=now))
    return after, pages


# --- who is silent ---


def silences(
    ages: Mapping[str, float], told_by: Mapping[str, Sequence[str]], *, own: Sequence[str], turn: int, silence_s: float
) -> Iterator[tuple[str, str]]:
    """Yield whose heartbeat did not come, or that nobody's came, which is a trouble of one's own.

    ``ages`` are since each was heard, ``told_by`` which silences others paged already, ``own`` those paged from here. The
    first in turn pages at once, the next ones somewhat later, and not what was told already.
    """
    late = silence_s + turn * TURN_S
    silent = [name for name, age in ages.items() if age > silence_s]
    if len(silent) == len(ages) > 1:
        if min(ages.values()) > late:
            yield HEARS_NOBODY, f"it hears none of the {len(ages)} others"
        return
    told = {key for name, keys in told_by.items() if name not in silent for key in keys}
    for name in silent:
        key = f"{SILENT}{name}"
        if key in own or (ages[name] > late and key not in told):
            yield key, f"{name} is silent: its watcher was not heard for {silence_s:g} s"


# --- what lies in a repository ---


def age_trouble(age: float, oldest: float) -> str:
    """Say what is wrong with an age; nothing if it is as promised."""
    if age < -AHEAD_S:
        return f"from the future, by {-age:.0f} s"
    return f"{age / 3600:.1f} h old" if age > oldest else ""


def stanza_troubles(
    told: Mapping[str, Any] | None, *, had: bool, for_s: float, now: float, oldest: Mapping[str, float]
) -> Iterator[str]:
    """Yield what is wrong with one cluster's backups here, as pgBackRest tells. One that never had any is given time."""
    backups = told["backup"] if told else []
    if not told or not backups:
        if had or for_s > NEVER_FOR_S:
            yield "has no backup"
        return
    if told["status"]["code"] != 0:
        yield f"is in trouble: {told['status']['message']}"
    newest = max(backups, key=lambda one: one["timestamp"]["stop"])
    if newest.get("error"):
        yield f"has a newest backup with errors ({newest['label']})"
    if trouble := age_trouble(now - newest["timestamp"]["stop"], oldest["backup"]):
        yield f"has a newest backup that is {trouble}"
    full = max((one["timestamp"]["stop"] for one in backups if one["type"] == "full"), default=0)
    if trouble := age_trouble(now - full, oldest["full"]):
        yield f"has a newest full backup that is {trouble}"


def snapshot_trouble(
    wanted: tuple[str, str],
    claims: Mapping[str, Mapping[str, Any]],
    came: Mapping[tuple[str, str], float],
    *,
    now: float,
    for_s: float,
    oldest: float,
) -> str:
    """Say what is wrong with the newest snapshot of a job here, or nothing.

    ``claims`` is what each host says that it sent, ``came`` when what lies here came in, by host and snapshot.
    """
    job, what = wanted
    said = [(host, one[job]) for host, one in claims.items() if job in one]
    told = [(host, one) for host, one in said if host == what or what in one["parts"]]
    if not told:
        return f"{what}: nothing was ever sent by job {job}" if for_s > NEVER_FOR_S else ""
    lying = [came[host, one["snapshot"]] for host, one in told if (host, one["snapshot"]) in came]
    if not lying:
        return f"what {told[0][0]} says job {job} sent of {what} does not lie here"
    trouble = age_trouble(now - max(lying), oldest)
    return f"{what}: the newest of job {job} is {trouble}" if trouble else ""


# --- logs ---


def segment(name: str) -> tuple[str, int]:
    """Return a log segment's timeline and its number."""
    return name[:8], int(name[8:16], 16) * _SEGMENTS_A_LOG + int(name[16:24], 16)


def is_kept(name: str, newest: Mapping[str, int]) -> bool:
    """Say whether an archive that reaches so far on each timeline reaches as far as this segment, or a later timeline does."""
    timeline, number = segment(name)
    return any(of >= timeline and reached >= number for of, reached in newest.items())


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """A segment that counts as archived where it was made, and since when that is known here."""

    segment: str
    since: float


def awaited(known: Claim | None, told: Sequence[str], newest: Mapping[str, int], *, now: float) -> Claim | None:
    """Return the first segment that is said to be archived and does not lie here. A busy log must not hide a gap."""
    if known is not None and not is_kept(known.segment, newest):
        return known
    missing = [name for name in told if SEGMENT.fullmatch(name) and not is_kept(name, newest)]
    return Claim(segment=max(missing), since=now) if missing else None
