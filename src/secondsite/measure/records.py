"""Bytes of record files in, nouns out; what can't be read becomes a named problem, never a number.

A line with a problem is left out and *counted against the drill*: one problem makes a pass impossible (``rules``).
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import TypeVar

from ..errors import Problem
from .documents import (
    limitations_from,
    parse_approvals,
    parse_clocks,
    parse_promised,
    parse_silence,
)
from .fields import LONGEST_LINE, Fields, Malformed, parse
from .model import (
    Arm,
    Attempt,
    CheckState,
    Event,
    FinalRead,
    Instant,
    Kind,
    Marker,
    MarkersKept,
    Outcome,
    Phase,
    Promised,
    Records,
    Request,
    Restore,
    SteadyCheck,
    StepOutcome,
    StepRecord,
    Writability,
    WritabilitySample,
)

FILES = (
    "requests.jsonl",
    "writability.jsonl",
    "events.jsonl",
    "final.jsonl",
    "steps.jsonl",
    "steady.jsonl",
    "markers.jsonl",
    "kept.jsonl",
    "restores.jsonl",
    "attempts.jsonl",
    "promised.json",
    "silence.json",
    "clocks.json",
    "limitations.json",
    "approvals.json",
)
ONCE = frozenset(
    {
        "drill-started",
        "traffic-started",
        "fault-begun",
        "fault-done",
        "controller-rebuilt",
        "controller-recovered",
        "detected",
        "declared",
        "failback-started",
        "failback-done",
        "traffic-stopped",
    }
)
MOST_PROBLEMS = 100
LATEST_DELIVERY = 5.0
Noun = TypeVar("Noun")


class Reader:
    """Reads one folder's files and collects what is wrong with them."""

    def __init__(self, files: Mapping[str, bytes]) -> None:
        """Keep the bytes; nothing is read yet."""
        self.files = files
        self.problems: list[Problem] = []

    def note(self, file: str, line: int | None, what: str) -> None:
        """Name a problem; after a hundred, only that there are more."""
        if len(self.problems) < MOST_PROBLEMS:
            self.problems.append(Problem(file=file, line=line, pointer="", what=what))
        elif len(self.problems) == MOST_PROBLEMS:
            self.problems.append(Problem(file=file, line=line, pointer="", what="and more problems after this one"))

    def document(self, file: str, build: Callable[[object], Noun]) -> Noun | None:
        """Return the noun of a whole-file JSON document, or None and a problem."""
        if file not in self.files:
            self.note(file, None, "the file is missing")
            return None
        try:
            return build(parse(self.files[file]))
        except (Malformed, ValueError) as error:
            self.note(file, 1, str(error))
            return None

    def _numbered(self, file: str) -> Iterator[tuple[int, bytes]]:
        content = self.files[file]
        if content and not content.endswith(b"\n"):
            self.note(file, content.count(b"\n") + 1, "the last line has no end: the file was cut off")
        for number, line in enumerate(content.split(b"\n"), start=1):
            if len(line) > LONGEST_LINE:
                self.note(file, number, f"the line is longer than {LONGEST_LINE} bytes")
            elif line:
                yield number, line

    def lines(self, file: str, build: Callable[[Fields], Noun]) -> list[tuple[int, Noun]] | None:
        """Return (line number, noun) of every line that can be read; None when there is no file."""
        if file not in self.files:
            self.note(file, None, "the file is missing")
            return None
        read: list[tuple[int, Noun]] = []
        for number, line in self._numbered(file):
            try:
                read.append((number, build(Fields(parse(line)))))
            except (Malformed, ValueError) as error:
                self.note(file, number, str(error))
        return read


def _request(fields: Fields) -> Request:
    t0, t1 = fields.instant("t0"), fields.instant("t1")
    if t1 < t0:
        raise Malformed(f"answered at {t1} before it was due at {t0}")
    return Request(
        t0=t0,
        t1=t1,
        kind=fields.word("kind", Kind),
        arm=fields.word("arm", Arm),
        id=fields.text("id"),
        outcome=fields.word("outcome", Outcome),
        web=fields.text_or_none("web"),
        db=fields.text_or_none("db"),
        address=fields.text_or_none("address"),
        error=fields.text_or_empty("error") or None,
    )


def _sample(fields: Fields) -> WritabilitySample:
    t, state = fields.instant("t"), fields.word("state", Writability)
    standby = fields.number_or_none("standby_s")
    if standby is not None and state is not Writability.READ_ONLY:
        raise Malformed(f"'standby_s' says for how long a node was read-only, but its state is {state.value!r}")
    took = fields.number_or_none("took_s") or 0.0
    return WritabilitySample(
        began=Instant(max(0.0, t - took)),
        t=t,
        node=fields.text("node"),
        workload=fields.text("workload"),
        state=state,
        standby_since=None if standby is None else Instant(max(0.0, t - standby)),
    )


