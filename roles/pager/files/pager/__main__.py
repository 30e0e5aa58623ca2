"""python3 -m pager look|tell: run one of the two processes."""

from __future__ import annotations

import importlib
import os
import sys

from .settings import load

PROCESSES = ("look", "tell")

if __name__ == "__main__":
    os.umask(0o027)
    if sys.argv[1:] not in ([name] for name in PROCESSES):
        sys.exit(f"one of: {', '.join(PROCESSES)}")
    # neither carries what only the other one needs
    importlib.import_module(f".{sys.argv[1]}", __package__).main(load())
