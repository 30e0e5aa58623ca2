"""Who is told of trouble is declared, and what could reach nobody is refused."""

from __future__ import annotations

import datetime as dt
import shutil
from pathlib import Path

import pytest

from secondsite.errors import ConfigError
from secondsite.estate.load import load_estate

INVENTORIES = Path(__file__).resolve().parents[3] / "inventories"


def problems(tmp_path: Path, old: str, new: str, *, file: str = "estate.yml", base: str = "lab") -> list[str]:
    folder = tmp_path / "estate"
    shutil.copytree(INVENTORIES / base, folder)
    text = (folder / file).read_text()
    assert old in text
    (folder / file).write_text(text.replace(old, new, 1))
    try:
        load_estate(folder)
    except ConfigError as error:
        return [f"{problem.pointer}: {problem.what}" for problem in error.problems]
    return []


def test_who_is_told_is_read_into_nouns() -> None:
    paging = load_estate(INVENTORIES / "lab").paging

    assert paging is not None
    assert (paging.mail, paging.webhook, paging.relays) == ("customers", "console", ("ops-dc1", "ops-dc2", "vault"))
    assert (paging.look, paging.port) == (dt.timedelta(seconds=10), 8444)


def test_an_estate_without_hosts_that_look_needs_nobody_on_call() -> None:
    assert load_estate(INVENTORIES / "small").paging is None


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        pytest.param(
            "on_call: [lab-deputy-1,", "on_call: [somebody,", "/paging/on_call/0: names the person 'somebody'", id="who"
        ),
        pytest.param(
            "on_call: [lab-deputy-1,",
            "on_call: [lab-deputy-2,",
            "/paging/on_call/0: names lab-deputy-2, who has no mail",
            id="no mail",
        ),
        pytest.param(
            "  mail: customers", "  mail: vault", "/paging/mail: names vault, which is not of", id="no mailbox"
        ),
        pytest.param(
            "webhook: console", "webhook: vault", "/paging/webhook: names vault, which is not of", id="webhook"
        ),
        pytest.param("webhook: console", "webhook: nowhere", "/paging/webhook: names the host 'nowhere'", id="no host"),
        pytest.param(
            "relays: [ops-dc1, ops-dc2, vault]",
            "relays: [ops-dc1, web-dc1]",
            "/paging/relays: all stand at dc1",
            id="one site",
        ),
        pytest.param(
            "relays: [ops-dc1, ops-dc2, vault]",
            "relays: [edge1-dc1, vault]",
            "/paging/relays/0: names edge1-dc1",
            id="does not look",
        ),
        pytest.param("look: 10s", "look: 2s", "/paging/look: is 2 s", id="too often"),
        pytest.param("silence: 25s", "silence: 15s", "/paging/silence: is shorter than two looks", id="impatient"),
        pytest.param("repeat: 30m", "repeat: 10s", "/paging/repeat: is 10 s", id="nagging"),
    ],
)
def test_a_page_that_could_reach_nobody_is_refused(tmp_path: Path, old: str, new: str, told: str) -> None:
    found = problems(tmp_path, old, new)

    assert any(one.startswith(told) for one in found), found


def test_hosts_that_look_and_have_nobody_to_tell_are_refused(tmp_path: Path) -> None:
    new = "    watcher:\n      hosts:\n        web-dc1: {}\n    nameserver:\n"

    assert problems(tmp_path, "    nameserver:\n", new, file="hosts.yml", base="small") == [
        ": has hosts of the group 'watcher', and no section paging"
    ]
