"""What place a host says it has, beside the one that the estate gives it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from .model import Estate, HostName


def misplaced(estate: Estate, host: str, place: Mapping[str, object]) -> Iterator[str]:
    """Yield everything in which a host's own word differs from what the estate says of it."""
    meant = estate.hosts.get(HostName(host))
    if meant is None:
        yield f"{estate.name} has no such host"
        return
    expected = {"estate": estate.name, "host": str(meant.name), "site": str(meant.site), "groups": sorted(meant.groups)}
    for key, value in expected.items():
        if place.get(key) != value:
            yield f"its {key} is {_told(place.get(key))}, and should be {_told(value)}"


def _told(value: object) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)[:80]
