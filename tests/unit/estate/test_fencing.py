"""How a datacenter is fenced is declared, and what could confirm nothing is refused."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from secondsite.errors import ConfigError
from secondsite.estate.load import load_estate
from secondsite.estate.model import FencingKind, SiteName

INVENTORIES = Path(__file__).resolve().parents[3] / "inventories"
DC1 = SiteName("dc1")


def problems(tmp_path: Path, old: str, new: str) -> list[str]:
    folder = tmp_path / "estate"
    shutil.copytree(INVENTORIES / "powered", folder)
    text = (folder / "estate.yml").read_text()
    assert old in text
    (folder / "estate.yml").write_text(text.replace(old, new, 1))
    try:
        load_estate(folder)
    except ConfigError as error:
        return [f"{problem.pointer}: {problem.what}" for problem in error.problems]
    return []


def test_a_datacenter_is_fenced_by_isolation_where_nothing_is_said() -> None:
    fencing = load_estate(INVENTORIES / "small").fencing_of(DC1)
    assert (fencing.kinds, fencing.power) == ((FencingKind.ISOLATION,), None)


def test_a_power_switch_is_read_into_nouns() -> None:
    estate = load_estate(INVENTORIES / "powered")
    fencing = estate.fencing_of(DC1)
    assert fencing.kinds == (FencingKind.ISOLATION, FencingKind.POWER)
    assert fencing.power is not None
    assert (fencing.power.agent, fencing.power.stands_on) == ("fence_redfish", "vault")
    assert set(fencing.power.outlets) == set(estate.writers_at(DC1)) == {"web-dc1", "db-dc1"}


def test_the_powered_lab_is_the_small_one_but_for_its_power() -> None:
    reader = YAML(typ="safe", pure=True)
    for file, own in (("estate.yml", ("name", "fencing")), ("lab.yml", ("power",)), ("hosts.yml", ())):
        powered, small = (dict(reader.load(INVENTORIES / size / file)) for size in ("powered", "small"))
        for key in own:
            powered.pop(key)
            small.pop(key, None)
        if file == "estate.yml":
            permitted = [one["drills"].pop("injections") for one in (small, powered)]
            assert set(permitted[0]) - set(permitted[1]) == {"lying-fence"}
        assert powered == small, file


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        pytest.param(
            "stands_on: vault", "stands_on: dc1",
            "/fencing/dc1/power/stands_on: is dc1, the site whose outlets it switches: it could confirm nothing when"
            " that site is lost", id="on the power of the site it cuts",
        ),
        pytest.param("stands_on: vault", "stands_on: moon", "names the site 'moon'", id="on nobody's power"),
        pytest.param(
            ", db-dc1: /redfish/v1/Systems/db-dc1", "",
            "/fencing/dc1/power/outlets: has no outlet for db-dc1, which could write", id="a writer without an outlet",
        ),
        pytest.param(
            "db-dc1: /redfish/v1/Systems/db-dc1", "db-dc1: /redfish/v1/Systems/web-dc1",
            "/redfish/v1/Systems/web-dc1 is web-dc1's outlet already", id="two hosts on one outlet",
        ),
        pytest.param(
            "{web-dc1: /redfish", "{web-dc2: /redfish/v1/Systems/web-dc2, web-dc1: /redfish", "web-dc2 stands at dc2",
            id="a host of another site",
        ),
        pytest.param("kinds: [isolation, power]", "kinds: [isolation]", "kinds does not name power", id="unused"),
        pytest.param("kinds: [isolation, power]", "kinds: []", "/fencing/dc1/kinds", id="no kind"),
        pytest.param("kinds: [isolation, power]", "kinds: [prayer]", "/fencing/dc1/kinds/0", id="an unknown kind"),
        pytest.param("fencing:\n  dc1:", "fencing:\n  vault:", "vault is no datacenter", id="no datacenter"),
        pytest.param(
            "outlet_option: systems_uri", "outlet_option: password", "password names no outlet", id="an option of ours"
        ),
        pytest.param(
            "outlet_option: systems_uri", "outlet_option: systems_uri\n      options: {password: x}",
            "/fencing/dc1/power/options/password", id="a secret in the open",
        ),
        pytest.param(
            "outlet_option: systems_uri", "outlet_option: systems_uri\n      options: {ssl_insecure: 1}",
            "/fencing/dc1/power/options/ssl_insecure", id="trust in anybody",
        ),
        pytest.param("agent: fence_redfish", "agent: ../../bin/sh", "/fencing/dc1/power/agent", id="no agent's name"),
        pytest.param(
            "web-dc1: /redfish/v1/Systems/web-dc1", 'web-dc1: "1\\naction=on"', "/fencing/dc1/power/outlets/web-dc1",
            id="two lines in one",
        ),
    ],
)  # fmt: skip
def test_fencing_that_could_confirm_nothing_is_refused(tmp_path: Path, old: str, new: str, told: str) -> None:
    assert told in "\n".join(problems(tmp_path, old, new))


def test_power_without_a_switch_is_refused(tmp_path: Path) -> None:
    text = (INVENTORIES / "powered" / "estate.yml").read_text()
    begin, end = text.index("    power:\n"), text.index("  dc2:\n    kinds")
    said = problems(tmp_path, text[begin:end], "")
    assert "/fencing/dc1/kinds: names power, and no power switch is declared" in said
