"""As root on a producer of backups: do what an intruder would, and destroy what this host has sent away.

Nothing here is careful. Prints one JSON line: for each place what was tried, and what it answered.
"""

from __future__ import annotations

import configparser
import json
import subprocess
from pathlib import Path
from typing import Any

RESTIC = "/usr/local/sbin/secondsite-restic"
ARCHIVES = Path("/etc/pgbackrest.conf")
AS_PRODUCER = ("setpriv", "--reuid=postgres", "--regid=postgres", "--groups=secondsite-tls", "pgbackrest")
LONGEST_S, TRIES = 60, 4
FORBIDDEN = ("403", "Operation not permitted", "Read-only file system")


def tried(place: str, *words: str, text: str = "") -> dict[str, Any]:
    """Run it, and again where it failed for another reason than that the place forbids it: others try the same."""
    for _ in range(TRIES - 1):
        found = once(place, *words, text=text)
        if found["refused"] is not None:
            return found
    return once(place, *words, text=text)


def once(place: str, *words: str, text: str) -> dict[str, Any]:
    """Run it; refused is what the place itself forbids, and not what failed for another reason."""
    try:
        done = subprocess.run(
            words, input=text, capture_output=True, text=True, timeout=LONGEST_S, check=False, cwd="/"
        )
    except subprocess.TimeoutExpired:
        return {"place": place, "refused": None, "saw": f"no answer within {LONGEST_S} s"}
    said = " ".join(f"{done.stdout} {done.stderr}".split())
    saw = f"exit code {done.returncode}: {said[-160:]}"
    if any(word in said for word in FORBIDDEN):  # restic ends with 0 all the same
        return {"place": place, "refused": True, "saw": saw}
    return {"place": place, "refused": None if done.returncode else False, "saw": saw}


def archives() -> list[dict[str, Any]]:
    """Overwrite what every repository knows of its backups, as the database's own user can ask for it.

    A repository whose list of backups is gone restores nothing.
    """
    if not ARCHIVES.is_file():
        return []
    parser = configparser.ConfigParser(interpolation=None, strict=False)
    parser.read(ARCHIVES, encoding="utf-8")
    numbers = {
        key.removeprefix("repo").removesuffix("-host"): host
        for key, host in parser.items("global")
        if key.startswith("repo") and key.endswith("-host")
    }
    stanzas = [name for name in parser.sections() if name.partition(":")[0] != "global"]
    found = []
    for number, host in numbers.items():
        for stanza in stanzas:
            words = (*AS_PRODUCER, f"--stanza={stanza}", f"--repo={number}", "--log-level-console=error", "repo-put")
            kept = (f"backup/{stanza}/backup.info", f"archive/{stanza}/archive.info")
            found += [tried(f"{one} at {host}", *words, one, text="destroyed") for one in kept]
    return found


def listed() -> list[str] | None:
    """Return the snapshots that the server has of this host; None where it does not say."""
    try:
        done = subprocess.run(
            [RESTIC, "--json", "snapshots"], capture_output=True, text=True, timeout=LONGEST_S, check=False, cwd="/"
        )
    except subprocess.TimeoutExpired:
        return None
    return [str(one["id"]) for one in json.loads(done.stdout)] if done.returncode == 0 else None


def snapshots() -> list[dict[str, Any]]:
    """Forget every snapshot that this host has sent away. What is not listed afterwards is gone, whatever was said."""
    if not Path(RESTIC).exists():
        return []
    names, server = listed(), "the append-only server"
    if not names:
        return [{"place": server, "refused": None, "saw": "it lists no snapshot"}]
    found = [tried(f"snapshot {name[:8]} at {server}", RESTIC, "forget", name) for name in names]
    left = listed()
    if left is None:
        return [{**one, "refused": None, "saw": f"it lists nothing afterwards; {one['saw']}"} for one in found]
    return [one if name in left else {**one, "refused": False} for name, one in zip(names, found, strict=True)]


def main() -> None:
    print(json.dumps([*archives(), *snapshots()]))


main()
