"""Somebody else's six hosts, by the tutorial's own commands: begun, examined, provisioned and checked.

The lab runs the machines, as two datacenters of other names, addresses and domain; the estate's directory knows nothing
of it, and its operator has what an operator has: a key, host keys read off the consoles, and a way to reach the hosts.
Lab hosts have no Internet, so their packages come with the golden image: that roles install what is missing from a
mirror is not tried here; that the doctor sees what is missing is.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from tests.end_to_end.labs import lab_environment

ROOT = Path(__file__).resolve().parents[2]
TUTORIAL = ROOT / "docs" / "tutorial" / "your-own-estate.md"
SECOND = Path(__file__).parent / "second"
INSTANCE = f"second{os.getpid() % 10000}"
CONFIGURED = ("hosts", "secondsite", "knot", "nginx", "shop", "patroni", "etcd", "unbound", "nftables.conf")
LABS_WORDS = r"secondsite\.test|198\.19\.0\.|198\.18\.[1-5]\.|dc1|dc2"

pytestmark = [pytest.mark.nightly, pytest.mark.timeout(1800)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Done:
    """One command and how it ended."""

    command: str
    expected: int
    code: int
    out: str
    said: str


@dataclass(kw_only=True)
class Operator:
    """A person at the controller, with a home and a shell."""

    home: Path
    done: list[Done] = field(default_factory=list)
    exports: list[str] = field(default_factory=list)

    def run(self, command: str) -> Done:
        if command.startswith("export "):
            self.exports.append(command)
        expected = re.search(r"# ends with (\d+)", command)
        script = "\n".join(["set -e", *self.exports, command])
        ended = subprocess.run(
            ["ip", "netns", "exec", f"{INSTANCE}-control", "bash", "-c", script],
            cwd=ROOT,
            env={"PATH": os.environ["PATH"], "HOME": str(self.home), "COLUMNS": "200", "LANG": "C.UTF-8"},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=600,
            check=False,
        )
        done = Done(
            command=command,
            expected=int(expected[1]) if expected else 0,
            code=ended.returncode,
            out=ended.stdout,
            said=ended.stderr,
        )
        self.done.append(done)
        return done

    def document(self, words: str) -> dict[str, Any]:
        done = self.run(f"./secondsite {words} --json")
        assert done.out, done.said
        document: dict[str, Any] = json.loads(done.out)
        return document

    def changed_tasks(self, run: int) -> dict[str, int]:
        """Name the tasks that changed something while a run provisioned, and on how many hosts."""
        (steps,) = (self.home / "estates" / "harbour-state" / "runs").glob(f"{run:06}-provision/records/steps.jsonl")
        lines = [json.loads(line) for line in steps.read_text().splitlines()]
        (done,) = [one for one in lines if (one["step"], one["state"]) == ("converge", "done")]
        found: dict[str, int] = done["detail"]["changed_tasks"]
        return found

    def on(self, host: str, command: str) -> subprocess.CompletedProcess[str]:
        config = self.home / "estates" / "harbour-state" / "keys" / "ssh_config"
        argv = ["ip", "netns", "exec", f"{INSTANCE}-control", "ssh", "-F", str(config), "--", host]
        return subprocess.run(
            [*argv, f"sudo -n sh -c {shlex.quote(command)}"], capture_output=True, text=True, timeout=60, check=False
        )


@dataclass(kw_only=True)
class Machines:
    """The lab, as whoever runs the machines sees it: consoles, plugs and the key that was put on them."""

    environment: Mapping[str, str]
    home: Path

    def lab(self, *words: str) -> None:
        argv = [str(ROOT / "secondsite"), "lab", "--estate", str(SECOND / "machines"), *words]
        done = subprocess.run(
            argv, env=dict(self.environment), stdin=subprocess.DEVNULL, capture_output=True, text=True,
            timeout=600, check=False,
        )  # fmt: skip
        assert done.returncode == 0, f"{words}: {done.stderr[-3000:]}"

    def keys_on_consoles(self) -> set[str]:
        lines = (self.home / "known_hosts").read_text().splitlines()
        return {" ".join(line.split()[1:3]) for line in lines if "provider-" not in line}


def commands_of_the_tutorial() -> list[tuple[str, str]]:
    """Return each command with the heading it stands under."""
    found, heading, inside = [], "", False
    for line in TUTORIAL.read_text().splitlines():
        if line.startswith("```"):
            inside = line == "```sh"
        elif inside:
            found.append((heading, line))
        elif line.startswith("## "):
            heading = line
    return found


@pytest.fixture(scope="module")
def machines(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machines]:
    state = tmp_path_factory.mktemp("machines")
    made = Machines(environment=lab_environment(state, INSTANCE), home=state / f"lab-{INSTANCE}")
    try:
        made.lab("up")
        yield made
    finally:
        made.lab("down")


@pytest.fixture(scope="module")
def operator(machines: Machines, tmp_path_factory: pytest.TempPathFactory) -> Operator:
    """An operator who did what the tutorial says, from its first command to its last."""
    person = Operator(home=tmp_path_factory.mktemp("operator"))
    (person.home / ".ssh").mkdir(mode=0o700)
    shutil.copyfile(machines.home / "keys" / "bootstrap_ed25519", person.home / ".ssh" / "id_ed25519")
    (person.home / ".ssh" / "id_ed25519").chmod(0o600)
    for heading, command in commands_of_the_tutorial():
        if heading.startswith("## 2.") and not any("recipients" in one.command for one in person.done):
            for file in ("hosts.yml", "estate.yml"):  # "Now edit both files."
                shutil.copyfile(SECOND / "harbour" / file, person.home / "estates" / "harbour" / file)
        if heading.startswith("## 5."):  # "compare each fingerprint with the one on the machine's own console"
            fetched = {
                " ".join(line.split()[1:3])
                for line in (person.home / "harbour-pins").read_text().splitlines()
                if not line.startswith("#")
            }
            assert fetched == machines.keys_on_consoles()
        done = person.run(command)
        assert done.code == done.expected, f"{command}: {done.code}\n{done.out[-3000:]}\n{done.said[-3000:]}"
    return person


def ended(operator: Operator, words: str) -> list[Done]:
    return [one for one in operator.done if words in one.command]


def test_every_command_of_the_tutorial_ends_as_the_page_says(operator: Operator) -> None:
    assert [one.command for one in operator.done][: len(commands_of_the_tutorial())] == [
        command for _, command in commands_of_the_tutorial()
    ]
    assert not [one.command for one in operator.done if "Traceback" in one.said]


def test_the_doctor_names_what_the_new_estate_still_lacks_and_then_only_fencing(operator: Operator) -> None:
    first, later = ended(operator, "secondsite doctor")[:2]
    assert "203.0.113.1" in first.out
    assert "recipients" in first.out
    assert "nobody may consent" in first.out
    assert "first contact is still to be made" in later.out
    assert [line for line in later.out.splitlines() if line.startswith("mend")] == [
        line for line in later.out.splitlines() if line.startswith("mend estate fencing")
    ]


def test_a_failover_says_that_it_can_never_be_sure_of_the_fencing(operator: Operator) -> None:
    (plan,) = ended(operator, "plan failover")
    assert "impossible here, no carrier" in plan.out


def test_provisioning_again_changes_nothing(operator: Operator) -> None:
    steps = {one["step"]: one for one in operator.document("runs show 2")["steps"]}
    assert not steps["first-contact"]["changed"]
    assert operator.changed_tasks(2) == {}
    assert steps["verify-tickets"]["state"] == "done"


def test_the_readiness_report_passes_every_check(operator: Operator) -> None:
    report = json.loads((operator.home / "readiness.json").read_text())
    assert report["estate"] == "harbour"
    assert [one["id"] for one in report["checks"] if one["state"] != "passed"] == []
    assert len(report["checks"]) > 30


def test_no_word_of_the_lab_reached_a_host(operator: Operator) -> None:
    for host in ("web-north", "db-south", "witness", "outside"):
        places = " ".join(f"/etc/{name}" for name in CONFIGURED)
        found = operator.on(host, f"grep -rIlE '{LABS_WORDS}' {places} 2>/dev/null; true")
        assert found.returncode == 0, found.stderr
        assert found.stdout == ""


def test_the_owners_key_opens_nothing_any_more(operator: Operator) -> None:
    key = operator.home / ".ssh" / "id_ed25519"
    tried = operator.run(
        f"ssh -F /dev/null -i {key} -o IdentitiesOnly=yes -o BatchMode=yes"
        f" -o UserKnownHostsFile={operator.home}/harbour-pins root@198.19.77.136 true"
    )
    assert tried.code == 255
    assert "Permission denied" in tried.said


def test_a_drill_is_refused_in_one_sentence(operator: Operator) -> None:
    (refused,) = ended(operator, "drill run")
    assert "harbour permits no injection" in refused.said
    assert "no drill was begun" in refused.said


def test_the_doctor_names_a_package_that_a_host_lacks_and_cannot_get(operator: Operator) -> None:
    gone = operator.on("outside", "dpkg --remove --force-depends knot-dnsutils")
    assert gone.returncode == 0, gone.stderr

    found = operator.document("doctor")["findings"]

    (packages,) = [one for one in found if (one["where"], one["id"]) == ("outside", "packages")]
    assert packages["state"] == "missing"
    assert "knot-dnsutils" in packages["saw"]
    assert "apt-get update" in packages["fix"]


def test_the_doctor_knows_nothing_of_a_host_without_power(operator: Operator, machines: Machines) -> None:
    machines.lab("fault", "cut-power", "web-north")

    found = operator.document("doctor")["findings"]

    dead = {one["id"]: one["state"] for one in found if one["where"] == "web-north"}
    assert dead == {"pin": "ok", "reach": "unknown"}
    assert {one["state"] for one in found if (one["where"], one["id"]) == ("web-south", "reach")} == {"ok"}
