"""What of this host is backed up: its jobs, its folders that hold anything, and what it keeps for others."""

from __future__ import annotations

import configparser
import fnmatch
import hashlib
import json
import os
import re
import time
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from .common import Settings, Unreadable, run

_UNITS = Path("/etc/systemd/system")
_KEPT = Path("/var/lib/secondsite/backup")
_CONFIGURATION = Path("/etc/secondsite/backup.json")
_TIMER = re.compile(r"secondsite-(backup|keep|verify)-([a-z]+)\.timer")
_ASKED = "Id,LoadState,UnitFileState,ActiveState,SubState,Result,ExecMainStatus"
_REPOSITORY = Path("/etc/pgbackrest/pgbackrest.conf")
_AS_KEEPER = ("setpriv", "--reuid=pgbackrest", "--regid=pgbackrest", "--groups=secondsite-tls", "pgbackrest")
_APPEND_ONLY = Path("/etc/systemd/system/restic-server.service")
_PRUNES = Path("/var/lib/secondsite-prune")
_DIGEST = re.compile(r"[0-9a-f]{64}")
_SEGMENT = re.compile(r"([0-9A-F]{8})([0-9A-F]{8})([0-9A-F]{8})-[0-9a-f]{40}(?:\.[a-z0-9]+)?")
_SEGMENTS_A_LOG = 256  # of 16 MiB
_NEWEST = 200
_MANY = 20
# Where data may lie: what is in one of these folders, one or two levels below.
_PLACES = {"/srv": 2, "/var/lib": 1, "/var/spool": 1, "/var/mail": 0, "/var/www": 1, "/opt": 1, "/home": 1, "/root": 0}
# What a new account or a package's folder begins with: the same words in another place.
_BEGINNINGS = ("/etc/skel/{0}", "/usr/share/base-files/dot{0}")
_OF_PACKAGES = {"index.nginx-debian.html": ("/usr/share/nginx/html/index.html",)}
# What never leaves its keeper but for escrow. What else a host's own job leaves out is missing.
_NEVER_SENT = ("/etc/secondsite/ca/*.key",)


def jobs(_: Settings, units: Path = _UNITS, kept: Path = _KEPT) -> dict[str, Any]:
    """Return every backup job of this host: its timer, its service, and what it last sent.

    What it sent is told by the job, which was told by the server; whether that is still there only the server can say.
    """
    found = {}
    for path in sorted(units.glob("secondsite-*.timer")):
        if name := _TIMER.fullmatch(path.name):
            kind, job = name.groups()
            timer, service = _shown(path.name, f"secondsite-{kind}@{job}.service")
            found[job] = {"timer": timer, "service": service, "sent": _told(kept / f"{job}.sent.json")}
    return found


def _shown(*names: str) -> list[dict[str, str]]:
    blocks = run("systemctl", "show", f"--property={_ASKED}", "--", *names).strip().split("\n\n")
    if len(blocks) != len(names):
        raise Unreadable(f"systemctl told of {len(blocks)} units when asked for {len(names)}")
    return [dict(line.split("=", 1) for line in block.splitlines() if "=" in line) for block in blocks]


def _told(path: Path) -> Any:
    """Return what a job wrote down; None where it never sent anything."""
    try:
        return json.loads(path.read_text())
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise Unreadable(f"{path} can't be read: {error}") from error


def stores(_: Settings, kept: Path = _KEPT, configuration: Path = _CONFIGURATION) -> dict[str, Any]:
    """Return every folder that holds anything, and which files of those that are sent the newest snapshot lacks.

    A file that changed since the snapshot began is not lacking.
    """
    folders = sorted({found for place, depth in _PLACES.items() for found in folders_with_files(place, depth)})
    sent = _told(kept / "files.sent.json")
    if sent is None:
        return {"folders": folders, "snapshot": None, "missing": [], "missing_count": 0, "next": []}
    listed = _told(kept / "files.paths")
    if listed is None or listed["snapshot"] != sent["snapshot"]:
        raise Unreadable("what the newest snapshot of files holds is not written down")
    missing = sorted(lacking(sent["roots"], set(listed["paths"]), since=sent["began"]))
    return {
        "folders": folders,
        "snapshot": sent["snapshot"],
        "missing": missing[:_MANY],
        "missing_count": len(missing),
        "next": sorted(taken_next(_told(configuration) or {}, sent)),
    }


