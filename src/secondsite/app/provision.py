"""Who provisions: pyinfra for first contact, Ansible for the state of hosts."""

from __future__ import annotations

from collections.abc import Mapping
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
from ..probes.ship import scripts
from ..run.ports import Registry
from ..store.clock import SystemClock

KNOWN_HOSTS = "SECONDSITE_KNOWN_HOSTS"
BOOTSTRAP_KEY = "SECONDSITE_BOOTSTRAP_KEY"
BOOTSTRAP_USER = "SECONDSITE_BOOTSTRAP_USER"
PYINFRA = Path(".venv-pyinfra") / "bin" / "pyinfra"


@dataclass(frozen=True, slots=True, kw_only=True)
class Keys:
    """What provisioning hands out: who may log in, the sealed secrets, the sites' authorities."""

    trust: Trust
    safe: Safe
    authorities: Authorities


def bootstrap_of(lab: LabSettings | None, environment: Mapping[str, str]) -> Bootstrap:
    """Return how bare hosts are reached the first time: with the key and the pins that their owner uses already.

    A lab keeps both; whoever goes on from another state than the lab's names them, as for hosts of one's own.
    """
    if lab is not None and not {KNOWN_HOSTS, BOOTSTRAP_KEY} <= environment.keys():
        return Bootstrap(pins=lab.known_hosts, key=lab.key)
    home = Path(environment.get("HOME", "/root")) / ".ssh"
    return Bootstrap(
        pins=Path(environment.get(KNOWN_HOSTS, home / "known_hosts")),
        key=Path(environment.get(BOOTSTRAP_KEY, home / "id_ed25519")),
        user=environment.get(BOOTSTRAP_USER, "root"),
    )


def provisioning_registry(
    estate: Estate, *, project: Path, bootstrap: Bootstrap, keys: Keys, state: Path, clock: SystemClock
) -> Registry:
    """Return the steps of provisioning."""

    def variables(of: Estate) -> dict[str, object]:
        known = secrets.make(keys.safe.directory, safe=keys.safe)
        access = provisioning.Access(scripts=scripts(), revoked=keys.trust.revoked())
        told = provisioning.variables_of(of, state=state, known=known, authorities=keys.authorities, access=access)
        # who joins what is left finds an agreement that goes on, and must not begin one of its own; and no shop opens
        # by itself over what was restored, before it is known that nobody erased is in it
        whole = {"etcd_initial_state": "existing", "backup_numbers": _numbers(estate), "shop_home": ""}
        return {**told, **whole} if of != estate else dict(told)

    def door(of: Estate) -> AnsibleDoor:
        return AnsibleDoor(list(of.hosts.values()), trust=keys.trust, variables=lambda: variables(of))

    return provisioning.registry(
        estate,
        pyinfra=PyinfraDoor(project / PYINFRA, trust=keys.trust, bootstrap=bootstrap),
        ansible=door,
        now=clock.now,
    )


def _numbers(estate: Estate) -> dict[str, int]:
    """Number the repositories as the roles do, which see no more than the estate they are given."""
    repositories = sorted(str(host.name) for host in estate.hosts.values() if "repository" in host.groups)
    return {name: number for number, name in enumerate(repositories, start=1)}
