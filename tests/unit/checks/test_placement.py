"""Voters, hosts and keys are where and what they should be."""

from __future__ import annotations

import base64
import datetime as dt
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    SSHCertificateBuilder,
    SSHCertificateType,
)
from hypothesis import given
from hypothesis import strategies as st

from secondsite.checks.model import Section, State, World
from secondsite.checks.rules.placement import sites_that_decide
from secondsite.estate.model import HostName, SiteName

from .estates import ESTATE, NOW, SECOND, verdict, world

AUTHORITY, OTHER, HOST = (Ed25519PrivateKey.generate() for _ in range(3))
SITES = st.sampled_from([SiteName("dc1"), SiteName("dc2"), SiteName("vault")])


@given(st.dictionaries(st.text(min_size=1, max_size=4), SITES, min_size=1, max_size=9))
def test_a_site_decides_exactly_if_the_others_are_no_majority(places: dict[str, SiteName]) -> None:
    deciding = sites_that_decide(places)

    for site in set(places.values()):
        left = sum(one != site for one in places.values())
        assert (site in deciding) == (not left > len(places) / 2)


def voters(*addresses: str) -> list[dict[str, Any]]:
    return [{"name": one, "peers": [f"https://{one}:2380"], "learner": False} for one in addresses]


RIGHT = voters("198.18.1.20", "198.18.2.20", "198.18.3.30")


@pytest.mark.parametrize(
    ("told", "state"),
    [
        pytest.param(RIGHT, State.PASSED, id="as declared"),
        pytest.param(voters("198.18.1.20", "198.18.1.10", "198.18.3.30"), State.FAILED, id="two at the primary"),
        pytest.param(voters("198.18.1.20", "198.18.2.20"), State.FAILED, id="one is gone"),
        pytest.param([*RIGHT, *voters("192.0.2.1", "192.0.2.2")], State.FAILED, id="strangers vote"),
    ],
)
def test_voters_that_are_not_those_declared_are_found(told: list[Any], state: State) -> None:
    assert verdict("NET-QUORUM-PLACEMENT", world("quorum", RIGHT, vault=told)).state is state


def identity(name: str, **different: Any) -> dict[str, Any]:
    host = ESTATE.hosts[HostName(name)]
    addresses = [f"{one}/24" for one in (host.management, host.address) if one is not None]
    return {"hostname": name, "machine_id": name, "boot_id": "one", "addresses": addresses, "gateways": [], **different}


def identities(**different: dict[str, Any]) -> World:
    told = {
        name.replace("-", "_"): identity(name, **different.get(name.replace("-", "_"), {})) for name in ESTATE.hosts
    }
    hosts = {HostName(name.replace("_", "-")): {"identity": Section(value=one)} for name, one in told.items()}
    return World(estate=ESTATE, now=NOW, hosts=hosts)


@pytest.mark.parametrize(
    ("different", "state"),
    [
        pytest.param({}, State.PASSED, id="right"),
        pytest.param({"hostname": "imposter"}, State.FAILED, id="another name"),
        pytest.param({"machine_id": "db-dc1"}, State.FAILED, id="another host under two names"),
        pytest.param({"addresses": ["198.19.0.31/24", "198.18.1.99/24"]}, State.FAILED, id="at the other site"),
        pytest.param({"gateways": ["198.18.1.1"]}, State.FAILED, id="leaves through the other site"),
        pytest.param({"boot_id": "two"}, State.FAILED, id="the others share a machine across sites"),
    ],
)
def test_a_host_that_is_not_where_its_label_says_is_found(different: dict[str, Any], state: State) -> None:
    assert verdict("INV-FAULTDOMAIN", identities(web_dc2=different)).state is state


def line(key: Ed25519PrivateKey) -> str:
    return key.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).decode("ascii")


def certified(
    *,
    by: Ed25519PrivateKey = AUTHORITY,
    name: str = "web-dc2",
    days: int = 90,
    kind: SSHCertificateType = SSHCertificateType.HOST,
) -> str:
    made = (
        SSHCertificateBuilder()
        .public_key(HOST.public_key())
        .serial(1)
        .type(kind)
        .key_id(b"x")
        .valid_principals([name.encode()])
        .valid_after((NOW - dt.timedelta(days=1)).timestamp())
        .valid_before((NOW + dt.timedelta(days=days)).timestamp())
        .sign(by)
    )
    return made.public_bytes().decode("ascii")


def seen(presented: str, pinned: str | None = None) -> State:
    told = {"presented": presented, "authority": line(AUTHORITY), "pinned": pinned or line(HOST)}
    hosts = {host: Section(value={**told, "presented": certified(name=host)}) for host in ESTATE.hosts}
    outside = {"ssh": Section(value={**hosts, SECOND: Section(value=told)})}
    return verdict("SEC-HOSTID", World(estate=ESTATE, now=NOW, hosts={}, outside=outside)).state


def spoiled(certificate: str) -> str:
    kind, blob = certificate.split()[:2]
    raw = bytearray(base64.b64decode(blob))
    raw[-1] ^= 1
    return f"{kind} {base64.b64encode(raw).decode()}"


@pytest.mark.parametrize(
    ("presented", "state"),
    [
        pytest.param(certified(), State.PASSED, id="right"),
        pytest.param("", State.FAILED, id="none"),
        pytest.param(line(HOST), State.FAILED, id="a plain key"),
        pytest.param(certified(by=OTHER), State.FAILED, id="of another authority"),
        pytest.param(certified(name="web-dc1"), State.FAILED, id="of another host"),
        pytest.param(certified(days=6), State.FAILED, id="ends in six days"),
        pytest.param(certified(days=-1), State.FAILED, id="ended"),
        pytest.param(certified(kind=SSHCertificateType.USER), State.FAILED, id="a person's"),
        pytest.param(spoiled(certified()), State.FAILED, id="with a wrong signature"),
        pytest.param("ssh-ed25519-cert-v01@openssh.com AAAA", State.UNKNOWN, id="nonsense"),
    ],
)
def test_a_host_must_prove_to_be_itself(presented: str, state: State) -> None:
    assert seen(presented) is state


def test_a_host_reinstalled_with_another_key_is_found_whoever_certified_it() -> None:
    assert seen(certified(), pinned=line(OTHER)) is State.FAILED


def test_a_host_that_believes_one_authority_more_is_found() -> None:
    ours, more = [line(AUTHORITY)], [line(AUTHORITY), line(OTHER)]
    outside = {"ssh": Section(value=dict.fromkeys(ESTATE.hosts, Section(value={"authority": line(AUTHORITY)})))}
    right = world("identity", {"user_authorities": ours})
    wrong = world("identity", {"user_authorities": ours}, vault={"user_authorities": more})

    for told, state in ((right, State.PASSED), (wrong, State.FAILED)):
        assert verdict("SEC-USERCA", World(estate=ESTATE, now=NOW, hosts=told.hosts, outside=outside)).state is state
