"""What this host, as a producer of backups, may do where they are kept: found by trying, harmlessly."""

from __future__ import annotations

import base64
import configparser
import os
import ssl
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .common import Settings, Unreadable, at_once, run

if TYPE_CHECKING:
    import urllib.parse

_ENVIRONMENT = Path("/etc/secondsite/restic.env")
_ARCHIVES = Path("/etc/pgbackrest.conf")
_AS_PRODUCER = ("setpriv", "--reuid=postgres", "--regid=postgres", "--groups=secondsite-tls", "pgbackrest")
_REFUSED = "unable to move", "Operation not permitted"
_BY_THE_REPOSITORY = "raised from remote"
_BAIT = "secondsite check tries to replace this, as a producer.\n"  # role backup_target places the same words
_TIMEOUT_S = 4.0


def producer(_: Settings, environment: Path = _ENVIRONMENT, archives: Path = _ARCHIVES) -> dict[str, Any]:
    """Return what the places where backups are kept answer when this producer deletes there, or replaces.

    The append-only server is asked besides for another's repository, by somebody unnamed, and by whoever knows this
    producer's password but has no certificate.

    Raises:
        Unreadable: this host has no repository there, or one can't be asked.
    """
    return {**_append_only(environment), "archives": _archives(archives)}


def _archives(configuration: Path) -> dict[str, bool]:
    """Return for each of pgBackRest's repositories whether this producer may replace what is kept there.

    Who may replace a file may delete it: the kernel asks for the same right. What is replaced is a file that the
    repository's own host placed for this purpose, by the same words, so that nothing is harmed. None where the host
    archives nothing.
    """
    if not configuration.is_file():
        return {}
    parser = configparser.ConfigParser(interpolation=None, strict=False)
    parser.read(configuration, encoding="utf-8")
    stanza = next(iter(stanzas(parser)), None)
    hosts = {key: host for key, host in parser.items("global") if key.startswith("repo") and key.endswith("-host")}
    if stanza is None or not hosts:
        return {}
    numbers = [key.removeprefix("repo").removesuffix("-host") for key in hosts]
    tried = at_once(lambda number: _may_replace(stanza, number), numbers, most=len(numbers))
    return dict(zip(hosts.values(), tried, strict=True))


def stanzas(parser: configparser.ConfigParser) -> list[str]:
    """Name the stanzas of pgBackRest's configuration; what is for all, or for all of one command, is none."""
    return [name for name in parser.sections() if name.partition(":")[0] != "global"]


def _may_replace(stanza: str, number: str) -> bool:
    options = (f"--stanza={stanza}", f"--repo={number}", "--log-level-console=error")
    words = (*_AS_PRODUCER, *options, "repo-put", f"archive/{stanza}/undeletable")
    said = run("sh", "-c", '"$@" 2>&1; echo "ended with $?"', "sh", *words, stdin=_BAIT)
    if said.rstrip().endswith("ended with 0"):
        return True
    # in the repository's own words: a refusal on this host, or to write beside it, would say nothing of what is kept
    if _BY_THE_REPOSITORY not in said or not all(word in said for word in _REFUSED):
        raise Unreadable(f"repository {number} of pgBackRest can't be asked: {said.strip()[-200:]}")
    return False


def _append_only(environment: Path) -> dict[str, Any]:
    """Return what the server answers when this producer deletes, reads another's, comes unnamed or uncertified.

    Deleted is a snapshot that can't exist: an append-only server forbids it before it looks, any other looks. Nothing
    that is kept can be harmed by the question.
    """
    import urllib.parse  # noqa: PLC0415  only producers ask, and for them alone it is worth its time

    words = _words(environment)
    try:
        place = urllib.parse.urlsplit(Path(words["RESTIC_REPOSITORY_FILE"]).read_text().strip().removeprefix("rest:"))
        stranger, trust = (ssl.create_default_context(cafile=words["RESTIC_CACERT"]) for _ in range(2))
        trust.load_cert_chain(words["PRODUCER_CERTIFICATE"], words["PRODUCER_KEY"])
    except (OSError, KeyError, ValueError) as error:
        raise Unreadable(f"its repository at the append-only server can't be found: {error}") from error
    mine, nothing = place.path.rstrip("/"), os.urandom(32).hex()
    key = base64.b64encode(f"{place.username}:{urllib.parse.unquote(place.password or '')}".encode()).decode()
    named = {"Authorization": f"Basic {key}"}
    return {
        "server": f"{place.hostname}:{place.port}",
        "deletes": _answer(place, trust, "DELETE", f"{mine}/snapshots/{nothing}", named),
        "reads_its_own": _answer(place, trust, "HEAD", f"{mine}/snapshots/{nothing}", named),
        "reads_anothers": _answer(place, trust, "HEAD", f"/somebody-else-{nothing[:8]}/config", named),
        "reads_unnamed": _answer(place, trust, "HEAD", f"{mine}/config", {}),
        "reads_uncertified": _answer(place, stranger, "HEAD", f"{mine}/snapshots/{nothing}", named),
    }


def _words(environment: Path) -> dict[str, str]:
    try:
        lines = environment.read_text().splitlines()
    except OSError as error:
        raise Unreadable(f"it has no repository at an append-only server: {error}") from error
    return dict(line.split("=", 1) for line in lines if "=" in line)


def _answer(
    place: urllib.parse.SplitResult, trust: ssl.SSLContext, method: str, path: str, headers: dict[str, str]
) -> int:
    """Return the status of one request; nothing is followed, nothing is sent but this."""
    import http.client  # noqa: PLC0415  as above

    door = http.client.HTTPSConnection(place.hostname or "", place.port, timeout=_TIMEOUT_S, context=trust)
    try:
        door.request(method, path, headers=headers)
        return door.getresponse().status
    except (OSError, http.client.HTTPException) as error:
        raise Unreadable(f"{place.hostname}:{place.port} can't be asked: {error}") from error
    finally:
        door.close()


SECTIONS = {"producer": producer}
