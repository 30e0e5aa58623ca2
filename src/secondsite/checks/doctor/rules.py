"""What is missing, from what was seen: pure. Whatever was not seen is unknown."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from ipaddress import IPv4Address, IPv4Network

from ...estate.model import Estate, FencingKind, Host, HostName, SiteKind
from .model import ControllerFacts, HostFacts, Need, Symptom

HERE = "controller"
ESTATE = "estate"
ROOM_HERE_MIB = 1024
ROOM_ON_A_HOST_MIB = 1024
MOST_OFFSET_S = 30.0  # certificates allow for minutes; role time brings clocks together
RELEASE = "debian 13"
FEWEST_SITES = 3
BOTH = 2
# RFC 5737 and RFC 2606: what `secondsite init` writes, and nobody's real estate has
PLACEHOLDERS = tuple(map(IPv4Network, ("192.0.2.0/24", "198.51.100.0/24", "203.0.113.0/24")))
PLACEHOLDER_ZONES = (".example", "example.com", "example.net", "example.org")
_MISSING, _UNREACHED, _UNKNOWN = 2, 4, 8


def exit_code_of(symptoms: Iterable[Symptom]) -> int:
    """Return 2 if anything is missing, else 4 if a host was not reached, else 8 if anything is unknown, else 0.

    Nothing looked at at all is unknown.
    """
    seen = list(symptoms)
    unknown = [one for one in seen if one.need is Need.UNKNOWN]
    if any(one.need is Need.MISSING for one in seen):
        return _MISSING
    if any(one.id == "reach" for one in unknown):
        return _UNREACHED
    return _UNKNOWN if unknown or not seen else 0


def is_placeholder(address: IPv4Address) -> bool:
    """Say whether an address is one for documentation."""
    return any(address in network for network in PLACEHOLDERS)


def about_controller(facts: ControllerFacts) -> Iterator[Symptom]:
    """Yield what this machine has and lacks."""
    for program, there in facts.programs.items():
        fix = f"apt-get install --no-install-recommends {program.partition(' from ')[2]}"
        yield _here("programs", there, f"{program} is {'there' if there else 'not there'}", fix)
    for name, there in facts.environments.items():
        fix = "./secondsite run --help >/dev/null; it is made from requirements/ when a command needs it"
        yield _here("environments", there, f"{name} is {'there' if there else 'not made yet'}", fix)
    fix = f"mkdir -p {facts.state} as root, or name another directory in SECONDSITE_STATE"
    yield _here(
        "state", facts.state_writable, f"{facts.state} is {'' if facts.state_writable else 'not '}writable", fix
    )
    yield _room(HERE, facts.state_free, ROOM_HERE_MIB, f"make room below {facts.state}")
    fix = "secondsite identity FILE makes one; see docs/tutorial/your-own-estate.md"
    yield _here("secrets", not facts.trouble_with_secrets, facts.trouble_with_secrets or "they can be opened here", fix)
    fix = "a line for each person: NAME ssh-ed25519 KEY; see docs/how-to/consent-to-a-step.md"
    consent = facts.trouble_with_approvers
    yield _here("approvers", not consent, consent or "two persons could consent, each with their own key", fix)
    if facts.trouble_with_power is not None:
        fix = "install its agent, seal its login, or mend the way to it: docs/how-to/fence-by-power.md"
        saw = facts.trouble_with_power or "every power endpoint answers its agent here"
        yield _here("power", not facts.trouble_with_power, saw, fix)
    if facts.trouble_with_lab is not None:
        yield _here(
            "lab", not facts.trouble_with_lab, facts.trouble_with_lab or "root, and namespaces", "run it as root"
        )


def _here(id: str, there: bool, saw: str, fix: str) -> Symptom:  # noqa: A002, FBT001  as Symptom calls it
    return Symptom(id=id, where=HERE, need=Need.OK if there else Need.MISSING, saw=saw, fix="" if there else fix)


def _room(where: str, free: int | None, wanted: int, fix: str) -> Symptom:
    if free is None:
        return Symptom(id="room", where=where, need=Need.UNKNOWN, saw="how much room is left is not known", fix=fix)
    enough = free >= wanted
    saw = f"{free} MiB are free, {wanted} are wanted"
    return Symptom(id="room", where=where, need=Need.OK if enough else Need.MISSING, saw=saw, fix="" if enough else fix)


def about_clock(told: Sequence[HostFacts]) -> Iterator[Symptom]:
    """Judge this machine's clock by the hosts': it is as wrong as all of them say it is."""
    offsets = sorted(one.offset_s for one in told if one.offset_s is not None)
    if not offsets:
        yield Symptom(
            id="clock",
            where=HERE,
            need=Need.UNKNOWN,
            saw="no host told its time, so nothing to compare with",
            fix="reach the hosts first; then: timedatectl",
        )
        return
    middle = offsets[len(offsets) // 2]
    good = abs(middle) <= MOST_OFFSET_S
    saw = f"the middle one of {len(offsets)} hosts' clocks is {middle:+.2f} s off this one"
    fix = "" if good else "timedatectl set-ntp true, here: certificates are valid by this clock"
    yield Symptom(id="clock", where=HERE, need=Need.OK if good else Need.MISSING, saw=saw, fix=fix)


def about_host(facts: HostFacts, host: Host, *, trouble_with_key: str) -> Iterator[Symptom]:
    """Yield what one host has and lacks; a host that told nothing is unknown in everything but how it is reached."""
    pinned = not facts.trouble_with_pin
    yield Symptom(
        id="pin",
        where=host.name,
        need=Need.OK if pinned else Need.MISSING,
        saw=facts.trouble_with_pin or "its host key is pinned",
        fix=""
        if pinned
        else f"ssh-keyscan -t ed25519 {host.management} >>~/.ssh/known_hosts, compare with its console",
    )
    yield _reach(facts, host, trouble_with_key=trouble_with_key)
    if not facts.way:
        return
    yield from _system(facts, host)
    yield _packages(facts, host)
    yield _time(facts, host)
    yield _room(host.name, facts.free, ROOM_ON_A_HOST_MIB, f"on {host.name}: df -h /var")


def _reach(facts: HostFacts, host: Host, *, trouble_with_key: str) -> Symptom:
    if facts.way:
        contact = "" if facts.way == "certificate" else "; first contact is still to be made (secondsite run provision)"
        return Symptom(id="reach", where=host.name, need=Need.OK, saw=f"logged in by {facts.way}{contact}")
    if is_placeholder(host.management):
        saw = f"{host.management} is an address for documentation: it was not tried"
        return Symptom(id="reach", where=host.name, need=Need.UNKNOWN, saw=saw, fix="put its real address in hosts.yml")
    if facts.trouble_with_pin:
        saw = "it was not tried: whoever answers could not be told from another"
        return Symptom(id="reach", where=host.name, need=Need.UNKNOWN, saw=saw, fix="pin its key first")
    if facts.answered and trouble_with_key:
        fix = "name the key that the hosts accept in SECONDSITE_BOOTSTRAP_KEY"
        return Symptom(id="reach", where=host.name, need=Need.MISSING, saw=trouble_with_key, fix=fix)
    fix = f"ssh -v {host.management}: is it up, is port 22 open from here, does it accept the key?"
    need = Need.MISSING if facts.answered else Need.UNKNOWN
    return Symptom(id="reach", where=host.name, need=need, saw=facts.why or "no answer", fix=fix)


def _system(facts: HostFacts, host: Host) -> Iterator[Symptom]:
    if facts.release is None:
        yield Symptom(id="release", where=host.name, need=Need.UNKNOWN, saw="it does not say what it runs")
    else:
        right = facts.release == RELEASE
        fix = "" if right else f"install {RELEASE.title()} on it: the roles are made for that release"
        need = Need.OK if right else Need.MISSING
        yield Symptom(id="release", where=host.name, need=need, saw=f"it runs {facts.release}", fix=fix)
    if facts.python:
        yield Symptom(id="python", where=host.name, need=Need.OK, saw=facts.python)
    elif facts.way == "bootstrap":
        saw = "not installed; first contact installs it"
        yield Symptom(id="python", where=host.name, need=Need.OK, saw=saw)
    else:
        fix = f"on {host.name}: apt-get install python3"
        yield Symptom(id="python", where=host.name, need=Need.MISSING, saw="not installed", fix=fix)
    privileged = bool(facts.privilege)
    yield Symptom(
        id="privilege",
        where=host.name,
        need=Need.OK if privileged else Need.MISSING,
        saw=f"becomes root ({facts.privilege})" if privileged else "the user logged in can't become root unasked",
        fix="" if privileged else "log in as root, or allow sudo without a password (SECONDSITE_BOOTSTRAP_USER)",
    )


def _packages(facts: HostFacts, host: Host) -> Symptom:
    if facts.lacking is None:
        saw = "which packages are installed is not known"
        return Symptom(id="packages", where=host.name, need=Need.UNKNOWN, saw=saw, fix=f"on {host.name}: dpkg -l")
    if facts.unobtainable:
        saw = f"not installed, and in none of its package lists: {', '.join(facts.unobtainable)}"
        fix = f"on {host.name}: apt-get update (does /etc/apt name a mirror that it reaches?)"
        return Symptom(id="packages", where=host.name, need=Need.MISSING, saw=saw, fix=fix)
    saw = "all are installed"
    if facts.lacking:
        saw = f"{len(facts.lacking)} are to be installed and are in its package lists: {', '.join(facts.lacking)}"
    return Symptom(id="packages", where=host.name, need=Need.OK, saw=saw)


def _time(facts: HostFacts, host: Host) -> Symptom:
    fix = f"on {host.name}: timedatectl set-ntp true"
    if facts.offset_s is None:
        return Symptom(id="time", where=host.name, need=Need.UNKNOWN, saw="it does not tell its time", fix=fix)
    saw = f"its clock is {facts.offset_s:+.2f} s off this one's, give or take {facts.give_or_take_s:.2f} s"
    if abs(facts.offset_s) + facts.give_or_take_s <= MOST_OFFSET_S:
        return Symptom(id="time", where=host.name, need=Need.OK, saw=saw)
    surely = abs(facts.offset_s) - facts.give_or_take_s > MOST_OFFSET_S
    return Symptom(id="time", where=host.name, need=Need.MISSING if surely else Need.UNKNOWN, saw=saw, fix=fix)


def about_estate(estate: Estate) -> Iterator[Symptom]:
    """Yield what the declaration itself still lacks."""
    yield _placeholders(estate)
    yield from _groups(estate)
    yield _quorum(estate)
    yield _vantage(estate)
    yield _fencing(estate)


def _estate(id: str, wrong: str, right: str, fix: str) -> Symptom:  # noqa: A002  as Symptom calls it
    need = Need.MISSING if wrong else Need.OK
    return Symptom(id=id, where=ESTATE, need=need, saw=wrong or right, fix=fix if wrong else "")


def _placeholders(estate: Estate) -> Symptom:
    found = [
        f"{host.name} {address}"
        for host in estate.hosts.values()
        for address in dict.fromkeys(filter(None, (host.management, host.address)))
        if is_placeholder(address)
    ]
    if estate.firewall is not None and is_placeholder(estate.firewall.management.control):
        found.append(f"firewall/management/control {estate.firewall.management.control}")
    found += [
        f"sites/{site.name} {site.network}"
        for site in estate.sites.values()
        if site.network is not None and any(site.network.overlaps(one) for one in PLACEHOLDERS)
    ]
    found += [f"services/{one.name} {one.zone}" for one in estate.services if one.zone.endswith(PLACEHOLDER_ZONES)]
    wrong = f"still for documentation: {', '.join(found)}" if found else ""
    return _estate("addresses", wrong, "none is for documentation", f"write the real ones into {estate.directory}")


def _groups(estate: Estate) -> Iterator[Symptom]:
    """Roles go by the inventory's groups; what estate.yml declares must be in them."""
    for group, members in declared_members(estate).items():
        without = [name for name in members if name in estate.hosts and group not in estate.hosts[name].groups]
        wrong = f"not in group {group}: {', '.join(without)}" if without else ""
        yield _estate("groups", wrong, f"group {group} holds {', '.join(members)}", f"add them to {group} in hosts.yml")


