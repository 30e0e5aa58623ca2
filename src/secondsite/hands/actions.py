"""The steps that hands carry out: isolation, DNS, opening and closing a service, reaching hosts."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import IPv4Network

from ..errors import ActionError, Effect, Unreachable
from ..estate.model import Estate, Service
from ..run.functions import ActionFrom, ProbeFrom, record_only, word, words
from ..run.model import Json
from ..run.ports import Action, Hands, Outcome, Probe, Registry, StepContext
from .dns import NameServer
from .isolation import CarrierFilter

_SHOPCTL = ("sudo", "-n", "/usr/local/bin/shopctl")
_TIMEOUT = dt.timedelta(seconds=5)


@dataclass(frozen=True, slots=True, kw_only=True)
class Steps:
    """What the steps below work with. ``name_servers`` is by service name."""

    estate: Estate
    hands: Hands
    filter: CarrierFilter
    name_servers: Mapping[str, NameServer]

    def registry(self) -> Registry:
        """Name every action and probe."""
        ready = {"isolate": lambda arguments: self.filter.get_ready(word(arguments, "carrier"))}
        return Registry(actions=self._actions(), probes=self._probes(), ready=ready)

    def _actions(self) -> dict[str, Action]:
        return {
            "declare": ActionFrom(record_only),
            "authorise": ActionFrom(record_only),
            "confirm-fencing": ActionFrom(record_only),
            "isolate": ActionFrom(self._isolate),
            "keep-isolation": ActionFrom(self._keep_isolation),
            "lift": ActionFrom(self._lift),
            "read-isolation": ActionFrom(self._read_isolation),
            "redirect": ActionFrom(self._redirect),
            "open-service": ActionFrom(self._open),
            "close-service": ActionFrom(self._close),
            "reach": ActionFrom(self._reach),
        }

    def _probes(self) -> dict[str, Probe]:
        return {
            "isolated": ProbeFrom(self._drops),
            "lifted": ProbeFrom(self._lets_pass),
            "redirected": ProbeFrom(self._redirected),
            "service-open": ProbeFrom(self._is_open),
        }

    def _isolate(self, arguments: Json, _context: StepContext) -> Outcome:
        self.filter.isolate(word(arguments, "carrier"), _networks(arguments))
        return Outcome(changed=True)

    def _keep_isolation(self, arguments: Json, _context: StepContext) -> Outcome:
        self.filter.keep(word(arguments, "carrier"))
        return Outcome(changed=True)

    def _lift(self, arguments: Json, _context: StepContext) -> Outcome:
        self.filter.lift(word(arguments, "carrier"), _networks(arguments))
        return Outcome(changed=True)

    def _read_isolation(self, arguments: Json, context: StepContext) -> Outcome:
        return Outcome(
            changed=False, detail={"dropping": {word(arguments, "carrier"): self._drops(arguments, context)}}
        )

    def _drops(self, arguments: Json, _context: StepContext) -> bool:
        return set(_networks(arguments)) <= set(self.filter.fenced(word(arguments, "carrier")))

    def _lets_pass(self, arguments: Json, _context: StepContext) -> bool:
        return set(_networks(arguments)).isdisjoint(self.filter.fenced(word(arguments, "carrier")))

    def _redirect(self, arguments: Json, _context: StepContext) -> Outcome:
        service = self._service(arguments)
        server = self.name_servers[service.name]
        ttl = int(service.ttl.total_seconds())
        server.swap(service.dns_name, expected=word(arguments, "old"), new=word(arguments, "new"), ttl_s=ttl)
        return Outcome(changed=True, detail={"announced": self._announce(service)})

    def _announce(self, service: Service) -> bool:
        """Have the primary tell its secondaries now: left to itself it may wait a second."""
        argv = ["sudo", "-n", "knotc", "zone-notify", service.zone]
        try:
            return self.hands.run(service.name_server, argv, timeout=_TIMEOUT, accept=(0, 1)).exit_code == 0
        except (ActionError, Unreachable):  # the record is changed already, and that is what the step is for
            return False

    def _redirected(self, arguments: Json, _context: StepContext) -> bool:
        service = self._service(arguments)
        published = self.name_servers[service.name].published(service.dns_name)
        return published.addresses == (word(arguments, "new"),)

    def _open(self, arguments: Json, _context: StepContext) -> Outcome:
        self.hands.run(word(arguments, "host"), [*_SHOPCTL, "open"], timeout=_TIMEOUT)
        return Outcome(changed=True)

    def _close(self, arguments: Json, _context: StepContext) -> Outcome:
        self.hands.run(word(arguments, "host"), [*_SHOPCTL, "close"], timeout=_TIMEOUT)
        return Outcome(changed=True)

    def _is_open(self, arguments: Json, _context: StepContext) -> bool:
        answer = self.hands.run(word(arguments, "host"), [*_SHOPCTL, "status"], timeout=_TIMEOUT)
        return answer.stdout.strip() == "open"

    def _reach(self, arguments: Json, _context: StepContext) -> Outcome:
        silent = self.hands.open(words(arguments, "hosts"))
        if silent:
            raise Unreachable("; ".join(silent.values()), not_done="nothing was attempted on any of them")
        return Outcome(changed=False)

    def _service(self, arguments: Json) -> Service:
        name = word(arguments, "service")
        return next(service for service in self.estate.published if service.name == name)


def _networks(arguments: Json) -> tuple[IPv4Network, ...]:
    """Return what to fence.

    Raises:
        ActionError: nothing is named: nothing fenced must never look like everything fenced.
    """
    found = tuple(IPv4Network(one) for one in words(arguments, "networks"))
    if not found:
        raise ActionError("no network is named that could be isolated", effect=Effect.NONE)
    return found
