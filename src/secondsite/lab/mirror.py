"""Where packages come from: the mirror this machine is itself configured to use."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

from ..errors import UsageError

_ONE_LINE = re.compile(r"^\s*deb\s+(?:\[[^\]]*\]\s+)?(?P<uri>\S+)\s+(?P<suite>\S+)\s+(?P<components>.+?)\s*(?:#.*)?$")
_DEBIAN_SUITE = re.compile(r"^(stable|testing|oldstable|bullseye|bookworm|trixie|forky|sid)(-updates|-backports)?$")
_SCHEMES = ("http", "https", "file", "copy", "mirror+http", "mirror+https")


def deb822_stanzas(text: str) -> Iterator[dict[str, str]]:
    """Yield the fields of each stanza, names in lower case; comments are dropped, continued lines joined."""
    fields: dict[str, str] = {}
    last = ""
    for line in [*text.splitlines(), ""]:
        if line.startswith("#"):
            continue
        if not line.strip():
            if fields:
                yield fields
            fields, last = {}, ""
        elif line[0].isspace() and last:
            fields[last] += " " + line.strip()
        elif ":" in line:
            name, _, value = line.partition(":")
            last = name.strip().lower()
            fields[last] = value.strip()


def debian_mirrors(text: str, *, deb822: bool) -> Iterator[str]:
    """Yield the addresses of Debian's own archive named in one apt source file."""
    if deb822:
        for stanza in deb822_stanzas(text):
            if stanza.get("enabled", "yes").lower() == "no" or "deb" not in stanza.get("types", "").split():
                continue
            suites, components = stanza.get("suites", "").split(), stanza.get("components", "").split()
            if "main" in components and any(_DEBIAN_SUITE.match(suite) for suite in suites):
                yield from stanza.get("uris", "").split()
    else:
        for line in text.splitlines():
            found = _ONE_LINE.match(line)
            if found and _DEBIAN_SUITE.match(found["suite"]) and "main" in found["components"].split():
                yield found["uri"]


def configured_mirror(apt: Path = Path("/etc/apt")) -> str:
    """Return the first Debian mirror apt uses on this machine.

    Raises:
        UsageError: none is configured; ``--mirror`` says which to use.
    """
    one_line = [apt / "sources.list", *sorted((apt / "sources.list.d").glob("*.list"))]
    for path in [*one_line, *sorted((apt / "sources.list.d").glob("*.sources"))]:
        if path.is_file():
            text = path.read_text(encoding="utf-8", errors="replace")
            for uri in debian_mirrors(text, deb822=path.suffix == ".sources"):
                return checked_mirror(uri)
    raise UsageError(
        f"no Debian mirror is configured under {apt}",
        not_done="the lab image was not built",
        next_step="name one: secondsite lab up --mirror http://HOST/debian",
    )


def checked_mirror(uri: str) -> str:
    """Return the address as given; refuse what is not a plain archive address."""
    if urlsplit(uri).scheme not in _SCHEMES or any(char.isspace() for char in uri):
        raise UsageError(
            f"the Debian mirror {uri!r} is not an address apt can use",
            not_done="the lab image was not built",
            next_step="give --mirror an address such as http://HOST/debian",
        )
    return uri.rstrip("/")
