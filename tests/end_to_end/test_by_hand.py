"""Night work: the primary site is lost and the tool with it; the printed procedure alone brings customers to the other.

The page is the one that is kept at the surviving site. Whoever carries it out has ssh and the page: nothing of the
engine runs between the loss and the return. Customers order all the while, and what was acknowledged must be there.
"""

from __future__ import annotations

import itertools
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from tests.end_to_end.labs import lab_environment, provisioned
from tests.end_to_end.test_site_loss import launch

ROOT = Path(__file__).resolve().parents[2]
INSTANCE = f"hand{os.getpid() % 10000}"
WALK = ROOT / "drtests" / "by_hand" / "walk.py"
IN_SYNC_WITHIN_S, BEFORE_S, AFTER_S = 120, 5, 8
# One order after the other, as somebody would who keeps pressing the button: instant, order, status, who served it.
ORDERS = """
ask() { curl -s --max-time 3 --cacert /etc/secondsite/tls/ca-bundle.crt -H "Authorization: Bearer $token" "$@"; }
shop=https://shop.secondsite.test
body=$(sudo sed 's/{/{"customer": "drill-2", /' /etc/secondsite/tenant.json)
token=$(echo "$body" | ask --data @- $shop/signin | sed -n 's/.*"token": *"\\([^"]*\\)".*/\\1/p')
while true; do
  order=$(cat /proc/sys/kernel/random/uuid)
  said=$(echo "{\\"id\\": \\"$order\\", \\"item\\": \\"tea\\"}" |
    ask -o /dev/null --data @- -w '%{http_code} %header{x-served-by}' $shop/orders)
  echo "$(cut -d ' ' -f 1 /proc/uptime) $order $said"
  sleep 0.1
done
"""
READ = """
ask() { curl -s --max-time 3 --cacert /etc/secondsite/tls/ca-bundle.crt -H "Authorization: Bearer $token" "$@"; }
shop=https://shop.secondsite.test
body=$(sudo sed 's/{/{"customer": "drill-2", /' /etc/secondsite/tenant.json)
token=$(echo "$body" | ask --data @- $shop/signin | sed -n 's/.*"token": *"\\([^"]*\\)".*/\\1/p')
while read order; do
  for try in $(seq 20); do  # a door that was just closed, or a busy moment, is no answer about an order
    code=$(ask -o /dev/null -w '%{http_code}' $shop/orders/$order)
    case $code in 200 | 404) break ;; esac
    sleep 0.5
  done
  echo "$order $code"
done
"""

