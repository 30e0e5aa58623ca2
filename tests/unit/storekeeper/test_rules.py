"""Who may write and who may overwrite whom, among storekeepers of two sites and a quorum."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest
from hypothesis import given
from hypothesis import strategies as st


def load(name: str) -> ModuleType:
    """Return a module of the storekeeper as it lies in its role, without installing it."""
    path = Path(__file__).resolve().parents[3] / "roles" / "store" / "files" / "storekeeper" / f"{name}.py"
    spec = importlib.util.spec_from_file_location(f"storekeeper_{name}", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


rules = load("rules")
HOSTS = ("store-dc1", "store-dc2")
leases = st.builds(
    lambda primary, epoch, in_sync: rules.Lease(primary=primary, epoch=epoch, in_sync=tuple(in_sync)),
    st.sampled_from(HOSTS),
    st.integers(min_value=1, max_value=9),
    st.lists(st.sampled_from(HOSTS), unique=True),
)


@given(lease=leases, ages=st.tuples(st.floats(0, 30), st.floats(0, 30)), known=st.tuples(*[st.integers(0, 9)] * 2))
def test_of_one_lease_there_are_never_two_primaries(
    lease: object, ages: tuple[float, float], known: tuple[int, int]
) -> None:
    roles = [
        rules.role_of(host, lease, age_s=age, known_epoch=epoch)
        for host, age, epoch in zip(HOSTS, ages, known, strict=True)
    ]
    assert roles.count(rules.Role.PRIMARY) <= 1


@given(lease=leases, age=st.floats(0, 9.9))
def test_a_host_that_saw_a_later_epoch_never_writes_by_an_older_lease(lease: object, age: float) -> None:
    role = rules.role_of(lease.primary, lease, age_s=age, known_epoch=lease.epoch + 1)  # type: ignore[attr-defined]
    assert role is rules.Role.STANDBY


@pytest.mark.parametrize("age", [None, 10.0, 3600.0])
def test_a_primary_that_lost_sight_of_the_quorum_writes_no_more(age: float | None) -> None:
    lease = rules.Lease(primary="store-dc1", epoch=3)
    assert rules.role_of("store-dc1", lease, age_s=9.9, known_epoch=3) is rules.Role.PRIMARY
    assert rules.role_of("store-dc1", lease, age_s=age, known_epoch=3) is rules.Role.STANDBY


def test_a_host_that_never_read_a_lease_is_a_standby() -> None:
    assert rules.role_of("store-dc1", None, age_s=0.0, known_epoch=0) is rules.Role.STANDBY


def test_a_fenced_primary_that_comes_back_overwrites_nothing() -> None:
    """It still believes in epoch 1; the other site was promoted into epoch 2 meanwhile."""
    lease = rules.Lease(primary="store-dc2", epoch=2)
    reasons = list(
        rules.reasons_not_to_receive(host="store-dc2", sender="store-dc1", epoch=1, lease=lease, known_epoch=2)
    )
    assert "epoch 1 is over: 2 was seen here" in reasons
    assert "store-dc2 is the primary itself" in reasons


@given(lease=leases, host=st.sampled_from(HOSTS), sender=st.sampled_from(HOSTS), epoch=st.integers(0, 9))
def test_a_copy_is_taken_only_from_the_primary_of_the_epoch_the_quorum_names(
    lease: object, host: str, sender: str, epoch: int
) -> None:
    primary, current = lease.primary, lease.epoch  # type: ignore[attr-defined]
    refused = list(
        rules.reasons_not_to_receive(host=host, sender=sender, epoch=epoch, lease=lease, known_epoch=current)
    )
    assert (not refused) == (sender == primary != host and epoch == current)


@given(lease=leases)
def test_a_lease_is_read_back_as_it_was_written(lease: object) -> None:
    assert rules.Lease.parsed(lease.text()) == lease  # type: ignore[attr-defined]


@given(lease=leases, host=st.sampled_from(HOSTS))
def test_each_promotion_begins_an_epoch_in_which_nobody_is_in_sync_yet(lease: object, host: str) -> None:
    new = lease.handed_to(host)  # type: ignore[attr-defined]
    assert (new.primary, new.epoch, new.in_sync) == (host, lease.epoch + 1, ())  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    "text",
    ["{}", "[]", '{"primary": "a", "epoch": 0, "in_sync": []}', '{"primary": "a", "epoch": "2", "in_sync": []}', "x"],
)
def test_a_lease_that_makes_no_sense_is_an_error_and_no_default(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        rules.Lease.parsed(text)


@pytest.mark.parametrize(
    "path",
    ["../etc/passwd", "a/../b", "a//b", ".hidden", "a/.git/config", "a b", "-rf", "a/\n", "", "/", "a\0b", "x" * 200],
)
def test_a_path_that_leaves_its_folder_or_hides_in_it_is_refused(path: str) -> None:
    assert rules.parts_of(path) is None


@given(st.text(max_size=40))
def test_whatever_path_is_accepted_stays_below_its_root(path: str) -> None:
    parts = rules.parts_of(path)
    root = Path("/srv/store/documents")
    assert parts is None or root in root.joinpath(*parts).resolve().parents


GOOD = ["rsync", "--server", "-logDtpre.iLsfxCIvu", "--delete", "--fsync", "--timeout=10", ".", "documents"]


def received(*words: str) -> list[str] | None:
    found: list[str] | None = rules.rsync_words(
        list(words), target="/srv/store/documents/", kept_in="/srv/store/.kept/x"
    )
    return found


def test_the_receiver_puts_what_it_is_sent_where_it_wants_it() -> None:
    words = received(*GOOD)
    assert words is not None
    assert words[-1] == "/srv/store/documents/"


def test_what_is_overwritten_is_kept_in_the_receivers_own_folder() -> None:
    words = received(*GOOD[:3], "--backup", "--backup-dir", "/etc", ".", "documents")
    assert words is not None
    assert words[words.index("--backup-dir") + 1] == "/srv/store/.kept/x"
    assert "/etc" not in words


@pytest.mark.parametrize(
    "more",
    ["--sender", "--daemon", "--config=/tmp/x", "--rsync-path=sh", "--remove-source-files", "--temp-dir=/etc", "/etc"],
)
def test_the_receiver_is_asked_for_nothing_but_receiving(more: str) -> None:
    assert received(*GOOD[:3], more, *GOOD[3:]) is None
