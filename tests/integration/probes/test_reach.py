"""The scripts that only look, as they are started on hosts."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

SCRIPTS = Path(__file__).parents[3] / "src" / "secondsite" / "probes" / "remote"
AS_ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="an ICMP echo and a mount namespace need root")


def start(script: str, *words: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-I", "-u", str(SCRIPTS / f"{script}.py"), *words],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def ask(script: str, *words: str, said: str) -> str:
    with start(script, *words) as child:
        out, _ = child.communicate(said, timeout=10)
        assert child.returncode == 0
        return out


@pytest.fixture
def open_port() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener.getsockname()[1]


@pytest.fixture
def refusing_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
    return port


@pytest.fixture
def deaf_port() -> Iterator[int]:
    """A listener whose queue is full drops what knocks, as a firewall would."""
    with socket.socket() as listener, contextlib.ExitStack() as waiting:
        listener.bind(("127.0.0.2", 0))
        listener.listen(0)
        port: int = listener.getsockname()[1]
        for _ in range(4):
            knocking = waiting.enter_context(socket.socket())
            knocking.settimeout(0)
            knocking.connect_ex(("127.0.0.2", port))
        yield port


def silence_order(*targets: dict[str, Any], flows: int) -> dict[str, Any]:
    patience = {"least_s": 0.1, "most_s": 1.0, "factor": 2.0}
    return {"targets": targets, "flows": flows, "references": ["127.0.0.1"], "patience": patience}


def target(port: int, address: str = "127.0.0.1") -> dict[str, Any]:
    return {"site": "here", "address": address, "port": port}


def test_a_refusal_is_an_answer_and_every_flow_is_counted(open_port: int, refusing_port: int) -> None:
    order = silence_order(target(open_port), target(refusing_port), flows=8)
    found = json.loads(ask("reach", "silence", said=json.dumps(order) + "\n"))
    assert found["127.0.0.1"]["flows"] == found["127.0.0.1"]["answers"] == 16
    assert found["127.0.0.1"]["heard"] == sorted([f"{open_port} open", f"{refusing_port} refused"])


@AS_ROOT
def test_an_echo_is_an_answer() -> None:
    found = json.loads(ask("reach", "silence", said=json.dumps(silence_order(target(0), flows=3)) + "\n"))
    assert found["127.0.0.1"] == {"flows": 3, "answers": 3, "heard": ["0 open"], "listened_s": 0.0}


def test_silence_is_listened_for_less_long_when_a_reference_answered(open_port: int, deaf_port: int) -> None:
    deaf, reference = target(deaf_port, "127.0.0.2"), target(open_port)
    with_one = json.loads(ask("reach", "silence", said=json.dumps(silence_order(deaf, reference, flows=2)) + "\n"))
    without = json.loads(ask("reach", "silence", said=json.dumps(silence_order(deaf, flows=2)) + "\n"))
    assert (with_one["127.0.0.2"]["flows"], with_one["127.0.0.2"]["answers"]) == (2, 0)
    assert 0.1 <= with_one["127.0.0.2"]["listened_s"] < without["127.0.0.2"]["listened_s"]
    assert without["127.0.0.2"]["listened_s"] >= 0.9


def test_a_watch_reports_each_try_until_its_input_ends(open_port: int) -> None:
    order = {"targets": [target(open_port)], "vantage": "here", "timeout_s": 0.5}
    with start("reach", "watch") as child:
        assert child.stdin is not None
        child.stdin.write(json.dumps(order) + "\n")
        child.stdin.flush()
        assert child.stdout is not None
        first = [child.stdout.readline() for _ in range(5)]
        out, _ = child.communicate(timeout=30)
    seen = [json.loads(line) for line in [*first, *out.splitlines()]]
    assert seen[-1]["asked"] - seen[0]["asked"] > 0.05 * (len(seen) - 1)
    assert {line["answer"] for line in seen} == {"open"}
    assert all(line["asked"] <= line["t"] for line in seen)


@AS_ROOT
def test_a_clock_is_read_below_what_was_laid_over_the_boot_id() -> None:
    before = time.monotonic()
    boot, instant = ask("clock", said="\n").splitlines()
    assert json.loads(boot)["kernel"] == Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    assert before <= float(instant) <= time.monotonic()