pytestmark = [pytest.mark.nightly, pytest.mark.timeout(3600)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """One order, as its customer saw it."""

    at: float
    order: str
    status: int
    web: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Person:
    """Somebody at a terminal, with ssh and nothing else."""

    environment: dict[str, str]

    @property
    def ssh_config(self) -> Path:
        return Path(self.environment["SECONDSITE_STATE"]) / "keys" / "ssh_config"

    def argv(self, host: str, command: str) -> list[str]:
        through = ["ip", "netns", "exec", f"{INSTANCE}-control"]
        return [*through, "ssh", "-F", str(self.ssh_config), "--", host, command]

    def on(self, host: str, command: str, said: str = "") -> str:
        argv = self.argv(host, command)
        done = subprocess.run(argv, input=said, capture_output=True, text=True, timeout=300, check=False)
        assert done.returncode == 0, f"{host}: {command}: {done.stderr}"
        return done.stdout

    def carries_out(self, page: Path) -> subprocess.CompletedProcess[str]:
        words = ["--ssh-config", str(self.ssh_config), "--through", f"ip netns exec {INSTANCE}-control"]
        words += ["--consent", "lab-deputy-1", "--consent", "lab-deputy-2"]
        return subprocess.run(
            [sys.executable, "-I", str(WALK), str(page), *words],
            env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin"},  # nothing that could lead to the engine
            cwd="/",
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=900,
            check=False,
        )


@pytest.fixture(scope="module")
def person(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Person]:
    environment = lab_environment(tmp_path_factory.mktemp("by-hand"), INSTANCE, "lab")
    with provisioned(environment):
        yield Person(environment=environment)


def test_the_kept_page_alone_brings_customers_to_the_other_site_and_home(person: Person, tmp_path: Path) -> None:
    wait_until_in_sync(person)
    pages = {name: kept(person, name, tmp_path) for name in ("failover-dc1-dc2", "failback-dc2-dc1")}

    with (
        (tmp_path / "orders").open("w+") as told,
        subprocess.Popen(person.argv("customers", ORDERS), stdout=told) as shop,
    ):
        try:
            time.sleep(BEFORE_S)
            cut = launch(person.environment, "lab", "fault", "cut-power", "dc1")
            assert cut.returncode == 0, cut.stderr
            done = person.carries_out(pages["failover-dc1-dc2"])
            assert done.returncode == 0, done.stderr[-4000:]
            time.sleep(AFTER_S)
        finally:
            shop.kill()
        orders = read_orders((tmp_path / "orders").read_text())

    assert_served(orders, first="web-dc1", then="web-dc2")
    assert lost(person, orders) == []
    assert_one_page_was_carried_out(done.stdout, pages["failover-dc1-dc2"])

    assert launch(person.environment, "lab", "fault", "restore-power").returncode == 0
    home = person.carries_out(pages["failback-dc2-dc1"])
    assert home.returncode == 0, home.stderr[-4000:]
    assert lost(person, orders) == []
    check = launch(person.environment, "check", "--tags", "RDY-PROCEDURE")
    assert check.returncode == 0, check.stdout


def wait_until_in_sync(person: Person) -> None:
    """Wait until billing and mail may be taken over without loss, as they may in calm times."""
    shown = "for one in 'patroni billing' 'store mail'; do sudo secondsite-lease show $one; done"
    until = time.monotonic() + IN_SYNC_WITHIN_S
    while (said := person.on("vault", shown)).count("-dc2") < 2:
        assert time.monotonic() < until, said
        time.sleep(1)


def kept(person: Person, name: str, folder: Path) -> Path:
    """Fetch a page as it is kept at the site that will survive."""
    page = folder / f"{name}.md"
    page.write_text(person.on("ops-dc2", f"cat /srv/runbooks/{name}.md"))
    return page


def read_orders(text: str) -> list[Order]:
    found = []
    for line in text.splitlines():
        at, order, status, *web = (
            line.split(" ") if line.count(" ") > 1 else ("0", "", "0")
        )  # cut off as it was written
        found.append(Order(at=float(at), order=order, status=int(status), web=web[0] if web else ""))
    return found


def assert_served(orders: list[Order], *, first: str, then: str) -> None:
    """Customers were served by the one site until the loss, then by the other alone."""
    good = [one for one in orders if one.status in (200, 201)]
    assert good[0].web == first
    assert good[-1].web == then
    changes = [one.web for before, one in itertools.pairwise(good) if one.web != before.web]
    assert changes == [then]
    gap = max(later.at - before.at for before, later in itertools.pairwise(good))
    sys.stderr.write(f"{len(good)} of {len(orders)} orders acknowledged; the longest gap between two is {gap:.1f} s\n")


def lost(person: Person, orders: list[Order]) -> list[str]:
    """Ask the shop for every order it acknowledged; return what came of those it does not have."""
    acknowledged = [one.order for one in orders if one.status in (200, 201)]
    assert len(acknowledged) > 20
    answers = person.on("customers", READ, said="\n".join(acknowledged) + "\n").splitlines()
    assert len(answers) == len(acknowledged)
    return [line for line in answers if not line.endswith(" 200")]


def assert_one_page_was_carried_out(said: str, page: Path) -> None:
    told = json.loads(said)
    assert f"`{told['plan_digest']}`" in page.read_text()
    assert told["steps"] == page.read_text().count("\n### ")
