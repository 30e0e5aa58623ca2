"""The steps that hands carry out: DNS, opening and closing a service, reaching hosts. Fencing: ``fencing.py``."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass

from ..drill.ports import Clock
from ..errors import ActionError, LeftOff, Unreachable
from ..estate.model import Estate, Service
from ..run.functions import ActionFrom, ProbeFrom, record_only, word, words
from ..run.model import Json
from ..run.ports import Action, Hands, Outcome, Probe, Registry, StepContext
from .dns import NameServer
from .fencing import unless_another_confirms
from .isolation import CarrierFilter

_SHOPCTL = ("sudo", "-n", "/usr/local/bin/shopctl")
_TIMEOUT = dt.timedelta(seconds=5)
_RESERVE_S, _LOOK_EVERY_S = 20.0, 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Steps:
    """What the steps below work with. ``name_servers`` is by service name."""

    estate: Estate
    hands: Hands
    filter: CarrierFilter
    name_servers: Mapping[str, NameServer]
    clock: Clock

    def registry(self) -> Registry:
        """Name every action and probe."""
        ready = {"isolate": lambda arguments: self.filter.get_ready(word(arguments, "carrier"))}
        return Registry(actions=self._actions(), probes=self._probes(), ready=ready)

    def _actions(self) -> dict[str, Action]:
        return {
            "declare": ActionFrom(record_only),
            "authorise": ActionFrom(record_only),
            "confirm-fencing": ActionFrom(record_only),
            "keep-isolation": ActionFrom(self._keep_isolation),
            "redirect": ActionFrom(self._redirect),
            "open-service": ActionFrom(self._open),
            "close-service": ActionFrom(self._close),
            "reach": ActionFrom(self._reach),
            "await-hosts": ActionFrom(self._await_hosts),
        }

    def _probes(self) -> dict[str, Probe]:
        return {
            "redirected": ProbeFrom(self._redirected),
            "service-open": ProbeFrom(self._is_open),
        }

    def _keep_isolation(self, arguments: Json, _context: StepContext) -> Outcome:
        kept = unless_another_confirms(arguments, lambda: self.filter.keep(word(arguments, "carrier")))
        return Outcome(changed=True, detail=kept)

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

    def _await_hosts(self, arguments: Json, context: StepContext) -> Outcome:
        """Wait until each host lets the controller in: one whose power is back answers before it does.

        Raises:
            LeftOff: somebody stopped the run first.
            Unreachable: one did not within the step's time.
        """
        hosts = words(arguments, "hosts")
        until = self.clock.monotonic() + context.timeout.total_seconds() - _RESERVE_S
        while why := next((silent for host in hosts if (silent := self._why_silent(host))), ""):
            if context.stopping():
                raise LeftOff(f"not every host had started when the run was stopped: {why}")
            if self.clock.monotonic() > until:
                raise Unreachable(why, not_done="nothing was attempted on any of them")
            self.clock.sleep(_LOOK_EVERY_S)
        return Outcome(changed=False)

    def _why_silent(self, host: str) -> str:
        """Have the host run something: a connection from before its power was cut still looks open."""
        try:
            self.hands.run(host, ["true"], timeout=_TIMEOUT)
        except (ActionError, Unreachable) as error:
            return error.what
        return ""

    def _service(self, arguments: Json) -> Service:
        name = word(arguments, "service")
        return next(service for service in self.estate.published if service.name == name)
