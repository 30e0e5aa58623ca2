"""Look at a host that may not be prepared yet: over SSH, with a pinned key, and without changing anything there."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from ..checks.doctor.model import HostFacts
from ..checks.doctor.rules import is_placeholder
from ..estate.model import Host
from .keys import Trust
from .pins import Pinned
from .processes import Ended, plain, run_process
from .pyinfra import Bootstrap

_TIMEOUT_S = 20.0
_LARGEST = 64 << 10
_MOST_NAMES = 200
# Plain POSIX shell, for a host that has neither Python nor sudo yet. Its arguments are the packages' names.
_LOOK = r"""
set -u
. /etc/os-release && echo "release=$ID ${VERSION_ID:-}"
echo "python=$(python3 -V 2>/dev/null)"
if [ "$(id -u)" = 0 ]; then echo privilege=root; elif sudo -n true 2>/dev/null; then echo privilege=sudo; fi
free=$(df -Pm /var 2>/dev/null | awk 'NR == 2 { print $4 }') && echo "free=$free"
if command -v dpkg-query >/dev/null; then
  for package in "$@"; do
    case $(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null) in
      installed) ;;
      *) echo "lacking=$package"
         case $(apt-cache policy "$package" 2>/dev/null | sed -n 's/^ *Candidate: //p') in
           "" | "(none)") echo "unobtainable=$package" ;;
         esac ;;
    esac
  done
  echo packages=looked
fi
echo "time=$(date +%s.%N)"
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Visitor:
    """Visits hosts: by certificate where that opens them, else with the key they accept before first contact."""

    trust: Trust
    bootstrap: Bootstrap
    pinned: Pinned
    now: Callable[[], dt.datetime]

    def visit(self, hosts: Sequence[Host], packages: Mapping[str, Sequence[str]]) -> tuple[HostFacts, ...]:
        """Visit all hosts at once."""
        with ThreadPoolExecutor(max_workers=max(1, len(hosts))) as pool:
            return tuple(pool.map(lambda host: self._visit(host, packages.get(host.name, ())), hosts))

    def _visit(self, host: Host, packages: Sequence[str]) -> HostFacts:
        adopted = self.trust.is_adopted()
        trouble = "" if adopted else self.pinned.problems.get(host.name, "")
        if is_placeholder(host.management) or trouble:
            return HostFacts(host=host.name, trouble_with_pin=trouble, answered=False, way="", why="")
        ways = [("certificate", self._by_certificate(host))] if adopted else []
        ways += [("bootstrap", self._with_key(host))] if self.bootstrap.key.is_file() else []
        why, answered = "", False
        for way, argv in ways or [("", self._with_key(host))]:
            begun = self.now().timestamp()
            ended = run_process(
                [*argv, "--", self._name(host, way), f"sh -s {' '.join(packages)}"],
                timeout_s=_TIMEOUT_S,
                stdin=_LOOK.encode(),
                limit=_LARGEST,
            )
            if ended.exit_code == 0 and "\ntime=" in ended.stdout:
                return _told(host, ended.stdout, way=way, begun=begun, over=self.now().timestamp())
            why, answered = plain(ended.stderr.strip(), limit=300), answered or _answered(ended)
        return HostFacts(host=host.name, trouble_with_pin=trouble, answered=answered, way="", why=why)

    def _name(self, host: Host, way: str) -> str:
        return str(host.name if way == "certificate" else host.management)

    def _by_certificate(self, host: Host) -> list[str]:  # noqa: ARG002  ssh_config knows each host
        return ["ssh", "-F", str(self.trust.ssh_config)]

    def _with_key(self, host: Host) -> list[str]:
        options = {
            "BatchMode": "yes",
            "IdentitiesOnly": "yes",
            "StrictHostKeyChecking": "yes",
            "UpdateHostKeys": "no",
            "UserKnownHostsFile": f'"{str(self.bootstrap.pins).replace("%", "%%")}"',
            "GlobalKnownHostsFile": "/dev/null",
            "HostKeyAlgorithms": "ssh-ed25519",
            "ConnectTimeout": "5",
        }
        # somebody may have pinned it by the inventory's name
        options |= {} if self._is_pinned_by_address(host) else {"HostKeyAlias": str(host.name)}
        words = [word for name, value in options.items() for word in ("-o", f"{name}={value}")]
        return ["ssh", "-F", "/dev/null", "-i", str(self.bootstrap.key), "-l", self.bootstrap.user, *words]

    def _is_pinned_by_address(self, host: Host) -> bool:
        return host.name not in self.pinned.by_name


def _answered(ended: Ended) -> bool:
    """Say whether something spoke SSH there: a refusal is an answer, silence and an unreachable network are none."""
    silent = ("connect to host", "timed out", "banner exchange")
    return ended.exit_code is not None and not any(words in ended.stderr for words in silent)


def _told(host: Host, text: str, *, way: str, begun: float, over: float) -> HostFacts:
    """Read what the script printed; what is not as it prints it was not told."""
    words: dict[str, list[str]] = {}
    for line in plain(text, limit=_LARGEST).splitlines():
        name, separator, value = line.partition("=")
        if separator:
            words.setdefault(name, []).append(value.strip()[:120])
    when, free = _number(_one(words, "time")), _number(_one(words, "free"))
    return HostFacts(
        host=host.name,
        trouble_with_pin="",
        answered=True,
        way=way,
        why="",
        release=_one(words, "release") or None,
        python=_one(words, "python") or None,
        privilege=_one(words, "privilege") or None,
        lacking=tuple(words.get("lacking", ())[:_MOST_NAMES]) if "packages" in words else None,
        unobtainable=tuple(words.get("unobtainable", ())[:_MOST_NAMES]),
        offset_s=None if when is None else when - over,
        give_or_take_s=over - begun,
        free=None if free is None else int(free),
    )


def _one(words: Mapping[str, Sequence[str]], name: str) -> str:
    """Return the one value of a name; told twice, it is not known."""
    values = words.get(name, ())
    return values[0] if len(values) == 1 else ""


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None
