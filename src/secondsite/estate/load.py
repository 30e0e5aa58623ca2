"""Read the files of an estate strictly: everything wrong is reported at once, with file, line and hint."""

from __future__ import annotations

import copy
import hashlib
import itertools
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from ..errors import ConfigError, Problem
from .firewall.load import firewall_of
from .inventory.load import hosts_of, sentence
from .model import (
    DAYS,
    Caps,
    Commitment,
    Detection,
    Difference,
    DrillTerms,
    DrillWindow,
    Escrow,
    Estate,
    FencingKind,
    Host,
    HostName,
    Link,
    Objectives,
    Paging,
    Person,
    PowerSwitch,
    Quorum,
    Routing,
    Service,
    ServiceLevel,
    Site,
    SiteFencing,
    SiteKind,
    SiteName,
    StandingOrderReference,
    Workload,
    WorkloadName,
)
from .production.load import production_of
from .rules import Declared, contradictions
from .schema.load import DURATION_HINT, EstateDocument, PowerSwitchDocument, RoutingDocument, WorkloadDocument
from .strict.load import Document, read_document, step_into

ESTATE_FILE = "estate.yml"
HOSTS_FILE = "hosts.yml"
SECTIONS_OF_ENTRIES = ("sites", "links", "workloads", "services", "fencing", "standing_orders", "commitments")
HINTS = {
    "missing": "add it",
    "extra_forbidden": "secondsite schema estate lists the keys",
    "string_type": "quote it if it is a word",
    "string_pattern_mismatch": "a small letter, then at most 62 small letters, digits and dashes",
}
# Stands in for a broken section while the others are still looked at; never reaches a caller.
_PLACEHOLDERS: dict[str, object] = {
    "name": "placeholder",
    "sites": {"a": {"kind": "datacenter"}, "b": {"kind": "datacenter"}},
    "workloads": {
        "placeholder": {
            "adapter": "patroni",
            "home": "a",
            "members": {"a": "a", "b": "b"},
            "objectives": {"rto": "1s", "rpo": "1s", "mtpd": "1s"},
        }
    },
    "quorum": {"adapter": "etcd", "members": ["a", "b", "c"]},
    "detection": {"vantage": ["a", "b"], "silence": "1s"},
    "service_level": {"success_ratio": 1.0, "latency": "1s", "sustained": "1s"},
    "drills": {"injections": [], "longest": "1m", "tenant": "drill"},
    "firewall": {"management": {"control": "198.19.0.1"}, "zones": {}, "services": {}, "flows": []},
}
_ENTRY_PLACEHOLDERS: dict[str, dict[str, object]] = {
    "links": {"carrier": "a", "site": "a"},
    "standing_orders": {"runbook": "a", "origin": "a", "target": "b"},
}


def load_estate(directory: Path) -> Estate:
    """Return the estate in a directory.

    Raises:
        ConfigError: something in ``estate.yml`` or ``hosts.yml`` is wrong; everything that is wrong is in it.
    """
    document = read_document(directory / ESTATE_FILE)
    inventory = read_document(directory / HOSTS_FILE)
    hosts, wrong_hosts, host_names = hosts_of(inventory)
    problems = [*document.problems, *wrong_hosts]
    if isinstance(document.value, dict):
        parse = _Parse.of(document, document.value)
        problems += parse.problems
        estate = _estate(directory, parse.parsed, hosts, digest_of(document, inventory))
        declared = _declared(document.value, host_names if inventory.value is not None else None, hosts)
        for one in contradictions(estate, declared):
            if one.in_inventory:
                problems.append(inventory.problem(_host_pointer(inventory, one.pointer), one.what, one.hint))
            elif not parse.leaves_out(one.pointer):
                problems.append(document.problem(one.pointer, one.what, one.hint))
        if not problems:
            return estate
    elif not document.problems:
        problems.append(document.problem("", "is no mapping", "secondsite schema estate shows its keys"))
    raise ConfigError(sorted(problems, key=lambda problem: (problem.file, problem.line or 0, problem.pointer)))


def digest_of(*documents: Document) -> str:
    """Return a SHA-256 over the names and bytes of the files."""
    digest = hashlib.sha256()
    for document in sorted(documents, key=lambda one: Path(one.file).name):
        digest.update(f"{Path(document.file).name}\0{len(document.content)}\0".encode())
        digest.update(document.content)
    return digest.hexdigest()


def estate_schema() -> dict[str, Any]:
    """Return the JSON schema of ``estate.yml``."""
    schema = EstateDocument.model_json_schema()
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema, "title": "estate.yml"}


