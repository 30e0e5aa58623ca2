"""Any two holders open escrow, and nobody alone, nor anybody with what was changed by one bit."""

from __future__ import annotations

import itertools
import json
import shutil
from pathlib import Path

import pyrage
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from secondsite.errors import ConfigError, UsageError
from secondsite.hands.age import Safe, make_identity, new_identity, opened, read_identity, recipient_of
from secondsite.hands.escrow import (
    MANIFEST,
    begin_anew,
    lab_key,
    lab_keys,
    manifest_in,
    open_packages,
    own_safe,
    pairs_of,
    read_holders,
    read_manifest,
    reasons_to_seal,
    seal_packages,
    spoilt_packages,
)

NAMES = ("ana", "bo", "cem", "dee", "eli")
ESCROW = new_identity()
KEYS = {name: new_identity() for name in (*NAMES, "stranger")}
SEALED = settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)


def key(folder: Path, name: str) -> Path:
    path = folder / f"key-of-{name}"
    path.write_text(f"# {name}\n{KEYS[name]}\n")
    return path


def sealed(folder: Path, count: int = 3) -> Path:
    packages = folder / "packages"
    shutil.rmtree(packages, ignore_errors=True)
    held = {name: recipient_of(KEYS[name]) for name in NAMES[:count]}
    seal_packages(packages, estate="lab", identity=ESCROW, holders=held)
    return packages


@given(count=st.integers(2, 5), pick=st.randoms(use_true_random=False))
@SEALED
def test_any_two_holders_open_it_in_whatever_order_they_come(tmp_path: Path, count: int, pick: object) -> None:
    packages = sealed(tmp_path, count)
    pairs = list(itertools.permutations(NAMES[:count], 2))
    for pair in pairs:
        found = open_packages(packages, [key(tmp_path, name) for name in pair])
        assert (found.identity, found.holders) == (ESCROW, pair)
    assert len(list(packages.glob("*.age"))) == count * (count - 1) / 2


@given(count=st.integers(2, 5), data=st.data())
@SEALED
def test_no_single_holder_opens_any_package(tmp_path: Path, count: int, data: st.DataObject) -> None:
    packages = sealed(tmp_path, count)
    alone = data.draw(st.sampled_from(NAMES[:count]))
    for path in packages.glob("*.age"):
        once = opened(path.read_bytes(), KEYS[alone])
        assert once is None or (b"AGE-SECRET-KEY" not in once and opened(once, KEYS[alone]) is None)


@given(which=st.integers(0, 1), where=st.floats(0, 1, exclude_max=True), bit=st.integers(0, 7))
@SEALED
def test_any_flipped_bit_is_refused(tmp_path: Path, which: int, where: float, bit: int) -> None:
    packages = sealed(tmp_path, 2)
    path = sorted(packages.iterdir())[which]
    content = bytearray(path.read_bytes())
    content[int(where * len(content))] ^= 1 << bit
    path.write_bytes(content)
    try:
        found = open_packages(packages, [key(tmp_path, name) for name in NAMES[:2]])
    except UsageError:
        return
    # what is no secret and no proof of one, such as when it was sealed, may differ; what is opened may not
    assert path.name == MANIFEST
    assert found.identity == ESCROW


def test_a_package_that_was_changed_with_its_digest_is_refused_as_well(tmp_path: Path) -> None:
    packages = sealed(tmp_path, 2)
    manifest = read_manifest(packages)
    forged = seal_packages(tmp_path / "forged", estate="lab", identity=new_identity(), holders=manifest.holders)
    document = json.loads(forged.content()) | {"escrow": manifest.recipient}
    (tmp_path / "forged" / MANIFEST).write_text(json.dumps(document, indent=1, sort_keys=True) + "\n")
    with pytest.raises(UsageError, match="another identity than escrow's"):
        open_packages(tmp_path / "forged", [key(tmp_path, name) for name in NAMES[:2]])


@pytest.mark.parametrize(
    ("who", "said"),
    [
        pytest.param((), "0 keys were brought", id="nobody"),
        pytest.param(("ana",), "one key was brought", id="one"),
        pytest.param(("ana", "ana"), "both keys are ana's", id="the same twice"),
        pytest.param(("ana", "stranger"), "none of a holder's", id="a stranger"),
        pytest.param(("ana", "bo", "cem"), "3 keys were brought", id="three"),
    ],
)
def test_who_is_not_two_holders_is_refused_and_told_why(tmp_path: Path, who: tuple[str, ...], said: str) -> None:
    with pytest.raises(UsageError, match=said) as caught:
        open_packages(sealed(tmp_path), [key(tmp_path, name) for name in who])
    assert caught.value.not_done == "nothing was opened"
    assert caught.value.next_step


