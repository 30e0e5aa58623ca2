"""Benchmarks are scripts and no package: their rules are tested as they are."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).resolve().parents[3] / "benchmarks"


def script(name: str) -> Any:
    """Return a benchmark as a module, nothing of it run."""
    named = f"benchmarks_{name}"
    spec = importlib.util.spec_from_file_location(named, FOLDER / f"{name}.py")
    if spec is None or spec.loader is None:
        raise ImportError(name)
    module = importlib.util.module_from_spec(spec)
    sys.modules[named] = module  # dataclasses look there for what annotations name
    spec.loader.exec_module(module)
    return module
