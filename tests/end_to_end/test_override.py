"""Night work: two persons promote a copy that lacks writes, and everybody sees what they let pass."""

from __future__ import annotations

import os
import re
import subprocess
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from tests.end_to_end.labs import lab_environment

ROOT = Path(__file__).resolve().parents[2]
INSTANCE = f"lost{os.getpid() % 10000}"
UNREADY = ("--override", "READINESS=this test has just stopped a copy on purpose")
GATE = re.compile(r"override:promote-billing#in-sync\.[0-9a-f]{12}")
PERSONS = ("lab-approver-1", "lab-approver-2")

pytestmark = [pytest.mark.nightly, pytest.mark.timeout(1800)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Small:
    """The small lab, provisioned."""

    state: Path
    environment: dict[str, str]

    def secondsite(self, *words: str, code: int = 0) -> str:
        """Run a command and return what it wrote, standard error included."""
        done = subprocess.run(
            [str(ROOT / "secondsite"), *words], env=self.environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, text=True, timeout=600, check=False,
        )  # fmt: skip
        assert done.returncode == code, f"{words}: {done.returncode}\n{done.stdout[-5000:]}"
        assert "Traceback" not in done.stdout
        return done.stdout

    def on(self, host: str, command: str) -> str:
        """Have a root shell of a host do something."""
        ssh = ["ip", "netns", "exec", f"{INSTANCE}-control", "ssh", "-F", str(self.state / "keys" / "ssh_config")]
        argv = [*ssh, "--", host, "sudo", "-n", "sh", "-s"]
        return subprocess.run(argv, input=command, capture_output=True, text=True, check=True, timeout=60).stdout

    def ask(self, node: str, sql: str) -> str:
        """Ask the shop's database of a node."""
        return self.on(node, f'cd /; sudo -u postgres psql -qXAtc "{sql}" shop').strip()

    def failover(self, *words: str, consents: tuple[str, ...], code: int) -> str:
        """Begin a failover, have two persons consent to it, and these to what is to be overridden; say what it said."""
        said: list[str] = []

        def run() -> None:
            begin = ("run", "failover", "--from", "dc1", "--to", "dc2", "--yes", *UNREADY, *words)
            said.append(self.secondsite(*begin, code=code))

        at_work = threading.Thread(target=run)
        at_work.start()
        self.answer(re.compile(r"(?<=\")authorise(?=\")"), PERSONS, while_=at_work)
        if consents:
            self.answer(GATE, consents, while_=at_work)
        at_work.join(timeout=300)
        return said[0]

    def answer(self, gate: re.Pattern[str], persons: tuple[str, ...], *, while_: threading.Thread) -> None:
        """Wait until the newest run waits at such a gate, and have these persons say yes."""
        until = time.monotonic() + 120
        while not (found := gate.search(self.secondsite("runs", "list", "--json"))):
            assert while_.is_alive(), "the run ended, and never waited"
            assert time.monotonic() < until, f"the run never waited at {gate.pattern}"
        for who in persons:
            self.secondsite("approve", str(self.newest()), found[0], "--yes", "--as", who)

    def newest(self) -> int:
        """Return the number of the failover that was begun last."""
        return max(int(one.name[:6]) for one in (self.state / "runs").glob("[0-9]*-failover"))


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Small]:
    state = tmp_path_factory.mktemp("lost")
    lab = Small(state=state, environment=lab_environment(state, INSTANCE, "small"))
    try:
        lab.secondsite("lab", "up")
        lab.secondsite("run", "provision", "--yes")
        lab.secondsite("check")
        yield lab
    finally:
        lab.secondsite("lab", "down")


def test_writes_are_lost_only_with_the_consent_of_two_persons_who_were_told(small: Small) -> None:
    small.ask("db-dc1", "CREATE TABLE kept (id int); GRANT ALL ON kept TO PUBLIC; INSERT INTO kept VALUES (0)")
    small.on("db-dc2", "systemctl stop patroni@billing")
    until = time.monotonic() + 60
    while "db-dc2" in small.on("db-dc1", "/usr/local/sbin/secondsite-etcdctl get /service/billing/sync"):
        assert time.monotonic() < until, "the copy that is gone is still recorded as in sync"
    small.ask("db-dc1", "INSERT INTO kept SELECT generate_series(1, 7)")
    time.sleep(5)  # until the leader told the quorum its position
    small.secondsite("lab", "fault", "cut-power", "dc1")
    small.on("db-dc2", "systemctl start patroni@billing")

    refused = small.failover(consents=(), code=5)
    assert "is not recorded as holding everything that was acknowledged" in refused
    assert "promote-billing: intended" not in refused

    reason = "dc1 burned down, and customers wait"
    said = small.failover("--override", f"in-sync={reason}", consents=PERSONS, code=0)

    assert "TO OVERRIDE: promote a copy that lacks writes which customers were told are safe" in said
    told = r"db-dc2 lacks at least (\d+) bytes of db-dc1's log \(.*writes.*\), and every write to billing after"
    lacks = re.search(told, said)
    assert lacks is not None, said
    assert int(lacks[1]) > 0
    assert small.ask("db-dc2", "SELECT count(*) FROM kept") == "1"  # what was acknowledged while it was away is lost
    shown = " ".join(small.secondsite("runs", "show", str(small.newest())).split())
    assert reason in shown
    assert "lab-approver-1, lab-approver-2 consented to promote a copy that lacks writes" in shown
