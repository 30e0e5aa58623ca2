"""What this host, as a producer of backups, may do at the append-only server: found by trying, harmlessly."""

from __future__ import annotations

import base64
import http.client
import secrets
import ssl
import urllib.parse
from pathlib import Path
from typing import Any

from .common import Settings, Unreadable

_ENVIRONMENT = Path("/etc/secondsite/restic.env")
_TIMEOUT_S = 4.0


def producer(_: Settings, environment: Path = _ENVIRONMENT) -> dict[str, Any]:
    """Return what the server answers when this producer deletes, reads another's repository, and comes unnamed.

    Deleted is a snapshot that can't exist: an append-only server forbids it before it looks, any other looks. Nothing
    that is kept can be harmed by the question.

    Raises:
        Unreadable: this host has no repository there, or the server can't be asked.
    """
    words = _words(environment)
    try:
        place = urllib.parse.urlsplit(Path(words["RESTIC_REPOSITORY_FILE"]).read_text().strip().removeprefix("rest:"))
        trust = ssl.create_default_context(cafile=words["RESTIC_CACERT"])
    except (OSError, KeyError, ValueError) as error:
        raise Unreadable(f"its repository at the append-only server can't be found: {error}") from error
    mine, nothing = place.path.rstrip("/"), secrets.token_hex(32)
    key = base64.b64encode(f"{place.username}:{urllib.parse.unquote(place.password or '')}".encode()).decode()
    named = {"Authorization": f"Basic {key}"}
    return {
        "server": f"{place.hostname}:{place.port}",
        "deletes": _answer(place, trust, "DELETE", f"{mine}/snapshots/{nothing}", named),
        "reads_its_own": _answer(place, trust, "HEAD", f"{mine}/snapshots/{nothing}", named),
        "reads_anothers": _answer(place, trust, "HEAD", f"/somebody-else-{nothing[:8]}/config", named),
        "reads_unnamed": _answer(place, trust, "HEAD", f"{mine}/config", {}),
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
    door = http.client.HTTPSConnection(place.hostname or "", place.port, timeout=_TIMEOUT_S, context=trust)
    try:
        door.request(method, path, headers=headers)
        return door.getresponse().status
    except (OSError, http.client.HTTPException) as error:
        raise Unreadable(f"{place.hostname}:{place.port} can't be asked: {error}") from error
    finally:
        door.close()


SECTIONS = {"producer": producer}
