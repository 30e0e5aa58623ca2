"""Where things are: this project, an estate's files, its state on disk, and its secrets."""

from __future__ import annotations

import getpass
import os
from collections.abc import Mapping
from pathlib import Path

from ..errors import UsageError
from ..estate.load import load_estate
from ..estate.model import Estate
from ..hands.age import Safe
from ..hands.escrow import FOLDER, LAB_HOLDERS, lab_keys, open_packages, own_safe
from ..lab.model import LabSettings
from ..store.standby import SECRETS

PROJECT = Path(__file__).resolve().parents[3]
RUNBOOKS = PROJECT / "runbooks"
SCENARIOS = PROJECT / "drtests" / "scenarios"
CHECKS = PROJECT / "drtests"
DEFAULT_ESTATE = PROJECT / "inventories" / "lab"
TOPOLOGY = "lab.yml"
SENT_KIT = "kit.json"
"""In a state: which kit the vault was given last."""


def estate(directory: Path | None = None) -> Estate:
    """Return the estate in a directory; without one, SECONDSITE_ESTATE's or the lab's.

    Raises:
        ConfigError: its files are wrong.
    """
    return load_estate(directory or Path(os.environ.get("SECONDSITE_ESTATE", DEFAULT_ESTATE)))


def state_path(estate: Estate) -> Path:
    """Return where the estate's state is, or would be."""
    return Path(os.environ.get("SECONDSITE_STATE", f"/var/lib/secondsite/{estate.name}")).absolute()


def state_of(estate: Estate) -> Path:
    """Return the estate's state directory, made if it was not there.

    Raises:
        UsageError: it can't be made.
    """
    state = state_path(estate)
    try:
        state.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(
            f"the state directory {state} can't be made: {error.strerror}",
            not_done="nothing was attempted",
            next_step="run it as root, or name another one in SECONDSITE_STATE",
        ) from error
    return state


def lab_of(estate: Estate) -> LabSettings | None:
    """Return which lab the estate runs on, or None when its hosts are somebody's own."""
    topology = Path(estate.directory).absolute() / TOPOLOGY  # a lab that stands knows its topology by this name
    if not topology.exists():
        return None
    return LabSettings(
        instance=os.environ.get("SECONDSITE_LAB", "ss"),
        state=state_of(estate),
        cache=cache_path(),
        topology=topology,
    )


def cache_path() -> Path:
    """Return where is kept what can be made or fetched again: images, packages, kits."""
    return Path(os.environ.get("SECONDSITE_CACHE", "/var/cache/secondsite"))


def safe_of(estate: Estate) -> Safe:
    """Return where the estate's secrets are sealed: a lab's own in its state, others beside the estate's files."""
    state, keys = state_of(estate), holders_keys()
    if lab_of(estate) is not None:
        holders = estate.escrow.holders if estate.escrow is not None else LAB_HOLDERS
        return own_safe(state / SECRETS, estate=estate.name, holders=holders, keys=keys)
    directory = Path(estate.directory) / SECRETS
    packages = Path(os.environ.get("SECONDSITE_ESCROW", directory / FOLDER))
    return Safe(
        directory=directory,
        identity=Path(os.environ.get("SECONDSITE_IDENTITY", state / "identity")),
        escrow=(lambda: open_packages(packages, keys).identity) if keys else None,
    )


def holders_keys() -> list[Path]:
    """Return the key files of holders of escrow who came, as SECONDSITE_HOLDERS names them."""
    return [Path(word) for word in os.environ.get("SECONDSITE_HOLDERS", "").split(os.pathsep) if word]


def lab_holders(estate: Estate) -> Mapping[str, Path]:
    """Return the keys of a lab's holders of escrow, by name; none where the lab began from a copy."""
    held = lab_keys(safe_of(estate).directory)
    return {name: key for name, key in held.items() if estate.escrow is None or name in estate.escrow.holders}


def login() -> str:
    """Return who works here: the person behind sudo, if it is known, else who is logged in."""
    return os.environ.get("SUDO_USER") or getpass.getuser()
