"""At a pgBackRest repository: read every byte back, restore, recover to where a tally was taken, and compare."""

from __future__ import annotations

import json
import os
import random
import re
import shutil
import time
from pathlib import Path

from . import tables
from .common import KEPT, VERIFIER, Failed, as_verifier, came, keep, place, tried
from .server import programs, scratch

KEEPERS = Path("/etc/pgbackrest/pgbackrest.conf")
CONFIGURATION = KEPT / "repository.conf"
OF_REPOSITORY = re.compile(r"^(repo\d+-(?:path|cipher-\w+)=.*)$", re.MULTILINE)
GROUPS = ("pgbackrest",)
HERE = KEPT / "stanzas"
TALLY_WITHIN_S, AGAIN_S = 150.0, 1.0
SEGMENT_BYTES = 16 << 20
SEGMENTS_A_LOG = 256
PROBLEM = re.compile(r"P\d+ +INFO: ((?:invalid|file missing|missing)\b.*)")
BACKUP = re.compile(
    r"^  backup: (\S+), status: (\S+), total files checked: (\d+), total valid files: (\d+)", re.MULTILINE
)
ARCHIVE = re.compile(r"^  archiveId: (\S+), total WAL checked: (\d+), total valid WAL: (\d+)", re.MULTILINE)


def configure(settings):
    """Write down how the verifier reads this repository: as its keeper does, and with no way to any database."""
    lines = [
        *OF_REPOSITORY.findall(KEEPERS.read_text()),
        f"lock-path={settings['scratch']}",
        f"spool-path={settings['scratch']}",
    ]
    place(CONFIGURATION, "\n".join(["[global]", *lines, "log-level-file=off", "log-level-console=warn", ""]))
    shutil.chown(CONFIGURATION, "root", VERIFIER)
    CONFIGURATION.chmod(0o640)


def pgbackrest(stanza, *words, merge=False):
    """Return the exit code and what pgBackRest printed, asked as the verifier, who may read this repository only."""
    words = (f"--config={CONFIGURATION}", *([f"--stanza={stanza}"] if stanza else []), *words)
    code, said, complained = tried(*as_verifier(*GROUPS), "pgbackrest", *words, merge=merge)
    return code, said, complained


def told_of():
    """Return every stanza of this repository as pgBackRest tells of it, with its backups, oldest first."""
    code, said, complained = pgbackrest("", "--output=json", "info")
    found = json.loads(said) if code == 0 else []
    if not found:
        raise Failed(f"the repository tells of no stanza (exit code {code}): {complained}")
    return {one["name"]: sorted(one["backup"], key=lambda backup: backup["timestamp"]["stop"]) for one in found}


# --- reading back ---


def read_back(stanza, newest, folder):
    """Have pgBackRest read every file of the stanza and compare digests; return what came of it.

    It ends with 0 whatever it finds, so its words are read. What it complains of is asked again: backups are made and
    expire meanwhile.
    """
    began, sizes = time.time(), sum(size(folder / kind / stanza) for kind in ("archive", "backup"))
    wrong = reasons_not_whole(*verified(stanza), newest)
    if wrong:
        time.sleep(AGAIN_S)
        wrong = reasons_not_whole(*verified(stanza), newest)
    return came([f"{stanza}: {why}" for why in wrong], began=began, bytes=sizes, seconds=time.time() - began)


def verified(stanza):
    return pgbackrest(stanza, "--output=text", "--verbose", "--log-level-console=info", "verify", merge=True)[:2]