def _event(fields: Fields) -> Event:
    detail = fields.all.get("detail")
    return Event(
        t=fields.instant("t"),
        event=fields.text("event"),
        step=fields.text_or_none("step"),
        detail=detail if isinstance(detail, dict) else {} if detail is None else {"detail": detail},
        line=0,
    )


def _step(fields: Fields) -> StepRecord:
    t0, t1 = fields.instant_or_none("t0"), fields.instant_or_none("t1")
    if t0 is not None and t1 is not None and t1 < t0:
        raise Malformed(f"the step ended at {t1}, before it began at {t0}")
    return StepRecord(
        step=fields.text("step"),
        title=fields.text_or_empty("title"),
        hosts=fields.texts_or_none("hosts"),
        attempt=fields.count("attempt"),
        t0=t0,
        t1=t1,
        outcome=fields.word("outcome", StepOutcome),
        after=fields.texts_or_none("after"),
        runbook=fields.text_or_empty("runbook"),
        detail=fields.text_or_empty("detail"),
    )


def _steady(fields: Fields) -> SteadyCheck:
    return SteadyCheck(
        t=fields.instant("t"),
        phase=fields.word("phase", Phase),
        check=fields.text("check"),
        state=fields.word("state", CheckState),
        saw=fields.text_or_empty("saw"),
        expected=fields.text_or_empty("expected"),
    )


def _requests(reader: Reader) -> tuple[Request, ...] | None:
    """Read requests; the same request recorded twice is a problem and is kept once."""
    numbered = reader.lines("requests.jsonl", _request)
    if numbered is None:
        return None
    first_seen: dict[Request, int] = {}
    for number, request in numbered:
        if request in first_seen:
            reader.note("requests.jsonl", number, f"repeats line {first_seen[request]}")
        else:
            first_seen[request] = number
    return tuple(first_seen)


def _writability(reader: Reader) -> tuple[WritabilitySample, ...] | None:
    """Read samples, in order of time.

    Lines may be delivered late; one that goes back for its node and workload by more than delivery can take is a
    problem and is left out. What the controller says of a node, that it answers nothing, is in order by itself: a
    controller that stood still says so before it reads the answers that had come meanwhile.
    """
    numbered = reader.lines("writability.jsonl", _sample)
    if numbered is None:
        return None
    kept: list[WritabilitySample] = []
    latest: dict[tuple[str, str, bool], Instant] = {}
    for number, sample in numbered:
        key = (sample.workload, sample.node, sample.state is Writability.UNREACHABLE)
        if sample.t < latest.get(key, sample.t) - LATEST_DELIVERY:
            reader.note("writability.jsonl", number, f"goes back in time for {sample.node}, {sample.workload}")
            continue
        latest[key] = max(sample.t, latest.get(key, sample.t))
        kept.append(sample)
    return tuple(sorted(kept, key=lambda sample: sample.t))


def _events(reader: Reader) -> tuple[Event, ...] | None:
    """Read events; a milestone that stands twice is a problem, and neither is used."""
    numbered = reader.lines("events.jsonl", _event)
    if numbered is None:
        return None
    count: dict[str, int] = {}
    for number, event in numbered:
        count[event.event] = count.get(event.event, 0) + 1
        if event.event in ONCE and count[event.event] > 1:
            reader.note("events.jsonl", number, f"{event.event} stands more than once")
    return tuple(
        replace(event, line=number) for number, event in numbered if event.event not in ONCE or count[event.event] == 1
    )


def _final_line(fields: Fields) -> tuple[Arm, str, str | None, Instant | None, int | None]:
    arm, node = fields.word("arm", Arm), fields.text("node")
    if "read_at" in fields.all:
        return arm, node, None, fields.instant("read_at"), fields.count("rows")
    return arm, node, fields.text("id"), None, None


def _final(reader: Reader) -> tuple[FinalRead, ...] | None:
    """Read the final reads; an arm read twice, on two nodes, or with another number of rows than stated is left out."""
    numbered = reader.lines("final.jsonl", _final_line)
    if numbered is None:
        return None
    reads: list[FinalRead] = []
    for arm in Arm:
        mine = [(number, line) for number, line in numbered if line[0] is arm]
        heads = [(number, line) for number, line in mine if line[3] is not None]
        ids = tuple(line[2] for _, line in mine if line[2] is not None)
        if not heads:
            if mine:
                reader.note("final.jsonl", mine[-1][0], f"rows of the {arm.value} arm without the line that ends them")
            continue
        number, (_, node, _, read_at, rows) = heads[0]
        if len(heads) > 1 or {line[1] for _, line in mine} != {node}:
            reader.note("final.jsonl", heads[-1][0], f"the {arm.value} arm was read more than once or on several nodes")
        elif rows != len(ids):
            reader.note("final.jsonl", number, f"{rows} rows stated, {len(ids)} recorded for the {arm.value} arm")
        elif read_at is not None:
            reads.append(FinalRead(arm=arm, node=node, read_at=read_at, ids=ids))
    return tuple(reads)


