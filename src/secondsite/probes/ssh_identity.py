"""Which host certificates hosts show to whoever connects, seen from the controller."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping, Sequence

from ..checks.model import Section
from ..estate.model import Host, HostName, SiteName

_KEY_TYPE = "ed25519"
_WITHIN_S = 3


def presented(
    hosts: Sequence[Host], *, authority: Mapping[SiteName, str], pinned: Mapping[str, str]
) -> dict[HostName, Section]:
    """Return by host the certificate it showed, the authority that should have signed it, and its pinned key.

    ``authority`` is by site and ``pinned`` by management address, as public lines.
    """
    addresses = {host.name: str(host.management) for host in hosts}
    try:
        shown = _scan(["-c", "-t", _KEY_TYPE], list(addresses.values()))
        silent = sorted(set(addresses.values()) - set(shown))
        plain = _scan([], silent) if silent else {}
    except _NotScanned as error:
        return dict.fromkeys(addresses, Section(trouble=str(error)))
    found = {}
    for host in hosts:
        address = addresses[host.name]
        found[host.name] = Section(
            value={
                "presented": shown.get(address, ""),
                "authority": authority[host.site],
                "pinned": pinned.get(address, ""),
            },
            trouble="" if address in {*shown, *plain} else "it did not answer SSH",
        )
    return found


class _NotScanned(Exception):  # noqa: N818  what was observed
    """Nothing can be said about any host."""


def _scan(options: Sequence[str], addresses: Sequence[str]) -> dict[str, str]:
    """Return what each address showed; one that shows no certificate may still show a plain key."""
    argv = ["ssh-keyscan", *options, "-T", str(_WITHIN_S), "--", *addresses]
    try:
        done = subprocess.run(
            argv, capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=5 * _WITHIN_S, check=False
        )
    except FileNotFoundError as error:
        raise _NotScanned("this machine has no ssh-keyscan") from error
    except subprocess.TimeoutExpired as error:
        raise _NotScanned(f"ssh-keyscan gave no answer in {5 * _WITHIN_S} s") from error
    lines = [line for line in done.stdout.splitlines() if " " in line and not line.startswith("#")]
    return dict(line.split(" ", 1) for line in lines)
