"""PostgreSQL as it runs, Patroni's view of it, and real logins with an application's own words."""

from __future__ import annotations

import json
import re
import ssl
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from .common import Settings, Unreadable, run

_SOCKETS = Path("/var/run/postgresql")
_TLS = "/etc/secondsite/tls"
_HEARTBEAT_NEW_S = 4.5
_BEATS, _BEAT_EVERY_S = 2, 1.0
_HEARTBEAT_WITHIN_S = 8.0
_LOOK_AGAIN_S = 0.3
_LOGIN = (
    "SELECT jsonb_build_array(current_user, current_setting('synchronous_commit'),"
    " current_setting('secondsite.node', true), pg_is_in_recovery())"
)
_QUERIES = {
    "settings": "SELECT jsonb_agg(jsonb_build_array(name, setting)) FROM pg_settings",
    "extensions": "SELECT jsonb_agg(jsonb_build_array(name, default_version)) FROM pg_available_extensions",
    "collations": "SELECT jsonb_agg(jsonb_build_array(datname, datcollate || ' ' || coalesce(datcollversion, '-'),"
    " coalesce(pg_database_collation_actual_version(oid), '-'))) FROM pg_database WHERE datallowconn",
    "roles": "SELECT jsonb_agg(jsonb_build_array(rolname, jsonb_build_object('login', rolcanlogin,"
    " 'superuser', rolsuper, 'replication', rolreplication, 'createdb', rolcreatedb,"
    " 'createrole', rolcreaterole, 'bypassrls', rolbypassrls))) FROM pg_roles"
    " WHERE rolname NOT LIKE 'pg\\_%'",
    "role_settings": "SELECT jsonb_agg(jsonb_build_array(coalesce(r.rolname, '') || '@' || coalesce(d.datname, ''),"
    " s.setconfig)) FROM pg_db_role_setting s LEFT JOIN pg_roles r ON r.oid = s.setrole"
    " LEFT JOIN pg_database d ON d.oid = s.setdatabase",
}
_CLUSTER = """SELECT jsonb_build_object(
 'path', current_setting('data_directory'), 'recovering', pg_is_in_recovery(),
 'system', (SELECT system_identifier::text FROM pg_control_system()),
 'segment_bytes', pg_size_bytes(current_setting('wal_segment_size')),
 'archive_mode', current_setting('archive_mode'), 'archive_command', current_setting('archive_command'),
 'archived', (SELECT last_archived_wal FROM pg_stat_archiver),
 'archived_at', (SELECT extract(epoch FROM last_archived_time) FROM pg_stat_archiver),
 'writing', CASE WHEN pg_is_in_recovery() THEN NULL ELSE pg_walfile_name(pg_current_wal_lsn()) END,
 'databases', (SELECT jsonb_agg(datname ORDER BY datname) FROM pg_database WHERE datallowconn AND NOT datistemplate)
 )::text"""
_STATE = """SELECT jsonb_build_object(
 'version', current_setting('server_version'), 'recovering', pg_is_in_recovery(),
 'checksums', current_setting('data_checksums'),
 'system', (SELECT system_identifier::text FROM pg_control_system()),
 'written', CASE WHEN pg_is_in_recovery() THEN NULL ELSE (pg_current_wal_lsn() - '0/0'::pg_lsn)::text END,
 'received', (pg_last_wal_receive_lsn() - '0/0'::pg_lsn)::text,
 'receiver', (SELECT jsonb_build_object('status', status, 'sender', sender_host,
     'silence_s', extract(epoch FROM now() - last_msg_receipt_time)) FROM pg_stat_wal_receiver),
 'followers', (SELECT coalesce(jsonb_agg(jsonb_build_object('name', application_name, 'state', state,
     'sync', sync_state)), '[]') FROM pg_stat_replication),
 'databases', (SELECT jsonb_agg(datname) FROM pg_database WHERE datallowconn AND NOT datistemplate))::text"""


