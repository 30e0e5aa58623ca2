"""The command by which a person takes a lease: one transaction, from exactly the holder that was fenced."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).resolve().parents[3] / "roles" / "etcd" / "files" / "secondsite-lease"
# A stand-in for etcd: the keys are a JSON file, and `txn` knows equality, put and del as etcdctl's grammar has them.
ETCDCTL = """#!{python}
import json, pathlib, re, sys
place = pathlib.Path({place!r})
keys, words = json.loads(place.read_text()), [one for one in sys.argv[1:] if one != "--command-timeout=3s"]
if words[:2] == ["get", "--print-value-only"]:
    print(keys[words[2]]) if words[2] in keys else None
elif words == ["txn"]:
    compare, success, failure = [part.splitlines() for part in sys.stdin.read().split("\\n\\n")[:3]]
    raced = keys.pop("race", None)
    if raced:
        keys.update(json.loads(raced))
    asked = [re.fullmatch(r'value\\((".*?")\\) = (".*")', line).groups() for line in compare]
    met = all(keys.get(json.loads(key)) == json.loads(text) for key, text in asked)
    print("SUCCESS" if met else "FAILURE")
    for line in filter(None, success if met else failure):
        verb, key, *rest = line.split(" ", 2)
        keys.pop(key, None) if verb == "del" else keys.update({{key: json.loads(rest[0])}})
    place.write_text(json.dumps(keys))
else:
    sys.exit(f"what? {{words}}")
"""
LEADER, SYNC, FAILOVER = (f"/service/billing/{name}" for name in ("leader", "sync", "failover"))
MAIL = "/secondsite/workloads/mail"
BILLING = {LEADER: "db-dc1", SYNC: json.dumps({"leader": "db-dc1", "sync_standby": "db-dc2"})}
STORED = {MAIL: '{"epoch": 3, "in_sync": ["store-dc2"], "primary": "store-dc1"}'}


class Quorum:
    """Some keys, and the command beside them."""

    def __init__(self, folder: Path, keys: dict[str, str]) -> None:
        self._place = folder / "keys"
        self._place.write_text(json.dumps(keys))
        etcdctl, self._lease = folder / "etcdctl", folder / "lease"
        etcdctl.write_text(ETCDCTL.format(python=sys.executable, place=str(self._place)))
        etcdctl.chmod(0o755)
        text = SCRIPT.read_text()
        assert text.count('"/usr/local/sbin/secondsite-etcdctl"') == 1
        self._lease.write_text(text.replace("/usr/local/sbin/secondsite-etcdctl", str(etcdctl)))

    def lease(self, *words: str) -> tuple[int, str]:
        done = subprocess.run(
            [sys.executable, "-I", str(self._lease), *words], capture_output=True, text=True, check=False
        )
        assert "Traceback" not in done.stderr
        return done.returncode, (done.stdout + done.stderr).strip()

    @property
    def keys(self) -> dict[str, str]:
        found: dict[str, str] = json.loads(self._place.read_text())
        return found


def test_what_is_known_is_shown(tmp_path: Path) -> None:
    quorum = Quorum(tmp_path, BILLING | STORED)
    assert quorum.lease("show", "patroni", "billing") == (0, "leader: db-dc1\nin sync with db-dc1: db-dc2")
    assert quorum.lease("show", "store", "mail") == (0, "leader: store-dc1\nin sync with store-dc1: store-dc2")
    assert quorum.lease("show", "patroni", "other") == (0, "leader: nobody\nin sync with nobody: nobody")


def test_the_successor_is_named_and_the_dead_leader_taken_away_at_once(tmp_path: Path) -> None:
    quorum = Quorum(tmp_path, BILLING)
    said = quorum.lease("take", "patroni", "billing", "db-dc1", "db-dc2", "--in-sync")
    assert said == (0, "billing: taken from db-dc1 for db-dc2")
    assert LEADER not in quorum.keys
    assert json.loads(quorum.keys[FAILOVER]) == {"member": "db-dc2"}
    code, said_again = quorum.lease("take", "patroni", "billing", "db-dc1", "db-dc2")
    assert (code, said_again) == (0, "billing: nobody holds it, Patroni chooses")


def test_a_storekeepers_lease_begins_another_epoch_with_nobody_in_sync(tmp_path: Path) -> None:
    quorum = Quorum(tmp_path, STORED)
    words = ("take", "store", "mail", "store-dc1", "store-dc2", "--in-sync")
    assert quorum.lease(*words) == (0, "mail: taken from store-dc1 for store-dc2")
    assert json.loads(quorum.keys[MAIL]) == {"epoch": 4, "in_sync": [], "primary": "store-dc2"}
    assert quorum.lease(*words) == (0, "mail: store-dc2 holds it already")
    assert json.loads(quorum.keys[MAIL])["epoch"] == 4


@pytest.mark.parametrize(
    ("words", "why"),
    [
        pytest.param(("patroni", "billing", "db-dc3", "db-dc2"), "held by db-dc1, not by db-dc3", id="another leader"),
        pytest.param(("patroni", "billing", "db-dc1", "db-dc3", "--in-sync"), "not recorded as in sync", id="behind"),
        pytest.param(("store", "mail", "store-dc3", "store-dc2"), "held by store-dc1", id="another primary"),
        pytest.param(
            ("store", "mail", "store-dc1", "store-dc3", "--in-sync"), "not recorded as in sync", id="old copy"
        ),
    ],
)
def test_a_lease_is_taken_from_its_holder_for_who_is_in_sync_or_not_at_all(
    tmp_path: Path, words: tuple[str, ...], why: str
) -> None:
    quorum = Quorum(tmp_path, BILLING | STORED)
    code, said = quorum.lease("take", *words)
    assert code == 1
    assert why in said
    assert "nothing was changed" in said
    assert quorum.keys == BILLING | STORED


@pytest.mark.parametrize(
    ("keys", "raced", "words"),
    [
        (BILLING, {LEADER: "db-dc3"}, ("patroni", "billing", "db-dc1", "db-dc2")),
        (
            BILLING,
            {SYNC: '{"leader": "db-dc1", "sync_standby": null}'},
            ("patroni", "billing", "db-dc1", "db-dc2", "--in-sync"),
        ),
        (
            STORED,
            {MAIL: '{"epoch": 4, "in_sync": [], "primary": "store-dc3"}'},
            ("store", "mail", "store-dc1", "store-dc2"),
        ),
    ],
)
def test_what_changes_between_the_look_and_the_transaction_undoes_the_transaction(
    tmp_path: Path, keys: dict[str, str], raced: dict[str, str], words: tuple[str, ...]
) -> None:
    quorum = Quorum(tmp_path, {**keys, "race": json.dumps(raced)})
    code, said = quorum.lease("take", *words)
    assert code == 1
    assert "changed meanwhile" in said
    assert quorum.keys == {**keys, **raced}


@pytest.mark.parametrize("words", [("show", "store", "other"), ("take", "store", "other", "a", "b")])
def test_what_nobody_knows_is_neither_shown_nor_taken(tmp_path: Path, words: tuple[str, ...]) -> None:
    code, said = Quorum(tmp_path, STORED).lease(*words)
    assert code == 3
    assert "can't be told" in said


@pytest.mark.parametrize("words", [(), ("show",), ("take", "store", "mail"), ("show", "redis", "mail")])
def test_words_that_mean_nothing_change_nothing(tmp_path: Path, words: tuple[str, ...]) -> None:
    quorum = Quorum(tmp_path, STORED)
    assert quorum.lease(*words)[0] == 2
    assert quorum.keys == STORED
