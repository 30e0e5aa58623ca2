"""What the vault removes: what came in long ago by its own clock, nothing it is not sure of, nothing too early."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as some
from tests.unit.roles.test_backup_jobs import ROLES, load

prune = load(ROLES / "backup_target" / "files" / "secondsite-prune")
Repository: Any = prune.Repository
DAY = 86400.0
OWN = "for tests only"
NOW = 1_800_000_000.0
SETTINGS = {"days": 90, "newest": 3, "share": 0.25}
SERIES = ("web files", "web databases", "forged ")
ages = some.floats(0, 400 * DAY)
snapshots = some.lists(some.tuples(ages, some.sampled_from(SERIES)), max_size=60)


def told(given_ones: list[tuple[float, str]]) -> tuple[dict[str, float], dict[str, str]]:
    named = {hashlib.sha256(str(number).encode()).hexdigest(): one for number, one in enumerate(given_ones)}
    return {name: NOW - age for name, (age, _) in named.items()}, {name: of for name, (_, of) in named.items()}


def gone(given_ones: list[tuple[float, str]], *, allowed: int | None = None) -> list[str]:
    came, series = told(given_ones)
    return list(prune.due(came, series, now=NOW, settings=SETTINGS, name="web", allowed=allowed))


# --- how restic is run ---

BUSY = """
import sys, time
until = time.monotonic() + 1.0
while time.monotonic() < until:
    pass