def taken_next(configuration: Mapping[str, Any], sent: Mapping[str, Any]) -> Iterator[str]:
    """Yield each folder that the job sends where it is there, and that held nothing yet when it last did."""
    watched = configuration.get("jobs", {}).get("files", {}).get("where_there", [])
    for root in watched:
        if root not in sent["roots"] and not any(lacking([root], set(), since=sent["began"])):
            yield root


def folders_with_files(place: str, depth: int) -> Iterator[str]:
    """Yield each folder that holds a file: at this depth below a place with all that is in it, above it by itself."""
    if not os.path.isdir(place):  # noqa: PTH112  see common: pathlib is felt where it is asked for every file
        return
    if depth == 0:
        if any(_regular(place)):
            yield place
        return
    with os.scandir(place) as inside:
        for entry in inside:
            if entry.is_dir(follow_symlinks=False):
                yield from folders_with_files(entry.path, depth - 1)
            elif entry.is_file(follow_symlinks=False):
                # of a place itself each file is of its own; below it the folder is what is backed up
                yield entry.path if place in _PLACES else place


def _regular(root: str) -> Iterator[str]:
    """Yield every regular file below a folder, but for those that it begins with."""
    for folder, _, inside in os.walk(root):
        for name in inside:
            path = f"{folder}/{name}"
            is_regular = os.path.isfile(path) and not os.path.islink(path)  # noqa: PTH113,PTH114
            if is_regular and not _is_a_beginning(path, name):
                yield path


def _is_a_beginning(path: str, name: str) -> bool:
    models = [one.format(name) for one in _BEGINNINGS] if name.startswith(".") else _OF_PACKAGES.get(name, ())
    same = (Path(one) for one in models if os.path.isfile(one))  # noqa: PTH113
    return any(one.read_bytes() == Path(path).read_bytes() for one in same)


def lacking(roots: Iterable[str], listed: set[str], *, since: float) -> Iterator[str]:
    """Yield each file below these folders that is older than a snapshot and not in its list."""
    for root in roots:
        for folder, _, inside in os.walk(root):
            for name in inside:
                path = f"{folder}/{name}"
                if path in listed or any(fnmatch.fnmatchcase(path, one) for one in _NEVER_SENT):
                    continue
                try:
                    about = os.lstat(path)
                except FileNotFoundError:  # gone meanwhile
                    continue
                if about.st_mode & 0o170000 == 0o100000 and max(about.st_mtime, about.st_ctime) < since:
                    yield path


def kept(
    _: Settings, repository: Path = _REPOSITORY, append_only: Path = _APPEND_ONLY, prunes: Path = _PRUNES
) -> dict[str, Any]:
    """Return what lies here for others: each stanza's backups and log, each producer's newest snapshots and prune.

    Nothing is opened: snapshots are known by their names, which are the digests of what they hold.
    """
    return {
        "now": time.time(),
        "stanzas": _stanzas(repository) if repository.is_file() else {},
        "snapshots": _snapshots(_path_of_server(append_only)) if append_only.is_file() else None,
        "oldest": _oldest(_path_of_server(append_only)) if append_only.is_file() else {},
        "pruned": _pruned(_path_of_server(append_only), prunes) if append_only.is_file() else {},
    }


def _stanzas(configuration: Path) -> dict[str, Any]:
    parser = configparser.ConfigParser(interpolation=None, strict=False)
    parser.read(configuration, encoding="utf-8")
    path = next((value for key, value in parser.items("global") if re.fullmatch(r"repo\d+-path", key)), None)
    if path is None:
        raise Unreadable(f"{configuration} names no repository")
    told = json.loads(run(*_AS_KEEPER, "--output=json", "info"))
    return {
        one["name"]: {
            "status": one["status"]["code"],
            "says": one["status"]["message"],
            "systems": [str(db["system-id"]) for db in one["db"]],
            "backups": [_backup(backup) for backup in one["backup"]],
            "archive": archived(Path(path) / "archive" / one["name"]),
        }
        for one in told
    }


def _backup(told: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "label": told["label"],
        "type": told["type"],
        "stop": told["timestamp"]["stop"],
        "error": bool(told.get("error")),
        "from": told["archive"]["start"],
        "to": told["archive"]["stop"],
    }