def _marker(fields: Fields) -> Marker:
    t0, t1 = fields.instant("t0"), fields.instant("t1")
    if t1 < t0:
        raise Malformed(f"answered at {t1} before it was due at {t0}")
    return Marker(
        t0=t0,
        t1=t1,
        workload=fields.text("workload"),
        id=fields.text("id"),
        outcome=fields.word("outcome", Outcome),
        node=fields.text_or_none("node"),
    )


def _markers(reader: Reader) -> tuple[Marker, ...] | None:
    """Read markers; the same one recorded twice is a problem and is kept once."""
    numbered = reader.lines("markers.jsonl", _marker)
    if numbered is None:
        return None
    first_seen: dict[Marker, int] = {}
    for number, marker in numbered:
        if marker in first_seen:
            reader.note("markers.jsonl", number, f"repeats line {first_seen[marker]}")
        else:
            first_seen[marker] = number
    return tuple(first_seen)


def _kept_line(fields: Fields) -> tuple[str, str, str | None, Instant | None, int | None]:
    workload, node = fields.text("workload"), fields.text("node")
    if "read_at" in fields.all:
        return workload, node, None, fields.instant("read_at"), fields.count("rows")
    return workload, node, fields.text("id"), None, None


def _kept(reader: Reader) -> tuple[MarkersKept, ...] | None:
    """Read the final reads; a workload read twice, on two nodes, or with another number than stated is left out."""
    numbered = reader.lines("kept.jsonl", _kept_line)
    if numbered is None:
        return None
    reads: list[MarkersKept] = []
    for workload in dict.fromkeys(line[0] for _, line in numbered):
        mine = [line for _, line in numbered if line[0] == workload]
        heads = [(line[3], line[4]) for line in mine if line[3] is not None]
        ids = tuple(line[2] for line in mine if line[2] is not None)
        nodes = {line[1] for line in mine}
        if len(heads) != 1 or len(nodes) != 1 or heads[0][1] != len(ids) or heads[0][0] is None:
            reader.note("kept.jsonl", None, f"the final read of {workload:.80} does not state what it holds")
        else:
            reads.append(MarkersKept(workload=workload, node=nodes.pop(), read_at=heads[0][0], ids=ids))
    return tuple(reads)


def _restore(fields: Fields) -> Restore:
    t0, t1 = fields.instant("t0"), fields.instant("t1")
    if t1 < t0:
        raise Malformed(f"it ended at {t1}, before it began at {t0}")
    amounts = Fields(fields.all.get("amounts"))
    return Restore(
        t0=t0,
        t1=t1,
        store=fields.text_or_empty("store"),
        phase=fields.text("phase"),
        source=fields.text_or_empty("from"),
        amounts={name: amounts.amount(name) for name in amounts.all},
        until=fields.text_or_empty("until"),
        verified_by=fields.text_or_empty("verified_by"),
        is_trial=fields.truth("is_trial"),
    )


def _attempt(fields: Fields) -> Attempt:
    return Attempt(
        t=fields.instant("t"),
        producer=fields.text("producer"),
        place=fields.text_or_empty("place"),
        refused=None if fields.all.get("refused") is None else fields.truth("refused"),
        saw=fields.text_or_empty("saw"),
    )


def _are_markers_promised(promised: Promised | None) -> bool:
    return promised is not None and any(workload.arm is Arm.MARKER for workload in promised.workloads)


def _plain(numbered: list[tuple[int, Noun]] | None) -> tuple[Noun, ...] | None:
    return None if numbered is None else tuple(noun for _, noun in numbered)


def read_records(files: Mapping[str, bytes]) -> Records:
    """Return everything that can be read from the files of one ``records`` folder, and every problem found.

    Args:
        files: Content by file name (``FILES``); other names are ignored here, the manifest covers them.
    """
    reader = Reader(files)
    content = files.get("promised.json")
    promised = reader.document("promised.json", parse_promised)
    anew = promised is not None and promised.begins_anew
    planted = _are_markers_promised(promised)  # drills of estates without such workloads have no such files
    return Records(
        requests=_requests(reader),
        writability=_writability(reader),
        events=_events(reader),
        final=_final(reader),
        steps=_plain(reader.lines("steps.jsonl", _step)),
        steady=_plain(reader.lines("steady.jsonl", _steady)),
        markers=_markers(reader) if planted else (),
        kept=_kept(reader) if planted else (),
        restores=_plain(reader.lines("restores.jsonl", _restore)) if anew else (),
        attempts=_plain(reader.lines("attempts.jsonl", _attempt)) if anew else (),
        promised=promised,
        promised_sha256=None if content is None else hashlib.sha256(content).hexdigest(),
        silence=reader.document("silence.json", parse_silence),
        clocks=reader.document("clocks.json", parse_clocks),
        limitations=reader.document("limitations.json", limitations_from),
        approvals=reader.document("approvals.json", parse_approvals),
        problems=tuple(reader.problems),
    )
