"""shopctl: open or close this web host for customers.

shopctl open [--if-never-set] | close | status       prints the state; ``open`` and ``close`` are on disk when it ends
"""

from __future__ import annotations

import argparse
from pathlib import Path

from . import door
from .door import Door
from .settings import DOOR


def main(argv: list[str] | None = None) -> int:
    """Do one of the three; exit 0 when it is true what was asked for."""
    wanted = _parser().parse_args(argv)
    path: Path = wanted.file
    before = door.read(path)
    if wanted.verb == "close":
        door.write(path, Door.CLOSED)
    elif wanted.verb == "open" and not (wanted.if_never_set and before is not Door.NEVER_SET):
        door.write(path, Door.OPEN)
    after = door.read(path)
    print(after.value if after is before else f"{after.value} (was {before.value})")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="shopctl", description=__doc__.partition("\n")[0])
    parser.add_argument("--file", type=Path, default=DOOR, help=argparse.SUPPRESS)
    verbs = parser.add_subparsers(dest="verb", required=True)
    opening = verbs.add_parser("open", help="serve customers")
    opening.add_argument("--if-never-set", action="store_true", help="only on a host where neither was ever set")
    verbs.add_parser("close", help="answer 503 to customers")
    verbs.add_parser("status", help="say which it is")
    return parser


if __name__ == "__main__":
    raise SystemExit(main())