def test_a_lost_package_names_its_holders_and_the_others_still_open(tmp_path: Path) -> None:
    packages = sealed(tmp_path)
    (packages / read_manifest(packages).packages[0].file).unlink()
    with pytest.raises(UsageError, match="the package for ana and bo is lost"):
        open_packages(packages, [key(tmp_path, "ana"), key(tmp_path, "bo")])
    assert list(spoilt_packages(packages, read_manifest(packages))) == ["the package for ana and bo is lost"]
    assert open_packages(packages, [key(tmp_path, "ana"), key(tmp_path, "cem")]).identity == ESCROW


def test_a_folder_without_packages_and_a_key_that_is_none_are_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="holds no packages of escrow"):
        open_packages(tmp_path / "nowhere", [])
    wrong = tmp_path / "wrong"
    wrong.write_text("AGE-SECRET-KEY-1NONSENSE\n")
    with pytest.raises(ConfigError, match="not exactly one age identity"):
        open_packages(sealed(tmp_path), [key(tmp_path, "ana"), wrong])


@pytest.mark.parametrize("file", ["../../etc/shadow.age", "/etc/passwd.age", ".hidden.age", "a/b.age"])
def test_a_manifest_that_leads_elsewhere_is_none(tmp_path: Path, file: str) -> None:
    document = json.loads(read_manifest(sealed(tmp_path)).content())
    document["packages"][0]["file"] = file
    with pytest.raises(ValueError, match="not written by us"):
        manifest_in(json.dumps(document, indent=1, sort_keys=True).encode() + b"\n")


@given(content=st.binary(max_size=400) | st.recursive(st.none() | st.text(), st.lists).map(json.dumps).map(str.encode))
@settings(deadline=None)
def test_what_is_no_manifest_is_refused_as_such(content: bytes) -> None:
    with pytest.raises(ValueError, match=r".") as caught:
        manifest_in(content)
    assert not isinstance(caught.value, UnicodeError) or str(caught.value)


@pytest.mark.parametrize("count", [0, 1])
def test_fewer_than_two_holders_seal_nothing(tmp_path: Path, count: int) -> None:
    with pytest.raises(UsageError, match="two holders"):
        sealed(tmp_path, count)
    assert not (tmp_path / "packages").exists()


def test_two_names_with_one_key_are_one_holder(tmp_path: Path) -> None:
    one = recipient_of(KEYS["ana"])
    with pytest.raises(UsageError, match="two holders"):
        seal_packages(tmp_path, estate="lab", identity=ESCROW, holders={"ana": one, "bo": one})
    held = {"ana": one, "bo": recipient_of(ESCROW)}
    with pytest.raises(UsageError, match="two holders"):
        seal_packages(tmp_path, estate="lab", identity=ESCROW, holders=held)


