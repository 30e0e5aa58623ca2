"""The steps that provision hosts: first contact, convergence, and saying which hosts were left out.

Hosts that can't be reached don't hold up the others: they are noted, the rest is finished, and the last step ends the
run with their names.
"""

from __future__ import annotations

import datetime as dt
import json
from base64 import b64encode
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

from ..errors import ActionError, Effect, MeasurementError, Unreachable
from ..estate.left import left_after
from ..estate.model import Estate, Host, SiteName
from ..estate.nftables.rules import rulesets
from ..estate.routing.model import EdgeRouting
from ..estate.routing.rules import routing_of
from ..run.model import Json, Seen
from ..run.ports import Action, Outcome, Probe, Registry, StepContext
from . import secrets
from .ansible import AnsibleDoor, Converged, Play
from .authorities import Authorities
from .declared import declared_variables
from .keepers import told_of
from .keys import Trust
from .pyinfra import Contacted, PyinfraDoor
from .tunnels import tunnel_keys


@dataclass(frozen=True, slots=True, kw_only=True)
class Access:
    """What role ``access`` lays: the approved scripts by file name, and the public keys that open nothing any more."""

    scripts: Mapping[str, str] = field(default_factory=dict)
    revoked: Sequence[str] = ()


def variables_of(
    estate: Estate, *, state: Path, known: secrets.Secrets, authorities: Authorities, access: Access
) -> Mapping[str, object]:
    """Return what the roles are told beside the inventory."""
    return {
        "estate_name": estate.name,
        "estate_state": str(state),
        "estate_authorities": told_of(estate, authorities),
        # base64, because a script may hold what Ansible takes for a template
        "estate_scripts": {name: b64encode(text.encode()).decode("ascii") for name, text in access.scripts.items()},
        "estate_revoked_keys": list(access.revoked),
        "estate_secrets": dict(known.document),
        **declared_variables(estate),
        **_routing(estate, known),
        "estate_firewall": {str(host): text for host, text in rulesets(estate).items()},
    }


def _routing(estate: Estate, known: secrets.Secrets) -> Mapping[str, object]:
    plans = routing_of(estate)
    routers: dict[str, object] = json.loads(
        json.dumps({host: asdict(plan) for host, plan in plans.items()}, default=str)
    )
    edges = [str(host) for host, plan in plans.items() if isinstance(plan, EdgeRouting)]
    return {"estate_routing": routers, "estate_tunnel_keys": tunnel_keys(str(known.document["tunnels"]), edges)}


@dataclass(frozen=True, slots=True, kw_only=True)
class FirstContact:
    """Sees to it that only certificates open the hosts."""

    estate: Estate
    door: PyinfraDoor
    now: Callable[[], dt.datetime]

    def perform(self, arguments: Json, *, key: str, context: StepContext) -> Outcome:  # noqa: ARG002  repeatable
        """Make first contact with every host that is due.

        Raises:
            Unreachable: no host answered at all.
            ActionError: it failed on some hosts; they are named.
        """
        hosts = _hosts(self.estate, arguments)
        contacted = self._contacted(hosts, context)
        reached = [str(host.name) for host in hosts if host.name not in contacted.unreachable]
        _require_contact(contacted, reached=reached)
        said = f"{len(contacted.made)} of {len(hosts)} hosts were new"
        detail = {
            "said": said if contacted.made else f"nothing to change: {said}",
            "reached": reached,
            "made": list(contacted.made),
            "unreachable": dict(contacted.unreachable),
        }
        return Outcome(changed=bool(contacted.made), detail=detail)

    def _contacted(self, hosts: Sequence[Host], context: StepContext) -> Contacted:
        """Make first contact, and once more with hosts on which it failed: one that just started may answer slowly."""
        now, directory = self.now(), _work(context)
        first = self.door.first_contact(hosts, directory=directory, now=now, timeout=context.timeout)
        slow = [host for host in hosts if host.name in first.failed]
        if not slow:
            return first
        again = self.door.first_contact(slow, directory=directory / "again", now=now, timeout=context.timeout)
        return Contacted(
            already=(*first.already, *again.already),
            made=(*first.made, *again.made),
            unreachable={**first.unreachable, **again.unreachable},
            failed=again.failed,
        )

    def look(self, arguments: Json, *, key: str, context: StepContext) -> Seen:  # noqa: ARG002  the arguments name it
        """Ask every host, by certificate, whether first contact is complete."""
        due = self.door.due(_hosts(self.estate, arguments))
        return Seen(effect=Effect.NONE if due else Effect.APPLIED, detail={"due": list(due)})


@dataclass(frozen=True, slots=True, kw_only=True)
class Converge:
    """Brings hosts to the state their roles describe.

    ``door_of`` makes the door to another estate than the whole one: what is left of it when a site is gone for good.
    """

    estate: Estate
    door: AnsibleDoor
    door_of: Callable[[Estate], AnsibleDoor]

    def perform(self, arguments: Json, *, key: str, context: StepContext) -> Outcome:  # noqa: ARG002  repeatable
        """Run the playbook that the plan pinned, on the hosts that were reached.

        With ``lost`` the roles know nothing of that site's hosts, and every workload is at home at the site ``home``.

        Raises:
            ActionError: tasks failed; the hosts and tasks are named.
        """
        estate, door = self.estate, self.door
        if "lost" in arguments:
            estate = left_after(estate, SiteName(str(arguments["lost"])), home=SiteName(str(arguments["home"])))
            door = self.door_of(estate)
        hosts = tuple(str(host.name) for host in _hosts(estate, arguments))
        tags = tuple(str(tag) for tag in _list(arguments, "tags"))
        play = Play(playbook=context.files / str(arguments["playbook"]), hosts=hosts, tags=tags)
        converged = door.converge(play, directory=_work(context), timeout=context.timeout)
        _require_no_failure(converged)
        return Outcome(changed=converged.changed > 0, detail=_detail(converged))


