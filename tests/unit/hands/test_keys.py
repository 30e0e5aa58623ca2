"""Certificates: who may log in where, for how long, and whom the hosts believe."""

from __future__ import annotations

import datetime as dt
import stat
import subprocess
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    SSHCertificate,
    SSHCertificateType,
    load_ssh_public_identity,
)
from tests.unit.hands.hosts import DATABASE, POISON, VAULT, WEB, host

from secondsite.errors import ConfigError, UsageError
from secondsite.estate.model import Host
from secondsite.hands.keys import Trust

NOW = dt.datetime(2026, 11, 21, 12, tzinfo=dt.UTC)
ALL = (WEB, DATABASE, VAULT)


def certificate(path: Path) -> SSHCertificate:
    identity = load_ssh_public_identity(path.read_bytes())
    assert isinstance(identity, SSHCertificate)
    return identity


def trust(directory: Path, *, now: dt.datetime = NOW, hosts: tuple[Host, ...] = ALL) -> Trust:
    made = Trust(directory / "keys", hosts)
    made.prepare(now=now)
    return made


def pins(directory: Path, hosts: tuple[Host, ...] = ALL) -> Path:
    """Make host keys as a hoster would, and write down their public halves."""
    lines = []
    for one in hosts:
        key = directory / f"{one.name}_host"
        key.unlink(missing_ok=True)
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key], check=True, timeout=20)
        lines.append(f"{one.name},{one.management} {key.with_suffix('.pub').read_text()}")
    path = directory / "pins"
    path.write_text("".join(lines))
    return path


def test_a_user_certificate_opens_one_site_for_ops_and_ends_after_twelve_hours(tmp_path: Path) -> None:
    made = trust(tmp_path)
    shown = certificate(tmp_path / "keys" / "ops" / "dc1-cert.pub")
    assert shown.type is SSHCertificateType.USER
    assert shown.valid_principals == [b"ops"]
    assert shown.valid_before == (NOW + dt.timedelta(hours=12)).timestamp()
    assert made.authority("dc1") != made.authority("vault")


def test_a_certificate_is_kept_until_less_than_an_hour_is_left(tmp_path: Path) -> None:
    path = tmp_path / "keys" / "ops" / "vault-cert.pub"
    trust(tmp_path)
    first = path.read_bytes()
    trust(tmp_path, now=NOW + dt.timedelta(hours=10, minutes=59))
    assert path.read_bytes() == first
    later = NOW + dt.timedelta(hours=11, minutes=1)
    trust(tmp_path, now=later)
    assert certificate(path).valid_before == (later + dt.timedelta(hours=12)).timestamp()


def test_nothing_private_can_be_read_by_others(tmp_path: Path) -> None:
    trust(tmp_path).adopt(pins(tmp_path), now=NOW)
    private = [*(tmp_path / "keys" / "ca").iterdir(), *(tmp_path / "keys" / "ops").iterdir()]
    open_to_others = [path for path in private if not path.name.endswith(".pub") and path.stat().st_mode & 0o077]
    assert len(private) >= 4
    assert open_to_others == []
    assert stat.S_IMODE((tmp_path / "keys").stat().st_mode) == 0o700


def test_a_host_certificate_names_that_host_and_is_signed_by_its_own_site(tmp_path: Path) -> None:
    made = trust(tmp_path)
    made.adopt(pins(tmp_path), now=NOW)
    shown = certificate(tmp_path / "keys" / "hosts" / "vault-cert.pub")
    assert shown.type is SSHCertificateType.HOST
    assert shown.valid_principals == [b"vault", b"198.19.0.41"]
    assert f"@cert-authority vault,198.19.0.41 {made.authority('vault')}\n" in made.known_hosts.read_text()
    assert "dc1" in str(made.identity("dc1"))


def test_a_host_that_was_set_up_anew_gets_a_certificate_for_its_new_key(tmp_path: Path) -> None:
    made = trust(tmp_path)
    made.adopt(pins(tmp_path), now=NOW)
    before = made.host_certificate("web-dc1")
    made.adopt(pins(tmp_path), now=NOW)
    assert made.host_certificate("web-dc1") != before


