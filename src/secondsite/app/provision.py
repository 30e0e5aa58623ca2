"""Who provisions: pyinfra for first contact, Ansible for the state of hosts."""

from __future__ import annotations

from pathlib import Path

from ..estate.model import Estate
from ..hands import provisioning, secrets
from ..hands.ansible import AnsibleDoor
from ..hands.keys import Trust
from ..hands.pyinfra import Bootstrap, PyinfraDoor
from ..lab.model import LabSettings
from ..run.ports import Registry
from ..store.clock import SystemClock

PYINFRA = Path(".venv-pyinfra") / "bin" / "pyinfra"


def provisioning_registry(
    estate: Estate, *, project: Path, lab: LabSettings | None, trust: Trust, state: Path, clock: SystemClock
) -> Registry:
    """Return the steps of provisioning. A lab hands over its own pins and key; others lie in ``<state>/bootstrap``."""
    given = state / "bootstrap"
    bootstrap = Bootstrap(
        pins=lab.known_hosts if lab is not None else given / "known_hosts",
        key=lab.key if lab is not None else given / "id_ed25519",
    )

    def variables() -> dict[str, object]:
        known = secrets.make(state / "secrets")
        return dict(provisioning.variables_of(estate, state=state, known=known))

    return provisioning.registry(
        estate,
        pyinfra=PyinfraDoor(project / PYINFRA, trust=trust, bootstrap=bootstrap),
        ansible=AnsibleDoor(list(estate.hosts.values()), trust=trust, variables=variables),
        now=clock.now,
    )