@dataclass(frozen=True, slots=True, kw_only=True)
class RequireAll:
    """Ends the run with the names of the hosts that earlier steps had to leave out."""

    def perform(self, arguments: Json, *, key: str, context: StepContext) -> Outcome:  # noqa: ARG002  reads only
        """Pass when no host was left out.

        Raises:
            Unreachable: some were.
        """
        missed = {name: why for found in _list(arguments, "unreachable") for name, why in _reasons(found)}
        if missed:
            raise Unreachable(
                "unreachable: " + "; ".join(f"{host}: {why}" for host, why in sorted(missed.items())),
                not_done="they were left as they were; the other hosts are provisioned",
                next_step="bring them up, then provision again",
            )
        return Outcome(changed=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadRevoked:
    """Tells which keys open nothing any more."""

    trust: Trust

    def perform(self, arguments: Json, *, key: str, context: StepContext) -> Outcome:  # noqa: ARG002  reads only
        """Return them.

        Raises:
            MeasurementError: there are none, so nobody would be refused.
        """
        revoked = list(self.trust.revoked())
        if not revoked:
            raise MeasurementError("no key is revoked here, so that nobody would be refused")
        return Outcome(changed=False, detail={"revoked": revoked})


@dataclass(frozen=True, slots=True, kw_only=True)
class RenewIdentities:
    """Revokes the keys that log in, and makes new ones."""

    trust: Trust
    now: Callable[[], dt.datetime]

    def perform(self, arguments: Json, *, key: str, context: StepContext) -> Outcome:  # noqa: ARG002  repeatable
        """Renew them at every site."""
        gone = [line for site in self.trust.sites for line in self.trust.renew(site, now=self.now())]
        return Outcome(changed=True, detail={"revoked": gone})


def registry(
    estate: Estate, *, pyinfra: PyinfraDoor, ansible: Callable[[Estate], AnsibleDoor], now: Callable[[], dt.datetime]
) -> Registry:
    """Name every action and probe of provisioning."""
    contact = FirstContact(estate=estate, door=pyinfra, now=now)
    actions: dict[str, Action] = {
        "first-contact": contact,
        "converge": Converge(estate=estate, door=ansible(estate), door_of=ansible),
        "require-all-hosts": RequireAll(),
        "read-revoked": ReadRevoked(trust=pyinfra.trust),
        "renew-identities": RenewIdentities(trust=pyinfra.trust, now=now),
    }
    probes: dict[str, Probe] = {"contacted": contact}
    return Registry(actions=actions, probes=probes)


def _hosts(estate: Estate, arguments: Json) -> tuple[Host, ...]:
    wanted = [str(name) for name in _list(arguments, "hosts")]
    unknown = sorted(set(wanted) - set(map(str, estate.hosts)))
    if unknown or not wanted:
        raise ActionError(f"no such hosts in {estate.name}: {unknown or 'none named'}", effect=Effect.NONE)
    return tuple(host for host in estate.hosts.values() if host.name in wanted)


def _list(arguments: Json, name: str) -> list[object]:
    value = arguments.get(name, [])
    if not isinstance(value, list):
        raise ActionError(f"argument {name} must be a list, got {value!r}", effect=Effect.NONE)
    return value


def _reasons(found: object) -> list[tuple[str, str]]:
    if not isinstance(found, Mapping):
        raise MeasurementError(f"which hosts were unreachable is not known: {found!r}")
    return [(str(host), str(why)) for host, why in found.items()]


def _work(context: StepContext) -> Path:
    """Return where this attempt may write: inside the run's folder."""
    return context.files.parent / "work" / f"{context.step}-{context.attempt}"


def _require_contact(contacted: Contacted, *, reached: list[str]) -> None:
    if contacted.failed:
        reasons = "; ".join(f"{host}: {why}" for host, why in sorted(contacted.failed.items()))
        raise ActionError(f"first contact failed on {reasons}", effect=Effect.UNKNOWN, next_step="provision again")
    if not reached:
        reasons = "; ".join(f"{host}: {why}" for host, why in sorted(contacted.unreachable.items()))
        raise Unreachable(f"no host answers: {reasons}", not_done="nothing was changed anywhere")


def _require_no_failure(converged: Converged) -> None:
    if not converged.failures:
        return
    first = converged.failures[0]
    more = f" (and {len(converged.failures) - 1} more)" if len(converged.failures) > 1 else ""
    raise ActionError(
        f"{first.host}: task {first.task!r} failed: {first.said}{more}",
        effect=Effect.APPLIED,  # in part: Ansible told of every task what came of it
        retryable=True,
        next_step="mend the cause, then provision again: what is done already is not done twice",
    )


def _detail(converged: Converged) -> Json:
    return {
        "said": converged.sentence(),
        "tasks": converged.tasks,
        "changed": converged.changed,
        "hosts": len(converged.hosts),
        "changed_tasks": dict(converged.changed_tasks),
        "unreachable": dict.fromkeys(converged.unreachable, "did not answer while its roles were applied"),
        "strategy": converged.strategy,
    }