print(time.process_time())
sys.exit(3)
"""


def test_what_makes_a_key_has_a_tenth_of_a_processor_and_still_comes_to_its_end() -> None:
    code, said, _ = prune.ended([sys.executable, "-I", "-c", BUSY], [], longest_s=60, slowed=True)
    assert code == 3
    assert float(said) < 0.5, "it ran most of the time"


def test_what_takes_too_long_is_ended_also_where_it_is_slowed() -> None:
    with pytest.raises(subprocess.TimeoutExpired):
        prune.ended(["sleep", "60"], [], longest_s=0.3, slowed=True)


# --- what goes ---


@given(snapshots)
def test_only_what_came_in_long_ago_goes_and_the_newest_of_each_series_never_do(ones: list[tuple[float, str]]) -> None:
    came, series = told(ones)
    try:
        went = set(gone(ones))
    except prune.NotSure:
        return
    assert all(NOW - came[name] > 90 * DAY for name in went)
    for one in SERIES:
        members = sorted((name for name in came if series[name] == one), key=lambda name: -came[name])
        assert sum(name not in went for name in members) >= min(3, len(members))
        assert went.isdisjoint(name for name in members[:3] if came[name] != came[members[min(3, len(members) - 1)]])


@given(snapshots)
def test_no_more_than_a_quarter_of_a_series_or_one_goes_in_a_night(ones: list[tuple[float, str]]) -> None:
    _, series = told(ones)
    try:
        went = gone(ones)
    except prune.NotSure:
        return
    for one in SERIES:
        total = sum(of == one for of in series.values())
        assert sum(series[name] == one for name in went) <= max(1, total // 4)


@given(snapshots, some.lists(some.tuples(some.floats(0, 80 * DAY), some.sampled_from(SERIES)), max_size=30))
def test_whatever_a_producer_adds_no_other_snapshot_goes_for_it(
    real: list[tuple[float, str]], added: list[tuple[float, str]]
) -> None:
    """New ones push nothing out but what is too old anyway."""
    came, _ = told(real)
    try:
        went = set(gone(real + added))
    except prune.NotSure:
        return
    assert all(NOW - came[name] > 90 * DAY for name in went)


def test_a_night_of_many_years_of_hourly_snapshots_takes_a_day() -> None:
    hourly = [(3600.0 * hour, "web files") for hour in range(91 * 24)]
    assert len(gone(hourly)) == 23


@pytest.mark.parametrize(("days", "sure"), [(20, True), (31, False), (4000, False)])
def test_a_clock_that_jumps_ahead_takes_nothing(days: int, *, sure: bool) -> None:
    hourly = [(3600.0 * hour + days * DAY, "web files") for hour in range(90 * 24)]
    if sure:
        assert len(gone(hourly)) <= 90 * 24 // 4
        return
    with pytest.raises(prune.NotSure, match="would go at once"):
        gone(hourly)


def test_a_person_lets_go_what_a_run_is_not_sure_of_and_only_as_many_as_were_named() -> None:
    old = [(100 * DAY + hour, "web files") for hour in range(40)]
    for allowed in (None, 36, 38):
        with pytest.raises(prune.NotSure, match="prune allow web 37"):
            gone(old, allowed=allowed)
    assert len(gone(old, allowed=37)) == 37


def test_a_permission_holds_for_a_day(tmp_path: Path) -> None:
    prune.allow("web", 37, state=tmp_path)
    written = json.loads((tmp_path / "web.allowed").read_text())
    assert written["count"] == 37
    assert abs(written["at"] - prune.time.time()) < 60


def test_what_is_too_old_and_can_not_be_read_is_told_and_what_is_new_is_left() -> None:
    came, series = told([(100 * DAY, "a"), (DAY, "a"), (DAY, "a"), (DAY, "a"), (DAY, "a")])
    names = list(came)
    new = {name: of for name, of in series.items() if name != names[1]}
    assert prune.due(came, new, now=NOW, settings=SETTINGS, name="web") == [names[0]]
    old = {name: of for name, of in series.items() if name != names[0]}
    with pytest.raises(prune.Failed, match="can't be read"):
        prune.due(came, old, now=NOW, settings=SETTINGS, name="web")


@pytest.mark.parametrize(
    ("came", "before", "says"),
    [
        ({"a": NOW - DAY, "b": NOW + 200}, {}, "1 snapshots are from the future"),
        ({"a": NOW - DAY}, {"ended": NOW + 3600}, "the last prune is from the future"),
    ],
)
def test_a_clock_that_went_back_takes_nothing(came: dict[str, float], before: dict[str, float], says: str) -> None:
    with pytest.raises(prune.NotSure, match=says):
        prune.require_a_clock(came, before, now=NOW)
    prune.require_a_clock({"a": NOW + 60}, {"ended": NOW - DAY}, now=NOW)


# --- how it goes ---


class Killed(BaseException):
    """The prune is cut here: nothing of it runs any more."""


class Simulated(Repository):  # type: ignore[misc]
    """A repository whose restic is a few lines: each snapshot needs the pack of its own name and the common one."""

    cut_at = ""
    reads_back = True
    is_dead = False

    def restic(self, *words: str, **_: Any) -> str:
        verb = words[0]
        self._cut(f"before {verb}")
        match verb:
            case "forget":
                for name in words[words.index("--") + 1 :]:
                    (self.path / "snapshots" / name).chmod(0o666)  # as restic does
                    (self.path / "snapshots" / name).unlink()
            case "prune":
                self._prune()
            case "check" if not self.reads_back:
                raise prune.Failed("restic check ended with exit code 1: a pack is damaged")
            case "cat":
                return str((self.path / "locks" / words[-1]).read_text())
        self._cut(f"after {verb}")
        return ""

    def mend(self) -> None:
        if not self.is_dead:
            super().mend()

    def _cut(self, where: str) -> None:
        if self.cut_at == where:
            self.is_dead = True
            raise Killed

    def _prune(self) -> None:
        file(self.path / "index" / digest("new index"), "new index")
        self._cut("inside prune")
        for path in [*(self.path / "index").iterdir(), *(self.path / "data").rglob("*")]:
            kept = {digest("new index"), digest("common"), *(one.name for one in (self.path / "snapshots").iterdir())}
            if path.is_file() and path.name not in kept:
                path.unlink()


def digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def file(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


@pytest.fixture
def repository(tmp_path: Path) -> Simulated:
    one = Simulated(tmp_path, "web", password=OWN)
    for number in range(5):
        name = digest(f"snapshot {number}")
        file(one.path / "snapshots" / name, f"snapshot {number}")
        file(one.path / "data" / name[:2] / name, f"pack {number}")
        os.utime(one.path / "snapshots" / name, (NOW - number * DAY, NOW - number * DAY))
    file(one.path / "data" / "co" / digest("common"), "common")
    file(one.path / "index" / digest("index"), "index")
    (tmp_path / ".aside").mkdir()
    return one


def state(one: Simulated) -> dict[str, tuple[str, float]]:
    """Return what lies in a repository, and when each file of it came in."""
    return {
        str(path.relative_to(one.path)): (path.read_text(), path.stat().st_mtime)
        for path in sorted(one.path.rglob("*"))
        if path.is_file()
    }


OLD = [digest("snapshot 3"), digest("snapshot 4")]
MOMENTS = [f"{moment} {verb}" for verb in ("forget", "prune", "check") for moment in ("before", "after")]


def is_pruned(one: Simulated) -> bool:
    return not any(name in path for path in state(one) for name in OLD)


def test_what_went_is_nowhere_and_the_rest_is_as_it_was(repository: Simulated) -> None:
    before = state(repository)
    repository.take(OLD)
    assert is_pruned(repository)
    assert not list((repository.path.parent / ".aside").iterdir())
    assert {path: one for path, one in before.items() if not any(name in path for name in [*OLD, digest("index")])} == {
        path: one for path, one in state(repository).items() if digest("new index") not in path
    }


@pytest.mark.parametrize("cut_at", [*MOMENTS, "inside prune"])
def test_a_prune_that_is_cut_takes_nothing_and_the_next_one_does_it(repository: Simulated, cut_at: str) -> None:
    before = state(repository)
    repository.cut_at = cut_at
    with pytest.raises(Killed):
        repository.take(OLD)
    repository.cut_at, repository.is_dead = "", False
    repository.mend()
    assert before.items() <= state(repository).items()
    assert all((repository.path / "snapshots" / name).stat().st_mode & 0o077 == 0 for name in OLD)
    assert not list((repository.path.parent / ".aside").iterdir())
    repository.take(OLD)
    assert is_pruned(repository)


@pytest.mark.parametrize("nth", range(40))
@pytest.mark.parametrize("call", ["link", "rename", "rmtree"])
def test_at_no_single_step_is_a_cut_harmful(
    repository: Simulated, call: str, nth: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    before, calls = state(repository), iter(range(1000))

    def cut(what: Any) -> Any:
        def do(*words: Any, **named: Any) -> Any:
            if next(calls) == nth:
                repository.is_dead = True
                raise Killed
            return what(*words, **named)

        return do

    with monkeypatch.context() as patched:
        where = {"link": (os, "link"), "rename": (Path, "rename"), "rmtree": (shutil, "rmtree")}[call]
        patched.setattr(*where, cut(getattr(*where)))
        with contextlib.suppress(Killed):
            repository.take(OLD)
    repository.is_dead = False
    repository.mend()
    assert before.items() <= state(repository).items() or is_pruned(repository)
    assert not list((repository.path.parent / ".aside").iterdir())


def test_what_was_just_being_written_when_a_prune_was_cut_is_removed(repository: Simulated) -> None:
    before = state(repository)
    for place in ("data/aa", "index", "locks"):
        file(repository.path / place / f"{digest('half')}-tmp-305", "ha")
    repository.mend()
    assert state(repository) == before


def test_where_the_rest_can_not_be_read_back_everything_is_there_again(repository: Simulated) -> None:
    before = state(repository)
    repository.reads_back = False
    with pytest.raises(prune.Failed, match="damaged"):
        repository.take(OLD)
    assert before.items() <= state(repository).items()


def test_what_comes_in_while_a_prune_is_mended_stays(repository: Simulated) -> None:
    repository.cut_at = "after prune"
    with pytest.raises(Killed):
        repository.take(OLD)
    file(repository.path / "snapshots" / digest("late"), "late")
    repository.cut_at, repository.is_dead = "", False
    repository.mend()
    assert state(repository)[f"snapshots/{digest('late')}"][0] == "late"


def locks(repository: Simulated, **held: tuple[dict[str, Any], float]) -> Iterator[str]:
    for name, (holder, at) in held.items():
        path = repository.path / "locks" / digest(name)
        file(path, json.dumps(holder))
        os.utime(path, (at, at))
    yield from (path.name for path in (repository.path / "locks").iterdir())


def test_only_its_own_lock_is_taken_away_by_mending_and_only_dead_ones_by_a_run(repository: Simulated) -> None:
    own = {"hostname": prune.socket.gethostname(), "uid": os.getuid()}
    others = {"hostname": "web", "uid": 0}
    held = locks(repository, own=(own, NOW), alive=(others, NOW - 600), dead=(others, NOW - 4000))
    assert set(held) == {digest(name) for name in ("own", "alive", "dead")}
    repository.mend()
    assert set(locks(repository)) == {digest(name) for name in ("alive", "dead")}
    repository.drop_dead_locks(NOW)
    assert set(locks(repository)) == {digest("alive")}


# --- the key ---


def test_a_key_counts_that_lies_there_and_is_what_its_name_says(tmp_path: Path) -> None:
    file(tmp_path / "keys" / digest("key"), "key")
    assert prune.has_key(tmp_path, digest("key"))
    file(tmp_path / "keys" / digest("key"), "another")
    assert not prune.has_key(tmp_path, digest("key"))
    assert not prune.has_key(tmp_path, "")
    assert not prune.has_key(tmp_path, "../config")


def test_a_repository_lacks_a_key_that_was_made_with_another_password(repository: Simulated) -> None:
    file(repository.path / "keys" / digest("key"), "key")
    known = {"key": digest("key"), "of": prune.fingerprint(OWN)}
    assert not repository.lacks_key(known)
    assert repository.lacks_key({**known, "of": prune.fingerprint("former")})
    assert repository.lacks_key({})


class Locked(Repository):  # type: ignore[misc]
    """A repository whose restic knows keys by their passwords, and begins it once only."""

    def restic(self, *words: str, password: str | None = None, new: str | None = None, **_: Any) -> str:
        opens = password or self.password
        if words[0] == "init":
            if (self.path / "config").exists():
                raise prune.Failed("config file already exists")
            file(self.path / "config", "config")
            file(self.path / "keys" / digest(opens), opens)
        elif not (self.path / "keys" / digest(opens)).exists():
            raise prune.Failed("wrong password or no key found")
        elif words[:2] == ("key", "add") and new is not None:
            file(self.path / "keys" / digest(new), new)
        elif words[:2] == ("key", "list"):
            return json.dumps([{"id": digest(opens)[:8], "current": True}])
        return ""


def test_a_repository_is_begun_with_both_keys_and_one_that_is_there_is_given_the_vaults(tmp_path: Path) -> None:
    for name in ("new", "old"):
        one = Locked(tmp_path, name, password="the vault's")  # noqa: S106  for tests only
        if name == "old":
            one.restic("init", password="its own")  # noqa: S106
        known = one.settle_key("its own", {})
        assert known["key"] == digest("the vault's")
        assert {path.name for path in (one.path / "keys").iterdir()} == {digest("the vault's"), digest("its own")}
        assert not one.lacks_key(known)
        assert one.settle_key("its own", known) == known


def test_a_password_that_was_replaced_opens_nothing_any_more(tmp_path: Path) -> None:
    before = Locked(tmp_path, "web", password="former").settle_key("its own", {})  # noqa: S106
    one = Locked(tmp_path, "web", password="present")  # noqa: S106
    assert one.lacks_key(before)
    one.settle_key("its own", before)
    assert {path.name for path in (one.path / "keys").iterdir()} == {digest("present"), digest("its own")}


def test_whoever_can_not_be_given_a_key_is_named_and_the_others_are_given_theirs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(prune, "Repository", Locked)
    Locked(tmp_path, "db", password="").restic("init", password="another")  # noqa: S106
    given_words = {"own": "the vault's", "producers": {"db": "its own", "web": "its own"}}
    settings = {"folder": str(tmp_path)}
    assert prune.keys(settings, given_words, state=tmp_path, only_look=True)
    with pytest.raises(prune.Failed, match=r"^db: wrong password"):
        prune.keys(settings, given_words, state=tmp_path)
    assert not Locked(tmp_path, "web", password="the vault's").lacks_key(  # noqa: S106
        json.loads((tmp_path / "web.key.json").read_text())
    )


def test_a_run_goes_on_with_the_others_and_says_which_it_did_not_prune(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    reasons = prune.run({"folder": str(tmp_path), "producers": ["db", "web"], **SETTINGS}, OWN, state=tmp_path)
    assert len(reasons) == 2
    assert "web: not pruned: the vault's key is not in it" in capsys.readouterr().err
    written = json.loads((tmp_path / "web.json").read_text())
    assert written["why"] == [reasons[1]]
    assert not (tmp_path / "web.ok").exists()
