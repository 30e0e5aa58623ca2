"""What a database holds: the rows of each table, with a digest that does not depend on their order, and who may log in."""

from __future__ import annotations

TABLES = """SELECT n.nspname, c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
 WHERE c.relkind = 'r' AND c.relpersistence = 'p' AND n.nspname <> 'information_schema' AND n.nspname NOT LIKE 'pg\\_%'
 AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.objid = c.oid AND d.classid = 'pg_class'::regclass AND d.deptype = 'e')
 ORDER BY 1, 2"""
DATABASES = "SELECT datname FROM pg_database WHERE datallowconn AND NOT datistemplate ORDER BY datname"
# A row's text depends on these.
ALIKE = (
    "SET datestyle = 'ISO, YMD'; SET timezone = 'UTC'; SET intervalstyle = 'postgres'; SET extra_float_digits = 3;"
    " SET bytea_output = 'hex'; SET lc_monetary = 'C'; SET search_path = ''"
)
# Twice 64 bits of each row, added up: the order in which rows lie says nothing.
DIGEST = """SELECT count(*), coalesce(sum(pg_catalog.hashtextextended("the row"::text, 0)::numeric), 0)::text || ':'
 || coalesce(sum(pg_catalog.hashtextextended("the row"::text, 1)::numeric), 0)::text FROM ONLY {} AS "the row" """
ROLES = """SELECT rolname, rolcanlogin, rolsuper, encode(sha256(convert_to(coalesce(rolpassword, ''), 'UTF8')), 'hex'),
 coalesce(array_to_string(ARRAY(SELECT datname FROM pg_database WHERE datallowconn AND NOT datistemplate
 AND has_database_privilege(r.oid, datname, 'CONNECT') ORDER BY 1), ' '), '')
 FROM pg_authid r WHERE rolname NOT LIKE 'pg\\_%' ORDER BY rolname"""
READABLE = """SELECT n.nspname, c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
 WHERE c.relkind IN ('r', 'm') AND n.nspname <> 'information_schema' AND n.nspname NOT LIKE 'pg\\_%'
 AND has_schema_privilege(n.oid, 'USAGE') AND has_table_privilege(c.oid, 'SELECT') ORDER BY 1, 2"""


def quoted(*names):
    return ".".join('"' + name.replace('"', '""') + '"' for name in names)


def counted(connection):
    """Return rows and digest of each table as the connection's transaction sees them."""
    connection.execute(ALIKE)
    found = {}
    for name in connection.execute(TABLES).fetchall():
        rows, digest = connection.execute(DIGEST.format(quoted(*name))).fetchone()
        found[".".join(name)] = {"rows": rows, "digest": digest}
    return found


def roles(connection):
    """Return every role: whether it may log in, the digest of what its password is checked by, and to which databases it may connect."""
    told = connection.execute(ROLES).fetchall()
    return {name: {"login": login, "super": all_, "verifier": verifier, "databases": where.split()}
            for name, login, all_, verifier, where in told}  # fmt: skip


def differences(expected, found, what="database"):
    """Yield how what was found differs from what was expected, by database and table."""
    yield from (f"{what} {name} is missing" for name in sorted(expected.keys() - found.keys()))
    yield from (f"{what} {name} was not there" for name in sorted(found.keys() - expected.keys()))
    for name in sorted(expected.keys() & found.keys()):
        yield from table_differences(expected[name], found[name], name)


def table_differences(expected, found, database):
    """Yield how the tables of one database differ."""
    yield from (f"{database}: {name} is missing" for name in sorted(expected.keys() - found.keys()))
    yield from (f"{database}: {name} was not there" for name in sorted(found.keys() - expected.keys()))
    for name in sorted(expected.keys() & found.keys()):
        if expected[name]["rows"] != found[name]["rows"]:
            yield f"{database}: {name} has {found[name]['rows']} rows instead of {expected[name]['rows']}"
        elif expected[name]["digest"] != found[name]["digest"]:
            yield f"{database}: {name} has as many rows as it should, and others"


def role_differences(expected, found):
    """Yield how the roles differ."""
    yield from (f"role {name} is missing" for name in sorted(expected.keys() - found.keys()))
    yield from (f"role {name} was not there" for name in sorted(found.keys() - expected.keys()))
    for name in sorted(expected.keys() & found.keys()):
        if expected[name]["verifier"] != found[name]["verifier"]:
            yield f"role {name} has another password"
        elif expected[name] != found[name]:
            yield f"role {name} may do something else"


def logged_in(server, who, passwords=None):
    """Log in as each role that is no superuser, to each database it may use, and read what it may read; return what failed, and how many.

    With ``passwords`` a role proves who it is by its own; without, that it may come in at all is what is proven.
    """
    import psycopg

    failed, came_in = [], 0
    for name, role in who.items():
        if not role["login"] or role["super"] or (passwords is not None and name not in passwords):
            continue
        for database in role["databases"]:
            try:
                with server.connected(database, name, (passwords or {}).get(name)) as connection:
                    readable = connection.execute(READABLE).fetchall()
                    for table in readable[:1]:
                        connection.execute(f"SELECT FROM ONLY {quoted(*table)} LIMIT 1").fetchall()
                came_in += 1
            except psycopg.Error as error:
                failed.append(f"role {name} can't use database {database}: {str(error).strip()}")
    return failed, came_in
