"""The durable runs of one estate: lock, folders and journal together, under one state directory."""

from __future__ import annotations

import contextlib
import datetime as dt
import os
import secrets
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ..checks.readiness import Override
from ..errors import JournalDamaged, JournalError, Refused, SecondsiteError, UsageError
from ..estate.model import Estate
from ..plan.differences import Present, places_of
from ..plan.load import load_plan
from ..plan.model import Plan
from ..run.durable import DurableJournal, Notebook, recorded_attempts
from ..run.kit import Kit
from ..run.model import Answer, Note, NoteKind, RunResult, RunState, TakenBack
from ..run.perform import store_lost
from ..run.ports import Approvers, Authors, Clock, Observer, Registry, StandingOrders
from ..run.roles import NOBODY_ANSWERS, authorship_body, beginning_body, beginning_in
from ..run.rules import (
    exit_code_of,
    fold,
    interruption,
    interruptions,
    reasons_in,
    remarks_in,
    run_state,
    was_taken_over,
)
from ..run.service import abort_run, answer_gate, finish_abort, open_gates, require_no_stop, resume_run, start_run
from ..run.stop import Stop
from .folders import Folders, RunFolder
from .lock import RunLock
from .steps import StepRecorder, durations, told_by
from .stops import StopFile

JOURNAL_NAME = "journal.sqlite"
TAKEOVER = "takeover"
"""The runbook that fences another controller."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunSummary:
    """One run as ``runs list`` shows it. ``state`` is None for a folder that was never begun as a run.

    ``drill`` is how a drill ended, if it is one: its verdict, ``open``, or ``interrupted`` when it came to none.
    """

    folder: RunFolder
    state: RunState | None
    gates: tuple[str, ...] = ()
    drill: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Crew:
    """Who a run works with: actions and probes, standing orders, who may consent, and who watches.

    ``by`` is who begins or resumes it, ``authors`` knows who answers for its runbook.
    """

    registry: Registry
    orders: StandingOrders
    approvers: Approvers
    observers: tuple[Observer, ...] = ()
    authors: Authors = NOBODY_ANSWERS
    by: str = ""


class RunStore:
    """Every run of one estate. Reading and answering need no lock; starting and resuming need a session."""

    def __init__(
        self, state: Path, *, root: Path, clock: Clock, estate_now: Callable[[], Estate] | None = None
    ) -> None:
        """Touch nothing yet. Pinned paths are relative to ``root``.

        ``estate_now`` reads the estate's files as they are; without it, runs are not compared with the estate.
        """
        self.state, self.root, self.clock = state, root, clock
        self._estate_now = estate_now
        self.folders = Folders(state)
        self.stops = StopFile(state, clock=clock)
        self._lock = RunLock(state)

    @contextlib.contextmanager
    def session(self, *, purpose: str) -> Iterator[Session]:
        """Hold the estate for one run, or for a drill with all its runs.

        Raises:
            Refused: a stop order is in force.
            LockHeld: another run is under way; its holder is named.
            JournalError: the state directory can't be written.
        """
        require_no_stop(self.stops.order())
        try:
            self.state.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise store_lost(error) from error
        with self._lock.held(purpose=purpose, since=self.clock.now().isoformat(timespec="seconds")):
            session = Session(self)
            try:
                yield session
            finally:
                session.close()

    def holder(self) -> str:
        """Name who is at work on this estate, or return nothing."""
        return self._lock.holder()

    def summaries(self) -> Sequence[RunSummary]:
        """Return every run by number."""
        with self._notebook() as book:
            return [self._summary(folder, book) for folder in self.folders.all()]

    def notes(self, folder: RunFolder) -> Sequence[Note]:
        """Return what was noted of a run."""
        with self._notebook() as book:
            return book.notes(folder.id) if book else ()

    def last_run(self, runbook: str) -> tuple[RunFolder, RunState | None] | None:
        """Return the newest run of a runbook and where it stands, or None if there is none."""
        named = [one for one in self.summaries() if one.folder.id.split("-", 1)[1] == runbook]
        return (named[-1].folder, named[-1].state) if named else None

    def steps(self, folder: RunFolder) -> RunResult:
        """Return where every step of a run stands, be it under way in another process or ended."""
        with self._existing_notebook() as book:
            state, notes = self._state_of(folder, book)
        attempts = recorded_attempts(self.state / JOURNAL_NAME, folder.id)
        records = fold(folder.plan(), attempts, notes)
        now = (interruption(attempts, notes),) if state is RunState.INTERRUPTED else ()
        return RunResult(
            run=folder.id,
            state=state,
            exit_code=exit_code_of(state, records),
            steps=records,
            reasons=reasons_in(records),
            interruptions=(*interruptions(notes), *now),
            remarks=remarks_in(notes),
            beginning=beginning_in(notes),
        )

    def answer(self, folder: RunFolder, answer: Answer, *, approvers: Approvers) -> None:
        """Record a person's signed answer to a gate; see ``run.service.answer_gate``."""
        plan, now = folder.plan(), self.clock.now()
        with self._existing_notebook() as book:
            answer_gate(
                answer,
                run=folder.id,
                plan=plan,
                journal=book,
                approvers=approvers,
                now=now,
                present=self.as_it_is_now(folder),
            )

    def as_it_is_now(self, folder: RunFolder) -> Present:
        """Return the plan that the run's own copy of its runbook gives for the estate as its files are now."""
        if self._estate_now is None:
            return Present()
        plan = folder.plan()
        try:
            estate = self._estate_now()
        except SecondsiteError as error:
            return Present(trouble=error.what)
        try:
            now = load_plan(
                plan.runbook,
                directory=folder.files / "runbooks",
                root=folder.files,
                estate=estate,
                origin=plan.origin,
                target=plan.target,
            )
        except SecondsiteError as error:
            return Present(places=places_of(estate), trouble=error.what)
        return Present(plan=now, places=places_of(estate))

    def mark_taken_over(self, folder: RunFolder, *, who: str, opened_by: Sequence[str] = ()) -> None:
        """Note that another controller may have done more of a run than is recorded here, and who opened escrow."""
        with self._existing_notebook() as book:
            body = {"who": who, "at": self.clock.now().isoformat(), "escrow_opened_by": list(opened_by)}
            book.note(folder.id, NoteKind.TAKEN_OVER, "", body)

    def require_fenced(self, folder: RunFolder) -> None:
        """Pass when a run is this controller's own, or the controller that it was taken over from may act no more.

        Raises:
            Refused: it may.
        """
        if folder.id.split("-", 1)[1] == TAKEOVER or not was_taken_over(self.notes(folder)):
            return
        done = [one for one in self.summaries() if one.folder.id.split("-", 1)[1] == TAKEOVER
                and one.state is RunState.DONE and one.folder.number > folder.number]  # fmt: skip
        if not done:
            raise Refused(
                f"{folder.id} was another controller's, and nothing shows that it may act no more",
                next_step="resume the run of takeover first: secondsite runs list",
            )

    def abort(self, folder: RunFolder, *, who: str, takes_back: bool = True) -> bool:
        """Have a run end; see ``run.service.abort_run``. Return whether a process is at work that may carry it."""
        live = bool(self.holder())
        with self._existing_notebook() as book:
            at = self.clock.now()
            abort_run(run=folder.id, who=who, at=at, journal=book, live=live, takes_back=takes_back)
        return live

    def the_open_run(self) -> RunFolder:
        """Return the only run that is open.

        Raises:
            UsageError: none is, or several are.
        """
        open_ones = [s.folder for s in self.summaries() if s.state in {RunState.OPEN, RunState.INTERRUPTED}]
        if len(open_ones) != 1:
            names = ", ".join(folder.id for folder in open_ones)
            what = f"several runs are open: {names}" if open_ones else "no run is open"
            raise UsageError(what, not_done="nothing was resumed", next_step="secondsite runs list")
        return open_ones[0]

    def durations(self, runbook: str) -> Mapping[str, dt.timedelta]:
        """Return how long each step of a runbook took in earlier runs."""
        return durations([f.records for f in self.folders.all() if f.id.split("-", 1)[1] == runbook])

    def _summary(self, folder: RunFolder, book: Notebook | None) -> RunSummary:
        if book is None or not any(note.kind is NoteKind.BEGUN for note in book.notes(folder.id)):
            return RunSummary(folder=folder, state=None, drill=self._drill_of(folder))
        state, notes = self._state_of(folder, book)
        waits = state in {RunState.OPEN, RunState.INTERRUPTED}
        return RunSummary(folder=folder, state=state, gates=open_gates(notes) if waits else ())

    def _drill_of(self, folder: RunFolder) -> str:
        if folder.has_plan():
            return ""
        verdict = folder.verdict()
        if not verdict and self.holder():
            return RunState.OPEN.value
        return verdict or folder.verdict() or RunState.INTERRUPTED.value

    def _state_of(self, folder: RunFolder, book: Notebook) -> tuple[RunState, Sequence[Note]]:
        """Return where a run stands: one that is open and at which nothing works was interrupted without a word."""
        notes = book.notes(folder.id)
        if run_state(notes) is not RunState.OPEN or self.holder():
            return run_state(notes), notes
        notes = book.notes(folder.id)  # whoever worked at it a moment ago may have had a last word
        state = run_state(notes)
        return (RunState.INTERRUPTED if state is RunState.OPEN else state), notes

    @contextlib.contextmanager
    def _notebook(self) -> Iterator[Notebook | None]:
        if not (self.state / JOURNAL_NAME).exists():
            yield None
            return
        with self.damage_told(), contextlib.closing(Notebook(self.state / JOURNAL_NAME)) as book:
            yield book

    @contextlib.contextmanager
    def _existing_notebook(self) -> Iterator[Notebook]:
        with self._notebook() as book:
            if book is None:
                raise self.lost()
            yield book

    def lost(self) -> JournalError:
        """Return the error that says the journal is gone."""
        return self._with_records(
            JournalError(
                f"{self.state / JOURNAL_NAME} is gone though runs were begun here",
                not_done="nothing was performed, and nothing was taken back",
                next_step="restore the state directory from its copy; what the runs did can be read in their records",
            )
        )

    @contextlib.contextmanager
    def damage_told(self) -> Iterator[None]:
        """Add to the error of a damaged journal what the records outside it show of the last run."""
        try:
            yield
        except JournalDamaged as error:
            raise self._with_records(error) from error

    def told_by_records(self, folder: RunFolder) -> Mapping[str, str]:
        """Return where each step of a run stood when its record was last written."""
        return told_by(folder.records)

    def _with_records(self, error: JournalError) -> JournalError:
        last = next((folder for folder in reversed(self.folders.all()) if folder.has_plan()), None)
        if last is None:
            return error
        told = ", ".join(f"{step} {state}" for step, state in self.told_by_records(last).items())
        what = f"{error.what}. The records outside it show of {last.id}: {told or 'no step'}"
        return type(error)(what, not_done=error.not_done, next_step=error.next_step)


