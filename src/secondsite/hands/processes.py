"""Commands on this machine: argument lists, a scrubbed environment, a time limit, and output cut at a stated size."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from ..errors import UsageError

OUTPUT_LIMIT = 1 << 20
_CHUNK = 1 << 16
_MOST_LOOKS = 100
_ESCAPES = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)?|[@-Z\\-_])")
_CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """What a local command left. ``exit_code`` is None when it was ended for taking too long."""

    exit_code: int | None
    stdout: str
    stderr: str
    truncated: bool


def plain(text: str, *, limit: int = 2000) -> str:
    """Return text that a terminal shows as it is: without escape sequences and control characters, and cut."""
    shown = _CONTROLS.sub("", _ESCAPES.sub("", text[: 4 * limit]))
    return shown if len(shown) <= limit else f"{shown[:limit]} [cut]"


def scrubbed_environment(**added: str) -> dict[str, str]:
    """Return the whole environment a child gets: nothing of ours is handed on unless it is named here."""
    path = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
    return {"PATH": path, "LANG": "C.UTF-8", "LC_ALL": "C.UTF-8", "TZ": "UTC", **added}


def run_process(
    argv: Sequence[str],
    *,
    timeout_s: float,
    stdin: bytes = b"",
    environment: Mapping[str, str] | None = None,
    directory: Path | None = None,
    limit: int = OUTPUT_LIMIT,
) -> Ended:
    """Run one command in a session of its own and wait; past the limit its output is read and thrown away.

    Raises:
        UsageError: this machine has no such command.
    """
    try:
        process = subprocess.Popen(
            list(argv),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            cwd=directory,
            env=dict(environment) if environment is not None else scrubbed_environment(),
            start_new_session=True,
        )
    except FileNotFoundError as error:
        raise UsageError(
            f"{argv[0]} is not installed here", not_done="nothing was run", next_step=f"install {argv[0]}"
        ) from error
    return _finish(process, stdin=stdin, timeout_s=timeout_s, limit=limit)


def end_group(process: subprocess.Popen[bytes]) -> None:
    """Kill a command and every child it left in its session."""
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        return


def end_marked(name: str, value: str) -> int:
    """Kill every process that was started with ``name=value`` in its environment; return how many there were.

    Ansible's workers leave its session, so ending the session misses them and the connections they keep open; and
    what a killed controller left running must not act beside its successor. One that is just being started by another
    is seen at the next look, so it is looked again until there is none.
    """
    mark, ended = f"{name}={value}".encode(), set[int]()
    for _ in range(_MOST_LOOKS):
        found = {pid for pid in _pids() if mark in _environment_of(pid) and _kill(pid)}
        ended |= found
        if not found:
            break
    return len(ended)


def _kill(pid: int) -> bool:
    try:
        os.kill(pid, signal.SIGKILL)
    except OSError:  # it has ended meanwhile, or is another user's
        return False
    return True


def _pids() -> list[int]:
    return [int(entry.name) for entry in Path("/proc").glob("[0-9]*")]


def _environment_of(pid: int) -> list[bytes]:
    try:
        return Path(f"/proc/{pid}/environ").read_bytes().split(b"\x00")
    except OSError:
        return []


def _finish(process: subprocess.Popen[bytes], *, stdin: bytes, timeout_s: float, limit: int) -> Ended:
    out, err = _Drain(process.stdout, limit), _Drain(process.stderr, limit)
    feeder = threading.Thread(target=_feed, args=(process.stdin, stdin), daemon=True)
    feeder.start()
    exit_code: int | None
    try:
        exit_code = process.wait(timeout_s)
    except subprocess.TimeoutExpired:
        exit_code = None
    finally:
        if process.returncode is None:
            end_group(process)
            process.wait()
    feeder.join(1)
    stdout, stderr = out.text(), err.text()
    return Ended(exit_code=exit_code, stdout=stdout, stderr=stderr, truncated=out.truncated or err.truncated)


def _feed(pipe: IO[bytes] | None, text: bytes) -> None:
    if pipe is None:
        return
    try:
        pipe.write(text)
        pipe.close()
    except BrokenPipeError:  # it ended without reading all of it: its exit code tells
        return


class _Drain:
    """Reads a pipe to its end in a thread, keeping the first ``limit`` bytes."""

    def __init__(self, pipe: IO[bytes] | None, limit: int) -> None:
        self._kept = bytearray()
        self._limit = limit
        self.truncated = False
        self._thread = threading.Thread(target=self._read, args=(pipe,), daemon=True)
        self._thread.start()

    def text(self) -> str:
        # a grandchild may hold the pipe open after the command ended; what came until then is kept
        self._thread.join(2)
        return bytes(self._kept).decode(errors="replace")

    def _read(self, pipe: IO[bytes] | None) -> None:
        if pipe is None:
            return
        with pipe:
            while chunk := pipe.read1(_CHUNK):  # type: ignore[attr-defined]  # a BufferedReader, typed as IO
                room = self._limit - len(self._kept)
                self._kept += chunk[:room]
                self.truncated = self.truncated or len(chunk) > room