def postgres(_: Settings) -> dict[str, Any]:
    """Return each cluster on this host by its port."""
    ports = sorted(int(path.name.rpartition(".")[2]) for path in _SOCKETS.glob(".s.PGSQL.*[0-9]"))
    if not ports:
        raise Unreadable(f"no cluster has a socket in {_SOCKETS}")
    return {str(port): _cluster(port) for port in ports}


def _cluster(port: int) -> dict[str, Any]:
    state, *told = _asked(port, "postgres", _STATE, *_QUERIES.values())
    found: dict[str, Any] = dict(state)
    for name, rows in zip(_QUERIES, told, strict=True):
        found[name] = {one[0]: one[1] if len(one) == 2 else list(one[1:]) for one in rows or ()}
    return found


def clusters(_: Settings) -> dict[str, Any]:
    """Return of each cluster that runs here what has to be backed up, and where its log goes; none without a socket."""
    found = {}
    for path in _SOCKETS.glob(".s.PGSQL.*[0-9]"):
        port = int(path.name.rpartition(".")[2])
        found[str(port)] = _asked(port, "postgres", _CLUSTER)[0]
    return found


def heartbeat(settings: Settings) -> dict[str, Any]:
    """Have each writer here write the time into its cluster, and see on each standby how old the newest time is.

    All hosts are asked at once, and any of them may be slow to begin: a standby waits a while for its writer's, and the
    writer, who does not wait for the standby, writes for a while.
    """
    found: dict[str, Any] = {}
    until = time.monotonic() + _HEARTBEAT_WITHIN_S
    ports = sorted(int(path.name.rpartition(".")[2]) for path in _SOCKETS.glob(".s.PGSQL.*[0-9]"))
    if not ports:
        raise Unreadable(f"no cluster has a socket in {_SOCKETS}")
    databases = {port: database for port in ports if (database := _with_heartbeat(port))}
    for beat in range(_BEATS):
        time.sleep(_BEAT_EVERY_S if beat else 0)
        found = {str(port): _beat(port, name, str(settings["name"]), until) for port, name in databases.items()}
        if not any(one["writes"] for one in found.values()):
            break
    return found


def _with_heartbeat(port: int) -> str:
    query = "SELECT jsonb_agg(datname ORDER BY datname) FROM pg_database WHERE datallowconn AND NOT datistemplate"
    for name in _asked(port, "postgres", query)[0]:
        if _asked(port, name, "SELECT to_jsonb(to_regclass('secondsite.heartbeat') IS NOT NULL)")[0]:
            return str(name)
    return ""


def _beat(port: int, database: str, node: str, until: float) -> dict[str, Any]:
    if not _asked(port, database, "SELECT to_jsonb(pg_is_in_recovery())")[0]:
        _asked(
            port,
            database,
            "SET synchronous_commit = local",  # a standby that is gone must not keep it waiting
            "INSERT INTO secondsite.heartbeat (node, at) VALUES (:'node', clock_timestamp())"
            " ON CONFLICT (node) DO UPDATE SET at = excluded.at",
            node=node,
        )
        return {"writes": True, "age_s": None}
    while True:
        query = "SELECT to_jsonb(extract(epoch FROM clock_timestamp() - max(at))::float8) FROM secondsite.heartbeat"
        age = next(iter(_asked(port, database, query)), None)
        if (age is not None and age < _HEARTBEAT_NEW_S) or time.monotonic() > until:
            return {"writes": False, "age_s": age}
        time.sleep(_LOOK_AGAIN_S)


def _asked(port: int, database: str, *statements: str, **variables: str) -> list[Any]:
    """Return what each statement that returns a row of JSON returned, as the database's owner; None where it is null.

    psql, not the library: that takes longer to import than psql takes for everything it is asked here.
    """
    place = ("--host", str(_SOCKETS), "--port", str(port), "--username", "postgres", "--dbname", database)
    said = _psql(
        *place, statements=[f"{one};" for one in statements], variables=variables, PGOPTIONS="-c statement_timeout=3000"
    )
    return [json.loads(line) if line else None for line in said.splitlines()]


