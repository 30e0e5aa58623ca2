"""Runbook files to plans. Reads the runbooks directory and the files a plan pins; performs nothing."""

from __future__ import annotations

import hashlib
import importlib.util
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from ..errors import ConfigError, Problem, SecondsiteError, UsageError
from ..estate.model import Estate
from .builder import Runbook, build_plan
from .model import Plan

_NAME = re.compile(r"[a-z][a-z0-9_]*\Z")
_IGNORED = ("__pycache__", ".git")


def known_runbooks(directory: Path) -> tuple[str, ...]:
    """Name every runbook there is."""
    return tuple(sorted(path.stem for path in directory.glob("*.py") if _NAME.match(path.stem)))


def load_runbook(name: str, *, directory: Path) -> Runbook:
    """Import one runbook file and return the runbook in it.

    Raises:
        UsageError: there is no such runbook; the known ones are listed.
        ConfigError: the file can't be imported, or holds no runbook of that name.
    """
    known = known_runbooks(directory)
    if name not in known:
        raise UsageError(
            f"there is no runbook {name!r}",
            not_done="nothing was planned",
            next_step=f"known runbooks: {', '.join(known) or f'none in {directory}'}",
        )
    path = directory / f"{name}.py"
    found = [value for value in vars(_imported(path)).values() if isinstance(value, Runbook) and value.name == name]
    if len(found) != 1:
        raise ConfigError([Problem(file=str(path), line=None, pointer="", what=f"it holds no runbook named {name}")])
    return found[0]


def load_plan(
    name: str, *, directory: Path, root: Path, estate: Estate, origin: str | None = None, target: str | None = None
) -> Plan:
    """Build the plan of a runbook; ``root`` is the project's folder, to which pinned paths are relative.

    Raises:
        UsageError: unknown runbook, or a wrong direction.
        ConfigError: the runbook, or the plan it built, is wrong.
    """
    book = load_runbook(name, directory=directory)
    path = directory / f"{name}.py"

    def pinning(used: Sequence[str]) -> Mapping[str, str]:
        return {**pins_of(used, root=root), f"runbooks/{path.name}": _sha256(path)}

    try:
        return build_plan(book, estate, origin=origin, target=target, pinning=pinning)
    except SecondsiteError:
        raise
    except Exception as error:  # a runbook is the estate's own code: whatever it raises is an error in that file
        raise ConfigError([_problem_in(path, error)], not_done="nothing was planned") from error


def pins_of(used: Sequence[str], *, root: Path) -> Mapping[str, str]:
    """Return path to SHA-256 for every file named, folders with all they hold.

    Raises:
        ConfigError: a path is missing or lies outside ``root``.
    """
    pins: dict[str, str] = {}
    problems = []
    for word in used:
        path = root / word
        if not path.resolve().is_relative_to(root.resolve()) or not path.exists():
            what = "a plan may only use files of the project, and this is none"
            problems.append(Problem(file=word, line=None, pointer="", what=what))
            continue
        pins.update({str(file.relative_to(root)): _sha256(file) for file in _files_of(path)})
    if problems:
        raise ConfigError(problems, not_done="nothing was planned")
    return pins


def _files_of(path: Path) -> list[Path]:
    if path.is_file():
        return [path]
    return sorted(p for p in path.rglob("*") if p.is_file() and not any(part in _IGNORED for part in p.parts))


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _imported(path: Path) -> object:
    spec = importlib.util.spec_from_file_location(f"secondsite_runbook_{path.stem}", path)
    if spec is None or spec.loader is None:
        raise ConfigError([Problem(file=str(path), line=None, pointer="", what="it is no Python file")])
    module = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except Exception as error:  # a runbook is the estate's own code: whatever it raises is an error in that file
        raise ConfigError([_problem_in(path, error)], not_done="nothing was planned") from error
    return module


def _problem_in(path: Path, error: Exception) -> Problem:
    line = error.lineno if isinstance(error, SyntaxError) else None
    trace = error.__traceback__
    while trace is not None:
        if trace.tb_frame.f_code.co_filename == str(path):
            line = trace.tb_lineno
        trace = trace.tb_next
    return Problem(file=str(path), line=line, pointer="", what=f"{type(error).__name__}: {error}")
