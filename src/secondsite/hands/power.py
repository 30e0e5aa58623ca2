"""Fencing by power (ADR 0005, rule 1): outlets switched and read through an agent of Debian's ``fence-agents``.

An agent is a program of its own, run on this machine: what it is to do, user and password included, goes to its
standard input, so that no list of processes shows it. What it says is worth what its exit code says: 0 means on, 2
means off, everything else, no answer in time included, means that nothing is known.
"""

from __future__ import annotations

import enum
import json
import shutil
import socket
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Address
from pathlib import Path

from ..errors import ActionError, ActionTimeout, ConfigError, Effect, MeasurementError, Problem, UsageError
from ..estate.model import Estate, HostName, PowerSwitch, SiteName
from ..run.functions import word
from ..run.model import Json
from .age import write_private
from .processes import Ended, plain, run_process, scrubbed_environment

AGENTS = "/usr/sbin:/usr/bin:/sbin:/bin"
PACKAGE = "fence-agents"
_SWITCH_WITHIN_S = 30.0
_READ_WITHIN_S = 10.0
_ANSWER_WITHIN_S = 1.0
_ON, _OFF = 0, 2
_SSH = 22
Run = Callable[..., Ended]


class OutletState(enum.Enum):
    """What an outlet reads."""

    ON = "on"
    OFF = "off"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True, kw_only=True)
class Login:
    """Who may switch an endpoint's outlets.

    ``certificate`` is what the endpoint proves itself with, or its authority's; without one, this machine's own
    authorities are believed.
    """

    username: str
    password: str = field(repr=False)
    certificate: str = ""

    @classmethod
    def parsed(cls, text: bytes, *, where: str) -> Login:
        """Return what a sealed file holds: a JSON object with ``username``, ``password`` and ``certificate``.

        Raises:
            ConfigError: it does not.
        """
        try:
            found = json.loads(text)
            words = {name: found[name] for name in ("username", "password")} | {
                "certificate": found.get("certificate", "")
            }
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise _wrong(where, "holds no JSON object with username and password") from error
        if not all(isinstance(value, str) for value in words.values()):
            raise _wrong(where, "username, password and certificate are texts")
        if any("\n" in words[name] or not words[name] for name in ("username", "password")):
            raise _wrong(where, "username and password are one line each")
        return cls(**words)


def _wrong(where: str, what: str) -> ConfigError:
    return ConfigError([Problem(file=where, line=None, pointer="", what=what)])


def answers(address: IPv4Address) -> bool:
    """Say whether anything answers at a host's management address: a connection, or its refusal.

    False is no evidence of anything. True means that a machine whose outlet reads off runs.
    """
    try:
        socket.create_connection((str(address), _SSH), timeout=_ANSWER_WITHIN_S).close()
    except ConnectionRefusedError:
        return True
    except OSError:
        return False
    return True


