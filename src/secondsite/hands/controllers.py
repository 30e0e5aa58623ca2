"""Sessions of another controller: ended, and seen to be gone, once its keys open nothing any more."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from ..errors import ActionError, Effect, MeasurementError
from ..run.functions import ActionFrom, words
from ..run.model import Json
from ..run.ports import Action, Hands, Outcome, Registry, StepContext

_TIMEOUT = dt.timedelta(seconds=20)
_SCRIPT = r"""
import json, os, pathlib, re, signal, sys, time
REVOKED = pathlib.Path("/etc/ssh/secondsite/revoked")
TICKS = os.sysconf("SC_CLK_TCK")
def table():
    found = {}
    for entry in pathlib.Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                words = (entry / "stat").read_text().rpartition(")")[2].split()
                title = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode("utf-8", "replace").strip()
            except OSError:
                continue
            found[int(entry.name)] = (int(words[1]), int(words[19]) / TICKS, title)
    return found
def ancestors(found, pid):
    line = set()
    while pid in found:
        line.add(pid)
        pid = found[pid][0]
    return line
def old_ones(found):
    # what was let in before the old keys were refused; this session alone may be as old as that
    told_at = REVOKED.stat().st_mtime - (time.time() - time.clock_gettime(time.CLOCK_BOOTTIME))
    mine = ancestors(found, os.getpid())
    session = re.compile(r"sshd(-session)?: (ops|runner)( |@|$)")
    others = [(pid, began) for pid, (_, began, title) in found.items() if session.match(title) and pid not in mine]
    return [pid for pid, began in others if began < told_at]
def with_children(found, pids):
    wanted = set(pids)
    while more := {pid for pid, (parent, _, _) in found.items() if parent in wanted} - wanted:
        wanted |= more
    return wanted
found = table()
doomed = with_children(found, old_ones(found)) - ancestors(found, os.getpid()) if sys.argv[1] == "end" else set()
for pid in doomed:
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        pass
until = time.monotonic() + 5
while (left := old_ones(table())) and doomed and time.monotonic() < until:
    time.sleep(0.1)
print(json.dumps({"ended": len(doomed), "left": left, "revoked": REVOKED.read_text().splitlines()}))
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Steps:
    """The steps on another controller's sessions: ``hands`` may do more here than a runbook's verbs."""

    hands: Hands

    def registry(self) -> Registry:
        """Name every action."""
        actions: dict[str, Action] = {
            "end-sessions": ActionFrom(self._end),
            "see-sessions-ended": ActionFrom(self._see),
        }
        return Registry(actions=actions, probes={})

    def _end(self, arguments: Json, _context: StepContext) -> Outcome:
        told = self._on_all(words(arguments, "hosts"), "end")
        ended = {host: one["ended"] for host, one in told.items() if one["ended"]}
        _require_none_left(told)
        return Outcome(changed=bool(ended), detail={"ended": ended})

    def _see(self, arguments: Json, _context: StepContext) -> Outcome:
        told = self._on_all(words(arguments, "hosts"), "see")
        _require_none_left(told)
        keys = {_key(line) for line in words(arguments, "revoked")}
        for host, one in told.items():
            missing = keys - {_key(str(line)) for line in one["revoked"]}
            if missing:
                raise MeasurementError(f"{host} would still let in {len(missing)} of the old controller's keys")
        return Outcome(changed=False, detail={"refused_at": sorted(told), "keys": len(keys)})

    def _on_all(self, hosts: Sequence[str], verb: str) -> Mapping[str, Mapping[str, list[object]]]:
        with ThreadPoolExecutor(max_workers=max(1, len(hosts))) as pool:
            return dict(zip(hosts, pool.map(lambda host: self._on(host, verb), hosts), strict=True))

    def _on(self, host: str, verb: str) -> Mapping[str, list[object]]:
        argv = ["sudo", "-n", "--", "/usr/bin/python3", "-I", "-c", _SCRIPT, verb]
        answer = self.hands.run(host, argv, timeout=_TIMEOUT)
        try:
            told = json.loads(answer.stdout)
            return {"ended": told["ended"], "left": list(told["left"]), "revoked": list(told["revoked"])}
        except (ValueError, KeyError, TypeError) as error:
            raise ActionError(f"{host} did not say which sessions there are", effect=Effect.UNKNOWN) from error


def _require_none_left(told: Mapping[str, Mapping[str, list[object]]]) -> None:
    left = {host: len(one["left"]) for host, one in told.items() if one["left"]}
    if left:
        raise ActionError(
            f"sessions of the old controller go on: {', '.join(f'{n} on {host}' for host, n in sorted(left.items()))}",
            effect=Effect.APPLIED,
            retryable=True,
            next_step="end them by hand, then resume this run",
        )


def _key(line: str) -> str:
    return " ".join(line.split()[:2])