def test_preparing_twice_changes_no_file(tmp_path: Path) -> None:
    made, pinned = trust(tmp_path), pins(tmp_path)
    made.adopt(pinned, now=NOW)
    before = {path: path.read_bytes() for path in (tmp_path / "keys").rglob("*") if path.is_file()}
    made.prepare(now=NOW)
    made.adopt(pinned, now=NOW)
    assert {path: path.read_bytes() for path in (tmp_path / "keys").rglob("*") if path.is_file()} == before


def test_a_host_without_a_pinned_key_is_refused_by_name(tmp_path: Path) -> None:
    made = trust(tmp_path)
    with pytest.raises(ConfigError, match="/vault: no ssh-ed25519 key is pinned there"):
        made.adopt(pins(tmp_path, (WEB, DATABASE)), now=NOW)
    assert not made.is_adopted()


@pytest.mark.parametrize("name", POISON)
def test_a_poisoned_name_reaches_no_command(tmp_path: Path, name: str) -> None:
    with pytest.raises(ConfigError):
        Trust(tmp_path, [host(name)])
    with pytest.raises(ConfigError):
        Trust(tmp_path, [host(site=name)])


def test_a_state_directory_that_could_end_a_line_of_ssh_config_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError):
        Trust(tmp_path / 'x"\nProxyCommand y', ALL)


def test_openssh_reads_the_configuration_as_meant(tmp_path: Path) -> None:
    made = trust(tmp_path / "with space")
    shown = subprocess.run(
        ["ssh", "-G", "-F", made.ssh_config, "--", "198.19.0.41"],
        capture_output=True,
        text=True,
        check=True,
        timeout=20,
    ).stdout.splitlines()
    assert "user ops" in shown
    assert "stricthostkeychecking true" in shown
    assert "hostkeyalias vault" in shown
    assert f"userknownhostsfile {made.known_hosts}" in " ".join(shown).replace('"', "")
    assert "passwordauthentication no" in shown
    (kex,) = [line.removeprefix("kexalgorithms ").split(",") for line in shown if line.startswith("kexalgorithms ")]
    assert kex[0] in ("mlkem768x25519-sha256", "curve25519-sha256")
    assert len(kex) > 1


def test_whoever_carries_out_runbooks_has_a_key_and_a_certificate_of_its_own(tmp_path: Path) -> None:
    made = trust(tmp_path)
    shown = certificate(tmp_path / "keys" / "runner" / "dc1-cert.pub")
    assert shown.valid_principals == [b"runner"]
    assert made.identity("dc1", "runner").read_bytes() != made.identity("dc1").read_bytes()


def test_keys_that_are_renewed_are_revoked_and_only_at_their_site(tmp_path: Path) -> None:
    made = trust(tmp_path)
    old = {user: (tmp_path / "keys" / user / "dc1.pub").read_text().split()[:2] for user in ("ops", "runner")}
    elsewhere = made.identity("vault").read_bytes()
    gone = made.renew("dc1", now=NOW)
    assert made.revoked() == gone == tuple(" ".join(words) for words in old.values())
    assert (tmp_path / "keys" / "ops" / "dc1.pub").read_text().split()[:2] != old["ops"]
    assert certificate(tmp_path / "keys" / "ops" / "dc1-cert.pub").valid_principals == [b"ops"]
    assert made.identity("vault").read_bytes() == elsewhere
    again = made.renew("dc1", now=NOW)
    assert made.revoked() == (*gone, *again)


def test_what_one_estate_signs_opens_nothing_of_another_whose_hosts_have_the_same_names(tmp_path: Path) -> None:
    (tmp_path / "lab").mkdir()
    (tmp_path / "production").mkdir()
    lab, production = trust(tmp_path / "lab"), trust(tmp_path / "production")
    lab.adopt(pins(tmp_path / "lab"), now=NOW)
    production.adopt(pins(tmp_path / "production"), now=NOW)

    for site in lab.sites:
        for user in ("ops", "runner"):
            mine = certificate(lab.identity(site, user).with_name(f"{site}-cert.pub")).signature_key()
            signer = mine.public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).decode()
            assert signer.split()[:2] == lab.authority(site).split()[:2]
            assert signer.split()[:2] != production.authority(site).split()[:2]
    assert set(lab.pins.read_text().splitlines()).isdisjoint(production.pins.read_text().splitlines())
