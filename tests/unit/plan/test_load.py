from __future__ import annotations

from pathlib import Path

import pytest

from secondsite.errors import ConfigError, UsageError
from secondsite.plan.load import known_runbooks, load_plan, load_runbook
from secondsite.plan.model import Plan
from secondsite.sim.estate import two_site_estate

GOOD = """
from secondsite.plan import Estate, Intent, PlanBuilder, call, runbook

@runbook(name="good", intent=Intent.PROVISION)
def good(estate, plan):
    '''Do good.'''
    plan.uses("roles")
    plan.step("one", title="One", call=call("act"))
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "runbooks").mkdir()
    (tmp_path / "roles" / "tasks").mkdir(parents=True)
    (tmp_path / "roles" / "tasks" / "main.yml").write_text("one")
    (tmp_path / "runbooks" / "good.py").write_text(GOOD)
    return tmp_path


def plan_in(project: Path, name: str = "good") -> Plan:
    return load_plan(name, directory=project / "runbooks", root=project, estate=two_site_estate())


@pytest.mark.parametrize("name", ["nope", "../good", "good.py", "", "Good"])
def test_an_unknown_runbook_is_refused_and_the_known_ones_are_named(project: Path, name: str) -> None:
    with pytest.raises(UsageError) as caught:
        load_runbook(name, directory=project / "runbooks")
    assert "good" in caught.value.next_step


def test_the_docstring_is_the_title_and_the_used_files_are_pinned(project: Path) -> None:
    plan = plan_in(project)
    assert plan.title == "Do good"
    assert set(plan.pins) == {"roles/tasks/main.yml", "runbooks/good.py"}


@pytest.mark.parametrize("changed", ["roles/tasks/main.yml", "runbooks/good.py"])
def test_the_digest_changes_when_a_file_the_plan_uses_changes(project: Path, changed: str) -> None:
    before = plan_in(project).digest
    with (project / changed).open("a") as file:
        file.write("\n# another byte\n")
    assert plan_in(project).digest != before


@pytest.mark.parametrize(
    ("text", "told"),
    [
        pytest.param("def broken(:", "SyntaxError", id="syntax"),
        pytest.param("x = 1 / 0", "bad.py:1: /: ZeroDivisionError", id="import"),
        pytest.param("x = 1", "no runbook named bad", id="none"),
        pytest.param(GOOD.replace("good", "bad").replace('"roles"', '"../x"'), "none", id="pin-outside"),
        pytest.param(
            GOOD.replace("good", "bad").replace('call("act")', 'call("act", x=0.1)'), "ValueError", id="float"
        ),
    ],
)
def test_a_runbook_that_is_wrong_names_its_file(project: Path, text: str, told: str) -> None:
    (project / "runbooks" / "bad.py").write_text(text)
    with pytest.raises(ConfigError) as caught:
        plan_in(project, "bad")
    assert told in str(caught.value)


def test_private_files_are_no_runbooks(project: Path) -> None:
    (project / "runbooks" / "_helper.py").write_text("")
    assert known_runbooks(project / "runbooks") == ("good",)
