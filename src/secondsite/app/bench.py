"""Where an operator works: an estate, its state on disk, hands on its hosts, and everything a runbook may call."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from ..estate.load import load_estate
from ..estate.model import Estate, WorkloadName
from ..hands import actions as hand_actions
from ..hands import controllers, erasures, fencing, keepers, restoring, secrets
from ..hands.age import LAB_LIMITATION, Safe
from ..hands.approvers import LAB_AUTHOR, SshApprovers, make_lab_persons
from ..hands.authors import LabAuthors, SshAuthors
from ..hands.dns import NameServer
from ..hands.first_backups import FirstBackups
from ..hands.isolation import CarrierFilter, CarrierIsolation
from ..hands.keys import RUNNER, Trust
from ..hands.machines import Machines
from ..hands.power import OutletFence
from ..hands.pyinfra import Bootstrap
from ..hands.ssh import SshHands
from ..lab.model import LabSettings
from ..probes import actions as probe_actions
from ..run.ports import Authors, Fence, Observer, Registry
from ..store.clock import SystemClock
from ..store.orders import LIMITATION as ORDERS_LIMITATION
from ..store.orders import SignedOrders
from ..store.runs import Crew, RunStore
from ..workloads import actions as workload_actions
from ..workloads.lease_end import LeaseEnd
from ..workloads.ports import WorkloadAdapter
from . import escrow_steps, kit, procedures
from .fences import fence_registry
from .lookout import Lookout, open_lookout, targets_of
from .places import PROJECT, holders_keys, lab_holders, lab_of, login, state_path
from .power import outlet_fence
from .provision import Keys, bootstrap_of, provisioning_registry
from .rehearsals import was_rehearsed
from .workloads import adapters_of

PERSONS = "approvers"


@dataclass(frozen=True, slots=True, kw_only=True)
class Bench:
    """Everything there is to work with on one estate.

    ``hands`` may do everything on hosts; runbooks act through ``runner``, who may do no more than their verbs.
    """

    estate: Estate
    state: Path
    clock: SystemClock
    hands: SshHands
    runner: SshHands
    trust: Trust
    safe: Safe
    known: secrets.Secrets
    carriers: CarrierFilter
    outlets: OutletFence
    adapters: Mapping[WorkloadName, WorkloadAdapter]
    registry: Registry
    orders: SignedOrders
    approvers: SshApprovers
    authors: Authors
    by: str

    def crew(self, *observers: Observer) -> Crew:
        """Return who a run works with."""
        return Crew(
            registry=self.registry,
            orders=self.orders,
            approvers=self.approvers,
            observers=observers,
            authors=self.authors,
            by=self.by,
        )

    def limitations(self) -> tuple[str, ...]:
        """Say what a report must know of how this bench works."""
        return (*([LAB_LIMITATION] if self.safe.makes_keys else []), ORDERS_LIMITATION)


def bootstrap_for(lab: LabSettings | None) -> Bootstrap:
    """Return how hosts are reached before first contact, as this process's environment says."""
    return bootstrap_of(lab, os.environ)


def run_store(estate: Estate) -> RunStore:
    """Return the runs of an estate. Reading them makes nothing; the first session makes the state directory."""
    directory = Path(estate.directory)
    return RunStore(state_path(estate), root=PROJECT, clock=SystemClock(), estate_now=lambda: load_estate(directory))


def approvers_of(estate: Estate) -> SshApprovers:
    """Return who may consent: the persons named in ``approvers`` beside the estate's files, on a lab the lab's own."""
    if lab_of(estate) is None:
        return SshApprovers(allowed=Path(estate.directory) / "approvers")
    folder = state_path(estate) / PERSONS
    make_lab_persons(folder)
    return SshApprovers(allowed=folder / "allowed_signers")


def authors_of(estate: Estate) -> Authors:
    """Return who answers for runbooks: persons in ``approvers`` by what they signed beside the estate's files.

    On a lab its own author signs whatever is run.
    """
    if lab_of(estate) is None:
        return signed_runbooks(estate)
    key, now = lab_persons(estate) / LAB_AUTHOR, SystemClock().now
    return LabAuthors(
        authors=signed_runbooks(estate), name=LAB_AUTHOR, key=key, now=lambda: now().isoformat(timespec="seconds")
    )


def signed_runbooks(estate: Estate) -> SshAuthors:
    """Return the signed versions of runbooks: beside the estate's files, so that they are reviewed like them.

    A lab's lie in its state, for its files are everybody's.
    """
    beside = Path(estate.directory) if lab_of(estate) is None else state_path(estate)
    return SshAuthors(allowed=approvers_of(estate).allowed, folder=beside / "signed-runbooks")