def declared_members(estate: Estate) -> Mapping[str, tuple[HostName, ...]]:
    """Return the hosts that must be in each group, by what the estate says of them."""
    return {
        "web": _distinct(host for one in estate.services for host in one.members.values()),
        "database": _distinct(
            host for one in estate.workloads.values() if one.adapter == "patroni" for host in one.members.values()
        ),
        "etcd": estate.quorum.members if estate.quorum is not None else (),
        "nameserver": _distinct(one.name_server for one in estate.services),
        "customers": _distinct(
            host.name for host in estate.hosts.values() if estate.sites[host.site].kind is SiteKind.CUSTOMERS
        ),
    }


def _distinct(names: Iterable[HostName]) -> tuple[HostName, ...]:
    return tuple(dict.fromkeys(names))


def _quorum(estate: Estate) -> Symptom:
    members = estate.quorum.members if estate.quorum is not None else ()
    sites = {estate.hosts[name].site for name in members if name in estate.hosts}
    right = f"{len(members)} voters at {len(sites)} sites"
    good = len(members) % 2 == 1 and len(sites) >= FEWEST_SITES
    fix = "quorum/members: an odd number of hosts, at three sites or more"
    return _estate("quorum", "" if good else f"{right}: one site's loss could take the quorum away", right, fix)


