"""PostgreSQL as it runs, Patroni's view of it, and real logins with an application's own words."""

from __future__ import annotations

import json
import re
import ssl
import sys
import time
from pathlib import Path
from typing import Any

from .common import Settings, Unreadable, run

_SOCKETS = Path("/var/run/postgresql")
_TLS = "/etc/secondsite/tls"
_HEARTBEAT_NEW_S = 4.5
_BEATS, _BEAT_EVERY_S = 2, 2.0
_HEARTBEAT_WITHIN_S = 8.0
_QUERIES = {
    "settings": "SELECT name, setting FROM pg_settings",
    "extensions": "SELECT name, default_version FROM pg_available_extensions",
    "collations": "SELECT datname, datcollate || ' ' || coalesce(datcollversion, '-'),"
    " coalesce(pg_database_collation_actual_version(oid), '-') FROM pg_database WHERE datallowconn",
    "roles": "SELECT rolname, json_build_object('login', rolcanlogin, 'superuser', rolsuper,"
    " 'replication', rolreplication, 'createdb', rolcreatedb,"
    " 'createrole', rolcreaterole, 'bypassrls', rolbypassrls)::text FROM pg_roles"
    " WHERE rolname NOT LIKE 'pg\\_%'",
    "role_settings": "SELECT coalesce(r.rolname, '') || '@' || coalesce(d.datname, ''),"
    " array_to_json(s.setconfig)::text FROM pg_db_role_setting s LEFT JOIN pg_roles r ON r.oid = s.setrole"
    " LEFT JOIN pg_database d ON d.oid = s.setdatabase",
}
_CLUSTER = """SELECT json_build_object(
 'path', current_setting('data_directory'), 'recovering', pg_is_in_recovery(),
 'system', (SELECT system_identifier::text FROM pg_control_system()),
 'segment_bytes', pg_size_bytes(current_setting('wal_segment_size')),
 'archive_mode', current_setting('archive_mode'), 'archive_command', current_setting('archive_command'),
 'archived', (SELECT last_archived_wal FROM pg_stat_archiver),
 'archived_at', (SELECT extract(epoch FROM last_archived_time) FROM pg_stat_archiver),
 'writing', CASE WHEN pg_is_in_recovery() THEN NULL ELSE pg_walfile_name(pg_current_wal_lsn()) END,
 'databases', (SELECT json_agg(datname ORDER BY datname) FROM pg_database WHERE datallowconn AND NOT datistemplate)
 )::text"""
_STATE = """SELECT json_build_object(
 'version', current_setting('server_version'), 'recovering', pg_is_in_recovery(),
 'checksums', current_setting('data_checksums'),
 'system', (SELECT system_identifier::text FROM pg_control_system()),
 'written', CASE WHEN pg_is_in_recovery() THEN NULL ELSE (pg_current_wal_lsn() - '0/0'::pg_lsn)::text END,
 'received', (pg_last_wal_receive_lsn() - '0/0'::pg_lsn)::text,
 'receiver', (SELECT json_build_object('status', status, 'sender', sender_host,
     'silence_s', extract(epoch FROM now() - last_msg_receipt_time)) FROM pg_stat_wal_receiver),
 'followers', (SELECT coalesce(json_agg(json_build_object('name', application_name, 'state', state,
     'sync', sync_state)), '[]') FROM pg_stat_replication),
 'databases', (SELECT json_agg(datname) FROM pg_database WHERE datallowconn AND NOT datistemplate))::text"""


def postgres(_: Settings) -> dict[str, Any]:
    """Return each cluster on this host by its port."""
    ports = sorted(int(path.name.rpartition(".")[2]) for path in _SOCKETS.glob(".s.PGSQL.*[0-9]"))
    if not ports:
        raise Unreadable(f"no cluster has a socket in {_SOCKETS}")
    return {str(port): _cluster(port) for port in ports}