def _psql(*place: str, statements: Sequence[str], variables: Mapping[str, str], **environment: str) -> str:
    named = [word for name, value in variables.items() for word in ("--set", f"{name}={value}")]
    places = sorted(Path("/usr/lib/postgresql").glob("*/bin/psql"), key=lambda path: int(path.parts[4]))
    program = str(places[-1]) if places else "psql"  # the one in the path of Debian's begins with a script in Perl
    words = (program, "--no-psqlrc", "--no-align", "--tuples-only", "--quiet", "--set", "ON_ERROR_STOP=1", *named)
    known = {"PGCONNECT_TIMEOUT": "3", "PGAPPNAME": "check", **environment}
    return run(*words, *place, stdin="\n".join([*statements, ""]), environment=known)


def patroni(settings: Settings) -> dict[str, Any]:
    """Return what each Patroni on this host says of its cluster: members, pause, and the agreed settings."""
    found = {}
    for path in sorted(Path("/etc/patroni").glob("*.yml")):
        port = re.search(r"^\s+connect_address: \S+:(\d+)$", path.read_text(), re.MULTILINE)
        if port is None:
            continue  # what several clusters share
        place = f"https://{settings['address']}:{port[1]}"
        found[path.stem] = {
            "cluster": _get(f"{place}/cluster"),
            "config": _get(f"{place}/config"),
            "self": _get(f"{place}/patroni"),
        }
    if not found:
        raise Unreadable("no configuration in /etc/patroni says where Patroni answers")
    return found


def _get(url: str) -> Any:
    import urllib.request  # noqa: PLC0415  takes as long to import as the rest together

    context = ssl.create_default_context(cafile=f"{_TLS}/ca-bundle.crt")
    context.load_cert_chain(f"{_TLS}/host.crt", f"{_TLS}/host.key")
    try:
        with urllib.request.urlopen(url, timeout=3, context=context) as answer:  # noqa: S310  always https, see above
            return json.load(answer)
    except OSError as error:
        raise Unreadable(f"{url}: {error}") from error


def quorum(_: Settings) -> list[dict[str, Any]]:
    """Return etcd's members as etcd knows them: name, and where its peers reach it."""
    answer = json.loads(run("/usr/local/sbin/secondsite-etcdctl", "member", "list", "-w", "json"))
    return [
        {"name": member.get("name", ""), "peers": member.get("peerURLs", []), "learner": member.get("isLearner", False)}
        for member in answer["members"]
    ]


def logins(_: Settings) -> list[dict[str, Any]]:
    """Log in to the database in every role the application has, with the application's own settings and secrets."""
    if not Path("/etc/shop/settings.json").is_file():
        raise Unreadable("this host has no application")
    sys.path.insert(0, "/usr/local/lib/shop")
    try:
        from shop import settings as shop  # type: ignore[import-not-found]  # noqa: PLC0415  the application's own code
    finally:
        sys.path.pop(0)
    loaded = shop.load()
    found = []
    for role in filter(None, (loaded.billing, loaded.control)):
        one: dict[str, Any] = {"role": role.user, "database": role.name, "host": role.host, "port": role.port}
        words = role.parameters()
        secret = str(words.pop("password"))  # not among the words of a process, which anybody may read
        place = " ".join(f"{key}='{_quoted(str(value))}'" for key, value in words.items())
        try:
            told, session = _psql(
                "--dbname", place, statements=(f"{_LOGIN};", r"\conninfo"), variables={}, PGPASSWORD=secret
            ).split("\n", 1)
            one |= dict(zip(("as", "synchronous_commit", "node", "recovering"), json.loads(told), strict=True))
            one["tls"] = "SSL connection" in session  # this end's: behind a pool, the server sees the pool's socket
        except (Unreadable, ValueError) as error:
            one["trouble"] = " ".join(str(error).split())[:200]
        found.append(one)
    return found


def _quoted(value: str) -> str:
    return value.replace("\\", "\\\\").replace("'", "\\'")


SECTIONS = {
    "postgres": postgres,
    "clusters": clusters,
    "heartbeat": heartbeat,
    "patroni": patroni,
    "quorum": quorum,
    "logins": logins,
}
