"""Who provisions: pyinfra for first contact, Ansible for the state of hosts."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ..estate.model import Estate
from ..hands import provisioning, secrets
from ..hands.age import Safe
from ..hands.ansible import AnsibleDoor
from ..hands.authorities import Authorities
from ..hands.keys import Trust
from ..hands.pyinfra import Bootstrap, PyinfraDoor
from ..lab.model import LabSettings
from ..run.ports import Registry
from ..store.clock import SystemClock

PYINFRA = Path(".venv-pyinfra") / "bin" / "pyinfra"


@dataclass(frozen=True, slots=True, kw_only=True)
class Keys:
    """What provisioning hands out: who may log in, the sealed secrets, the sites' authorities."""

    trust: Trust
    safe: Safe
    authorities: Authorities


def provisioning_registry(
    estate: Estate, *, project: Path, lab: LabSettings | None, keys: Keys, state: Path, clock: SystemClock
) -> Registry:
    """Return the steps of provisioning. A lab hands over its own pins and key; others lie in ``<state>/bootstrap``."""
    given = state / "bootstrap"
    bootstrap = Bootstrap(
        pins=lab.known_hosts if lab is not None else given / "known_hosts",
        key=lab.key if lab is not None else given / "id_ed25519",
    )

    def variables() -> dict[str, object]:
        known = secrets.make(keys.safe.directory, safe=keys.safe)
        return dict(provisioning.variables_of(estate, state=state, known=known, authorities=keys.authorities))

    return provisioning.registry(
        estate,
        pyinfra=PyinfraDoor(project / PYINFRA, trust=keys.trust, bootstrap=bootstrap),
        ansible=AnsibleDoor(list(estate.hosts.values()), trust=keys.trust, variables=variables),
        now=clock.now,
    )