def archived(folder: Path) -> dict[str, Any]:
    """Return the segments of the log that lie in a stanza's newest archive, as ranges by timeline."""
    archives = [path for path in folder.glob("*-*") if path.is_dir()]
    if not archives:
        return {"ranges": {}, "newest_at": None, "oldest_at": None}
    newest = max(archives, key=lambda path: int(path.name.rpartition("-")[2]))
    numbers: dict[str, list[int]] = {}
    newest_at = None
    for part in newest.iterdir():
        if not part.is_dir():  # where a timeline began
            continue
        with os.scandir(part) as inside:
            for entry in inside:
                if segment := _SEGMENT.fullmatch(entry.name):
                    numbers.setdefault(segment[1], []).append(
                        int(segment[2], 16) * _SEGMENTS_A_LOG + int(segment[3], 16)
                    )
                    newest_at = max(newest_at or 0.0, entry.stat().st_mtime)
    told = {"ranges": {timeline: ranges(found) for timeline, found in numbers.items()}, "newest_at": newest_at}
    return {**told, "oldest_at": _oldest_segment(archives)}


def _oldest_segment(archives: Iterable[Path]) -> float | None:
    """Return when the oldest segment came in, in whichever archive: that of a cluster's earlier release counts too."""
    parts = (part for archive in archives for part in archive.iterdir() if part.is_dir())
    ages = []
    for part in parts:
        with os.scandir(part) as inside:
            ages += [entry.stat().st_mtime for entry in inside if _SEGMENT.fullmatch(entry.name)]
    return min(ages, default=None)


def ranges(numbers: Iterable[int]) -> list[list[int]]:
    """Return numbers as ranges, each with its first and its last, in their order."""
    found: list[list[int]] = []
    for number in sorted(set(numbers)):
        if found and found[-1][1] == number - 1:
            found[-1][1] = number
        else:
            found.append([number, number])
    return found


def _path_of_server(unit: Path) -> Path:
    named = re.search(r"^ExecStart=.* --path (\S+)", unit.read_text(), re.MULTILINE)
    if named is None:
        raise Unreadable(f"{unit} names no folder")
    return Path(named[1])


def _snapshots(folder: Path) -> dict[str, dict[str, float]]:
    """Return for each producer when its newest snapshots came in; one that is not what its name says is none."""
    found: dict[str, dict[str, float]] = {}
    for producer in sorted(folder.iterdir()):
        if not (producer / "snapshots").is_dir():
            continue
        with os.scandir(producer / "snapshots") as inside:
            newest = sorted(((entry.stat().st_mtime, entry.path, entry.name) for entry in inside), reverse=True)
        found[producer.name] = {
            name: at
            for at, path, name in newest[:_NEWEST]
            if hashlib.sha256(Path(path).read_bytes()).hexdigest() == name
        }
    return found


def _oldest(folder: Path) -> dict[str, float]:
    """Return for each producer when its oldest snapshot came in."""
    found: dict[str, float] = {}
    for producer in sorted(folder.iterdir()):
        if (producer / "snapshots").is_dir():
            with os.scandir(producer / "snapshots") as inside:
                ages = [entry.stat().st_mtime for entry in inside]
            found |= {producer.name: min(ages)} if ages else {}
    return found


def _pruned(folder: Path, prunes: Path) -> dict[str, dict[str, Any]]:
    """Return for each producer what came of the last prune here, and whether the vault's key lies in its repository.

    A key is known by its name, which is the digest of what it holds.
    """
    found: dict[str, dict[str, Any]] = {}
    for producer in sorted(folder.iterdir()):
        if (producer / "snapshots").is_dir():
            told = _told(prunes / f"{producer.name}.json") or {}
            name = (_told(prunes / f"{producer.name}.key.json") or {}).get("key", "")
            found[producer.name] = {
                "ended": told.get("ended"),
                "why": told.get("why", []),
                "key": _is_key(producer / "keys", name),
            }
    return found


def _is_key(folder: Path, name: str) -> bool:
    try:
        return bool(_DIGEST.fullmatch(name)) and hashlib.sha256((folder / name).read_bytes()).hexdigest() == name
    except FileNotFoundError:
        return False


SECTIONS = {"jobs": jobs, "stores": stores, "kept": kept}
