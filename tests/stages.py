"""What `./test` runs, stage by stage, and the one line of totals at its end.

A pytest stage counts test by test, any other stage as one check. A stage in which nothing ran has failed. Tests on the
lab that failed beside others are run once more with the machine to themselves; the totals name every one of them.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import tempfile
import time
import xml.etree.ElementTree as ET
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
BIN = Path(sys.executable).parent
CODE = ("src", "tests", "runbooks", "drtests", "benchmarks", "docs")
HALF = [f"tests/unit/{room}" for room in ("checks", "estate", "measure", "probes")]
QUICK = "not lab and not slow and not nightly"
SHOWN_LINES = 60
SHOWN_CHARACTERS = 400
MOST_AGAIN = 8
TESTS_FAILED = 1  # pytest's own exit code: all were run, and some failed
SECONDS_TO_CLEAN_UP = 60


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """One command, and where it runs. A patient one takes only the processor time that others leave."""

    name: str
    argv: tuple[str, ...]
    folder: Path = ROOT
    minutes: int = 10
    is_patient: bool = False
    words: int = 0
    """How many words of a pytest command come before what it shall run."""

    @property
    def is_pytest(self) -> bool:
        return self.argv[0] == "pytest"

    @property
    def is_on_the_lab(self) -> bool:
        """Whether it shares the machine with other labs, and may be starved by them."""
        return self.is_pytest and "lab and not nightly" in self.argv


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """One test that failed or broke, as pytest is told to run it, and why."""

    test: str
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts:
    """What a pytest run counted; `failed` includes errors."""

    passed: int = 0
    failed: int = 0
    skipped: int = 0
    failures: tuple[Failure, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What a stage left: counts, and its output if any of it failed."""

    stage: Stage
    seconds: float
    passed: int
    failed: int
    skipped: int
    output: str
    code: int = 0
    failures: tuple[Failure, ...] = ()


def tool(name: str, *argv: str, is_patient: bool = False) -> Stage:
    return Stage(name=name, argv=argv, is_patient=is_patient, minutes=30 if is_patient else 10)


def suite(name: str, folders: Sequence[str], marks: str, *, minutes: int = 10) -> Stage:
    present = [folder for folder in folders if folder.startswith("-") or (ROOT / folder).exists()]
    words = ("pytest", "-q", "--timeout", str(minutes * 30), "-m", marks)
    return Stage(name=name, argv=(*words, *(present or folders)), minutes=minutes, words=len(words))


def fast_stages() -> list[Stage]:
    code = [folder for folder in CODE if any((ROOT / folder).rglob("*.py"))]
    typed = [folder for folder in ("src", "tests", "runbooks") if folder in code]
    return [
        tool("types", "mypy", *typed),
        suite("unit: what is judged", HALF, QUICK, minutes=4),
        suite("unit: the rest", ["tests/unit", *(f"--ignore={folder}" for folder in HALF)], QUICK, minutes=4),
        suite("contract and shape", ["tests/contract", "tests/replay", "tests/architecture"], QUICK, minutes=4),
        tool("import layers", "lint-imports", "--no-cache"),
        tool("format", "ruff", "format", "--check", *code),
        tool("lint", "ruff", "check", *code),
    ]


def full_lanes() -> list[list[Stage]]:
    """Return what may go on side by side after the fast stages: each lane has labs of its own, and waits a lot."""
    folders = [f"tests/{name}" for name in ("unit", "contract", "replay", "architecture")]
    roles, measured = "tests/integration/roles", "--ignore=tests/end_to_end/test_site_loss.py"
    lint = ("ansible-lint", "--offline", "--strict", "--profile", "production", "roles")
    return [
        [
            tool("lint of roles", *lint, is_patient=True),
            suite("planted faults", ["tests/end_to_end", measured], "lab and not nightly", minutes=25),
        ],
        [suite("roles", [roles], "lab and not nightly", minutes=30)],
        [
            suite("integration", ["tests/integration"], "not lab and not nightly"),
            suite("slow", folders, "slow and not lab and not nightly"),
            suite("lab", [*folders, "tests/integration", f"--ignore={roles}"], "lab and not nightly", minutes=20),
        ],
    ]


def drill_stages() -> list[Stage]:
    """Return what has the machine to itself, because it is measured."""
    return [suite("the drill", ["tests/end_to_end/test_site_loss.py"], "lab and not nightly", minutes=25)]


def nightly_stages() -> list[Stage]:
    return [suite("nightly", ["tests"], "nightly", minutes=240)]


def run(stage: Stage) -> Outcome:
    """Run one stage to its end or its time limit."""
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="secondsite-test-") as folder:
        junit = Path(folder) / "junit.xml"
        # the first generation of the format names the file of each test
        extra = (f"--junitxml={junit}", "-o", "junit_logging=no", "-o", "junit_family=xunit1")
        code, output = execute(stage, extra if stage.is_pytest else ())
        counts = count(junit) if stage.is_pytest else Counts(passed=int(code == 0), failed=int(code != 0))
    failed = counts.failed
    if failed == 0 and (code != 0 or counts.passed == 0):
        failed = 1
        said = f"exit code {code}, {counts.passed} passed, {counts.skipped} skipped"
        output += f"\n{stage.name}: {said}: counted as a failure\n"
    return Outcome(
        stage=stage,
        seconds=time.monotonic() - began,
        passed=counts.passed,
        failed=failed,
        skipped=counts.skipped,
        output=output,
        code=code,
        failures=counts.failures,
    )


def again_alone(outcomes: Sequence[Outcome]) -> list[Outcome]:
    """Run what failed on the lab once more, one after the other, and return the outcomes with what came of it.

    A stage is left as it is when something else than single tests failed in it, or so many that it is no accident.
    """
    return [repeated(outcome) if may_be_an_accident(outcome) else outcome for outcome in outcomes]