def reasons_not_whole(code, said, newest):
    """Return what is wrong by what `pgbackrest verify` printed; where it does not tell of the newest backup, that is."""
    reasons = [found.split("\n")[0] for found in dict.fromkeys(PROBLEM.findall(said))]
    if code != 0:
        reasons.append(f"pgbackrest verify ended with exit code {code}: {said.strip()[-200:]}")
    backups = {label: (status, int(read), int(valid)) for label, status, read, valid in BACKUP.findall(said)}
    for label, (status, read, valid) in backups.items():
        if status not in ("valid", "in-progress") or read != valid:
            reasons.append(f"backup {label} is {status}: {valid} of {read} files are right")
    for name, read, valid in ARCHIVE.findall(said):
        if read != valid:
            reasons.append(f"log {name}: {valid} of {read} segments are right")
    if not reasons and "\nstatus: ok\n" not in f"\n{said}":
        reasons.append("pgbackrest verify does not say that all is well")
    if not reasons and backups.get(newest, ("", 0, 0))[1] == 0:
        reasons.append(f"pgbackrest verify read nothing of backup {newest}")
    return reasons


def size(folder):
    """Return how many bytes lie below a folder."""
    below = (os.path.join(path, name) for path, _, inside in os.walk(folder) for name in inside)
    total = 0
    for path in below:
        try:
            total += os.lstat(path).st_size
        except FileNotFoundError:  # expired meanwhile
            continue
    return total


# --- which backup, and up to where ---


def position(lsn):
    high, _, low = lsn.partition("/")
    return (int(high, 16) << 32) + int(low, 16)


def tallies(folder):
    """Return every tally of a stanza that lies here, oldest first."""
    found = []
    for path in folder.glob("tallies/*.json"):
        try:
            found.append(json.loads(path.read_text()))
        except ValueError as error:  # what a producer told is hostile
            raise Failed(f"{path.name} is no tally: {error}") from error
    return sorted(found, key=lambda tally: tally["at"])


def history(folder, timeline):
    """Return from which earlier timelines one came, and where it left each."""
    if timeline == 1:
        return {}
    name = f"{timeline:08X}.history"
    found = next((path for path in folder.glob(f"*-*/{name}*")), None)
    if found is None:
        raise Failed(f"the log lacks {name}")
    stanza = folder.name
    code, said, complained = pgbackrest(stanza, "repo-get", f"archive/{stanza}/{found.parent.name}/{found.name}")
    if code != 0:
        raise Failed(f"{name} can't be read: {complained}")
    lines = (line.split() for line in said.splitlines() if line and not line.startswith("#"))
    return {int(words[0]): position(words[1]) for words in lines if len(words) > 1}


def leads(backup, tally, left):
    """Say whether the log leads from a backup to a tally; ``left`` is from which timelines the tally's came."""
    timeline, ended = int(backup["archive"]["stop"][:8], 16), position(backup["lsn"]["stop"])
    is_before = ended <= position(tally["lsn"])
    return is_before and (timeline == tally["timeline"] or ended <= left.get(timeline, -1))


def is_archived(folder, tally):
    """Say whether the segment of the log in which a tally was taken lies here."""
    number = position(tally["lsn"]) // SEGMENT_BYTES
    log = f"{tally['timeline']:08X}{number // SEGMENTS_A_LOG:08X}"
    return any(folder.glob(f"*-*/{log}/{log}{number % SEGMENTS_A_LOG:08X}-*"))


def usable(folder, backup):
    """Return the tallies up to which a backup can be recovered, oldest first."""
    found, left = [], {}
    for tally in tallies(folder):
        timeline = tally["timeline"]
        if timeline not in left:
            try:
                left[timeline] = history(folder, timeline)
            except Failed:  # promoted just now: its history is archived with its first segment
                left[timeline] = {}
        if leads(backup, tally, left[timeline]) and is_archived(folder, tally):
            found.append(tally)
    return found


def await_tally(folder, backup):
    """Return the newest tally up to which the newest backup can be recovered; wait a little where there is none yet."""
    until = time.monotonic() + TALLY_WITHIN_S
    while not (found := usable(folder, backup)):
        if time.monotonic() > until:
            raise Failed(
                f"nobody told what it held after backup {backup['label']} ended, or the log does not lead there;"
                " at the databases' hosts: systemctl start secondsite-verify@tally"
            )
        time.sleep(AGAIN_S)
    return found[-1]


# --- restoring ---


