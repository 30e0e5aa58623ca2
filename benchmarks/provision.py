"""How long provisioning takes, against ansible-playbook with pipelining and 16 forks on the same roles, in one run.

Each side gets a fresh lab and state. What is compared is the same roles on the same bare hosts. The baseline logs in as
root with the bootstrap key; ours makes first contact before, so that only certificates open the hosts: that has a line
of its own, in which the baseline, which is spared it, is left as it is. Run as root; SECONDSITE_ESTATE names another
estate than the lab's, such as inventories/small with nine hosts instead of seventeen:
"""

from __future__ import annotations

import argparse
import datetime as dt
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from secondsite.estate.load import load_estate
from secondsite.estate.model import Estate
from secondsite.hands import provisioning, secrets
from secondsite.hands.age import own_safe
from secondsite.hands.ansible import FORKS, AnsibleDoor, Converged, Play, inventory_of
from secondsite.hands.keepers import prepared_authorities
from secondsite.hands.keys import Trust
from secondsite.hands.pyinfra import Bootstrap, PyinfraDoor
from secondsite.lab.model import LabSettings
from secondsite.lab.netns import enter_control
from secondsite.probes.ship import scripts

ROOT = Path(__file__).resolve().parents[1]
INVENTORY = Path(os.environ.get("SECONDSITE_ESTATE", ROOT / "inventories" / "lab")).absolute()
INSTANCE = "bprov"
LIMIT = dt.timedelta(minutes=20)
GOAL_RATIO = 2.0
FEW_HOSTS = 9
GOAL_FIRST_S = 120.0
GOAL_AGAIN_S = {True: 15.0, False: 30.0}
"""By whether there are few hosts. Provisioning few for the first time has no goal in seconds, only the ratio."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Took:
    contact_s: float
    first_s: float
    """The roles alone, on hosts that have had first contact."""
    again_s: float
    tasks: int
    changed_again: int


def main() -> int:
    words = argparse.ArgumentParser(description=__doc__)
    words.add_argument("--rounds", type=int, default=1)
    words.add_argument("--side", choices=sorted(SIDES), help=argparse.SUPPRESS)
    words.add_argument("--state", type=Path, help=argparse.SUPPRESS)
    asked = words.parse_args()
    if asked.side:
        print(json.dumps(SIDES[asked.side](asked.state)))
        return 0
    took: dict[str, list[Took]] = {side: [] for side in SIDES}
    for _ in range(asked.rounds):
        for side, seen in took.items():
            seen.append(measure(side))
    return report({side: _median(seen) for side, seen in took.items()})


def measure(side: str) -> Took:
    """Measure one side on a lab of its own, in a process of its own inside the lab's control namespace."""
    with fresh_lab() as state:
        argv = [sys.executable, __file__, "--side", side, "--state", str(state)]
        ended = subprocess.run(argv, check=False, stdout=subprocess.PIPE, timeout=2 * LIMIT.total_seconds(), text=True)
        if ended.returncode != 0:
            raise SystemExit(f"{side} did not come to its end; see above")
        return Took(**json.loads(ended.stdout.splitlines()[-1]))


@contextmanager
def fresh_lab() -> Iterator[Path]:
    state = Path(tempfile.mkdtemp(prefix="secondsite-bench-", dir="/var/tmp"))
    environment = {**os.environ, "SECONDSITE_LAB": INSTANCE, "SECONDSITE_STATE": str(state)}
    environment["SECONDSITE_ESTATE"] = str(INVENTORY)

    def lab(verb: str) -> None:
        argv = [sys.executable, "-m", "secondsite", "lab", verb]
        subprocess.run(argv, check=True, env=environment, stdout=sys.stderr, timeout=600)

    try:
        lab("up")
        yield state
    finally:
        lab("down")
        shutil.rmtree(state, ignore_errors=True)


def settings(state: Path) -> LabSettings:
    cache = Path(os.environ.get("SECONDSITE_CACHE", "/var/cache/secondsite"))
    return LabSettings(instance=INSTANCE, state=state, cache=cache, topology=INVENTORY / "lab.yml")


def told(estate: Estate, state: Path) -> Mapping[str, object]:
    safe = own_safe(state / "secrets")
    authorities = prepared_authorities(estate, safe, now=_now())
    known = secrets.make(safe.directory, safe=safe)
    access = provisioning.Access(scripts=scripts())
    return provisioning.variables_of(estate, state=state, known=known, authorities=authorities, access=access)


def ours(state: Path) -> Mapping[str, object]:
    lab, estate = settings(state), load_estate(INVENTORY)
    enter_control(lab)
    hosts = list(estate.hosts.values())
    trust = Trust(state / "keys", hosts)
    bootstrap = Bootstrap(pins=lab.known_hosts, key=lab.key)
    contact = PyinfraDoor(ROOT / ".venv-pyinfra" / "bin" / "pyinfra", trust=trust, bootstrap=bootstrap)
    variables = told(estate, state)
    roles = AnsibleDoor(hosts, trust=trust, variables=lambda: variables)

    def contacts(name: str) -> None:
        contacted = contact.first_contact(hosts, directory=state / name / "pyinfra", now=_now(), timeout=LIMIT)
        if contacted.failed or contacted.unreachable:
            raise SystemExit(f"first contact: {contacted}")

    def converges(name: str) -> Converged:
        came = roles.converge(Play(playbook=ROOT / "roles" / "estate.yml"), directory=state / name, timeout=LIMIT)
        if came.failures or came.unreachable:
            raise SystemExit(f"convergence: {came.failures or came.unreachable}")
        return came

    contact_s, _ = _timed(lambda: contacts("first"))
    first_s, _ = _timed(lambda: converges("first"))
    known_s, _ = _timed(lambda: contacts("again"))
    again_s, again = _timed(lambda: converges("again"))
    print(f"ours: {again.sentence()}, {dict(again.changed_tasks)}", file=sys.stderr)
    took = {"contact_s": contact_s, "first_s": first_s, "again_s": known_s + again_s}
    return {**took, "tasks": again.tasks, "changed_again": again.changed}


