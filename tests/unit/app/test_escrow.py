"""Escrow from end to end on one machine: kept by a host, opened from there, judged, and used when all else is gone."""

from __future__ import annotations

import contextlib
import datetime as dt
import json
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

import pytest
from tests.unit.checks.estates import BY_ID

from secondsite.app import escrow_steps, standby
from secondsite.app.check import OUTSIDE
from secondsite.app.escrow import packages_of_today, seal
from secondsite.app.escrow_steps import Steps, folder_name
from secondsite.app.lookout import Lookout
from secondsite.app.places import lab_holders, safe_of
from secondsite.app.takeover import lay_out
from secondsite.checks.model import Result, Section, State, World
from secondsite.checks.rules.escrow import ESCROW
from secondsite.checks.rules.frame import judged
from secondsite.errors import ActionError, ConfigError, UsageError
from secondsite.estate.load import load_estate
from secondsite.estate.model import Estate, HostName
from secondsite.hands import secrets
from secondsite.hands.age import make_identity, new_identity, read_identity, recipient_of
from secondsite.hands.approvers import make_lab_persons
from secondsite.hands.authorities import sealed_name
from secondsite.hands.escrow import open_packages, read_manifest
from secondsite.hands.keepers import authorities_of
from secondsite.hands.keys import Trust
from secondsite.probes.remote.collectors import escrow as escrow_collector
from secondsite.probes.remote.collectors import standby as standby_collector
from secondsite.run.durable import Notebook
from secondsite.run.model import NoteKind
from secondsite.run.ports import CommandResult, Hands
from secondsite.store.clock import SystemClock
from secondsite.store.openings import noted
from secondsite.store.standby import pack

ESTATE = load_estate(Path(__file__).parents[3] / "inventories" / "small")
VAULT = "vault"