def _cluster(port: int) -> dict[str, Any]:
    with _connected(port, "postgres") as connection:
        row = connection.execute(_STATE).fetchone()
        found: dict[str, Any] = json.loads(row[0]) if row else {}
        for name, query in _QUERIES.items():
            rows = connection.execute(query).fetchall()
            found[name] = {one[0]: one[1] if len(one) == 2 else list(one[1:]) for one in rows}
        found["roles"] = {name: json.loads(text) for name, text in found["roles"].items()}
        found["role_settings"] = {name: json.loads(text) for name, text in found["role_settings"].items()}
    return found


def clusters(_: Settings) -> dict[str, Any]:
    """Return of each cluster that runs here what has to be backed up, and where its log goes; none without a socket."""
    found = {}
    for path in _SOCKETS.glob(".s.PGSQL.*[0-9]"):
        port = int(path.name.rpartition(".")[2])
        with _connected(port, "postgres") as connection:
            row = connection.execute(_CLUSTER).fetchone()
            found[str(port)] = json.loads(row[0]) if row else {}
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
    with _connected(port, "postgres") as connection:
        query = "SELECT datname FROM pg_database WHERE datallowconn AND NOT datistemplate ORDER BY datname"
        names = [str(row[0]) for row in connection.execute(query).fetchall()]
    for name in names:
        with _connected(port, name) as connection:
            if connection.execute("SELECT to_regclass('secondsite.heartbeat') IS NOT NULL").fetchone() == (True,):
                return name
    return ""


def _beat(port: int, database: str, node: str, until: float) -> dict[str, Any]:
    with _connected(port, database) as connection:
        if connection.execute("SELECT pg_is_in_recovery()").fetchone() == (False,):
            connection.execute("SET synchronous_commit = local")  # a standby that is gone must not keep it waiting
            connection.execute(
                "INSERT INTO secondsite.heartbeat (node, at) VALUES (%s, clock_timestamp())"
                " ON CONFLICT (node) DO UPDATE SET at = excluded.at",
                [node],
            )
            return {"writes": True, "age_s": None}
        while True:
            query = "SELECT extract(epoch FROM clock_timestamp() - max(at))::float8 FROM secondsite.heartbeat"
            row = connection.execute(query).fetchone()
            age = row[0] if row else None
            if (age is not None and age < _HEARTBEAT_NEW_S) or time.monotonic() > until:
                return {"writes": False, "age_s": age}
            time.sleep(0.1)


def _connected(port: int, database: str) -> Any:
    import psycopg  # noqa: PLC0415  only database hosts have it

    return psycopg.connect(
        host=str(_SOCKETS), port=port, dbname=database, user="postgres", autocommit=True, connect_timeout=3,
        options="-c statement_timeout=3000", application_name="check",
    )  # fmt: skip


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
    import psycopg  # noqa: PLC0415  only application and database hosts have it

    sys.path.insert(0, "/usr/local/lib/shop")
    try:
        from shop import settings as shop  # type: ignore[import-not-found]  # noqa: PLC0415  the application's own code
    finally:
        sys.path.pop(0)
    loaded = shop.load()
    found = []
    for role in filter(None, (loaded.billing, loaded.control)):
        one: dict[str, Any] = {"role": role.user, "database": role.name, "host": role.host, "port": role.port}
        try:
            with psycopg.connect(**role.parameters(), autocommit=True) as connection:
                row = connection.execute(
                    "SELECT current_user, current_setting('synchronous_commit'),"
                    " current_setting('secondsite.node', true), pg_is_in_recovery()"
                ).fetchone()
                tls = connection.pgconn.ssl_in_use  # this end's: behind a pool, the server sees the pool's socket
            if row is not None:
                one |= dict(zip(("as", "synchronous_commit", "node", "recovering"), row, strict=True)) | {"tls": tls}
        except psycopg.Error as error:
            one["trouble"] = " ".join(str(error).split())[:200]
        found.append(one)
    return found


SECTIONS = {
    "postgres": postgres,
    "clusters": clusters,
    "heartbeat": heartbeat,
    "patroni": patroni,
    "quorum": quorum,
    "logins": logins,
}
