"""A PostgreSQL of the verifier's own: started from restored data, reached by nobody but by its socket, with no network at all."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import time
from pathlib import Path

from .common import VERIFIER, Failed, as_verifier, run, shortened, tried, without_network

START_S, STOP_S, RECOVER_S = 4 * 3600, 120, 4 * 3600
PAUSE_S = 0.1
# A standby refuses to start with less than what its writer had.
AT_LEAST = ("max_connections", "max_worker_processes", "max_wal_senders", "max_prepared_xacts", "max_locks_per_xact")
OTHERWISE_NAMED = {"max_prepared_xacts": "max_prepared_transactions", "max_locks_per_xact": "max_locks_per_transaction"}
# Nothing that was restored acts on the world: no trigger at login, no job, no archive, no listener.
SETTINGS = {
    "listen_addresses": "",
    "port": "5432",
    "archive_mode": "off",
    "archive_command": "",
    "primary_conninfo": "",
    "primary_slot_name": "",
    "shared_preload_libraries": "",
    "session_preload_libraries": "",
    "local_preload_libraries": "",
    "event_triggers": "off",
    "max_logical_replication_workers": "0",
    "autovacuum": "off",
    "ssl": "off",
    "hot_standby": "on",
    # it is thrown away when it was compared
    "fsync": "off",
    "full_page_writes": "off",
    "dynamic_shared_memory_type": "mmap",
    "jit": "off",
    "log_checkpoints": "off",
    "max_parallel_workers_per_gather": "0",
}


def programs():
    """Return the folder of PostgreSQL's newest programs."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: int(path.parent.name))
    if not found:
        raise Failed("PostgreSQL is not installed")
    return found[-1]


class Server:
    """One scratch server in a folder: its data in ``data``, its socket beside it."""

    def __init__(self, folder, *, groups=(), environment=None):
        self.folder = Path(folder)
        self.data = self.folder / "data"
        self.groups = groups
        self.environment = {"LC_ALL": "C.UTF-8", **(environment or {})}

    def run(self, *words, **options):
        """Run a program as the verifier."""
        return run(*as_verifier(*self.groups), *map(str, words), environment=self.environment, **options)

    def initialise(self):
        """Make an empty cluster."""
        self.run(programs() / "initdb", "-D", self.data, "--username=postgres", "--data-checksums", "--no-sync",
                 "--encoding=UTF8", "--locale=C.UTF-8", "--auth=reject")  # fmt: skip

    def start(self, *, logins="trust", **settings):
        """Start it with these settings; roles but ``postgres`` come in as ``logins`` says."""
        chosen = {**SETTINGS, **self._at_least(), **settings}
        chosen |= {"data_directory": self.data, "unix_socket_directories": self.folder}
        chosen |= {"hba_file": self.folder / "hba.conf", "ident_file": self.folder / "ident.conf"}
        lines = (f"{name} = '{str(value).replace(chr(39), chr(39) * 2)}'\n" for name, value in chosen.items())
        self._write("data/postgresql.auto.conf", "")  # what was set there is for another place
        self._write("server.conf", "".join(lines))
        self._write("hba.conf", f"local all postgres trust\nlocal all all {logins}\n")
        self._write("ident.conf", "")
        log = self.folder / "log"
        words = (
            *without_network(),
            *as_verifier(*self.groups),
            str(programs() / "pg_ctl"),
            "start",
            "-w",
            "-t",
            str(START_S),
        )
        where = ("-D", str(self.data), "-l", str(log), "-o", f"-c config_file={self.folder / 'server.conf'}")
        code, _, _ = tried("sh", "-c", '"$@" > /dev/null 2>&1', "sh", *words, *where, environment=self.environment)
        if code != 0:
            raise Failed(f"PostgreSQL did not start: {self.complaint()}")

    def _write(self, name, text):
        # as the verifier: what was restored may have put a link there
        self.run("sh", "-c", 'cat > "$1"', "sh", self.folder / name, stdin=text)

    def _at_least(self):
        told = self.run(programs() / "pg_controldata", "-D", self.data)
        found = {name: re.search(rf"^{name} setting:\s+(\d+)$", told, re.MULTILINE) for name in AT_LEAST}
        return {OTHERWISE_NAMED.get(name, name): one[1] for name, one in found.items() if one}

    def complaint(self):
        """Return what the server complained of last."""
        _, said, _ = tried(*as_verifier(*self.groups), "tail", "-n", "200", str(self.folder / "log"))
        severe = [line for line in said.splitlines() if re.search(r" (FATAL|PANIC|ERROR): ", line)]
        return shortened((severe or said.splitlines() or ["it did not say why"])[-1])

    def stop(self):
        """Stop it, whatever it does, and be sure that it has stopped."""
        if not (self.data / "postmaster.pid").exists():
            return
        words = (
            *as_verifier(*self.groups),
            str(programs() / "pg_ctl"),
            "stop",
            "-D",
            str(self.data),
            "-w",
            "-t",
            str(STOP_S),
        )
        code, _, _ = tried(*words, "-m", "fast", environment=self.environment)
        if code != 0:
            tried(*words, "-m", "immediate", environment=self.environment)

    def connected(self, database="postgres", user="postgres", password=None):
        """Return a connection in which nothing waits for ever."""
        import psycopg

        options = "-c lock_timeout=60s -c statement_timeout=0"
        return psycopg.connect(
            host=str(self.folder), port=5432, dbname=database, user=user, password=password, options=options,
            autocommit=True, connect_timeout=30, application_name="verifier"
        )  # fmt: skip

    def await_true(self, query, what):
        """Wait until a query says true.

        Raises:
            Failed: it ended before, or never did.
        """
        import psycopg

        until = time.monotonic() + RECOVER_S
        while time.monotonic() < until:
            try:
                with self.connected() as connection:
                    while time.monotonic() < until:
                        if connection.execute(query).fetchone() == (True,):
                            return
                        time.sleep(PAUSE_S)
            except psycopg.Error as error:
                if not (self.data / "postmaster.pid").exists():
                    raise Failed(f"{what}: PostgreSQL ended: {self.complaint()}") from error
                time.sleep(PAUSE_S)
        raise Failed(f"{what}: not within {RECOVER_S} s")


@contextlib.contextmanager
def scratch(name, *, root, groups=(), environment=None):
    """Lend a server in an empty folder of its own, and leave nothing of it, however it ends."""
    folder = Path(root) / name
    sweep(folder, groups=groups)
    folder.mkdir(parents=True)
    os.chmod(folder, 0o700)
    shutil.chown(folder, VERIFIER, VERIFIER)
    server = Server(folder, groups=groups, environment=environment)
    try:
        yield server
    finally:
        sweep(folder, groups=groups)


def sweep(folder, *, groups=()):
    """Stop what runs from a folder, and remove it."""
    if folder.exists():
        Server(folder, groups=groups).stop()
        shutil.rmtree(folder)
