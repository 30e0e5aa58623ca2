"""The shape of the source tree."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SOURCES = sorted((ROOT / "src" / "secondsite").rglob("*.py"))
RUNBOOKS = sorted((ROOT / "runbooks").glob("*.py"))
LONGEST_FILE = 500

IMPORT_EACH_ALONE = """
import importlib, os, sys, traceback
for name in ("ansible_runner", "dbos", "dns.update", "fabric", "jinja2", "pydantic", "rich_click", "ruamel.yaml",
             "securesystemslib", "sqlalchemy", "rich.live", "rich.table"):
    importlib.import_module(name)          # once, not in every child: only our own modules must be alone
broken = 0
for name in sys.argv[1:]:
    child = os.fork()
    if child == 0:
        try:
            importlib.import_module(name)
        except BaseException:
            sys.stderr.write(f"--- {name}\\n{traceback.format_exc()}")
            os._exit(1)
        os._exit(0)
    broken += os.waitpid(child, 0)[1] != 0
sys.exit(broken != 0)
"""


def module_name(path: Path) -> str:
    parts = path.relative_to(ROOT / "src").with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def is_module(path: Path) -> bool:
    """Say whether we import it; what runs as a script elsewhere stands in a folder that is no package."""
    rooms = [folder for folder in path.parents if folder.is_relative_to(ROOT / "src" / "secondsite")]
    return path.name != "__main__.py" and all((folder / "__init__.py").is_file() for folder in rooms)


@pytest.mark.slow  # as long as all other tests of the shape together
@pytest.mark.timeout(600)  # as long as it takes: a busy machine needs minutes for some hundred processes
def test_each_module_imports_alone_with_warnings_as_errors() -> None:
    names = [module_name(path) for path in SOURCES if is_module(path)]
    assert len(names) > len(SOURCES) / 2

    tried = subprocess.run(
        [sys.executable, "-W", "error", "-c", IMPORT_EACH_ALONE, *names],
        env={"PYTHONPATH": str(ROOT / "src")},
        capture_output=True,
        text=True,
        timeout=540,
        check=False,
    )

    assert tried.returncode == 0, tried.stderr


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT / "src" / "secondsite")))
def test_no_source_file_is_longer_than_500_lines(path: Path) -> None:
    assert len(path.read_text(encoding="utf-8").splitlines()) <= LONGEST_FILE


def imported_names(path: Path) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names.add("." * node.level + (node.module or ""))
    return names


@pytest.mark.parametrize("path", RUNBOOKS, ids=lambda path: path.stem)
def test_a_runbook_imports_the_plan_room_and_nothing_that_acts(path: Path) -> None:
    allowed = {"__future__", "datetime", "collections.abc", "typing", "dataclasses"}

    strangers = {name for name in imported_names(path) - allowed if not name.startswith("secondsite.plan")}

    assert strangers == set()