SCHEMAS: Mapping[str, Callable[[], dict[str, Any]]] = {"estate": estate_schema}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Parse:
    """What could be understood of ``estate.yml``, what is wrong with it, and the parts that were left out for it."""

    parsed: EstateDocument
    problems: tuple[Problem, ...]
    left_out: frozenset[str]

    @classmethod
    def of(cls, document: Document, value: dict[str, object]) -> _Parse:
        remaining: dict[str, Any] = copy.deepcopy(value)
        problems: list[Problem] = []
        left_out: set[str] = set()
        for attempt in itertools.count():
            try:
                parsed = EstateDocument.model_validate(remaining)
            except ValidationError as error:
                found = error.errors(include_url=False)
                if attempt == 0:  # later ones come of what was left out
                    problems = [_problem(document, one) for one in found]
                left_out |= {_leave_out(remaining, one["loc"]) for one in found}
                continue
            known = {problem.pointer for problem in document.problems}
            problems = [problem for problem in problems if problem.pointer not in known]
            problems += _wrong_objectives(document, parsed)
            return cls(parsed=parsed, problems=tuple(problems), left_out=frozenset(left_out | known - {""}))
        raise AssertionError("itertools.count has no end")

    def leaves_out(self, pointer: str) -> bool:
        """Say whether a place is in a part that is reported already."""
        return any(f"{pointer}/".startswith(f"{part}/") for part in self.left_out)


def _problem(document: Document, one: ErrorDetails) -> Problem:
    pointer = ""
    for part in one["loc"]:
        if part != "[key]":
            pointer = step_into(pointer, part)
    what = sentence(one["type"], one["msg"])
    hint = DURATION_HINT if "duration" in what else HINTS.get(one["type"], "")
    return document.problem(pointer, what, hint)


def _leave_out(remaining: dict[str, Any], place: tuple[int | str, ...]) -> str:
    """Take the broken entry or section out, so that the rest can be looked at; return its pointer."""
    section, entry = str(place[0]), place[1] if len(place) > 1 else None
    inside = remaining.get(section)
    if section in SECTIONS_OF_ENTRIES and isinstance(inside, dict) and entry is not None:
        inside.pop(entry, None)
        return step_into(step_into("", section), entry)
    if section in SECTIONS_OF_ENTRIES and isinstance(inside, list) and isinstance(entry, int):
        inside[entry] = {**_ENTRY_PLACEHOLDERS[section], "name": f"placeholder-{entry}"}
        return step_into(step_into("", section), entry)
    if section in _PLACEHOLDERS:
        remaining[section] = copy.deepcopy(_PLACEHOLDERS[section])
    else:
        remaining.pop(section, None)
    return step_into("", section)


def _wrong_objectives(document: Document, parsed: EstateDocument) -> Iterator[Problem]:
    for name, workload in parsed.workloads.items():
        try:
            _objectives(workload)
        except ValueError as error:
            yield document.problem(f"/workloads/{name}/objectives", str(error), "mtpd is what the business survives")
            continue
        try:
            _from_vault(workload)
        except ValueError as error:
            yield document.problem(f"/workloads/{name}/from_vault", str(error), "mtpd is that of its objectives")


def _objectives(document: WorkloadDocument) -> Objectives:
    given = document.objectives
    return Objectives(rto=given.rto, rpo=given.rpo, mtpd=given.mtpd)


def _from_vault(document: WorkloadDocument) -> Objectives | None:
    given = document.from_vault
    return None if given is None else Objectives(rto=given.rto, rpo=given.rpo, mtpd=document.objectives.mtpd)


def _declared(value: dict[str, object], host_names: frozenset[str] | None, hosts: Mapping[HostName, Host]) -> Declared:
    whole = host_names is not None and len(hosts) == len(host_names)
    groups = frozenset(group for host in hosts.values() for group in host.groups) if whole else None

    def names(section: str) -> frozenset[str]:
        inside = value.get(section)
        return frozenset(inside) if isinstance(inside, dict) else frozenset()

    return Declared(sites=names("sites"), hosts=host_names, workloads=names("workloads"), groups=groups)


def _host_pointer(inventory: Document, name: str) -> str:
    found = [pointer for pointer in inventory.lines if pointer.endswith(f"/hosts{name}/ansible_host")]
    return found[0].removesuffix("/ansible_host") if found else ""