@dataclass
class HereAsHost:
    """Runs what a host would be told to run, on this machine."""

    def run(self, host: str, argv: Sequence[str], *, stdin: str = "", **_: Any) -> CommandResult:
        assert (host, tuple(argv[:4])) == (VAULT, ("sudo", "-n", "--", "/usr/bin/python3"))
        done = subprocess.run([sys.executable, *argv[4:]], input=stdin, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return CommandResult(exit_code=0, stdout=done.stdout, stderr="")


@dataclass(frozen=True)
class Kept:
    """A controller's state, and the place where a host keeps copies and packages."""

    state: Path
    place: Path

    @property
    def folder(self) -> Path:
        return self.place / folder_name(ESTATE)

    @property
    def copy(self) -> Path:
        return self.place / "small.tgz"

    def send_copy(self) -> None:
        self.copy.write_bytes(pack(self.state, open_runs=()))
        self.copy.chmod(0o600)

    def steps(self, *, estate: Estate = ESTATE, keys: Sequence[Path] | None = None) -> Steps:
        held = tuple(lab_holders(ESTATE).values()) if keys is None else keys
        hands, clock = cast("Hands", HereAsHost()), SystemClock()
        return Steps(estate=estate, hands=hands, safe=safe_of(ESTATE), state=self.state, clock=clock, keys=held)

    def checked(self, *, now: dt.datetime | None = None, estate: Estate = ESTATE) -> Result:
        """Judge what the host would tell."""
        told = {
            "escrow": Section(value=json.loads(json.dumps(escrow_collector.escrow({})))),  # type: ignore[arg-type, typeddict-item, unused-ignore]
            "standby": Section(value=standby_collector.standby({})),  # type: ignore[arg-type, typeddict-item, unused-ignore]
        }
        looking = cast("Lookout", _Looking(estate=estate, safe=safe_of(estate), state=self.state))
        outside = {ESCROW: OUTSIDE[ESCROW](looking)}
        at = now or SystemClock().now()
        return judged(BY_ID["SEC-ESCROW"], World(estate=estate, now=at, hosts={HostName(VAULT): told}, outside=outside))


@dataclass(frozen=True)
class _Looking:
    estate: Estate
    safe: object
    state: Path


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Kept:
    """Make all that a provisioned lab has, once: keys, authorities that their sites hold, secrets, a journal."""
    root = tmp_path_factory.mktemp("whole")
    state, now = root / "state", SystemClock().now()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SECONDSITE_STATE", str(state))
        safe = safe_of(ESTATE)
        secrets.make(safe.directory, safe=safe)
        Trust(state / "keys", list(ESTATE.hosts.values()), safe=safe).prepare(now=now)
        authorities = authorities_of(ESTATE, safe)
        for site in authorities.prepare(now=now):
            authorities.hand_over(authorities.signing(site))
    make_lab_persons(state / "approvers")
    with contextlib.closing(Notebook(state / "journal.sqlite")) as book:
        book.note("000001-provision", NoteKind.BEGUN, "", {"engine": "1"})
    return Kept(state=state, place=root / "place")


@pytest.fixture
def kept(whole: Kept, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Kept:
    """A provisioned lab of this test's own, whose vault keeps the copy."""
    shutil.copytree(whole.state, tmp_path / "state")
    own = Kept(state=tmp_path / "state", place=tmp_path / "place")
    own.place.mkdir(mode=0o700)
    monkeypatch.setenv("SECONDSITE_STATE", str(own.state))
    for module in (standby_collector, escrow_collector, escrow_steps, standby):
        monkeypatch.setattr(module, "PLACE", str(own.place))
    own.send_copy()
    return own


@pytest.fixture
def healthy(kept: Kept) -> Kept:
    """And who opened escrow with what the vault returned."""
    steps = kept.steps()
    steps.keep([VAULT])
    steps.rehearse([VAULT], purpose="provisioning")
    kept.send_copy()
    return kept


# --- kept and opened ---


def test_what_the_vault_returns_opens_everything_for_each_two_holders(kept: Kept) -> None:
    steps = kept.steps()
    assert steps.keep([VAULT])[VAULT]
    assert steps.keep([VAULT]) == {VAULT: []}, "what is there already stays"
    opening = steps.rehearse([VAULT], purpose="rehearsal")
    assert len(opening.pairs) == 6
    assert set(opening.holders) == set(ESTATE.escrow.holders if ESTATE.escrow else ())
    assert {path.stem for path in (kept.state / "secrets").glob("*.age")} == set(opening.opened)
    assert noted(kept.state) == (opening,)
    assert json.loads((kept.folder / "opened.json").read_text()) == opening.document()
    assert "AGE-SECRET-KEY" not in "".join(path.read_text() for path in kept.folder.iterdir())


def test_a_healthy_lab_is_green_and_a_second_opening_is_not_due(healthy: Kept) -> None:
    result = healthy.checked()
    assert (result.state, result.hosts) == (State.PASSED, (VAULT,)), result.saw
    outcome = healthy.steps()._open({"hosts": [VAULT]}, cast("Any", None))
    assert (outcome.changed, len(noted(healthy.state))) == (False, 1)


def test_without_holders_keys_provisioning_opens_nothing_and_says_so(kept: Kept) -> None:
    steps = kept.steps(keys=())
    steps._hand_over({"hosts": [VAULT]}, cast("Any", None))
    outcome = steps._open({"hosts": [VAULT]}, cast("Any", None))
    assert "no holder brought a key" in str(outcome.detail["said"])
    assert "were never opened" in kept.checked().saw


def test_a_host_that_tells_of_an_opening_before_the_last_is_believed(healthy: Kept) -> None:
    told = (healthy.folder / "opened.json").read_bytes()
    healthy.steps().rehearse([VAULT], purpose="rehearsal")
    (healthy.folder / "opened.json").write_bytes(told)
    assert len(noted(healthy.state)) == 2
    assert healthy.checked().state is State.PASSED


@pytest.mark.parametrize("count", [0, 1])
def test_a_rehearsal_with_fewer_than_two_opens_nothing(healthy: Kept, count: int) -> None:
    with pytest.raises(UsageError, match="two of its holders"):
        healthy.steps(keys=list(lab_holders(ESTATE).values())[:count]).rehearse([VAULT], purpose="rehearsal")
    assert len(noted(healthy.state)) == 1


def test_a_copy_that_lacks_a_key_fails_the_rehearsal_by_its_name(healthy: Kept) -> None:
    lacking = authorities_of(ESTATE, safe_of(ESTATE)).signing("dc2")
    (healthy.state / "secrets" / f"{sealed_name(lacking)}.age").unlink()
    healthy.send_copy()
    with pytest.raises(ActionError, match=f"vault returned: the key of the TLS authority {lacking.name} is not"):
        healthy.steps().rehearse([VAULT], purpose="rehearsal")


def test_a_key_that_is_another_fails_the_rehearsal_by_its_name(healthy: Kept) -> None:
    safe = safe_of(ESTATE)
    safe.seal("ssh-dc1", safe.open("ssh-dc2"))
    healthy.send_copy()
    with pytest.raises(ActionError, match="the key of the SSH authority of dc1 is not"):
        healthy.steps().rehearse([VAULT], purpose="rehearsal")
    assert len(noted(healthy.state)) == 1


# --- what turns the check red ---


def lose_packages(kept: Kept) -> None:
    for path in kept.folder.glob("*.age"):
        path.unlink()


def lose_folder(kept: Kept) -> None:
    shutil.rmtree(kept.folder)


def flip_a_bit(kept: Kept) -> None:
    path = sorted(kept.folder.glob("lab-approver-1+lab-deputy-1.*"))[0]
    content = bytearray(path.read_bytes())
    content[100] ^= 1
    path.write_bytes(content)


def change_a_key(kept: Kept) -> None:
    manifest = json.loads((kept.folder / "manifest.json").read_text())
    manifest["holders"]["lab-deputy-2"] = recipient_of(new_identity())
    (kept.folder / "manifest.json").write_text(json.dumps(manifest))


def another_escrow(kept: Kept) -> None:
    manifest = json.loads((kept.folder / "manifest.json").read_text())
    manifest["escrow"] = recipient_of(new_identity())
    (kept.folder / "manifest.json").write_text(json.dumps(manifest))


def lose_manifest(kept: Kept) -> None:
    (kept.folder / "manifest.json").unlink()


def never_opened(kept: Kept) -> None:
    (kept.folder / "opened.json").unlink()


def forge_an_opening(kept: Kept) -> None:
    told = json.loads((kept.folder / "opened.json").read_text())
    (kept.folder / "opened.json").write_text(json.dumps(told | {"at": "2099-01-01T00:00:00+00:00"}))


def let_others_read(kept: Kept) -> None:
    (kept.folder / "manifest.json").chmod(0o644)


def copy_an_identity(kept: Kept) -> None:
    shutil.copy(kept.state / "secrets" / "identity", kept.state / "secrets" / "engine.age")
    kept.send_copy()


def lose_a_sealed_key(kept: Kept) -> None:
    (kept.state / "secrets" / "ssh-dc2.age").unlink()
    kept.send_copy()


def lose_the_copy(kept: Kept) -> None:
    kept.copy.unlink()


def leave_escrow_open(kept: Kept) -> None:
    two = list(lab_holders(ESTATE).values())[:2]
    identity = open_packages(kept.state / "secrets" / "escrow", two).identity
    (kept.state / "secrets" / "identity-of-escrow").write_text(f"{identity}\n")


def lose_a_holders_key(kept: Kept) -> None:
    lab_holders(ESTATE)["lab-deputy-2"].unlink()


def lose_a_package_here(kept: Kept) -> None:
    sorted((kept.state / "secrets" / "escrow").glob("*.age"))[0].unlink()


@pytest.mark.parametrize(
    ("plant", "saw"),
    [
        (lose_packages, "vault lacks the package of escrow for lab-approver-1 and lab-approver-2"),
        (lose_folder, "vault keeps no packages of escrow: no bare host could begin"),
        (flip_a_bit, "vault keeps a package of escrow for lab-approver-1 and lab-deputy-1 that is not what was sealed"),
        (change_a_key, "vault keeps packages for another key of lab-deputy-2 than the one that lab-deputy-2 gave"),
        (another_escrow, "vault keeps packages of another escrow"),
        (lose_manifest, "vault keeps packages of escrow and no manifest"),
        (never_opened, "vault keeps packages of escrow that were never opened"),
        (forge_an_opening, "another opening than the controller noted"),
        (let_others_read, "vault lets others than root read"),
        (copy_an_identity, "vault keeps a copy of the controller's state with a key in the clear: secrets/engine.age"),
        (lose_a_sealed_key, "lacks the sealed key ssh-dc2"),
        (lose_the_copy, "vault keeps no copy of what is sealed"),
        (lose_a_holders_key, "are not those of today: the key of lab-deputy-2 is lost"),
        (leave_escrow_open, "escrow's own identity lies open at the controller, in identity-of-escrow"),
        (lose_a_package_here, "are not those of today: the package for lab-approver-1 and lab-approver-2 is lost"),
    ],
)
def test_what_is_lost_or_changed_is_red_and_named(healthy: Kept, plant: Callable[[Kept], None], saw: str) -> None:
    plant(healthy)
    result = healthy.checked()
    assert result.state is State.FAILED
    assert saw in result.saw


def test_an_opening_counts_for_as_long_as_is_declared(healthy: Kept) -> None:
    now = SystemClock().now()
    assert healthy.checked(now=now + dt.timedelta(days=99)).state is State.PASSED
    late = healthy.checked(now=now + dt.timedelta(days=102))
    assert (late.state, "102 days ago, and 100 are the most" in late.saw) == (State.FAILED, True)
    assert healthy.checked(now=now - dt.timedelta(days=1)).state is State.FAILED


def test_who_declares_nobody_or_too_few_is_told(healthy: Kept) -> None:
    assert "declares nobody" in healthy.checked(estate=replace(ESTATE, escrow=None)).saw
    assert ESTATE.escrow is not None
    few = replace(ESTATE.escrow, holders=("lab-approver-1", "lab-approver-2", "lab-deputy-1"))
    assert "if hq were lost, fewer than two holders" in healthy.checked(estate=replace(ESTATE, escrow=few)).saw


# --- sealed anew ---


def test_a_lab_seals_to_a_new_holder_by_itself_and_the_old_packages_go(healthy: Kept) -> None:
    assert ESTATE.escrow is not None
    estate = replace(ESTATE, escrow=replace(ESTATE.escrow, holders=("lab-approver-1", "lab-deputy-2", "zoe")))
    before = read_manifest(healthy.state / "secrets" / "escrow")
    manifest = packages_of_today(estate, safe_of(estate))
    assert (sorted(manifest.holders), manifest.recipient) == (
        ["lab-approver-1", "lab-deputy-2", "zoe"],
        before.recipient,
    )
    assert healthy.steps(estate=estate).keep([VAULT])[VAULT]
    assert len(list(healthy.folder.glob("*.age"))) == 3
    assert not (healthy.folder / "opened.json").exists(), "what was sealed anew was never opened"


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Estate, Path]:
    """An estate of somebody's own, whose engine and three holders made their keys; no escrow yet."""
    folder = tmp_path / "estate"
    shutil.copytree(Path(ESTATE.directory), folder)
    (folder / "lab.yml").unlink()
    monkeypatch.setenv("SECONDSITE_STATE", str(tmp_path / "own"))
    monkeypatch.delenv("SECONDSITE_ESCROW", raising=False)
    (folder / "secrets").mkdir()
    engine = make_identity(tmp_path / "own" / "identity")
    (folder / "secrets" / "recipients").write_text(f"engine {engine}  # this controller\n")
    assert ESTATE.escrow is not None
    lines = [f"{name} {make_identity(tmp_path / name)}\n" for name in ESTATE.escrow.holders]
    (folder / "secrets" / "holders").write_text("".join(lines))
    return load_estate(folder), tmp_path


def test_an_estate_of_ones_own_seals_escrow_and_keeps_its_identity_nowhere(own: tuple[Estate, Path]) -> None:
    estate, folder = own
    safe = safe_of(estate)
    manifest = seal(estate, safe, keys=(), identity=None)
    assert safe.recipients()["escrow"] == manifest.recipient
    safe.seal("key", b"word", for_escrow_alone=True)
    identities = [
        read_identity(path) for path in folder.rglob("*") if path.is_file() and b"SECRET-KEY" in path.read_bytes()
    ]
    assert manifest.recipient not in {recipient_of(one) for one in identities}
    with pytest.raises(UsageError, match="nobody opened escrow"):
        safe.recover("key")
    assert seal(estate, safe, keys=(), identity=None) == manifest, "what is of today stays"


def test_holders_who_come_open_it_for_provisioning(own: tuple[Estate, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    estate, folder = own
    seal(estate, safe_of(estate), keys=(), identity=None)
    monkeypatch.setenv("SECONDSITE_HOLDERS", f"{folder / 'lab-deputy-1'}:{folder / 'lab-approver-2'}")
    safe = safe_of(estate)
    safe.seal("key", b"word", for_escrow_alone=True)
    assert safe.recover("key") == b"word"


def test_a_holder_who_lost_a_key_is_sealed_to_anew_with_two_others(own: tuple[Estate, Path]) -> None:
    estate, folder = own
    safe = safe_of(estate)
    first = seal(estate, safe, keys=(), identity=None)
    held = safe.directory / "holders"
    other = make_identity(folder / "new-key")
    held.write_text(held.read_text().replace(first.holders["lab-deputy-1"], other))
    with pytest.raises(UsageError, match="lab-deputy-1 gave another key since"):
        packages_of_today(estate, safe)
    with pytest.raises(UsageError, match="0 keys were brought"):
        seal(estate, safe, keys=(), identity=None)
    keys = [folder / "lab-approver-1", folder / "lab-deputy-2"]
    second = seal(estate, safe, keys=keys, identity=None)
    assert second.recipient == first.recipient
    assert open_packages(safe.directory / "escrow", [folder / "new-key", keys[0]]).holders[0] == "lab-deputy-1"


def test_an_identity_of_escrow_that_lay_open_is_sealed_and_no_other_is(own: tuple[Estate, Path]) -> None:
    estate, folder = own
    safe = safe_of(estate)
    recipients = safe.directory / "recipients"
    recipients.write_text(f"{recipients.read_text()}escrow {make_identity(folder / 'open')}\n")
    make_identity(folder / "other")
    with pytest.raises(UsageError, match="names another escrow"):
        seal(estate, safe, keys=(), identity=folder / "other")
    assert not (safe.directory / "escrow").exists()
    assert seal(estate, safe, keys=(), identity=folder / "open").recipient == safe.recipients()["escrow"]


def test_a_holder_without_a_key_stops_sealing(own: tuple[Estate, Path]) -> None:
    estate, _ = own
    held = safe_of(estate).directory / "holders"
    held.write_text("".join(held.read_text().splitlines(keepends=True)[1:]))
    with pytest.raises(ConfigError, match="lab-approver-1 gave no key"):
        seal(estate, safe_of(estate), keys=(), identity=None)
    with pytest.raises(UsageError, match="a lab seals its escrow itself"):
        seal(ESTATE, safe_of(ESTATE), keys=(), identity=None)


# --- another controller ---


def test_no_key_of_any_kind_is_in_the_copy(kept: Kept) -> None:
    private = {path.read_text().strip() for path in kept.state.rglob("*") if path.is_file() and is_private(path)}
    assert len(private) > 12
    with tarfile.open(kept.copy) as archive:
        for member in archive:
            content = archive.extractfile(member).read() if member.isfile() else b""  # type: ignore[union-attr]
            assert b"PRIVATE KEY" not in content, member.name
            assert b"AGE-SECRET-KEY" not in content, member.name


def is_private(path: Path) -> bool:
    content = path.read_bytes()
    return b"PRIVATE KEY" in content or b"AGE-SECRET-KEY" in content


def begin_elsewhere(kept: Kept, monkeypatch: pytest.MonkeyPatch) -> tuple[dict[str, Path], Path]:
    """Go to a machine that has nothing: what lay at the vault was brought, and holders came with their keys."""
    keys = dict(lab_holders(ESTATE))
    second = kept.place.parent / "second" / "state"
    monkeypatch.setenv("SECONDSITE_STATE", str(second))
    return keys, second


def test_two_holders_begin_another_controller_from_what_the_vault_kept(
    healthy: Kept, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = read_identity(healthy.state / "secrets" / "identity")
    keys, second = begin_elsewhere(healthy, monkeypatch)
    two = [keys["lab-deputy-1"], keys["lab-deputy-2"]]

    found = lay_out(ESTATE, healthy.copy, escrow=healthy.folder, holders=two, recall=True)

    assert found.opened_by == ("lab-deputy-1", "lab-deputy-2")
    safe = safe_of(ESTATE)
    assert recipient_of(old) not in safe.recipients().values()
    assert secrets.load(safe.directory, safe=safe).shop_token_secret
    carried = authorities_of(ESTATE, safe).carried()
    assert len(carried) == len(list((second / "secrets" / "ca" / "sites").glob("*.crt"))), "the sites' keys come along"
    opening = noted(second)[-1]
    assert (opening.purpose, opening.holders) == ("another controller", found.opened_by)
    assert not list(second.parent.glob(".state*")), "nothing is left beside it"
    assert not (second / "secrets" / "lab-holders").exists()
    assert not [path for path in (second / "approvers").iterdir() if is_private(path)]


def test_a_takeover_leaves_with_escrow_what_is_for_escrow_alone(healthy: Kept, monkeypatch: pytest.MonkeyPatch) -> None:
    keys, _ = begin_elsewhere(healthy, monkeypatch)
    lay_out(
        ESTATE, healthy.copy, holders=[keys["lab-approver-1"], keys["lab-deputy-2"]]
    )  # packages are in the copy too
    safe = safe_of(ESTATE)
    assert authorities_of(ESTATE, safe).carried() == {}
    Trust(healthy.state / "keys", list(ESTATE.hosts.values()), safe=safe)
    assert safe.can_open("ssh-dc1")


@pytest.mark.parametrize(
    ("who", "said"),
    [
        pytest.param((), "nothing in the copy opens by itself", id="nobody"),
        pytest.param(("lab-deputy-1",), "one key was brought", id="one"),
        pytest.param(("lab-deputy-1", "lab-deputy-1"), "both keys are lab-deputy-1's", id="the same twice"),
    ],
)
def test_who_is_not_two_holders_lays_nothing_out(
    healthy: Kept, monkeypatch: pytest.MonkeyPatch, who: tuple[str, ...], said: str
) -> None:
    keys, second = begin_elsewhere(healthy, monkeypatch)
    with pytest.raises(UsageError, match=said):
        lay_out(ESTATE, healthy.copy, holders=[keys[name] for name in who])
    assert not list(second.iterdir())
    assert not list(second.parent.glob(".state*"))


def test_packages_that_were_changed_lay_nothing_out(healthy: Kept, monkeypatch: pytest.MonkeyPatch) -> None:
    flip_a_bit(healthy)
    keys, second = begin_elsewhere(healthy, monkeypatch)
    two = [keys["lab-approver-1"], keys["lab-deputy-1"]]
    with pytest.raises(UsageError, match="is not what was sealed"):
        lay_out(ESTATE, healthy.copy, escrow=healthy.folder, holders=two)
    assert not list(second.iterdir())


def test_a_standby_controller_with_an_identity_of_its_own_needs_nobody(
    own: tuple[Estate, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    estate, folder = own
    safe = safe_of(estate)
    seal(estate, safe, keys=(), identity=None)
    recipients = safe.directory / "recipients"
    deputy = make_identity(folder / "elsewhere" / "identity")
    secrets.make(safe.directory, safe=safe_of(estate))
    recipients.write_text(f"{recipients.read_text()}deputy {deputy}\n")
    seal(estate, safe, keys=(), identity=None)
    with contextlib.closing(Notebook(folder / "own" / "journal.sqlite")) as book:
        book.note("000001-provision", NoteKind.BEGUN, "", {"engine": "1"})
    (folder / "copy").write_bytes(pack(folder / "own", open_runs=(), secrets=safe.directory))
    monkeypatch.setenv("SECONDSITE_STATE", str(folder / "second"))
    with pytest.raises(UsageError, match="opens by itself"):
        lay_out(estate, folder / "copy")
    monkeypatch.setenv("SECONDSITE_IDENTITY", str(folder / "elsewhere" / "identity"))
    assert lay_out(estate, folder / "copy").opened_by == ()
    assert secrets.load(safe.directory, safe=safe_of(estate)).shop_token_secret
