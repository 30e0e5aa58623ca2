"""Files that are there as a whole or not at all."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any


def place(path: Path, value: Any, *, durable: bool = False) -> None:
    """Make a file hold a value; with ``durable`` also after a power cut in the next moment."""
    part = path.with_name(f".{path.name}.part")
    with part.open("w") as file:
        json.dump(value, file, sort_keys=True)
        if durable:
            file.flush()
            os.fsync(file.fileno())
    part.replace(path)
    if durable:
        folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


def read(path: Path) -> Any:
    """Return what a file holds; None where there is none, or where it can't be understood."""
    try:
        return json.loads(path.read_text())
    except (FileNotFoundError, ValueError):
        return None
