"""Which packages the roles want on a host, read from the roles themselves."""

from __future__ import annotations

from pathlib import Path

from ...errors import ConfigError
from ...estate.model import Host
from ...estate.strict.load import read_document

FILE = Path("roles") / "group_vars" / "all" / "packages.yml"


def packages_by_group(project: Path) -> dict[str, tuple[str, ...]]:
    """Return the packages of each group.

    Raises:
        ConfigError: the file is not what it should be.
    """
    document = read_document(project / FILE)
    body = document.value if isinstance(document.value, dict) else {}
    wanted = body.get("base_packages")
    if document.problems or not isinstance(wanted, dict):
        raise ConfigError(document.problems or [document.problem("/base_packages", "is no mapping of groups")])
    return {str(group): tuple(map(str, names)) for group, names in wanted.items() if isinstance(names, list)}


def packages_of(host: Host, by_group: dict[str, tuple[str, ...]]) -> tuple[str, ...]:
    """Return what one host needs, in order."""
    return tuple(sorted({name for group in ("all", *host.groups) for name in by_group.get(group, ())}))
