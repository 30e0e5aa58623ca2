"""The scripts that only look, as they are started on hosts."""

from __future__ import annotations

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


def target(port: int, address: str = "127.0.0.1") -> dict[str, Any]:
    return {"site": "here", "address": address, "port": port}


def test_a_refusal_is_an_answer_and_every_flow_is_counted(open_port: int, refusing_port: int) -> None:
    order = {"targets": [target(open_port), target(refusing_port)], "flows": 8, "timeout_s": 0.3}
    found = json.loads(ask("reach", "silence", said=json.dumps(order) + "\n"))
    assert found["127.0.0.1"]["flows"] == found["127.0.0.1"]["answers"] == 16
    assert found["127.0.0.1"]["heard"] == sorted([f"{open_port} open", f"{refusing_port} refused"])


@AS_ROOT
def test_an_echo_is_an_answer() -> None:
    order = {"targets": [target(0)], "flows": 3, "timeout_s": 0.5}
    found = json.loads(ask("reach", "silence", said=json.dumps(order) + "\n"))
    assert found["127.0.0.1"] == {"flows": 3, "answers": 3, "heard": ["0 open"]}


def test_a_watch_reports_each_try_until_its_input_ends(open_port: int) -> None:
    order = {"targets": [target(open_port)], "vantage": "here", "timeout_s": 0.5}
    with start("reach", "watch") as child:
        assert child.stdin is not None
        child.stdin.write(json.dumps(order) + "\n")
        child.stdin.flush()
        time.sleep(1.2)
        out, _ = child.communicate(timeout=10)
    seen = [json.loads(line) for line in out.splitlines()]
    assert 5 <= len(seen) <= 20
    assert {line["answer"] for line in seen} == {"open"}
    assert all(line["asked"] <= line["t"] for line in seen)


@AS_ROOT
def test_a_clock_is_read_below_what_was_laid_over_the_boot_id() -> None:
    before = time.monotonic()
    boot, instant = ask("clock", said="\n").splitlines()
    assert json.loads(boot)["kernel"] == Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    assert before <= float(instant) <= time.monotonic()