def _estate(directory: Path, parsed: EstateDocument, hosts: Mapping[HostName, Host], digest: str) -> Estate:
    return Estate(
        name=parsed.name,
        directory=str(directory),
        digest=digest,
        sites=_sites(parsed),
        hosts=hosts,
        links=tuple(
            Link(
                name=link.name,
                carrier=HostName(link.carrier),
                site=SiteName(link.site),
                duct=link.duct,
                transit=link.transit,
                gateway=link.gateway,
            )
            for link in parsed.links
        ),
        workloads=_workloads(parsed),
        services=_services(parsed),
        detection=Detection(
            vantage=tuple(HostName(name) for name in parsed.detection.vantage), silence=parsed.detection.silence
        ),
        injections=tuple(parsed.drills.injections),
        commitments=tuple(Commitment(id=name, kept_by=how) for name, how in parsed.commitments.items()),
        quorum=Quorum(adapter=parsed.quorum.adapter, members=tuple(HostName(name) for name in parsed.quorum.members)),
        service_level=ServiceLevel(
            success_ratio=parsed.service_level.success_ratio,
            latency=parsed.service_level.latency,
            sustained=parsed.service_level.sustained,
        ),
        drills=DrillTerms(
            injections=tuple(parsed.drills.injections),
            longest=parsed.drills.longest,
            tenant=parsed.drills.tenant,
            windows=tuple(
                DrillWindow(
                    days=frozenset(DAYS.index(day) for day in one.days),
                    begins=one.begins,
                    ends=one.ends,
                    zone=one.zone,
                    zone_name=one.zone.key,
                )
                for one in parsed.drills.windows
            ),
        ),
        caps=Caps(hosts=parsed.caps.hosts, sites=parsed.caps.sites),
        standing_orders=_standing_orders(parsed),
        persons=_persons(parsed),
        paging=_paging(parsed),
        production=production_of(parsed.production),
        escrow=_escrow(parsed),
        differences=tuple(Difference(what=one.what, why=one.why, until=one.until) for one in parsed.differences),
        firewall=firewall_of(parsed.firewall),
        routing=_routing(parsed.routing),
        fencing={
            SiteName(site): SiteFencing(
                site=SiteName(site),
                kinds=tuple(dict.fromkeys(FencingKind(kind) for kind in given.kinds)),
                power=_power_switch(given.power),
            )
            for site, given in parsed.fencing.items()
        },
    )


def _sites(parsed: EstateDocument) -> dict[SiteName, Site]:
    return {
        SiteName(name): Site(name=SiteName(name), kind=SiteKind(site.kind), network=site.network)
        for name, site in parsed.sites.items()
    }


def _routing(given: RoutingDocument | None) -> Routing | None:
    if given is None:
        return None
    return Routing(
        as_numbers={SiteName(site): number for site, number in given.as_numbers.items()},
        gateways={SiteName(site): address for site, address in given.gateways.items()},
        tunnels=given.tunnels,
        exchange=given.exchange,
    )


def _power_switch(given: PowerSwitchDocument | None) -> PowerSwitch | None:
    if given is None:
        return None
    return PowerSwitch(
        agent=given.agent,
        address=given.address,
        port=given.port,
        stands_on=SiteName(given.stands_on),
        outlets={HostName(host): outlet for host, outlet in given.outlets.items()},
        outlet_option=given.outlet_option,
        options={name: str(value) for name, value in given.options.items()},
    )


def _members(members: Mapping[str, str]) -> dict[SiteName, HostName]:
    return {SiteName(site): HostName(host) for site, host in members.items()}


def _workloads(parsed: EstateDocument) -> dict[WorkloadName, Workload]:
    workloads: dict[WorkloadName, Workload] = {}
    for word, given in parsed.workloads.items():
        try:
            objectives, from_vault = _objectives(given), _from_vault(given)
        except ValueError:
            continue  # reported by _wrong_objectives
        name = WorkloadName(word)
        workloads[name] = Workload(
            name=name,
            adapter=given.adapter,
            home=SiteName(given.home),
            members=_members(given.members),
            objectives=objectives,
            depends_on=tuple(WorkloadName(needed) for needed in given.depends_on),
            is_control_arm=given.is_control_arm,
            from_vault=from_vault,
            settings={key: str(value) for key, value in given.settings.items()},
        )
    return workloads


def _services(parsed: EstateDocument) -> tuple[Service, ...]:
    return tuple(
        Service(
            name=name,
            dns_name=given.dns_name,
            zone=given.zone,
            ttl=given.ttl,
            name_server=HostName(given.name_server),
            members=_members(given.members),
            workloads=tuple(WorkloadName(needed) for needed in given.workloads),
        )
        for name, given in parsed.services.items()
    )


def _standing_orders(parsed: EstateDocument) -> tuple[StandingOrderReference, ...]:
    return tuple(
        StandingOrderReference(
            name=given.name, runbook=given.runbook, origin=SiteName(given.origin), target=SiteName(given.target)
        )
        for given in parsed.standing_orders
    )


def _persons(parsed: EstateDocument) -> tuple[Person, ...]:
    return tuple(
        Person(
            name=name,
            role=one.role,
            phone=one.phone,
            site=SiteName(one.site) if one.site else None,
            approves=one.approves,
            mail=one.mail or "",
        )
        for name, one in parsed.persons.items()
    )


def _paging(parsed: EstateDocument) -> Paging | None:
    given = parsed.paging
    if given is None:
        return None
    return Paging(
        on_call=tuple(given.on_call),
        mail=HostName(given.mail),
        webhook=HostName(given.webhook),
        relays=tuple(HostName(name) for name in given.relays),
        port=given.port,
        look=given.look,
        silence=given.silence,
        repeat=given.repeat,
    )


def _escrow(parsed: EstateDocument) -> Escrow | None:
    given = parsed.escrow
    return None if given is None else Escrow(holders=tuple(given.holders), opened_every=given.opened_every)
