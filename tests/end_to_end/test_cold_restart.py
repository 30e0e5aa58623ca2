"""Night work: both datacenters are gone with all their data, and the controller with them. The vault is what is left.

Customers order until the end. Then every host of both sites loses its power, one site's machines are thrown away and
new ones stand there, and another controller begins with the copy of the state that lay in the vault. What customers
were told before the newest log in the vault must be there; what was lost is counted.
"""

from __future__ import annotations

import datetime as dt
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest
from tests.end_to_end.labs import lab_environment, provisioned
from tests.end_to_end.test_by_hand import ORDERS, READ, ROOT, Order, read_orders
from tests.end_to_end.test_site_loss import launch

INSTANCE = f"cold{os.getpid() % 10000}"
LOG_LASTS_S = 60
"""A log that is not full is closed after so long (archive_timeout): what was written before must be in the vault."""
ARCHIVED_WITHIN_S = 30
KIT = "/var/lib/secondsite-standby"
"""What lies at the vault: the copy of the controller's state, and beside it the packages that two holders open."""
CONSENTING = ("lab-approver-1", "lab-approver-2")
HOLDERS = ("lab-deputy-1", "lab-approver-2")

pytestmark = [pytest.mark.nightly, pytest.mark.timeout(3600)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Controller:
    """One controller, with a state of its own."""

    environment: Mapping[str, str]

    @property
    def state(self) -> Path:
        return Path(self.environment["SECONDSITE_STATE"])

    def on(self, host: str, command: str, said: str = "") -> str:
        config = str(self.state / "keys" / "ssh_config")
        argv = ["ip", "netns", "exec", f"{INSTANCE}-control", "ssh", "-F", config, "--", host, command]
        done = subprocess.run(argv, input=said, capture_output=True, text=True, timeout=300, check=False)
        assert done.returncode == 0, f"{host}: {command}: {done.stderr}"
        return done.stdout

    def argv(self, *words: str) -> list[str]:
        return [str(ROOT / "secondsite"), *words]

    def go(self, *words: str) -> str:
        done = launch(dict(self.environment), *words)
        assert done.returncode == 0, f"{words}: {done.stderr[-3000:]}"
        return done.stdout

    def restarts(self, said: Path) -> int:
        """Begin the restart, and have two persons consent to whatever it asks; return how it ended."""
        with said.open("w") as out:
            going = subprocess.Popen(
                self.argv("run", "cold_restart", "--from", "dc1", "--to", "dc2"),
                env=dict(self.environment),
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        try:
            for gate in ("authorise", "consent-to-restore"):
                while f"{gate}: waiting" not in said.read_text():
                    assert going.poll() is None, said.read_text()[-4000:]
                    time.sleep(0.2)
                run = re.findall(r"^run (\d+)-cold_restart", said.read_text(), re.MULTILINE)[0]
                for who in CONSENTING:
                    key = str(Path(self.environment["SECONDSITE_LAB_PERSONS"]) / who)
                    self.go("approve", run, gate, "--yes", "--as", who, "--key", key)
            return going.wait(timeout=1500)
        finally:
            if going.poll() is None:
                os.killpg(going.pid, signal.SIGKILL)
                going.wait()


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Controller]:
    environment = lab_environment(tmp_path_factory.mktemp("cold"), INSTANCE, "lab")
    with provisioned(environment):
        yield Controller(environment=environment)


def order_for(controller: Controller, seconds: float) -> list[Order]:
    config = str(controller.state / "keys" / "ssh_config")
    argv = ["ip", "netns", "exec", f"{INSTANCE}-control", "ssh", "-F", config, "--", "customers", ORDERS]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) as shop:
        time.sleep(seconds)
        shop.kill()
        text, _ = shop.communicate()
    return [one for one in read_orders(text) if one.status in (200, 201)]


def lost(controller: Controller, orders: list[Order]) -> list[Order]:
    asked = "".join(f"{one.order}\n" for one in orders)
    answers = dict(line.split(" ") for line in controller.on("customers", READ, said=asked).splitlines())
    assert answers.keys() == {one.order for one in orders}
    assert set(answers.values()) <= {"200", "404"}
    return [one for one in orders if answers[one.order] == "404"]