def lab_persons(estate: Estate) -> Path:
    """Return the folder with the keys of a lab's persons.

    A lab's first controller keeps them in its state, and no copy of it has them: whoever goes on from a copy says where
    the lab's persons have their keys, in SECONDSITE_LAB_PERSONS.
    """
    return Path(os.environ.get("SECONDSITE_LAB_PERSONS", state_path(estate) / PERSONS))


def ssh_agent() -> str:
    """Return the socket of the ssh-agent of whoever runs this, or nothing."""
    return os.environ.get("SSH_AUTH_SOCK", "")


def checks_environment() -> dict[str, str]:
    """Return what the estate's checks may know of this process's environment."""
    kept = ("PATH", "HOME", "LANG", "PYTHONPATH", "TMPDIR")
    return {name: os.environ[name] for name in kept if name in os.environ}


@contextlib.contextmanager
def open_bench(estate: Estate, *, by: str = "") -> Iterator[Bench]:
    """Get ready to work on an estate: for a lab, inside its control namespace and nowhere else.

    ``by`` is who begins what is done at it; whoever is logged in, when it is not said.

    Raises:
        UsageError: the lab is not up.
    """
    with open_lookout(estate) as lookout:
        runner = SshHands(
            targets_of(estate, lookout.trust, RUNNER),
            known_hosts=lookout.trust.pins,
            monotonic=lookout.clock.monotonic,
        )
        try:
            yield _furnished(lookout, runner, by=by or login())
        finally:
            runner.close()


def _furnished(lookout: Lookout, runner: SshHands, *, by: str) -> Bench:
    estate, state, clock = lookout.estate, lookout.state, lookout.clock
    hands, trust, safe, lab = lookout.hands, lookout.trust, lookout.safe, lab_of(lookout.estate)
    known = secrets.make(safe.directory, safe=safe)
    authorities = keepers.authorities_of(estate, safe)
    carriers = CarrierFilter(runner)
    adapters = adapters_of(estate, runner, clock)
    servers = _servers(estate, known)
    by_hand = hand_actions.Steps(estate=estate, hands=runner, filter=carriers, name_servers=servers, clock=clock)
    outlets = outlet_fence(estate, lab=lab, safe=safe, state=state)
    store = run_store(estate)
    leases = LeaseEnd(estate, adapters=adapters, hands=runner, rehearsed=lambda *of: was_rehearsed(store, estate, *of))
    fences: dict[str, Fence] = {
        fencing.ISOLATION: CarrierIsolation(carriers),
        fencing.POWER: outlets,
        fencing.LEASE: leases,
    }
    parts = (
        by_hand.registry(),
        fencing.Steps(fences=fences).registry(),
        workload_actions.Steps(adapters=adapters).registry(),
        fence_registry(estate, carriers=carriers, outlets=outlets, adapters=adapters),
        probe_actions.Steps(estate=estate, hands=runner, clock=clock).registry(),
        controllers.Steps(hands=hands).registry(),
        Machines(estate=estate, hands=runner, path=state / "machines.json").registry(),
        procedures.Steps(estate=estate, hands=hands).registry(),
        kit.Steps(estate=estate, hands=hands, ssh_config=trust.ssh_config, state=state).registry(),
        FirstBackups(hands=hands).registry(),
        restoring.Steps(hands=hands).registry(),
        erasures.Steps(hands=runner, clock=clock).registry(),
        keepers.Steps(estate=estate, hands=hands, authorities=authorities, now=clock.now).registry(),
        escrow_steps.Steps(
            estate=estate,
            hands=hands,
            safe=safe,
            state=state,
            clock=clock,
            keys=holders_keys() or tuple(lab_holders(estate).values()),
        ).registry(),
        provisioning_registry(
            estate,
            project=PROJECT,
            bootstrap=bootstrap_for(lab),
            keys=Keys(trust=trust, safe=safe, authorities=authorities),
            state=state,
            clock=clock,
        ),
    )
    return Bench(
        estate=estate,
        state=state,
        clock=clock,
        hands=hands,
        runner=runner,
        trust=trust,
        safe=safe,
        known=known,
        carriers=carriers,
        outlets=outlets,
        adapters=adapters,
        registry=_joined(*parts),
        orders=SignedOrders(state, estate=estate, now=clock.now),
        approvers=approvers_of(estate),
        authors=authors_of(estate),
        by=by,
    )


def _joined(*parts: Registry) -> Registry:
    return Registry(
        actions={name: action for part in parts for name, action in part.actions.items()},
        probes={name: probe for part in parts for name, probe in part.probes.items()},
        ready={name: ready for part in parts for name, ready in part.ready.items()},
        challenge=next((part.challenge for part in parts if part.challenge is not None), None),
    )


def _servers(estate: Estate, known: secrets.Secrets) -> dict[str, NameServer]:
    key = known.tsig_update
    return {
        service.name: NameServer(
            address=str(estate.hosts[service.name_server].management),
            zone=service.zone,
            key_name=key.name,
            secret=lambda: key.secret,
        )
        for service in estate.published
    }
