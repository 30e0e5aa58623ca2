"""Where things are: this project, an estate's files, its state on disk, and its secrets."""

from __future__ import annotations

import getpass
import os
from pathlib import Path

from ..errors import UsageError
from ..estate.load import load_estate
from ..estate.model import Estate
from ..hands.age import Safe, own_safe
from ..lab.model import LabSettings

PROJECT = Path(__file__).resolve().parents[3]
RUNBOOKS = PROJECT / "runbooks"
SCENARIOS = PROJECT / "drtests" / "scenarios"
CHECKS = PROJECT / "drtests"
DEFAULT_ESTATE = PROJECT / "inventories" / "lab"
TOPOLOGY = "lab.yml"


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
        cache=Path(os.environ.get("SECONDSITE_CACHE", "/var/cache/secondsite")),
        topology=topology,
    )


def safe_of(estate: Estate) -> Safe:
    """Return where the estate's secrets are sealed: a lab's own in its state, others beside the estate's files."""
    state = state_of(estate)
    if lab_of(estate) is not None:
        return own_safe(state / "secrets")
    escrow = os.environ.get("SECONDSITE_ESCROW")
    return Safe(
        directory=Path(estate.directory) / "secrets",
        identity=Path(os.environ.get("SECONDSITE_IDENTITY", state / "identity")),
        escrow=Path(escrow) if escrow else None,
    )


def login() -> str:
    """Return who works here: the person behind sudo, if it is known, else who is logged in."""
    return os.environ.get("SUDO_USER") or getpass.getuser()
