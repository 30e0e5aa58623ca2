"""What all verifications share: commands, what came of them, and which part of everything is read next."""

from __future__ import annotations

import json
import math
import os
import subprocess
import time
from pathlib import Path

KEPT = Path("/var/lib/secondsite-verify")
VERIFIER = "backup-verifier"
LONGEST_S = 6 * 3600
MANY = 5
LONGEST, ENDING = 300, 100
PART_BYTES = 64 << 30  # what one run reads at most, so that everything is read over some days


class Failed(Exception):
    """Something is not as it should be; the text says what."""


def tried(*words, stdin="", source=os.devnull, environment=None, merge=False):
    """Return the exit code, what a program printed, and what it complained of; with ``merge`` all is in the second.

    It reads ``stdin``, or where that is empty the file ``source``, which this process may read and the program need not.
    """
    try:
        with open(source, "rb") as file:
            done = subprocess.run(
                words,
                **({"input": stdin.encode()} if stdin else {"stdin": file}),
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT if merge else subprocess.PIPE,
                timeout=LONGEST_S,
                env={**os.environ, **(environment or {})},
                check=False,
            )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise Failed(f"{words[0]}: {error}") from error
    return done.returncode, *((text or b"").decode(errors="replace") for text in (done.stdout, done.stderr))


def run(*words, **options):
    """Return what a program printed; another exit code than 0 is a failure, told with its last words."""
    code, said, complained = tried(*words, **options)
    if code != 0:
        program = words[words.index("--") + 1] if "--" in words else words[0]
        raise Failed(f"{Path(program).name} ended with exit code {code}: {shortened(complained or said)}")
    return said


def shortened(text):
    """Return a text on one line; of a long one the beginning and the end."""
    line = " ".join(text.split())
    return line if len(line) <= LONGEST else f"{line[: LONGEST - ENDING]} ... {line[-ENDING:]}"


def as_verifier(*groups):
    """Return how to run a program as the verifier, who may read what its groups may read, and nothing else."""
    identity = (
        f"--reuid={VERIFIER}",
        f"--regid={VERIFIER}",
        f"--groups={','.join(groups)}" if groups else "--clear-groups",
    )
    return ("setpriv", *identity, "--no-new-privs", "--inh-caps=-all", "--")


def without_network():
    """Return how to run a program without network; nothing where this one runs without any already."""
    interfaces = [
        line.split(":")[0].strip() for line in Path("/proc/self/net/dev").read_text().splitlines() if ":" in line
    ]
    return () if interfaces == ["lo"] else ("unshare", "--net", "--")


# --- what came of it ---


def came(reasons, **facts):
    """Return what is written down of a verification that ended now."""
    why = [shortened(str(reason)) for reason in reasons]
    more = [f"and {len(why) - MANY} more"] if len(why) > MANY else []
    return {**facts, "ended": time.time(), "ok": not why, "why": why[:MANY] + more}


def keep(folder, name, told):
    """Write down what came of it, as a whole or not at all; what never came to a good end has no mark."""
    folder.mkdir(parents=True, exist_ok=True)
    place(folder / f"{name}.json", json.dumps(told, sort_keys=True))
    if told["ok"]:
        (folder / f"{name}.ok").touch()


def place(path, text):
    part = path.with_name(f".{path.name}.part")
    part.write_text(text)
    part.replace(path)


def told(path):
    """Return what was written down; nothing where nothing was."""
    try:
        return json.loads(path.read_text())
    except FileNotFoundError:
        return {}


# --- the rota ---


def turn(before, total_bytes, part_bytes=PART_BYTES):
    """Return the part that is read now, of how many, and when each part was read.

    Everything is read over as many runs as it has parts. Where it has another number of parts than before, they begin anew.
    """
    parts = max(1, math.ceil(total_bytes / part_bytes))
    rota = before.get("rota", {})
    if rota.get("parts") != parts:
        rota = {"parts": parts, "since": time.time(), "read": {}}
    part = min(range(parts), key=lambda one: rota["read"].get(str(one), 0.0))
    return part, rota


def turned(rota, part):
    """Return the rota once a part was read."""
    return {**rota, "read": {**rota["read"], str(part): time.time()}}