def restore(stanza, backup, tally, root):
    """Restore a backup, recover it to the tally, and compare; return what came of it, and of the moment before a loss."""
    began = time.time()
    facts = {
        "began": began, "backup": backup["label"], "taken": backup["timestamp"]["stop"], "bytes": backup["info"]["size"],
        "lsn": tally["lsn"], "timeline": tally["timeline"], "tally_at": tally["at"],
    }  # fmt: skip
    moment, reasons = None, []
    try:
        with scratch(stanza, root=root, groups=GROUPS) as server:
            words = (f"--pg1-path={server.data}", f"--set={backup['label']}", "--type=default", "restore")
            code, complained, _ = pgbackrest(stanza, *words, merge=True)
            if code != 0:
                raise Failed(f"backup {backup['label']} can't be restored: exit code {code}: {complained}")
            facts |= {"seconds": time.time() - began, "bytes_per_second": round(facts["bytes"] / (time.time() - began))}
            loss = tally.get("loss")
            if loss and loss["at"] > backup["timestamp"]["stop"]:
                moment = before_loss(server, stanza, tally, backup)
            reasons, compared = at_tally(server, stanza, tally)
            facts |= compared
    except Failed as error:
        reasons = [*reasons, error]
    facts["whole_seconds"] = time.time() - began
    return came([f"{stanza}: {why}" for why in reasons], **facts), moment


def recovering(server, stanza, tally, **target):
    """Return the settings that have a server recover from this repository up to a target on the tally's timeline."""
    get = f'pgbackrest --config={CONFIGURATION} --stanza={stanza} --pg1-path={server.data} archive-get %f "%p"'
    return {"restore_command": get, "recovery_target_timeline": str(tally["timeline"]), **target}


def before_loss(server, stanza, tally, backup):
    """Recover to one second before something was destroyed; return whether it is there."""
    began, loss, reasons = time.time(), tally["loss"], []
    try:
        server.start(
            **recovering(server, stanza, tally, recovery_target_time=loss["before"], recovery_target_action="pause")
        )
        server.await_true("SELECT pg_get_wal_replay_pause_state() = 'paused'", f"recovery to {loss['before']}")
        with server.connected() as connection:
            reasons = list(reasons_not_before(connection, loss))
    except Failed as error:
        reasons = [error]
    finally:
        server.stop()
    return came([f"{stanza}: {why}" for why in reasons], began=began, backup=backup["label"], before=loss["before"],
                marker=loss["marker"], rows=loss["rows"], seconds=time.time() - began)  # fmt: skip


def reasons_not_before(connection, loss):
    """Yield what does not show that this is the state one second before."""
    connection.execute(tables.ALIKE)
    is_there = "SELECT to_regclass('secondsite_rehearsal.work') IS NOT NULL"
    if not connection.execute(is_there).fetchone()[0]:
        yield f"what was destroyed is not there at {loss['before']}"
        return
    rows, digest = connection.execute(tables.DIGEST.format("secondsite_rehearsal.work")).fetchone()
    if (rows, digest) != (loss["rows"], loss["digest"]):
        yield f"at {loss['before']} there are {rows} rows of {loss['rows']}, or others"
    marked = "SELECT count(*) FROM secondsite_rehearsal.work WHERE marker = %s::uuid"
    if connection.execute(marked, (loss["marker"],)).fetchone()[0] != loss["rows"]:
        yield f"the marker {loss['marker']} is not in every row at {loss['before']}"
    later = "SELECT count(*) FROM secondsite_rehearsal.losses WHERE marker = %s::uuid"
    if connection.execute(later, (loss["marker"],)).fetchone()[0]:
        yield f"recovery went beyond {loss['before']}"


