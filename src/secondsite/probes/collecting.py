"""One round over all hosts: send the collectors, read what each host tells, and look at the hosts from outside."""

from __future__ import annotations

import base64
import binascii
import datetime as dt
import hashlib
import json
import shlex
import zlib
from collections.abc import Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from importlib import resources
from types import MappingProxyType, ModuleType

from ..checks.model import Section
from ..checks.rules.twins import neutral_networks, neutral_words
from ..errors import ActionError, SecondsiteError, Unreachable
from ..estate.model import Estate, Host, HostName
from ..run.ports import CommandResult, Hands
from .remote.collectors import (
    backups,
    clock,
    database,
    erasures,
    escrow,
    files,
    keeping,
    names,
    network,
    paging,
    procedures,
    routing,
    standby,
    system,
    tls,
    tries,
    verifying,
)
from .remote.collectors.network import BEFORE_TRIES

_LARGEST_ANSWER = 16 << 20
_LARGEST_TOLD = 64 << 20
_MODULES = (
    clock,
    system,
    files,
    network,
    tls,
    database,
    names,
    routing,
    backups,
    keeping,
    verifying,
    erasures,
    paging,
    procedures,
    standby,
    escrow,
    tries,
)  # a module of collectors is named here
TRIES = "tries"
_BEFORE = "/run/secondsite/before-tries"
_NOT_KEPT = 85  # a host's answer that it has no code of this digest
_ALWAYS = ("common", "network")  # others build on them
_READ = "import sys; exec(sys.stdin.buffer.read(int(sys.stdin.buffer.readline())))"  # sudo logs what it is told to run
_ARGV = ("sudo", "-n", "--", "/usr/bin/python3", "-I", "-c", _READ)
_BOOT = """
import json, marshal, os, sys, types
NOT_KEPT = 85
order = json.load(sys.stdin.buffer)
if gives_way := order.get("gives_way"):
    os.nice(gives_way)
    try:
        with open("/proc/self/autogroup", "w") as group:  # a session has a weight of its own, see sched(7)
            group.write(str(gives_way))
    except OSError:
        pass
sources = order.get("sources")
kept = f"/run/secondsite/collectors-{order['digest']}-{sys.implementation.cache_tag}-{sys.hexversion:x}.code"

def codes():
    try:
        with open(os.open(kept, os.O_RDONLY | os.O_NOFOLLOW), "rb") as file:
            about = os.fstat(file.fileno())
            if about.st_uid == os.geteuid() and not about.st_mode & 0o077:
                return marshal.load(file)
    except (OSError, EOFError, ValueError, TypeError):
        if sources is None:
            sys.exit(NOT_KEPT)
    made = {name: compile(text, f"collectors/{name}.py", "exec", dont_inherit=True) for name, text in sources.items()}
    try:
        part = kept + "." + str(os.getpid())
        with open(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            marshal.dump(made, file)
        os.replace(part, kept)
    except OSError:
        pass
    return made

package = types.ModuleType("collectors"); package.__path__ = []; sys.modules["collectors"] = package
modules = {}
for name, code in codes().items():
    module = types.ModuleType("collectors." + name); module.__package__ = "collectors"
    sys.modules["collectors." + name] = modules[name] = module
    exec(code, module.__dict__)
modules["main"].main(order, modules)
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Collector:
    """Asks the hosts of an estate. ``roots`` are the authorities' certificates in PEM: the only ones to trust."""

    estate: Estate
    hands: Hands
    roots: str
    within: dt.timedelta = dt.timedelta(seconds=20)

    def collect(
        self,
        sections: Mapping[HostName, Collection[str]],
        *,
        noted: bool = False,
        tries: Mapping[HostName, object] = MappingProxyType({}),
    ) -> dict[HostName, dict[str, Section]]:
        """Return the sections of every host named, all asked at once; what could not be read says why.

        ``noted`` says that hosts did what ``notes`` says, for this round. Hosts named in ``tries`` do these as well and
        tell what came of them in a section of that name.
        """
        wanted = {
            host: set(sections.get(host, ())) | ({TRIES} if host in tries else set()) for host in self.estate.hosts
        }
        asked = [host for host in self.estate.hosts.values() if wanted[host.name]]
        with ThreadPoolExecutor(max_workers=max(1, len(asked))) as pool:
            told = pool.map(
                lambda host: self._ask(host, sorted(wanted[host.name]), noted=noted, tries=tries.get(host.name)), asked
            )
            return {host.name: answer for host, answer in zip(asked, told, strict=True)}

    def _ask(self, host: Host, wanted: Sequence[str], *, noted: bool, tries: object) -> dict[str, Section]:
        needed = sources(wanted)
        digest = hashlib.sha256(json.dumps(needed).encode()).hexdigest()[:24]
        settings = self._settings(host) | ({"before": _BEFORE} if noted else {}) | ({TRIES: tries} if tries else {})
        order = {"sections": wanted, "digest": digest, "settings": settings, "gives_way": _gives_way(wanted)}
        try:
            answer = self._answer(host, order)
            if answer.exit_code == _NOT_KEPT:
                answer = self._answer(host, order | {"sources": needed})
            return _told(answer, wanted)
        except Unreachable as error:
            return dict.fromkeys(wanted, Section(trouble=f"not reached: {error.what}"))
        except (SecondsiteError, ActionError) as error:
            return dict.fromkeys(wanted, Section(trouble=error.what))

    def _answer(self, host: Host, order: Mapping[str, object]) -> CommandResult:
        """Give a host an order; without the sources, for most have kept what was made of them."""
        accept = (0,) if "sources" in order else (0, _NOT_KEPT)
        stdin = f"{len(_BOOT)}\n{_BOOT}{json.dumps(order)}"
        return self.hands.run(host.name, _ARGV, stdin=stdin, timeout=self.within, limit=_LARGEST_ANSWER, accept=accept)

    def _settings(self, host: Host) -> dict[str, object]:
        return {
            "name": host.name,
            "address": str(host.address or ""),
            "management": str(host.management),
            "tokens": neutral_words(self.estate, host),
            "networks": neutral_networks(self.estate, host),
            "roots": self.roots,
            "service_names": self._names_served(host),
            "services": [{"dns_name": one.dns_name, "zone": one.zone} for one in self.estate.published],
        }

    def _names_served(self, host: Host) -> list[str]:
        """Return the names by which customers ask the host: those of services, and of workloads that have one."""
        return [one.dns_name for one in self.estate.published if host.name in one.members.values()]