class Session:
    """The estate is held: runs may be started and resumed, one after the other or nested in a drill."""

    def __init__(self, store: RunStore) -> None:
        """Open nothing yet."""
        self._store = store
        self._journal: DurableJournal | None = None

    def new_folder(self, name: str) -> RunFolder:
        """Take the next number for something that is not a plan, such as a drill."""
        return self._store.folders.make(name)

    def begin(self, plan: Plan) -> RunFolder:
        """Take the next number for a plan, and keep the plan and a copy of what it pins."""
        self._opened()
        return self._store.folders.make_for(plan, root=self._store.root)

    def start(self, folder: RunFolder, crew: Crew, *, stop: Stop, overrides: Sequence[Override] = ()) -> RunResult:
        """Carry a run that has its folder to its end; see ``run.service.start_run``."""
        kit, plan = self._kit(folder, crew), folder.plan()
        authorship = crew.authors.answering_for(plan)
        folder.keep_author(authorship_body(authorship))
        beginning = beginning_body(crew.by, authorship)
        return start_run(plan, run=folder.id, kit=kit, stop=stop, overrides=overrides, beginning=beginning)

    def resume(self, folder: RunFolder, crew: Crew, *, stop: Stop) -> RunResult:
        """Carry a run on from where its journal ends; see ``run.service.resume_run``."""
        if not (self._store.state / JOURNAL_NAME).exists():
            raise self._store.lost()
        self._store.require_fenced(folder)
        return resume_run(folder.plan(), run=folder.id, kit=self._kit(folder, crew), stop=stop, by=crew.by)

    def take_back(self, folder: RunFolder, crew: Crew, *, stop: Stop) -> TakenBack:
        """Take back what an aborted run did; see ``run.service.finish_abort``."""
        return finish_abort(folder.plan(), run=folder.id, kit=self._kit(folder, crew), stop=stop)

    def give_up(self, folder: RunFolder, *, who: str) -> None:
        """End a run that was left in the middle, as it is: while the estate is held here, nothing else works at it."""
        at = self._store.clock.now()
        abort_run(run=folder.id, who=who, at=at, journal=self._opened(), live=False, takes_back=False)

    def close(self) -> None:
        """Let go of the journal."""
        if self._journal is not None:
            self._journal.close()
            self._journal = None

    def _kit(self, folder: RunFolder, crew: Crew) -> Kit:
        return Kit(
            journal=self._opened(),
            registry=crew.registry,
            orders=crew.orders,
            approvers=crew.approvers,
            clock=self._store.clock,
            files=folder.files,
            observers=(StepRecorder(folder.records), *crew.observers),
            stop_order=self._store.stops.order,
            as_it_is_now=lambda: self._store.as_it_is_now(folder),
        )

    def _opened(self) -> DurableJournal:
        if self._journal is None:
            executor = f"{os.getpid()}-{secrets.token_hex(8)}"
            with self._store.damage_told():
                self._journal = DurableJournal(self._store.state / JOURNAL_NAME, executor=executor)
        return self._journal
