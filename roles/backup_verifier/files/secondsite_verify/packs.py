"""At the append-only server: read every file back. Its name is the digest of what it holds, so no key is needed for that."""

from __future__ import annotations

import hashlib
import time
from pathlib import Path

from .common import KEPT, came, keep, told, turn, turned

KINDS = ("data/*", "index", "keys", "snapshots")
BLOCK = 1 << 20
HERE = KEPT / "packs"


def digest(path):
    """Return the SHA-256 of a file."""
    found = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(BLOCK):
            found.update(block)
    return found.hexdigest()


def files(repository):
    """Return every file of a producer's repository that is named by its digest, with its size."""
    found = (path for kind in KINDS for path in repository.glob(f"{kind}/*") if path.is_file())
    return {path: path.stat().st_size for path in found}


def verify(repository, before):
    """Read one part of a repository; return what came of it."""
    began = time.time()
    sizes = files(repository)
    part, rota = turn(before, sum(sizes.values()))
    chosen = [path for path in sizes if _number(path.name) % rota["parts"] == part]
    wrong = [path for path in chosen if _is_wrong(path)]
    reasons = [f"{repository.name}: {path.relative_to(repository)} is not what its name says" for path in sorted(wrong)]
    reasons += [] if sizes else [f"{repository.name}: there is nothing"]
    return came(reasons, began=began, rota=rota if wrong else turned(rota, part), part=part, files=len(chosen),
                bytes=sum(sizes[path] for path in chosen), seconds=time.time() - began)  # fmt: skip


def _number(name):
    try:
        return int(name[:8], 16)
    except ValueError:
        return 0


def _is_wrong(path):
    try:
        return digest(path) != path.name
    except FileNotFoundError:  # taken away meanwhile by who may
        return False


def main(settings):
    """Read a part of every producer's repository; return every reason to doubt one."""
    reasons = []
    # beside the producers' lies what a prune lays aside
    repositories = (path for path in Path(settings["packs"]).iterdir() if path.is_dir() and path.name[0] != ".")
    for repository in sorted(repositories):
        found = verify(repository, told(HERE / f"{repository.name}.json"))
        keep(HERE, repository.name, found)
        reasons += found["why"]
    return reasons