def test_holders_are_exactly_those_who_are_declared(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no holder of escrow gave a key yet"):
        read_holders(tmp_path, names=NAMES[:2])
    lines = "".join(f"{name} {recipient_of(KEYS[name])}\n" for name in NAMES[:2])
    (tmp_path / "holders").write_text(lines)
    assert list(read_holders(tmp_path, names=NAMES[:2])) == list(NAMES[:2])
    with pytest.raises(ConfigError, match="bo is not declared as a holder"):
        read_holders(tmp_path, names=("ana",))
    with pytest.raises(ConfigError, match="cem gave no key"):
        read_holders(tmp_path, names=NAMES[:3])


def test_packages_are_of_today_until_holders_or_escrow_change(tmp_path: Path) -> None:
    manifest = read_manifest(sealed(tmp_path))
    held, escrow = dict(manifest.holders), manifest.recipient
    assert list(reasons_to_seal(manifest, holders=held, escrow=escrow)) == []
    newer = {**held, "bo": recipient_of(KEYS["stranger"])}
    assert list(reasons_to_seal(manifest, holders=newer, escrow=escrow)) == ["bo gave another key since"]
    fewer = {name: held[name] for name in ("ana", "bo")}
    assert "cem holds a key" in next(reasons_to_seal(manifest, holders=fewer, escrow=escrow))
    more = {**held, "dee": recipient_of(KEYS["dee"])}
    assert len(list(reasons_to_seal(manifest, holders=more, escrow=escrow))) == 4
    assert "another escrow" in next(reasons_to_seal(manifest, holders=held, escrow=recipient_of(KEYS["dee"])))


def test_sealing_again_leaves_the_old_packages_until_the_new_manifest_is_there(tmp_path: Path) -> None:
    packages = sealed(tmp_path, 2)
    before = {path.name for path in packages.glob("*.age")}
    held = {name: recipient_of(KEYS[name]) for name in ("ana", "cem")}
    seal_packages(packages, estate="lab", identity=ESCROW, holders=held)
    assert before.isdisjoint({path.name for path in packages.glob("*.age")})
    assert open_packages(packages, [key(tmp_path, "cem"), key(tmp_path, "ana")]).identity == ESCROW


def test_the_order_of_pairs_does_not_depend_on_the_order_of_names() -> None:
    assert pairs_of(["cem", "ana", "bo"]) == (("ana", "bo"), ("ana", "cem"), ("bo", "cem"))


# --- a lab's ---


def lab(tmp_path: Path) -> Safe:
    safe = own_safe(tmp_path / "secrets", holders=NAMES[:3])
    safe.prepare()
    return safe


def test_a_lab_forgets_escrow_and_each_holder_has_a_folder_of_their_own(tmp_path: Path) -> None:
    safe = lab(tmp_path)
    escrow = safe.recipients()["escrow"]
    lying_open = [recipient_of(read_identity(path)) for path in safe.directory.rglob("identity")]
    assert escrow not in lying_open
    assert len(lying_open) == 4
    assert [path.parent.name for path in lab_keys(safe.directory).values()] == list(NAMES[:3])
    safe.seal("one", b"word", for_escrow_alone=True)
    assert safe.recover("one") == b"word"


def test_a_lab_of_an_earlier_release_seals_the_escrow_that_lay_open(tmp_path: Path) -> None:
    directory = tmp_path / "secrets"
    engine, clear = make_identity(directory / "identity"), directory / "escrow" / "identity"
    escrow = make_identity(clear)
    (directory / "recipients").write_text(f"engine {engine}\nescrow {escrow}\n")
    safe = own_safe(directory, holders=NAMES[:2])
    safe.seal("one", b"word", for_escrow_alone=True)
    safe.prepare()
    assert not clear.exists()
    assert safe.recover("one") == b"word"
    assert safe.recipients() == {"engine": engine, "escrow": escrow}


def test_a_lab_that_began_from_a_copy_makes_no_keys(tmp_path: Path) -> None:
    safe = lab(tmp_path)
    safe.seal("one", b"word")
    shutil.rmtree(safe.directory / "lab-holders")
    safe.identity.unlink()
    safe.prepare()
    assert not list(safe.directory.rglob("identity"))
    with pytest.raises(UsageError, match="0 keys were brought"):
        safe.recover("one")


# --- begin anew ---


def test_a_new_engine_opens_what_the_old_one_did_and_the_old_one_nothing_any_more(tmp_path: Path) -> None:
    safe = lab(tmp_path)
    safe.seal("secrets", b"words")
    safe.seal("ssh-dc1", b"signs")
    safe.seal("tls-dc1", b"site's own", for_escrow_alone=True)
    old = read_identity(safe.identity)
    safe.identity.unlink()
    two = [lab_key(safe.directory, name) for name in ("bo", "cem")]
    escrow = open_packages(safe.directory / "escrow", two).identity

    found = begin_anew(safe.directory, identity=safe.identity, escrow=escrow)

    assert set(found) == {"secrets", "ssh-dc1"}
    assert (safe.open("secrets"), safe.open("ssh-dc1")) == (b"words", b"signs")
    assert not safe.can_open("tls-dc1")
    assert [opened(path.read_bytes(), old) for path in safe.directory.glob("*.age")] == [None] * 3
    assert safe.recover("tls-dc1") == b"site's own"
    safe.seal("later", b"word")
    assert safe.recover("later") == b"word"


def test_what_was_for_escrow_alone_is_recalled_by_name_only(tmp_path: Path) -> None:
    safe = lab(tmp_path)
    for name in ("tls-dc1", "tls-old"):
        safe.seal(name, b"word", for_escrow_alone=True)
    escrow = open_packages(safe.directory / "escrow", list(lab_keys(safe.directory).values())[:2]).identity
    found = begin_anew(safe.directory, identity=tmp_path / "new", escrow=escrow, recall=("tls-dc1",))
    assert found == ("tls-dc1",)


def test_where_escrow_does_not_open_everything_nothing_is_changed(tmp_path: Path) -> None:
    safe = lab(tmp_path)
    safe.seal("one", b"word")
    other = pyrage.x25519.Recipient.from_str(recipient_of(KEYS["stranger"]))
    (safe.directory / "two.age").write_bytes(pyrage.encrypt(b"word", [other], armored=True))
    escrow = open_packages(safe.directory / "escrow", list(lab_keys(safe.directory).values())[:2]).identity
    before = {path: path.read_bytes() for path in safe.directory.rglob("*") if path.is_file()}
    with pytest.raises(UsageError, match="does not open two"):
        begin_anew(safe.directory, identity=tmp_path / "new", escrow=escrow)
    with pytest.raises(UsageError, match="another escrow"):
        begin_anew(safe.directory, identity=tmp_path / "new", escrow=KEYS["ana"])
    assert {path: path.read_bytes() for path in safe.directory.rglob("*") if path.is_file()} == before
    assert not (tmp_path / "new").exists()