def baseline(state: Path) -> Mapping[str, object]:
    lab, estate = settings(state), load_estate(INVENTORY)
    enter_control(lab)
    files = {
        "inventory.json": json.dumps(_as_root(inventory_of(list(estate.hosts.values()), python="/usr/bin/python3"))),
        "variables.json": json.dumps(told(estate, state)),
        "ansible.cfg": "[defaults]\n",
    }
    for name, text in files.items():
        (state / name).write_text(text)
    argv = [str(Path(sys.executable).parent / "ansible-playbook"), "-i", "inventory.json", "-e", "@variables.json"]
    argv += ["--forks", str(FORKS), str(ROOT / "roles" / "estate.yml")]
    shared = f"-o ControlMaster=auto -o ControlPersist=60s -o UserKnownHostsFile={lab.known_hosts}"
    environment = {
        "PATH": f"{Path(sys.executable).parent}:/usr/sbin:/usr/bin:/sbin:/bin",
        "HOME": str(state),
        "LC_ALL": "C.UTF-8",
        "ANSIBLE_CONFIG": str(state / "ansible.cfg"),
        "ANSIBLE_PIPELINING": "True",
        "ANSIBLE_PRIVATE_KEY_FILE": str(lab.key),
        "ANSIBLE_SSH_ARGS": shared,
        "ANSIBLE_ROLES_PATH": str(ROOT / "roles"),
        "ANSIBLE_LIBRARY": str(ROOT / "roles" / "library"),
    }

    def provision() -> str:
        ended = subprocess.run(
            argv,
            cwd=state,
            env=environment,
            check=False,
            stdout=subprocess.PIPE,
            stdin=subprocess.DEVNULL,
            timeout=LIMIT.total_seconds(),
            text=True,
        )
        if ended.returncode != 0:
            raise SystemExit(f"ansible-playbook ended with {ended.returncode}: {ended.stdout[-3000:]}")
        return ended.stdout

    first_s, _ = _timed(provision)
    again_s, said = _timed(provision)
    counts = [int(word.removeprefix("changed=")) for word in said.split() if word.startswith("changed=")]
    done = [int(word.removeprefix("ok=")) for word in said.split() if word.startswith("ok=")]
    took = {"contact_s": 0.0, "first_s": first_s, "again_s": again_s}
    return {**took, "tasks": sum(done), "changed_again": sum(counts)}


SIDES: Mapping[str, Callable[[Path], Mapping[str, object]]] = {"ours": ours, "baseline": baseline}


def report(took: Mapping[str, Took]) -> int:
    us, them = took["ours"], took["baseline"]
    hosts = len(load_estate(INVENTORY).hosts)
    are_few = hosts <= FEW_HOSTS
    whole_s = us.contact_s + us.first_s
    is_fast, is_soon = them.first_s / us.first_s >= GOAL_RATIO, are_few or whole_s <= GOAL_FIRST_S
    again_s = GOAL_AGAIN_S[are_few]
    figures = [
        _figure(f"the roles on {hosts} bare hosts", us.first_s, them.first_s, met=is_fast),
        _figure("with first contact, to serving", whole_s, them.first_s, met=is_soon),
        _figure("again with nothing to change", us.again_s, them.again_s, met=us.again_s <= again_s),
    ]
    goals = (f"{GOAL_RATIO:g} x", "none" if are_few else f"{GOAL_FIRST_S:g} s", f"{again_s:g} s")
    print(f"{'what':<38} {'ours':>8} {'ansible-playbook':>17} {'ratio':>7} {'goal':>11}  met")
    for figure, goal in zip(figures, goals, strict=True):
        figure["goal"] = goal
        line = (
            f"{figure['what']:<38} {figure['value']:>6} s {figure['baseline']:>15} s {figure['ratio']:>6}x {goal:>11}"
        )
        print(f"{line}  {'yes' if figure['met'] else 'NO'}")
    print(f"again: {us.changed_again} of {us.tasks} tasks changed something (baseline: {them.changed_again})")
    figures.append(
        {
            "what": "changes when provisioned again",
            "value": us.changed_again,
            "unit": "tasks",
            "baseline": them.changed_again,
            "ratio": None,
            "goal": "0",
            "met": us.changed_again == 0,
        }
    )
    print(json.dumps({"benchmark": "provision", "figures": figures}))
    return 0 if all(figure["met"] for figure in figures) else 3


def _figure(what: str, value: float, baseline_s: float, *, met: bool) -> dict[str, object]:
    rounded = {"value": round(value, 1), "baseline": round(baseline_s, 1), "ratio": round(baseline_s / value, 2)}
    return {"what": what, "unit": "s", "goal": "", "met": met, **rounded}


def _median(seen: list[Took]) -> Took:
    middle = statistics.median_low([one.first_s for one in seen])
    return next(one for one in seen if one.first_s == middle)


def _timed(do: Callable[[], object]) -> tuple[float, object]:
    begun = time.monotonic()
    came = do()
    return time.monotonic() - begun, came


def _as_root(inventory: Mapping[str, object]) -> Mapping[str, object]:
    everything = inventory["all"]
    for variables in everything["hosts"].values():
        variables["ansible_user"] = "root"
    return inventory


def _now() -> dt.datetime:
    return dt.datetime.now(dt.UTC)


if __name__ == "__main__":
    raise SystemExit(main())