def _vantage(estate: Estate) -> Symptom:
    kinds = {name: estate.sites[estate.hosts[name].site].kind for name in estate.detection.vantage}
    outside = [name for name, kind in kinds.items() if kind is not SiteKind.DATACENTER]
    sites = {estate.hosts[name].site for name in outside}
    right = f"{', '.join(outside) or 'no host'} outside the datacenters"
    good = len(outside) == len(kinds) and len(sites) >= BOTH
    fix = "detection/vantage: two hosts or more, at different sites, none of them a datacenter"
    return _estate("vantage", "" if good else f"only {right}, at {len(sites)} sites", right, fix)


def _fencing(estate: Estate) -> Symptom:
    """ADR 0005: the filters of both carriers must be read back, or the outlets of every host that could write."""
    centers = [site.name for site in estate.sites.values() if site.kind is SiteKind.DATACENTER]
    by_power = [name for name in centers if FencingKind.POWER in estate.fencing_of(name).kinds]
    carriers = [host.name for host in estate.hosts.values() if estate.sites[host.site].kind is SiteKind.CARRIER]
    ways = {name: {link.carrier for link in estate.links if link.site == name} for name in centers}
    ways = {name: links for name, links in ways.items() if name not in by_power}
    short = [f"{site} has {len(links)}" for site, links in ways.items() if len(links) < BOTH or links - set(carriers)]
    wrong = ""
    if ways and len(carriers) < BOTH:
        wrong = f"can never be confirmed here: {len(carriers)} carriers' filters can be read, and no power endpoint"
    elif short:
        wrong = f"can't be confirmed at every datacenter: carriers that can be read: {', '.join(short)}"
    fix = (
        "declare both carriers (a site of kind carrier and a host each, out of band) and their links, or a power"
        " endpoint under fencing; without them there is readiness to see, and a failover by hand (ADR 0005)"
    )
    right = [f"{', '.join(carriers)} can be told to drop a site, and read back"] if carriers else []
    right += [f"outlets can be switched off at {', '.join(by_power)}"] if by_power else []
    return _estate("fencing", wrong, "; ".join(right), fix)