def notes(sections: Mapping[HostName, Collection[str]]) -> dict[HostName, str]:
    """Return what each host's shell is to do before flows are tried: note what the tries would show up in.

    The next round tells what was noted. A host that can't tells, in that round, why, or what it sees then.
    """
    asked = {name: BEFORE_TRIES.keys() & wanted for name, wanted in sections.items()}
    return {name: _notes(noting) for name, noting in asked.items() if noting}


def _notes(wanted: Collection[str]) -> str:
    lines = [f"{shlex.join(BEFORE_TRIES[name])} > {name}.part && mv {name}.part {name}" for name in sorted(wanted)]
    return "\n".join(["(umask 077", f"rm -rf {_BEFORE}", f"mkdir -p {_BEFORE} && cd {_BEFORE} || exit 1", *lines, ")"])


def _gives_way(wanted: Collection[str]) -> int:
    """Return the niceness with which hosts look at themselves: what they are for comes first.

    Where databases are, the look takes longest, and all the others would wait for it.
    """
    return 5 if "heartbeat" in wanted else 10


def sources(wanted: Collection[str]) -> dict[str, str]:
    """Return the modules that fill these sections, in an order in which each finds those it builds on."""
    filling = [_short(module) for module in _MODULES if not module.SECTIONS.keys().isdisjoint(wanted)]
    return {name: _source(name) for name in dict.fromkeys((*_ALWAYS, *filling, "main"))}


def known_sections() -> frozenset[str]:
    """Return every section that a host can be asked for."""
    return frozenset(name for module in _MODULES for name in module.SECTIONS)


def _short(module: ModuleType) -> str:
    return module.__name__.rpartition(".")[2]


def _told(answer: CommandResult, wanted: Sequence[str]) -> dict[str, Section]:
    """Read a host's answer. One that is cut or can't be read tells nothing."""
    if answer.truncated:
        return dict.fromkeys(wanted, Section(trouble="its answer was cut at the largest size accepted"))
    try:
        packed = base64.b64decode(answer.stdout.strip(), validate=True)
        unpacked = zlib.decompressobj().decompress(packed, _LARGEST_TOLD)
        document = json.loads(unpacked)
        sections = document["sections"] if document["complete"] is True else {}
        return {name: _section(sections.get(name)) for name in wanted}
    except (binascii.Error, zlib.error, ValueError, KeyError, TypeError, AttributeError) as error:
        return dict.fromkeys(wanted, Section(trouble=f"its answer can't be read: {type(error).__name__}"))


def _section(told: object) -> Section:
    match told:
        case {"value": value}:
            return Section(value=value)
        case {"trouble": str(trouble)}:
            return Section(trouble=trouble or "it gave no reason")
        case _:
            return Section(trouble="nothing was told")


def _source(name: str) -> str:
    return resources.files(f"{__package__}.remote.collectors").joinpath(f"{name}.py").read_text()
