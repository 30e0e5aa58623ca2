"""Host keys come from a file that somebody wrote; never from the network, never by guess."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from tests.unit.hands.hosts import VAULT, WEB

from secondsite.errors import ConfigError
from secondsite.hands.pins import read_pins, require_pinned

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIPU1Y2Yx8lIW5FBXeBJOm6jBoKE9eMNMgHGcaIwC/0qp"
OTHER = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIHNJbRAzZBlgUMKM/kMBG3Kg5oHuEi2OrMOhBsOxgw1B"


def file_of(folder: Path, *lines: str) -> Path:
    path = folder / "known_hosts"
    path.write_text("".join(f"{line}\n" for line in lines))
    return path


@pytest.mark.parametrize("name", [str(WEB.management), str(WEB.name), f"elsewhere,{WEB.management}"])
def test_a_key_is_found_by_address_or_by_name(tmp_path: Path, name: str) -> None:
    pinned = read_pins(file_of(tmp_path, f"{name} {KEY} comment"), [WEB])
    assert pinned.keys == {str(WEB.management): KEY}
    assert not pinned.problems


def test_a_key_is_found_in_a_file_that_openssh_hashed(tmp_path: Path) -> None:
    path = file_of(tmp_path, f"{VAULT.management} {OTHER}", f"{WEB.management} {KEY}")
    subprocess.run(["ssh-keygen", "-q", "-H", "-f", path], check=True, timeout=20, capture_output=True)
    assert str(WEB.management) not in path.read_text()
    assert read_pins(path, [WEB]).keys == {str(WEB.management): KEY}


@pytest.mark.parametrize(
    ("lines", "why"),
    [
        pytest.param((), "no ssh-ed25519 key", id="none"),
        pytest.param((f"{WEB.management} ecdsa-sha2-nistp256 AAAA",), "no ssh-ed25519 key", id="another kind"),
        pytest.param((f"@cert-authority {WEB.management} {KEY}",), "no ssh-ed25519 key", id="an authority's"),
        pytest.param((f"198.19.0.* {KEY}",), "no ssh-ed25519 key", id="a pattern"),
        pytest.param((f"|1|nonsense|== {KEY}",), "no ssh-ed25519 key", id="a broken hash"),
        pytest.param((f"{WEB.management} {KEY}", f"{WEB.management} {OTHER}"), "2 different", id="two"),
        pytest.param((f"{WEB.management} {KEY}", f"@revoked {WEB.management} {KEY}"), "revoked", id="revoked"),
    ],
)
def test_a_key_that_is_not_surely_the_hosts_is_refused_by_name(
    tmp_path: Path, lines: tuple[str, ...], why: str
) -> None:
    path = file_of(tmp_path, *lines)
    pinned = read_pins(path, [WEB])
    with pytest.raises(ConfigError, match=why) as refused:
        require_pinned(pinned, [WEB], path)
    assert f"ssh-keyscan -t ed25519 {WEB.management}" in str(refused.value)
    assert not pinned.keys


def test_a_file_that_is_not_there_pins_nobody(tmp_path: Path) -> None:
    assert read_pins(tmp_path / "none", [WEB, VAULT]).problems.keys() == {WEB.name, VAULT.name}
