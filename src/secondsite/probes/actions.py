"""The steps that only look: watching a site, trying for silence, and a customer's journey."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from ..drill.ports import Clock
from ..errors import ActionError, Effect, LeftOff
from ..estate.model import Estate, HostName, Service, SiteName
from ..run.functions import ActionFrom, whole, word, words
from ..run.model import Json
from ..run.ports import Hands, Outcome, Registry, StepContext
from .customers import AUTHORITIES, Customer, journey
from .handshakes import declared_handshakes, reasons_not_rotated, shake_hands
from .model import Hearing, SiteLoss
from .reach import (
    SiteWatch,
    carrying_hosts,
    get_ready_to_try_silence,
    serving_hosts,
    targets_for,
    try_silence,
)

_LEAST = dt.timedelta(seconds=5)
_RESERVE = dt.timedelta(seconds=15)
_SERVER_ERROR = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class Steps:
    """What the steps below work with."""

    estate: Estate
    hands: Hands
    clock: Clock
    silence_commands: dict[HostName, Sequence[str]] = field(default_factory=dict)

    def registry(self) -> Registry:
        """Name every action; there are no probes, because nothing here has an effect to look for."""
        actions = {
            "watch-site": ActionFrom(self._watch_site),
            "try-silence": ActionFrom(self._try_silence),
            "journey": ActionFrom(self._journey),
            "visit": ActionFrom(self._visit),
            "handshakes": ActionFrom(self._handshakes),
            "meet-listeners": ActionFrom(self._meet_listeners),
        }
        return Registry(actions=actions, probes={}, ready={"try-silence": self._get_ready_to_try_silence})

    def _watch_site(self, arguments: Json, context: StepContext) -> Outcome:
        """Watch until the site is lost, or the step's time is over.

        Raises:
            LeftOff: somebody stopped the run first.
        """
        site, addresses = word(arguments, "site"), words(arguments, "addresses")
        vantage = [HostName(host) for host in words(arguments, "vantage")]
        silence = dt.timedelta(milliseconds=whole(arguments, "silence_ms"))
        targets = targets_for(self.estate, serving_hosts(self.estate))
        watch = SiteWatch(self.hands, targets=targets, vantage=vantage, monotonic=self.clock.monotonic)
        until = self.clock.monotonic() + context.timeout.total_seconds() - 1
        watch.start()
        try:
            found = SiteLoss(lost=None, reasons=("nothing was seen yet",))
            while not found.lost and not context.stopping() and self.clock.monotonic() < until:
                self.clock.sleep(0.02)
                found = watch.loss_of(site, addresses=addresses, silence=silence)
            at = self.clock.monotonic()
        finally:
            watch.stop(wait=False)
        if not found.lost and context.stopping():
            raise LeftOff(f"{site} was still watched when the run was stopped")
        detail = {"lost": found.lost, "site": SiteName(site), "at": at, "reasons": list(found.reasons)}
        return Outcome(changed=False, detail=detail)

    def _try_silence(self, arguments: Json, _context: StepContext) -> Outcome:
        """Try the addresses from each source; hosts that customers use elsewhere are the references.

        Name servers are among them: when the other site holds bare machines, nothing else is left that would answer.
        """
        addresses = words(arguments, "addresses")
        sites = {host.site for host in self.estate.hosts.values() if str(host.address) in addresses}
        used = {host.name for host in carrying_hosts(self.estate)}
        used |= {service.name_server for service in self.estate.services}
        others = [host for name, host in self.estate.hosts.items() if name in used and host.site not in sites]
        references = [str(host.address) for host in others if host.address is not None]
        heard: dict[str, Hearing] = {}
        for source in words(arguments, "sources"):
            ready = self.silence_commands.get(HostName(source))
            seen = try_silence(self.hands, HostName(source), addresses=addresses, references=references, ready=ready)
            heard = {address: _joined(heard.get(address), hearing) for address, hearing in seen.items()}
        said = {
            address: {
                "flows": hearing.flows,
                "answers": hearing.answers,
                "heard": list(hearing.heard),
                "listened_ms": int(hearing.listened_s * 1000),
            }
            for address, hearing in heard.items()
        }
        return Outcome(changed=False, detail={"customers": said})

    def _get_ready_to_try_silence(self, arguments: Json) -> None:
        for source in words(arguments, "sources"):
            self.silence_commands[HostName(source)] = get_ready_to_try_silence(self.hands, HostName(source))

    def _journey(self, arguments: Json, context: StepContext) -> Outcome:
        """Use the service from each source until that works.

        Raises:
            ActionError: it did not work in time; what a customer met is said.
        """
        service, served_by = self._service(arguments), word(arguments, "served_by")
        within = max(_LEAST, context.timeout - _RESERVE)
        seen = {}
        for source in words(arguments, "sources"):
            customer = Customer(host=HostName(source), shop=service.dns_name, name=journey_customer(self.estate))
            seen[source] = journey(self.hands, customer, served_by=served_by, within=within)
            if not seen[source]["ok"]:
                why = seen[source].get("error")
                raise ActionError(
                    f"a customer at {source} could not use {service.dns_name} at {served_by}: {why}",
                    effect=Effect.APPLIED,
                )
        return Outcome(changed=True, detail={"journeys": seen, "orders": [one["order"] for one in seen.values()]})

    def _visit(self, arguments: Json, context: StepContext) -> Outcome:
        """Ask for a name's first page from each source until the host that should serve it does, over TLS.

        Raises:
            ActionError: it did not in time; what a customer met is said.
        """
        service, served_by = self._service(arguments), word(arguments, "served_by")
        until = self.clock.monotonic() + max(_LEAST, context.timeout - _RESERVE).total_seconds()
        for source in words(arguments, "sources"):
            while (met := self._met(HostName(source), service.dns_name)) != served_by:
                if self.clock.monotonic() > until:
                    what = f"a customer at {source} asked for {service.dns_name} and met {met}, not {served_by}"
                    raise ActionError(what, effect=Effect.NONE)
                self.clock.sleep(0.1)
        return Outcome(changed=False, detail={"served_by": served_by})

    def _met(self, source: HostName, name: str) -> str:
        """Say which host answered, by what it says of itself; an answer that is an error is no service."""
        argv = ["curl", "--silent", "--output", "/dev/null", "--max-time", "2", "--cacert", AUTHORITIES]
        argv += ["--write-out", "%{http_code} %header{x-served-by}", f"https://{name}/"]
        ended = self.hands.run(source, argv, timeout=_LEAST, accept=range(256))
        code, _, served_by = ended.stdout.strip().partition(" ")
        if ended.exit_code != 0:
            return f"nobody (curl: {ended.exit_code})"
        return served_by if served_by and code.isdigit() and int(code) < _SERVER_ERROR else f"an answer {code}"

    def _handshakes(self, arguments: Json, context: StepContext) -> Outcome:
        """Shake hands with every declared listener, from its peers, until all went well: some read files a while later.

        Raises:
            ActionError: until the end one failed, or showed another authority's certificate than it must by now.
            MeasurementError: a peer could not be asked.
        """
        issuers, known = arguments.get("issuers"), arguments.get("known", [])
        if not isinstance(issuers, Mapping) or not isinstance(known, list):
            raise ActionError("argument issuers must be an object, and known a list", effect=Effect.NONE)
        wanted = {str(site): str(name) for site, name in issuers.items()}
        before = [str(one) for one in known]
        until = self.clock.monotonic() + max(_LEAST, context.timeout - _RESERVE * 2).total_seconds()
        while True:
            met = shake_hands(self.hands, declared_handshakes(self.estate))
            reasons = list(reasons_not_rotated(met, estate=self.estate, issuers=wanted, known=before))
            if not reasons:
                break
            if self.clock.monotonic() > until:
                raise ActionError("; ".join(reasons), effect=Effect.NONE, next_step="mend it, then rotate again")
            self.clock.sleep(0.5)
        return Outcome(changed=False, detail={"handshakes": len(met), "issuers": sorted({one.issuer for one in met})})

    def _meet_listeners(self, _arguments: Json, _context: StepContext) -> Outcome:
        """Note what fails before anything is changed: an authority that ended is a reason to rotate, not to stop."""
        met = shake_hands(self.hands, declared_handshakes(self.estate))
        failing = [one for one in met if one.trouble]
        return Outcome(
            changed=False, detail={"failing": [one.place for one in failing], "why": sorted(map(str, failing))}
        )

    def _service(self, arguments: Json) -> Service:
        name = word(arguments, "service")
        return next(service for service in self.estate.published if service.name == name)


def journey_customer(estate: Estate) -> str:
    """Name the customer of the drills' tenant who goes the whole way; another one than traffic belongs to.

    Raises:
        ActionError: the estate declares no terms for drills, so no tenant.
    """
    if estate.drills is None:
        raise ActionError(f"{estate.name} declares no terms for drills, so nobody may sign in", effect=Effect.NONE)
    return f"{estate.drills.tenant}-1"


def _joined(one: Hearing | None, other: Hearing) -> Hearing:
    """Several sources: the fewest flows, the shortest listening, all the answers."""
    if one is None:
        return other
    return Hearing(
        flows=min(one.flows, other.flows),
        answers=one.answers + other.answers,
        heard=one.heard + other.heard,
        listened_s=min(one.listened_s, other.listened_s),
    )