def brought_from_the_vault(controller: Controller, place: Path) -> Path:
    """Have somebody who stands at the vault bring what lies there: the copy, and the packages beside it."""
    words = controller.argv("lab", "shell", "vault", "--", "tar", "-C", KIT, "-cf", "-", ".")
    brought = subprocess.run(words, env=dict(controller.environment), capture_output=True, check=True).stdout
    subprocess.run(["tar", "-C", str(place), "-xf", "-"], input=brought, check=True)
    assert {path.suffix for path in (place / "lab.escrow").iterdir()} == {".age", ".json"}
    return place


def begun_elsewhere(first: Controller, place: Path, brought: Path) -> Controller:
    """Begin another controller on a machine that has nothing: two holders come with their keys, one is not enough."""
    lab = first.state / f"lab-{INSTANCE}"
    second = Controller(
        environment={
            **first.environment,
            "SECONDSITE_STATE": str(place / "second"),
            "SECONDSITE_LAB_PERSONS": str(first.state / "approvers"),
            "SECONDSITE_KNOWN_HOSTS": str(lab / "known_hosts"),
            "SECONDSITE_BOOTSTRAP_KEY": str(lab / "keys" / "bootstrap_ed25519"),
        }
    )
    keys = [str(first.state / "secrets" / "lab-holders" / who / "identity") for who in HOLDERS]
    words = ("recover", str(brought / "lab.tgz"), "--escrow", str(brought / "lab.escrow"), "--holder", keys[0])
    refused = launch(dict(second.environment), *words)
    assert (refused.returncode, "opened by two of its holders" in refused.stderr) == (2, True), refused.stderr
    second.go(*words, "--holder", keys[1])
    return second


def test_operations_begin_anew_from_what_the_vault_kept(first: Controller, tmp_path: Path) -> None:
    page = first.on("store-dc1", "sudo cat /srv/store/website/index.html")
    early = order_for(first, 10)
    time.sleep(LOG_LASTS_S + ARCHIVED_WITHIN_S)
    late = order_for(first, 5)
    assert len(early) > 20
    assert late

    first.go("lab", "fault", "cut-power", "dc1", "dc2")
    began = time.monotonic()
    brought = brought_from_the_vault(first, tmp_path)
    first.go("lab", "fault", "deliver", "dc2")
    second = begun_elsewhere(first, tmp_path, brought)

    said = tmp_path / "said"
    assert second.restarts(said) == 0, said.read_text()[-6000:]
    took = time.monotonic() - began

    looked = launch(dict(second.environment), "check", "--tags", "SEC-ESCROW", "--json")
    escrow = json.loads(looked.stdout)["checks"][0]
    assert (escrow["state"], escrow["hosts"]) == ("unknown", ["ops-dc1"]), "whoever stands keeps what two opened"
    runs = json.loads(second.go("runs", "list", "--json"))["runs"]
    assert [one["state"] for one in runs if one["run"].endswith("cold_restart")] == ["done"]
    assert lost(second, early) == [], "what was ordered before the newest log in the vault is there"
    gone = lost(second, late)
    assert second.on("store-dc2", "sudo cat /srv/store/website/index.html") == page
    assert order_for(second, 5), "customers are served"
    assert {one.web for one in order_for(second, 2)} == {"web-dc2"}
    until = up_to_when(second)
    sys.stderr.write(
        f"restarted {took:.0f} s after the loss, persons and machines at once; billing up to {until}: of"
        f" {len(early) + len(late)} acknowledged orders {len(gone)} are lost\n"
    )


def up_to_when(controller: Controller) -> dt.datetime:
    """Return the instant of the last commit that was replayed, as the host kept it."""
    told = json.loads(controller.on("db-dc2", "sudo cat /var/lib/secondsite/restored/billing.json"))
    assert told["rows"]["shop: secondsite.orders"] > 20
    return dt.datetime.fromtimestamp(float(told["until"]), tz=dt.UTC)
