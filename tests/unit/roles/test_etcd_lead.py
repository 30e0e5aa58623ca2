"""Leadership of etcd is handed over by a shell script, whatever numbers the members have."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

SCRIPT = Path(__file__).resolve().parents[3] / "roles" / "etcd" / "files" / "secondsite-etcd-lead"
ABOVE_63_BITS = "dc2d88e604f1d9c2"
FAKE = """#!/bin/sh
case "$*" in
    *"endpoint status"*)
        echo >> asked
        [ "$(wc -l < asked)" -gt {deaf} ] && test -e leader || exit 1
        printf '"MemberID" : 7\\n"Leader" : %s\\n' "$(cat leader)" ;;
    *"member list"*) echo "{member}, started, vault, https://x:2380, https://x:2379, false" ;;
    *"endpoint health"*) ;;
    *"move-leader"*) {moves} ;;
esac
"""


def lead(
    folder: Path, *, member: str, moves: str, leader: str = "7", deaf: int = 0
) -> subprocess.CompletedProcess[str]:
    fake = folder / "etcdctl"
    fake.write_text(FAKE.format(member=member, moves=moves, deaf=deaf))
    fake.chmod(0o755)
    (folder / "leader").write_text(leader)
    script = folder / "lead"
    script.write_text(SCRIPT.read_text().replace("/usr/local/sbin/secondsite-etcdctl", str(fake)))
    return subprocess.run(
        ["/bin/sh", str(script), "vault"], cwd=folder, capture_output=True, text=True, check=False, timeout=20
    )


@pytest.mark.parametrize("member", [ABOVE_63_BITS, "12", "ffffffffffffffff"])
def test_leadership_is_handed_to_any_other_member(tmp_path: Path, member: str) -> None:
    done = lead(tmp_path, member=member, moves="true")
    assert (done.returncode, done.stdout, done.stderr) == (0, "moved leadership to vault\n", "")


def test_nothing_is_done_when_the_preferred_member_leads(tmp_path: Path) -> None:
    done = lead(tmp_path, member="7", moves="exit 9")
    assert (done.returncode, done.stdout) == (0, "")


def test_somebody_else_may_take_the_lead_first(tmp_path: Path) -> None:
    done = lead(tmp_path, member="12", moves="echo 18 > leader; exit 1")
    assert (done.returncode, done.stdout) == (0, "")


def test_nobody_being_able_to_say_who_leads_is_no_success(tmp_path: Path) -> None:
    done = lead(tmp_path, member="12", moves="rm leader; exit 1")
    assert (done.returncode, done.stdout) == (1, "")


def test_leadership_that_nobody_takes_is_said(tmp_path: Path) -> None:
    done = lead(tmp_path, member="12", moves="exit 1")
    assert (done.returncode, done.stderr) == (1, "leadership stays here: vault did not take it\n")


@pytest.mark.parametrize(("deaf", "ended"), [(1, 0), (2, 0), (3, 1)])
def test_a_member_that_is_busy_for_a_moment_is_asked_again_and_one_that_stays_so_is_not_for_ever(
    tmp_path: Path, deaf: int, ended: int
) -> None:
    done = lead(tmp_path, member="12", moves="true", deaf=deaf)
    assert (done.returncode, done.stdout) == (ended, "" if ended else "moved leadership to vault\n")