class OutletFence:
    """Fencing of one host by its outlet. ``login`` opens what is sealed for a site's endpoint when it is needed."""

    def __init__(
        self,
        estate: Estate,
        *,
        login: Callable[[SiteName], Login],
        certificates: Path,
        run: Run = run_process,
        asks: Callable[[IPv4Address], bool] = answers,
        agents: str = AGENTS,
    ) -> None:
        """Connect to nothing yet. The endpoints' certificates are put into a folder for the agents to read."""
        self._estate = estate
        self._login = login
        self._certificates = certificates
        self._run = run
        self._asks = asks
        self._agents = agents

    def close(self, arguments: Json) -> None:
        """Switch the host's outlet off.

        Raises:
            ActionTimeout: the agent did not end in time.
            ActionError: it failed; whether the outlet was switched is not known.
        """
        self._switch(arguments, "off")

    def open(self, arguments: Json) -> None:
        """Switch the host's outlet on."""
        self._switch(arguments, "on")

    def read_back(self, arguments: Json) -> Json:
        """Return what the outlet reads, on whose power its endpoint stands, and whether the host still answers."""
        site, host = self._meant(arguments)
        power = self._power(site)
        state, why = self._state(site, host)
        return {
            "outlets": {host: state.value},
            "stands_on": power.stands_on,
            "endpoint": f"{power.agent} at {power.address}",
            "answers": {host: self._asks(self._estate.hosts[host].management)},
            **({"why": why} if why else {}),
        }

    def is_closed(self, arguments: Json) -> bool:
        """Say whether the outlet reads off.

        Raises:
            MeasurementError: what it reads is not known.
        """
        site, host = self._meant(arguments)
        state, why = self._state(site, host)
        if state is OutletState.UNKNOWN:
            raise MeasurementError(f"whether the outlet of {host} is on is not known: {why}")
        return state is OutletState.OFF

    def is_open(self, arguments: Json) -> bool:
        """Say whether the outlet reads on; what is not known raises."""
        return not self.is_closed(arguments)

    def trouble_with(self, site: SiteName) -> str:
        """Say why a site's endpoint could not be used now: no agent, no login, no answer. Nothing is switched."""
        first = next(iter(self._power(site).outlets))
        try:
            ended = self._told(site, first, "monitor", within_s=_READ_WITHIN_S)
        except (UsageError, ConfigError) as error:
            return error.what
        if ended.exit_code is None:
            return f"no answer in {_READ_WITHIN_S:.0f} s"
        return "" if ended.exit_code == 0 else self._said(ended, site)

    def _switch(self, arguments: Json, action: str) -> None:
        site, host = self._meant(arguments)
        by_hand = f"look at {self._power(site).address} itself: is the outlet of {host} {action}?"
        ended = self._told(site, host, action, within_s=_SWITCH_WITHIN_S)
        if ended.exit_code is None:
            raise ActionTimeout(
                f"{self._power(site).agent} did not switch the outlet of {host} {action} in {_SWITCH_WITHIN_S:.0f} s",
                next_step=by_hand,
            )
        if ended.exit_code != 0:
            what = f"the outlet of {host} was not switched {action}: {self._said(ended, site)}"
            raise ActionError(what, effect=Effect.UNKNOWN, next_step=by_hand)

    def _state(self, site: SiteName, host: HostName) -> tuple[OutletState, str]:
        try:
            ended = self._told(site, host, "status", within_s=_READ_WITHIN_S)
        except (UsageError, ConfigError) as error:  # no agent here, or nobody may use it: then nothing is known
            return OutletState.UNKNOWN, error.what
        match ended.exit_code:
            case code if code == _ON:
                return OutletState.ON, ""
            case code if code == _OFF:
                return OutletState.OFF, ""
            case None:
                return OutletState.UNKNOWN, f"no answer in {_READ_WITHIN_S:.0f} s"
            case _:
                return OutletState.UNKNOWN, self._said(ended, site)

    def _told(self, site: SiteName, host: HostName, action: str, *, within_s: float) -> Ended:
        power, login = self._power(site), self._login(site)
        program = agent_path(power.agent, path=self._agents)
        stdin = agent_options(power, host=host, action=action, login=login).encode()
        return self._run([program], stdin=stdin, timeout_s=within_s, environment=self._environment(site, login))

    def _environment(self, site: SiteName, login: Login) -> Mapping[str, str]:
        """Have the agent's TLS believe the endpoint's certificate and no other, where one is sealed."""
        if not login.certificate:
            return scrubbed_environment()
        path = self._certificates / f"{site}.pem"
        if not path.exists() or path.read_text(encoding="ascii") != login.certificate:
            write_private(path, login.certificate.encode("ascii"))
        return scrubbed_environment(REQUESTS_CA_BUNDLE=str(path), SSL_CERT_FILE=str(path), CURL_CA_BUNDLE=str(path))

    def _said(self, ended: Ended, site: SiteName) -> str:
        """Return the end of what an agent said, without what it was told in confidence."""
        secret = self._login(site).password
        words = " ".join(plain(f"{ended.stderr} {ended.stdout}".replace(secret, "***"), limit=4000).split())
        return f"exit code {ended.exit_code}: {words[-300:] or 'it said nothing'}"

    def _meant(self, arguments: Json) -> tuple[SiteName, HostName]:
        return SiteName(word(arguments, "site")), HostName(word(arguments, "host"))

    def _power(self, site: SiteName) -> PowerSwitch:
        power = self._estate.fencing_of(site).power
        if power is None:
            raise ActionError(f"{self._estate.name} declares no power switch for {site}", effect=Effect.NONE)
        return power


def agent_path(agent: str, *, path: str = AGENTS) -> str:
    """Return where an agent is installed.

    Raises:
        UsageError: it is not.
    """
    found = shutil.which(agent, path=path)
    if found is None:
        raise UsageError(
            f"{agent} is not installed here",
            not_done="no outlet was switched or read",
            next_step=f"as root: apt-get install --no-install-recommends {PACKAGE}",
        )
    return found


def agent_options(power: PowerSwitch, *, host: HostName, action: str, login: Login) -> str:
    """Return what an agent reads from its standard input: one option a line.

    Raises:
        ActionError: the host has no outlet there, or an option would be two lines.
    """
    if host not in power.outlets:
        raise ActionError(f"{host} has no outlet at {power.address}", effect=Effect.NONE)
    options = {
        **power.options,
        "action": action,
        "ip": str(power.address),
        **({"ipport": str(power.port)} if power.port is not None else {}),
        "username": login.username,
        "password": login.password,
        power.outlet_option: power.outlets[host],
    }
    if any("\n" in value or "\r" in value for value in options.values()):
        raise ActionError("an option of a fence agent is more than one line", effect=Effect.NONE)
    return "".join(f"{name}={value}\n" for name, value in options.items())
