"""What is wrong on this host, or with what lies here for others. Reads everything, and has no network.

Each look is left for the other process, with what this host claims: what it sent, and how far its log counts as archived.
What can't be looked at is a trouble too.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from . import disk, rules
from .settings import RUN, STATE, Settings

JOBS = Path("/var/lib/secondsite/backup")
PRUNES = Path("/var/lib/secondsite-prune")
LONGEST_S = 8.0
_INFO_AGAIN_S = 60.0
_SNAPSHOT = re.compile(r"[0-9a-f]{64}")

Troubles = Iterator[tuple[str, str]]


def boottime() -> float:
    """Return seconds that no change of the clock touches."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


def run(*words: str) -> str:
    """Return what a program printed.

    Raises:
        OSError: it could not be run, or ended with another exit code than 0.
    """
    try:
        done = subprocess.run(
            words, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=LONGEST_S, check=False
        )
    except subprocess.TimeoutExpired as error:
        raise OSError(f"{words[0]} gave no answer in {LONGEST_S:g} s") from error
    if done.returncode != 0:
        raise OSError(f"{words[0]} ended with exit code {done.returncode}: {done.stderr.strip()[-200:]}")
    return done.stdout


class Watcher:
    """Looks at everything once in a while, and remembers what makes the next look cheaper."""

    def __init__(self, settings: Settings, *, state: Path = STATE, jobs: Path = JOBS, prunes: Path = PRUNES) -> None:
        self.settings = settings
        self.watched = settings.watched
        self.state, self.jobs, self.prunes = state, jobs, prunes
        kept = disk.read(state / "watch.json") or {}
        self.since = float(kept.get("since", time.time()))
        self.had = set(kept.get("had", []))
        self.saved: set[str] | None = None
        self.awaited: dict[str, rules.Claim | None] = {}
        self._info: tuple[object, float, dict[str, Any]] = (None, 0.0, {})
        self._reached: dict[str, tuple[int, int]] = {}

    def look(self) -> dict[str, Any]:
        """Return everything that is wrong now, by a key that stays the same, and what this host claims."""
        troubles: dict[str, str] = {}
        for name, part in self._parts().items():
            try:
                troubles.update(part())
            except (OSError, ValueError, KeyError, TypeError, subprocess.SubprocessError) as error:
                troubles[f"look:{name}"] = f"{name} can't be looked at: {error}"[:300]
        claims: dict[str, Any] | None = None
        with contextlib.suppress(OSError, ValueError, KeyError):  # said above
            claims = {"jobs": self._sent(), "logs": self._archived()}
        if self.saved != self.had:
            disk.place(self.state / "watch.json", {"since": self.since, "had": sorted(self.had)})
            self.saved = set(self.had)
        return {"at": boottime(), "troubles": troubles, "claims": claims}

    def _parts(self) -> dict[str, Callable[[], Troubles]]:
        parts: dict[str, Callable[[], Troubles]] = {"units": self._failed_units}
        if self.watched.jobs:
            parts["jobs"] = self._own_jobs
        if self.watched.logs:
            parts["logs"] = self._logs
        if self.watched.repository:
            parts["disk"] = self._disk
            parts["repository"] = self._repository
        if self.watched.snapshots:
            parts["snapshots"] = self._snapshots
            parts["prunes"] = self._pruned
        return parts

    # This host's own

    def _failed_units(self) -> Troubles:
        for line in run("systemctl", "list-units", "--failed", "--plain", "--no-legend", "--no-pager").splitlines():
            if words := line.split():
                yield f"unit:{words[0]}", f"{words[0]} has failed"

    def _own_jobs(self) -> Troubles:
        self._sent()
        yield from ()

    def _sent(self) -> dict[str, Any]:
        """Return what each job of this host says that it sent last."""
        found = {}
        for job in self.watched.jobs:
            path = self.jobs / f"{job}.sent.json"
            if path.exists():
                told = json.loads(path.read_text())
                parts = sorted(told["holds"]) if job == "databases" else []
                found[job] = {"snapshot": told["snapshot"], "parts": parts}
        return found

    def _logs(self) -> Troubles:
        for scope, path in self.watched.logs.items():
            since, began = _archiving(Path(path) / "pg_wal" / "archive_status")
            if not began and time.time() - self.since < rules.NEVER_FOR_S:
                continue  # an archive is begun after its cluster
            if since is not None and time.time() - since > rules.WAITS_S:
                yield f"log-waits:{scope}", f"the log of {scope} waits to be archived for more than {rules.WAITS_S:g} s"

    def _archived(self) -> dict[str, str]:
        """Return how far each log that is written here counts as archived, on the timeline that is written now."""
        found = {}
        for scope, path in self.watched.logs.items():
            folder = Path(path) / "pg_wal"
            if not folder.is_dir() or (Path(path) / "standby.signal").exists():
                continue
            timelines = [name[:8] for name in os.listdir(folder) if rules.SEGMENT.fullmatch(name)]
            done = [name[:24] for name in os.listdir(folder / "archive_status") if name.endswith(".done")]
            done = [name for name in done if rules.SEGMENT.fullmatch(name) and name[:8] == max(timelines, default="")]
            if done:
                found[scope] = max(done)
        return found

    # What lies here for others

    def _disk(self) -> Troubles:
        about = os.statvfs(str(self.watched.repository))
        if about.f_flag & os.ST_RDONLY:
            yield "repository:read-only", f"{self.watched.repository} can't be written to"
        free = 100.0 * about.f_bavail / about.f_blocks
        if free < rules.FREE_PERCENT:
            yield "repository:full", f"{self.watched.repository} has less than {rules.FREE_PERCENT:g} % free"

    def _repository(self) -> Troubles:
        now, told = time.time(), self._told_of_stanzas()
        heard = disk.read(self.state / "heard.json") or {}
        for name in self.watched.stanzas:
            key = f"stanza:{name}"
            found = list(
                rules.stanza_troubles(
                    told.get(name), had=key in self.had, for_s=now - self.since, now=now, oldest=self.watched.oldest
                )
            )
            if found:
                yield key, f"{name} {'; '.join(found)}"
            elif told.get(name, {}).get("backup"):
                self.had.add(key)
            newest = self._reached_of(Path(str(self.watched.repository)) / "archive" / name)
            said = [one["claims"]["logs"][name] for one in heard.values() if name in one["claims"]["logs"]]
            claim = rules.awaited(self.awaited.get(name), said, newest, now=boottime())
            self.awaited[name] = claim
            if claim is not None and boottime() - claim.since > rules.KEPT_WITHIN_S:
                yield f"log:{name}", f"the log of {name} lacks {claim.segment}, which counts as archived"

    def _told_of_stanzas(self) -> dict[str, Any]:
        """Return what pgBackRest tells; it is asked again when a list of backups has changed, and once in a while."""
        root = Path(str(self.watched.repository)) / "backup"
        lists = (root / name / "backup.info" for name in self.watched.stanzas)
        known = [(str(path), path.stat().st_mtime_ns) for path in lists if path.exists()]
        if self._info[0] != known or boottime() - self._info[1] > _INFO_AGAIN_S:
            told = json.loads(run("pgbackrest", "--output=json", "info"))
            self._info = (known, boottime(), {one["name"]: one for one in told})
        return self._info[2]

    def _reached_of(self, folder: Path) -> dict[str, int]:
        """Return the highest segment on each timeline of a stanza's newest archive; a folder is read when it changed."""
        archives = [path for path in folder.glob("*-*") if path.is_dir()]
        if not archives:
            return {}
        newest = max(archives, key=lambda path: int(path.name.rpartition("-")[2]))
        reached: dict[str, int] = {}
        with os.scandir(newest) as inside:
            for entry in inside:
                if not entry.is_dir():
                    continue
                changed, highest = entry.stat().st_mtime_ns, -1
                known = self._reached.get(entry.path)
                if known is not None and known[0] == changed:
                    highest = known[1]
                else:
                    names = (name for name in os.listdir(entry.path) if ".partial" not in name)
                    whole = (name[:24] for name in names if rules.SEGMENT.fullmatch(name[:24]))
                    highest = max((rules.segment(name)[1] for name in whole), default=-1)
                    self._reached[entry.path] = (changed, highest)
                timeline = entry.name[:8]
                reached[timeline] = max(reached.get(timeline, -1), highest)
        return reached

    def _snapshots(self) -> Troubles:
        now, heard = time.time(), disk.read(self.state / "heard.json") or {}
        claims = {host: one["claims"]["jobs"] for host, one in heard.items()}
        came = dict(self._came(claims))
        for wanted in self.watched.wanted:
            oldest = self.watched.oldest[wanted[0]]
            trouble = rules.snapshot_trouble(wanted, claims, came, now=now, for_s=now - self.since, oldest=oldest)
            if trouble:
                yield f"snapshot:{':'.join(wanted)}", trouble

    def _pruned(self) -> Troubles:
        """Yield whose snapshots nobody has pruned for too long. A prune that failed is a unit that failed."""
        now = time.time()
        for host in sorted({what for job, what in self.watched.wanted if job == "files"}):
            told = disk.read(self.prunes / f"{host}.json")
            if told is None:
                if now - self.since > rules.NEVER_FOR_S:
                    yield f"prune:{host}", f"what {host} sent was never pruned"
            elif trouble := rules.age_trouble(now - told["ended"], self.watched.oldest["prune"]):
                yield f"prune:{host}", f"the newest prune of what {host} sent is {trouble}"

    def _came(self, claims: Mapping[str, Mapping[str, Any]]) -> Iterator[tuple[tuple[str, str], float]]:
        """Yield when each claimed snapshot that lies here came in; one that is not what its name says is none."""
        for host, jobs in claims.items():
            for one in jobs.values():
                if not _SNAPSHOT.fullmatch(one["snapshot"]):
                    continue
                path = Path(str(self.watched.snapshots)) / host / "snapshots" / one["snapshot"]
                with contextlib.suppress(FileNotFoundError):
                    if hashlib.sha256(path.read_bytes()).hexdigest() == path.name:
                        yield (host, path.name), path.stat().st_mtime


def _archiving(folder: Path) -> tuple[float | None, bool]:
    """Return since when the first segment waits to be archived, and whether any was archived yet."""
    found, began = [], False
    with contextlib.suppress(FileNotFoundError):  # no cluster yet
        with os.scandir(folder) as inside:
            for entry in inside:
                began = began or entry.name.endswith(".done")
                if entry.name.endswith(".ready") and rules.SEGMENT.fullmatch(entry.name[:24]):
                    with contextlib.suppress(FileNotFoundError):  # archived meanwhile
                        found.append(entry.stat().st_mtime)
    return min(found, default=None), began


def main(settings: Settings) -> None:
    """Look for ever."""
    watcher = Watcher(settings)
    while True:
        began = boottime()
        disk.place(RUN / "look.json", watcher.look())
        time.sleep(max(1.0, settings.look_s - (boottime() - began)))