def may_be_an_accident(outcome: Outcome) -> bool:
    """Say whether every test ran and a few failed: a run that was cut short may hide others that never ran."""
    ran_to_its_end = outcome.code == TESTS_FAILED and outcome.failed == len(outcome.failures)
    return outcome.stage.is_on_the_lab and ran_to_its_end and 0 < outcome.failed <= MOST_AGAIN


def repeated(first: Outcome) -> Outcome:
    stage = replace(
        first.stage,
        name=f"{first.stage.name}: again",
        argv=(*first.stage.argv[: first.stage.words], *(failure.test for failure in first.failures)),
    )
    second = run(stage)
    show(second)
    if second.passed + second.failed + second.skipped != first.failed:
        return first
    return replace(
        first, passed=first.passed + second.passed, failed=second.failed, skipped=first.skipped + second.skipped
    )


def run_lane(stages: Sequence[Stage]) -> list[Outcome]:
    """Run stages one after the other, and show each when it ended."""
    outcomes = []
    for stage in stages:
        outcomes.append(run(stage))
        show(outcomes[-1])
    return outcomes


def execute(stage: Stage, extra: Sequence[str]) -> tuple[int, str]:
    """Run the command in its own process group, so that nothing it started outlives its time limit or a Ctrl-C."""
    environment = {**os.environ, "PATH": f"{BIN}:{os.environ['PATH']}", "PYTHONPATH": str(ROOT / "src")}
    environment |= {"SECONDSITE_ROLES": str(ROOT / "roles"), "ANSIBLE_LIBRARY": str(ROOT / "roles" / "library")}
    program, *rest = stage.argv
    with tempfile.TemporaryFile("w+", errors="replace") as heard:
        before = ("nice", "-n", "10") if stage.is_patient else ()
        child = subprocess.Popen(
            [*before, str(BIN / program), *rest, *extra],
            cwd=stage.folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=heard,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        note = ""
        try:
            code = child.wait(stage.minutes * 60)
        except subprocess.TimeoutExpired:
            code, note = 124, f"\nno end in {stage.minutes} minutes\n"
        finally:
            end(child)
        heard.seek(0)
        return code, heard.read() + note


def end(child: subprocess.Popen[bytes]) -> None:
    """Ask the command to clean up as for Ctrl-C (pytest then takes its labs down), and end what is left."""
    if child.poll() is None:
        child.send_signal(signal.SIGINT)
        try:
            child.wait(SECONDS_TO_CLEAN_UP)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()
    with contextlib.suppress(ProcessLookupError):
        os.killpg(child.pid, signal.SIGKILL)


def count(junit: Path) -> Counts:
    """Return what a pytest run counted, and its failures by name."""
    if not junit.is_file():
        return Counts()
    # written by our own pytest a moment ago
    root = ET.parse(junit).getroot()  # noqa: S314
    keys = ("tests", "failures", "errors", "skipped")
    totals = [[int(suite.get(key, 0)) for key in keys] for suite in root.iter("testsuite")]
    total, failures, broken, skipped = (sum(column) for column in zip(*totals, strict=True))
    return Counts(
        passed=total - failures - broken - skipped,
        failed=failures + broken,
        skipped=skipped,
        failures=tuple(
            Failure(test=f"{case.get('file')}::{case.get('name')}", why=told.get("message", ""))
            for case in root.iter("testcase")
            for told in (*case.iter("failure"), *case.iter("error"))
        ),
    )


def show(outcome: Outcome) -> None:
    word = "FAILED" if outcome.failed else "ok"
    counts = f"{outcome.passed} passed, {outcome.failed} failed, {outcome.skipped} skipped"
    print(f"{word:6} {outcome.stage.name:24} {outcome.seconds:7.1f} s   {counts}", flush=True)
    if outcome.failed:
        for failure in outcome.failures:
            print(f"       > {failure.test}\n       >     {shortened(failure.why)}", flush=True)
        lines = outcome.output.rstrip().splitlines()
        print("\n".join(f"       | {line}" for line in lines[-SHOWN_LINES:]), flush=True)


def shortened(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= SHOWN_CHARACTERS else f"{line[:SHOWN_CHARACTERS]} ..."


def main(words: Sequence[str]) -> int:
    """Run the stages asked for; return 0 only if something ran and nothing failed."""
    began = time.monotonic()
    outcomes: list[Outcome] = []
    accidents: list[str] = []
    with ThreadPoolExecutor(max_workers=os.cpu_count() or 1) as pool:
        for outcome in pool.map(run, fast_stages()):
            show(outcome)
            outcomes.append(outcome)
    if "--fast" not in words:
        with ThreadPoolExecutor(max_workers=len(full_lanes())) as pool:
            for of_lane in pool.map(run_lane, full_lanes()):
                outcomes.extend(of_lane)
        outcomes.extend(run_lane(drill_stages()))
        first, outcomes = outcomes, again_alone(outcomes)
        accidents = [failure.test for outcome in first if may_be_an_accident(outcome) for failure in outcome.failures]
    if "--nightly" in words:
        outcomes.extend(run_lane(nightly_stages()))
    passed, failed, skipped = (
        sum(column) for column in zip(*((o.passed, o.failed, o.skipped) for o in outcomes), strict=True)
    )
    print(f"\nall stages: {time.monotonic() - began:.1f} s\n{passed} passed, {failed} failed, {skipped} skipped")
    if accidents:
        print(f"{len(accidents)} failed at first and ran again alone:\n  " + "\n  ".join(accidents))
    return int(failed > 0 or passed == 0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
