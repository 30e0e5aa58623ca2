"""Who holds the key of a site's TLS authority, and the steps that carry keys there and replace authorities.

One host of each site is the keeper: it signs for its site, over its own files. No other host, and no controller, can.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from ..errors import ActionError, Effect, SecondsiteError, UsageError
from ..estate.model import Estate, Host, SiteName
from ..run.functions import ActionFrom, flag, word
from ..run.model import Json
from ..run.ports import Action, Hands, Outcome, Registry, StepContext
from .age import Safe
from .authorities import Authorities, Authority
from .secrets import ca_directory

KEYS = "/etc/secondsite/ca"
_PREFERRED = "ops"
_TIMEOUT = dt.timedelta(seconds=10)


def keeper_of(hosts: Sequence[Host], site: str) -> Host:
    """Return the host that keeps a site's authority: of group ``ops`` where there is one, else the first by name.

    Raises:
        UsageError: no host of the site could.
    """
    able = [host for host in hosts if host.site == site and host.address is not None]
    if not able:
        raise UsageError(f"no host of {site} could keep its TLS authority")
    return min(able, key=lambda host: (_PREFERRED not in host.groups, host.name))


def certified_sites(estate: Estate) -> tuple[SiteName, ...]:
    """Return the sites whose hosts get certificates, in the order of the estate."""
    return tuple(site for site in estate.sites if any(host.address is not None for host in estate.hosts_at(site)))


def authorities_of(estate: Estate, safe: Safe) -> Authorities:
    """Return the authorities of an estate; their public parts lie beside its sealed files."""
    return Authorities(ca_directory(safe.directory) / "sites", sites=certified_sites(estate), safe=safe)


def told_of(estate: Estate, authorities: Authorities) -> list[Mapping[str, object]]:
    """Return what the roles must know of every authority that is believed now.

    ``key`` is empty once the keeper holds it.
    """
    carried = authorities.carried()
    hosts = list(estate.hosts.values())
    return [
        {
            "name": one.name,
            "site": str(site),
            "keeper": str(keeper_of(hosts, site).name),
            "signs": one == authorities.signing(site),
            "certificate": one.certificate,
            "key": carried.get(one.name, ""),
        }
        for site in certified_sites(estate)
        for one in authorities.believed(site)
    ]


@dataclass(frozen=True, slots=True, kw_only=True)
class Steps:
    """The steps on authorities."""

    estate: Estate
    hands: Hands
    authorities: Authorities
    now: Callable[[], dt.datetime]

    def registry(self) -> Registry:
        """Name every action."""
        actions: dict[str, Action] = {
            "check-authorities": ActionFrom(self._check),
            "ask-keepers": ActionFrom(self._ask_keepers),
            "begin-authority": ActionFrom(self._begin),
            "activate-authority": ActionFrom(self._activate),
            "retire-authority": ActionFrom(self._retire),
        }
        return Registry(actions=actions, probes={})

    def _check(self, _arguments: Json, _context: StepContext) -> Outcome:
        made = self.authorities.prepare(now=self.now())
        return Outcome(changed=bool(made), detail={"made": list(made)})

    def _ask_keepers(self, arguments: Json, _context: StepContext) -> Outcome:
        """See who holds which key; what a keeper holds is no longer open here, what it lacks is carried there.

        A site that is ``lost`` is not asked, and nothing is signed for it from here: its keys are closed.
        """
        lost = str(arguments.get("lost", ""))
        held_back = [one for one in self.authorities.believed(lost) if self.authorities.hand_over(one)] if lost else []
        handed = [one.name for one in held_back]
        missing: list[str] = []
        for site in (one for one in certified_sites(self.estate) if one != lost):
            keeper = keeper_of(list(self.estate.hosts.values()), site)
            for one in self.authorities.believed(site):
                held = self._holds(keeper, one)
                if held and self.authorities.hand_over(one):
                    handed.append(one.name)
                if held is False and one == self.authorities.signing(site):
                    missing.append(f"{keeper.name} does not hold the key of {one.name}")
                    if not flag(arguments, "must_hold"):
                        self._carry(one)
        if missing and flag(arguments, "must_hold"):
            raise ActionError("; ".join(missing), effect=Effect.NONE, next_step="secondsite run provision")
        return Outcome(changed=bool(handed), detail={"handed_over": handed, "to_carry": missing})

    def _holds(self, keeper: Host, authority: Authority) -> bool | None:
        """Ask the keeper for the public half of its key. None: it can't be asked, so nothing is decided about it."""
        argv = ["sudo", "-n", "openssl", "pkey", "-in", f"{KEYS}/{authority.name}.key", "-pubout"]
        try:
            answer = self.hands.run(keeper.name, argv, timeout=_TIMEOUT, accept=(0, 1))
        except SecondsiteError:
            return None
        return answer.exit_code == 0 and answer.stdout.strip() == authority.public_key.strip()

    def _carry(self, authority: Authority) -> None:
        if authority.name not in self.authorities.carried():
            self.authorities.recall(authority)

    def _begin(self, arguments: Json, _context: StepContext) -> Outcome:
        return Outcome(changed=self.authorities.begin(word(arguments, "site"), now=self.now()))

    def _activate(self, arguments: Json, _context: StepContext) -> Outcome:
        site = word(arguments, "site")
        changed = self.authorities.activate(site)
        return Outcome(changed=changed, detail={"issuer": self.authorities.signing(site).common_name})

    def _retire(self, arguments: Json, _context: StepContext) -> Outcome:
        return Outcome(changed=self.authorities.retire(word(arguments, "site")))


def prepared_authorities(estate: Estate, safe: Safe, *, now: dt.datetime) -> Authorities:
    """Return an estate's authorities, made where they were missing: for role tests and benchmarks."""
    authorities = authorities_of(estate, safe)
    safe.prepare()
    authorities.prepare(now=now)
    return authorities
