"""A controller is lost in the middle of a failover; another goes on, and the first may act no more when it is back."""

from __future__ import annotations

import base64
import json
import os
import re
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.end_to_end.conftest import ROOT, Estate

pytestmark = [pytest.mark.lab, pytest.mark.nightly, pytest.mark.timeout(900)]
PERSONS = ("lab-approver-1", "lab-approver-2")
HOLDERS = ("lab-deputy-1", "lab-deputy-2")
HEALTHY_WITHIN_S = 120
TIMELINE = "runuser -u postgres -- psql -XAtqc 'SELECT timeline_id FROM pg_control_checkpoint()'"


class Controller:
    """One controller, with a state of its own; persons have their keys where the lab's first one made them."""

    def __init__(self, estate: Estate, state: Path) -> None:
        self.persons = estate.state / "approvers"
        own = {"SECONDSITE_STATE": str(state), "SECONDSITE_LAB_PERSONS": str(self.persons)}
        self.state, self.environment = state, {**estate.environment, **own}

    def begin(self, *words: str, said: Path) -> subprocess.Popen[bytes]:
        with said.open("w") as out:
            return subprocess.Popen(
                [str(ROOT / "secondsite"), *words],
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def run(self, *words: str) -> subprocess.CompletedProcess[str]:
        argv = [str(ROOT / "secondsite"), *words]
        return subprocess.run(argv, env=self.environment, capture_output=True, text=True, timeout=300, check=False)

    def goes_on(self, process: subprocess.Popen[bytes], said: Path, *, within_s: float = 400) -> int:
        """Wait for its end. A copy may be older than the consent to the failover: persons are asked again."""
        until, has_consented = time.monotonic() + within_s, False
        while process.poll() is None and time.monotonic() < until:
            after = said.read_text().partition("goes on\n")[2]
            if not has_consented and "authorise: waiting" in after:
                self.consent("000002-failover")
                has_consented = True
            time.sleep(0.2)
        return process.wait(timeout=1)

    def consent(self, run: str) -> None:
        for who in PERSONS:
            key = str(self.persons / who)
            said = self.run("approve", run, "authorise", "--yes", "--as", who, "--key", key)
            assert said.returncode == 0, said.stderr


def wait_for(said: Path, pattern: str, *, within_s: float = 240) -> re.Match[str]:
    until = time.monotonic() + within_s
    while time.monotonic() < until:
        if found := re.search(pattern, said.read_text()):
            return found
        time.sleep(0.01)
    raise AssertionError(f"no {pattern} in: {said.read_text()[-3000:]}")


@pytest.fixture
def lost(whole: Estate, tmp_path: Path) -> Iterator[tuple[subprocess.Popen[bytes], Path, Controller]]:
    """A controller that fell silent when it had just seen the fencing confirmed; dc1 has no power."""
    first, said = Controller(whole, whole.state), tmp_path / "first"
    until = time.monotonic() + HEALTHY_WITHIN_S
    while (looked := whole.secondsite("check")).returncode != 0:  # no run moves operations past a red check
        assert time.monotonic() < until, looked.stdout
    cut = whole.secondsite("lab", "fault", "cut-power", "dc1")
    assert cut.returncode == 0, cut.stderr
    process = first.begin("run", "failover", "--from", "dc1", "--to", "dc2", said=said)
    try:
        run = wait_for(said, r"run (\d+)-failover")[1]
        wait_for(said, r"authorise: (waiting|done)")
        if "authorise: done" not in said.read_text():
            first.consent(run)
        wait_for(said, r"promote-billing: intended")
        os.killpg(process.pid, signal.SIGSTOP)
        yield process, said, first
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGCONT)
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def test_another_controller_goes_on_and_the_first_may_act_no_more(
    whole: Estate, lost: tuple[subprocess.Popen[bytes], Path, Controller], tmp_path: Path
) -> None:
    process, first_said, _ = lost
    copy = tmp_path / "lab.tgz"
    copy.write_bytes(base64.b64decode(whole.on("vault", "base64 /var/lib/secondsite-standby/*.tgz")))
    second, said = Controller(whole, tmp_path / "second"), tmp_path / "said"

    too_early = second.run("runs", "resume")
    assert too_early.returncode != 0
    keys = [str(whole.state / "secrets" / "lab-holders" / who / "identity") for who in HOLDERS]
    direction = ("--from", "dc1", "--to", "dc2")
    alone = second.run("takeover", str(copy), *direction, "--holder", keys[0], "--yes")
    assert (alone.returncode, "one key was brought" in alone.stderr) == (2, True), alone.stderr
    assert not (second.state / "journal.sqlite").exists()
    going = second.begin("takeover", str(copy), *direction, "--holder", keys[0], "--holder", keys[1], said=said)
    run = wait_for(said, r"run (\d+)-takeover")[1]
    wait_for(said, r"authorise: waiting")
    second.consent(run)
    assert second.goes_on(going, said) == 0, said.read_text()[-4000:]

    assert "escrow was opened by lab-deputy-1 and lab-deputy-2" in said.read_text()
    assert "the old controller may act no more" in said.read_text()
    promoted = int(whole_timeline(second, "db-dc2"))
    runs = json.loads(second.run("runs", "list", "--json").stdout)["runs"]
    assert {one["state"] for one in runs if one["run"].endswith(("failover", "takeover"))} == {"done"}

    at = len(first_said.read_text())
    os.killpg(process.pid, signal.SIGCONT)
    assert process.wait(timeout=300) != 0
    later = first_said.read_text()[at:]
    assert not re.findall(r"^(?:redirect|open|rebuild|keep)\S*: done", later, re.MULTILINE), later
    assert int(whole_timeline(second, "db-dc2")) == promoted, "nothing was promoted twice"


def whole_timeline(controller: Controller, host: str) -> str:
    """Ask by the keys that open hosts now."""
    config = controller.state / "keys" / "ssh_config"
    instance = controller.environment["SECONDSITE_LAB"]
    argv = ["ip", "netns", "exec", f"{instance}-control", "ssh", "-F", str(config), "--", host]
    done = subprocess.run(
        [*argv, f'sudo -n sh -c "{TIMELINE}"'], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()