def at_tally(server, stanza, tally):
    """Recover up to the tally's position and compare; return the reasons to doubt it, and what was compared."""
    server.start(**recovering(server, stanza, tally, recovery_target_lsn=tally["lsn"], recovery_target_inclusive="off",
                              recovery_target_action="promote"))  # fmt: skip
    server.await_true("SELECT NOT pg_is_in_recovery()", f"recovery to {tally['lsn']}")
    with server.connected() as connection:
        system = connection.execute("SELECT system_identifier::text FROM pg_control_system()").fetchone()[0]
        names = [row[0] for row in connection.execute(tables.DATABASES).fetchall()]
        who = tables.roles(connection)
    found = {}
    for name in names:
        with server.connected(name) as connection:
            found[name] = tables.counted(connection)
    reasons = [] if system == tally["system"] else [f"it is another cluster: {system} instead of {tally['system']}"]
    reasons += tables.differences(tally["databases"], found)
    reasons += tables.role_differences(tally["roles"], who)
    refused, came_in = tables.logged_in(server, who)
    reasons += refused + list(damage(server))
    counted = [table for database in found.values() for table in database.values()]
    compared = {"databases": len(found), "tables": len(counted), "rows": sum(table["rows"] for table in counted)}
    return reasons, {**compared, "roles": len(who), "logins": came_in}


def damage(server):
    """Yield what pg_amcheck and pg_checksums find: in every table, every index, and every page. The server is stopped."""
    words = ("pg_amcheck", "--all", "--install-missing", "--heapallindexed", "--parent-check", "--username=postgres")
    words = (*as_verifier(), str(programs() / words[0]), *words[1:], f"--host={server.folder}")
    code, said, complained = tried(*words, environment=server.environment)
    if code != 0:
        found = [line for line in (said + complained).splitlines() if "already exists, skipping" not in line]
        yield f"pg_amcheck found (exit code {code}): {' '.join(found[:2])}"
    server.stop()
    code, said, complained = tried(*as_verifier(), str(programs() / "pg_checksums"), "--check", "-D", str(server.data))
    if code != 0 or not re.search(r"^Blocks scanned: +[1-9]", said, re.MULTILINE):
        yield f"pg_checksums found (exit code {code}): {complained or said}"


# --- the job ---


def verify_newest(stanza, backups, settings):
    """Read the stanza back, and restore its newest backup; return whether all was as it should be."""
    folder = Path(settings["folder"])
    newest = backups[-1]
    read = read_back(stanza, newest["label"], folder)
    keep(HERE, f"{stanza}.read", read)
    if not read["ok"]:  # restoring it would tell less, and take long
        return read["why"]
    began = time.time()
    try:
        tally = await_tally(folder / "archive" / stanza, newest)
        restored, moment = restore(stanza, newest, tally, settings["scratch"])
    except Failed as error:
        restored, moment = (
            came([f"{stanza}: {error}"], began=began, backup=newest["label"], taken=newest["timestamp"]["stop"]),
            None,
        )
    keep(HERE, f"{stanza}.newest", restored)
    if moment:
        keep(HERE, f"{stanza}.moment", moment)
    return restored["why"] + (moment["why"] if moment else [])


def verify_older(stanza, backups, settings):
    """Restore an older backup, by chance; return what was wrong. Where only the newest can be recovered, nothing is done."""
    folder = Path(settings["folder"]) / "archive" / stanza
    fitting = [(backup, found[0]) for backup in backups[:-1] if (found := usable(folder, backup))]
    if len(backups) > 2 and not fitting:
        told = came([f"{stanza}: up to no tally does the log lead from any older backup"], began=time.time())
    elif not fitting:
        told = came([], began=time.time(), none=True)
    else:
        told, _ = restore(stanza, *random.SystemRandom().choice(fitting), settings["scratch"])
    keep(HERE, f"{stanza}.older", told)
    return told["why"]


def main(which, settings):
    """Verify every stanza; return every reason to doubt one. The others are verified nevertheless."""
    work = {"newest": verify_newest, "older": verify_older}[which]
    configure(settings)
    stanzas, reasons = told_of(), []
    reasons += [f"{name}: the repository has no such stanza" for name in settings["stanzas"] if name not in stanzas]
    for stanza, backups in stanzas.items():
        if not backups:
            told = came([f"{stanza}: it has no backup"], began=time.time())
            keep(HERE, f"{stanza}.{which}", told)
            reasons += told["why"]
            continue
        reasons += work(stanza, backups, settings)
    return reasons
