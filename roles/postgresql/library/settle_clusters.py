"""Settle what only the leader of each cluster can: agreed settings, roles, schema; then wait for replication."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import os
import ssl
import time
import urllib.error
import urllib.request
from typing import Any

from ansible.module_utils.basic import AnsibleModule

try:
    import psycopg
    from psycopg import sql

    MISSING = ""
except ImportError as problem:
    MISSING = str(problem)

DOCUMENTATION = r"""
---
module: settle_clusters
short_description: Settle settings, roles and schema of Patroni's clusters
description:
  - On the leader of a cluster, settles Patroni's agreed settings, the database, its login roles, its schema and its first customers.
  - Then waits until every peer streams, and, in a synchronous cluster, until one of them is the synchronous standby.
  - On a standby, waits until it streams.
options:
  address: {description: The host's data address., type: str, required: true}
  peers: {description: Hosts that must follow a leader here., type: list, elements: str, required: true}
  rest_username: {description: Who may change agreed settings., type: str, required: true}
  rest_password: {description: Its password., type: str, required: true}
  clusters: {description: The clusters., type: list, elements: dict, required: true}
  patience: {description: Seconds to wait for a cluster to serve and to replicate., type: int, default: 90}
"""

EXAMPLES = r"""
- name: Settle the clusters
  settle_clusters:
    address: 198.18.1.20
    peers: [db-dc2]
    rest_username: patroni
    rest_password: "{{ secret }}"
    clusters: "{{ clusters }}"
"""

RETURN = r"""
changes:
  description: What was changed, in words.
  type: list
  returned: always
"""

TLS = "/etc/secondsite/tls"
SOCKETS = "/var/run/postgresql"


class Cluster:
    """One cluster as seen from this host."""

    def __init__(self, module: AnsibleModule, want: dict[str, Any], deadline: float) -> None:
        self.module = module
        self.want = want
        self.deadline = deadline
        self.changes: list[str] = []

    def settle(self) -> list[str]:
        """Settle the cluster if this host leads it, and wait for replication; return the changes."""
        with self._patiently(lambda: self._connect("postgres"), "PostgreSQL does not answer") as connection:
            if connection.execute("SELECT pg_is_in_recovery()").fetchone()[0]:
                self._patiently(lambda: self._streams_here(connection), "this standby does not stream")
                return self.changes
            self._settings()
            self._logins(connection)
            self._database(connection)
            with self._connect(self.want["database"]) as inside:
                self._schema(inside)
                self._customers(inside)
            self._patiently(lambda: self._streams_to_peers(connection), "no standby streams as it should")
        return self.changes

    def _connect(self, database: str) -> Any:
        return psycopg.connect(
            host=SOCKETS, port=self.want["port"], dbname=database, user="postgres", autocommit=True, connect_timeout=2
        )

    def _patiently(self, attempt: Any, complaint: str) -> Any:
        while True:
            try:
                answer = attempt()
                if answer:
                    return answer
                problem = "not yet"
            except (psycopg.Error, OSError) as failed:
                problem = str(failed).strip()
            if time.monotonic() > self.deadline:
                self.module.fail_json(msg=f"cluster {self.want['scope']}: {complaint}: {problem}", changes=self.changes)
            time.sleep(0.2)

    def _ask(self, method: str, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        params = self.module.params
        context = ssl.create_default_context(cafile=f"{TLS}/ca-bundle.crt")
        context.load_cert_chain(f"{TLS}/host.crt", f"{TLS}/host.key")
        request = urllib.request.Request(  # noqa: S310  https only
            f"https://{params['address']}:{self.want['rest_port']}{path}",
            method=method,
            data=json.dumps(body).encode() if body is not None else None,
        )
        basic = base64.b64encode(f"{params['rest_username']}:{params['rest_password']}".encode()).decode()
        request.add_header("Authorization", f"Basic {basic}")
        with urllib.request.urlopen(request, timeout=5, context=context) as answer:  # noqa: S310
            return json.loads(answer.read(1_000_000))

    def _settings(self) -> None:
        have = self._patiently(lambda: self._ask("GET", "/config"), "Patroni does not answer")
        patch = difference(self.want["dynamic"], have)
        if patch:
            self._ask("PATCH", "/config", patch)
            self.changes.append(f"agreed settings: {json.dumps(patch, sort_keys=True)}")

    def _logins(self, connection: Any) -> None:
        for name, password in sorted(self.want["logins"].items()):
            row = connection.execute("SELECT rolpassword FROM pg_authid WHERE rolname = %s", (name,)).fetchone()
            if row and scram_matches(row[0], password):
                continue
            verb = "ALTER" if row else "CREATE"
            # A verifier, not the password: statements can end up in logs.
            connection.execute(
                sql.SQL(verb + " ROLE {} LOGIN PASSWORD {}").format(
                    sql.Identifier(name), sql.Literal(scram_verifier(password))
                )
            )
            self.changes.append(f"role {name}")

    def _database(self, connection: Any) -> None:
        name = self.want["database"]
        if connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", (name,)).fetchone():
            return
        connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
        connection.execute(sql.SQL("REVOKE ALL ON DATABASE {} FROM public").format(sql.Identifier(name)))
        for login in sorted(self.want["logins"]):
            connection.execute(
                sql.SQL("GRANT CONNECT ON DATABASE {} TO {}").format(sql.Identifier(name), sql.Identifier(login))
            )
        self.changes.append(f"database {name}")

    def _schema(self, inside: Any) -> None:
        digest = hashlib.sha256(self.want["schema"].encode()).hexdigest()
        known = inside.execute("SELECT to_regclass('public.secondsite_schema') IS NOT NULL").fetchone()[0]
        if known and inside.execute("SELECT 1 FROM secondsite_schema WHERE digest = %s", (digest,)).fetchone():
            return
        with inside.transaction():
            inside.execute("CREATE TABLE IF NOT EXISTS secondsite_schema (digest text PRIMARY KEY, at timestamptz)")
            inside.execute(self.want["schema"])
            inside.execute("INSERT INTO secondsite_schema VALUES (%s, now())", (digest,))
        self.changes.append(f"schema {digest[:12]}")

    def _customers(self, inside: Any) -> None:
        for name in self.want.get("customers", []):
            query = "SELECT password_hash FROM secondsite.customers WHERE name = %s"
            row = inside.execute(query, (name,)).fetchone()
            password = self.want["customer_password"]
            if row and scrypt_matches(row[0], password):
                continue
            inside.execute(
                "INSERT INTO secondsite.customers (name, password_hash) VALUES (%s, %s)"
                " ON CONFLICT (name) DO UPDATE SET password_hash = excluded.password_hash",
                (name, scrypt_hash(password, os.urandom(16))),
            )
            self.changes.append(f"customer {name}")
        self._refused(inside, "holds", "hold", self.want.get("on_hold", []))
        self._refused(inside, "revocations", "revoke", self.want.get("revoked", []))

    def _refused(self, inside: Any, table: str, change: str, names: list[str]) -> None:
        """Put those customers there who exist only so that it can be tried whether they are refused."""
        reason, by_whom = "always: drills try it", "provisioning"
        for name in names:
            insert = f"INSERT INTO secondsite.{table} (customer, reason) VALUES (%s, %s) ON CONFLICT DO NOTHING"  # noqa: S608
            if inside.execute(insert, (name, reason)).rowcount:
                inside.execute(
                    "INSERT INTO secondsite.account_changes (customer, change, reason, by_whom) VALUES (%s, %s, %s, %s)",
                    (name, change, reason, by_whom),
                )
                self.changes.append(f"{change} {name}")

    def _streams_here(self, connection: Any) -> bool:
        row = connection.execute("SELECT status FROM pg_stat_wal_receiver").fetchone()
        return bool(row and row[0] == "streaming")

    def _streams_to_peers(self, connection: Any) -> bool:
        rows = connection.execute("SELECT application_name, state, sync_state FROM pg_stat_replication").fetchall()
        streaming = {name for name, state, _ in rows if state == "streaming"}
        synchronous = any(sync_state == "sync" for _, _, sync_state in rows)
        peers = set(self.module.params["peers"])  # none where a site is gone for good: nobody could be synchronous
        return peers <= streaming and (synchronous or not peers or not self.want["synchronous"])


def difference(want: dict[str, Any], have: dict[str, Any]) -> dict[str, Any]:
    """Say what must be patched into ``have`` so that it holds all of ``want``."""
    patch: dict[str, Any] = {}
    for key, value in want.items():
        if isinstance(value, dict):
            deeper = difference(value, have.get(key) or {})
            if deeper:
                patch[key] = deeper
        elif have.get(key) != value:
            patch[key] = value
    return patch


def scram_keys(password: str, salt: bytes, iterations: int) -> tuple[bytes, bytes]:
    """Derive the stored key and the server key (RFC 5802)."""
    salted = hashlib.pbkdf2_hmac("sha256", password.encode(), salt, iterations)
    client = hmac.digest(salted, b"Client Key", "sha256")
    return hashlib.sha256(client).digest(), hmac.digest(salted, b"Server Key", "sha256")


def scram_verifier(password: str) -> str:
    """Make what PostgreSQL stores for the password."""
    salt = os.urandom(16)
    stored, server = (base64.b64encode(key).decode() for key in scram_keys(password, salt, 4096))
    return f"SCRAM-SHA-256$4096:{base64.b64encode(salt).decode()}${stored}:{server}"


def scram_matches(verifier: str | None, password: str) -> bool:
    """Whether PostgreSQL's verifier was made from the password."""
    if not verifier or not verifier.startswith("SCRAM-SHA-256$"):
        return False
    _, parameters, keys = verifier.split("$")
    iterations, salt = parameters.split(":")
    stored, _ = scram_keys(password, base64.b64decode(salt), int(iterations))
    return hmac.compare_digest(base64.b64encode(stored).decode(), keys.split(":")[0])


def scrypt_hash(password: str, salt: bytes) -> str:
    """Make what the shop stores for a customer's password."""
    found = hashlib.scrypt(password.encode(), salt=salt, n=4096, r=8, p=1, dklen=32)
    return f"scrypt$4096$8$1${base64.b64encode(salt).decode()}${base64.b64encode(found).decode()}"


def scrypt_matches(stored: str, password: str) -> bool:
    """Whether the shop's hash was made from the password."""
    parts = stored.split("$")
    return len(parts) == 6 and hmac.compare_digest(scrypt_hash(password, base64.b64decode(parts[4])), stored)


def main() -> None:
    """Run as an Ansible module."""
    module = AnsibleModule(
        argument_spec={
            "address": {"type": "str", "required": True},
            "peers": {"type": "list", "elements": "str", "required": True},
            "rest_username": {"type": "str", "required": True},
            "rest_password": {"type": "str", "required": True, "no_log": True},
            "clusters": {"type": "list", "elements": "dict", "required": True},
            "patience": {"type": "int", "default": 90},
        },
    )
    if MISSING:
        module.fail_json(msg=f"python3-psycopg is missing on the host: {MISSING}; nothing was settled")
    deadline = time.monotonic() + module.params["patience"]
    changes: list[str] = []
    for want in module.params["clusters"]:
        changes += [f"{want['scope']}: {change}" for change in Cluster(module, want, deadline).settle()]
    module.exit_json(changed=bool(changes), changes=changes)


if __name__ == "__main__":
    main()
