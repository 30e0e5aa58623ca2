"""A lab of these tests' own, provisioned once, saved, and restored before each fault that is planted."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from tests.end_to_end.labs import lab_environment
from tests.end_to_end.labs import provisioned as lab_provisioned

ROOT = Path(__file__).resolve().parents[2]
INSTANCE = f"planted{os.getpid() % 10000}"
SAVE = "planted-provisioned"
EVENT_WITHIN_S = 240.0
STARVED_PERCENT = 20
TRIES = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """How a drill ended."""

    code: int
    result: dict[str, Any]
    said: str


class EndedEarly(Exception):  # noqa: N818  what was observed
    """The drill ended before what was waited for; ``result`` is what it printed."""

    def __init__(self, result: dict[str, Any]) -> None:
        super().__init__()
        self.result = result


@dataclass(frozen=True, slots=True, kw_only=True)
class Estate:
    """The provisioned lab, as an operator and as a saboteur reach it."""

    state: Path
    environment: dict[str, str]

    def secondsite(self, *words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [str(ROOT / "secondsite"), *words],
            env=self.environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=600,
            check=False,
        )

    def on(self, host: str, command: str) -> str:
        """Run a shell command as root on a host, by hand and behind the product's back."""
        config = self.state / "keys" / "ssh_config"
        control = f"{self.environment['SECONDSITE_LAB']}-control"
        argv = ["ip", "netns", "exec", control, "ssh", "-F", str(config), "--", host]
        done = subprocess.run(
            [*argv, f"sudo -n sh -c {_quoted(command)}"], capture_output=True, text=True, timeout=60, check=False
        )
        assert done.returncode == 0, f"{host}: {command}: {done.stderr}"
        return done.stdout

    def drill(self, *, at: str, plant: Callable[[], object] | None = None, interrupt: bool = False) -> Ended:
        """Run the drill; at an event, plant a fault or press Ctrl-C; return how it ended.

        One that ended before the event, on a machine that was denied its processors, is tried again on a restored lab.
        """
        for tries_left in reversed(range(TRIES)):
            try:
                return self._drill(at=at, plant=plant, interrupt=interrupt)
            except EndedEarly as early:
                if not tries_left or not was_starved(early.result):
                    pytest.fail(f"the drill ended before {at}: {json.dumps(early.result)[:2000]}")
            restored = self.secondsite("lab", "restore", SAVE)
            assert restored.returncode == 0, restored.stderr[-3000:]
        raise AssertionError("no try is left, and the last one told nothing")

    def _drill(self, *, at: str, plant: Callable[[], object] | None, interrupt: bool) -> Ended:
        argv = [str(ROOT / "secondsite"), "drill", "run", "site-loss", "--keep", "--json"]
        before = set(self._drills())
        child = subprocess.Popen(
            argv,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        try:
            self._await(at, before=before, child=child)
            if plant is not None:
                plant()
            if interrupt:
                child.send_signal(signal.SIGINT)
            out, err = child.communicate(timeout=400)
        finally:
            if child.poll() is None:
                child.terminate()
                child.communicate(timeout=120)
        assert "Traceback" not in err
        assert out, err
        return Ended(code=child.returncode, result=json.loads(out), said=err)

    def events(self) -> list[str]:
        """Name the events recorded so far; a line that is just being written is left for the next look."""
        records = max(self._drills()) / "records" / "events.jsonl"
        whole, _, _ = records.read_text().rpartition("\n") if records.exists() else ("", "", "")
        return [str(json.loads(line)["event"]) for line in whole.splitlines()]

    def _drills(self) -> list[Path]:
        return list((self.state / "runs").glob("*-site-loss"))

    def _await(self, event: str, *, before: set[Path], child: subprocess.Popen[str]) -> None:
        until = time.monotonic() + EVENT_WITHIN_S
        while time.monotonic() < until:
            if set(self._drills()) - before and event in self.events():
                return
            if child.poll() is not None:
                out, err = child.communicate()
                assert out, err[-3000:]
                raise EndedEarly(json.loads(out))
            time.sleep(0.05)
        pytest.fail(f"no {event} within {EVENT_WITHIN_S} s")


def was_starved(result: Mapping[str, Any]) -> bool:
    """Say whether a drill did not pass, and its machine was denied a fifth of its processor time, as it states.

    Such a drill says nothing about the code: customers wait for a processor. The verdict itself stays what it is.
    """
    denied = [re.search(r"was denied (\d+)% of its processor time", said) for said in result["limitations"]]
    percent = max((int(one[1]) for one in denied if one), default=0)
    starved = result["verdict"] != "passed" and percent >= STARVED_PERCENT
    if starved:
        not_met = [rule["id"] for rule in result["rules"] if rule["finding"] != "satisfied"]
        sys.stderr.write(f"{result['drill']} {result['verdict']}, {percent} % of the processors denied: {not_met}\n")
    return starved


def _quoted(command: str) -> str:
    return "'" + command.replace("'", "'\\''") + "'"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Measure the drill first, while no other lab stands beside it."""
    items.sort(key=lambda item: "test_site_loss" not in item.nodeid)


@pytest.fixture(scope="session")
def provisioned(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Estate]:
    state = tmp_path_factory.mktemp("planted")
    environment = lab_environment(state, INSTANCE, "small")  # nine hosts are restored in a moment
    with lab_provisioned(environment, save=SAVE):
        yield Estate(state=state, environment=environment)


@pytest.fixture
def whole(provisioned: Estate) -> Estate:
    """The provisioned lab as it was saved, whatever the test before did to it."""
    done = provisioned.secondsite("lab", "restore", SAVE)
    assert done.returncode == 0, done.stderr[-3000:]
    provisioned.secondsite("runs", "abort", "--as-it-is")  # what the test before left in the middle is no more
    return provisioned
