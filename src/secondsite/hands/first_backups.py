"""The first backup of everything, and its first verification: begun once a host is provisioned, so that nothing waits.

Roles lay on each host which jobs make and verify backups there, each with the mark that a first one leaves behind.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial

from ..errors import ActionError, ActionTimeout, Effect, SecondsiteError, Unreachable
from ..run.functions import ActionFrom, words
from ..run.model import Json
from ..run.ports import Hands, Outcome, Registry, StepContext

PLACE = "/etc/secondsite/first-backups"
PLACE_OF_VERIFICATIONS = "/etc/secondsite/first-verifications"
WAIT_S = 300
LIMIT = dt.timedelta(seconds=WAIT_S + 60)
# All jobs of a host begin together. It prints one line for each that was due: how it ended, its name, its last words.
_BEGIN = r"""
set -u
place=$1 wait=$2 due=
ls "$place" >/dev/null || exit 1
for list in "$place"/*; do
    while read -r unit mark; do
        case " $due " in *" $unit "*) continue ;; esac
        [ -e "$mark" ] || due="$due $unit"
    done < "$list"
done
[ -n "$due" ] || exit 0
systemctl reset-failed $due 2>/dev/null
systemctl start --no-block $due || exit 1
until=$(($(date +%s) + wait))
for unit in $due; do
    while state=$(systemctl show --property ActiveState --value "$unit"); [ "$state" = activating ]; do
        [ "$(date +%s)" -lt "$until" ] || break
        sleep 0.2
    done
    if [ "$state" = activating ]; then how=runs
    elif [ "$(systemctl show --property Result --value "$unit")" = success ]; then how=made
    else how=failed
    fi
    said=
    [ $how = failed ] && said=$(journalctl -q _SYSTEMD_UNIT="$unit" -n 3 --output cat --no-pager | tr '\n' ' ')
    echo "$how $unit $said"
done
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Jobs:
    """How the jobs of one host that were due came out. ``runs`` is large, and goes on by itself."""

    made: list[str] = field(default_factory=list)
    runs: list[str] = field(default_factory=list)
    failed: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class FirstBackups:
    """The steps that have every job begin that never made, or never verified, a backup."""

    hands: Hands

    def registry(self) -> Registry:
        """Name the actions."""
        actions = {
            "first-backups": ActionFrom(partial(self._make, PLACE, "backup")),
            "first-verifications": ActionFrom(partial(self._make, PLACE_OF_VERIFICATIONS, "verification")),
        }
        return Registry(actions=actions, probes={})

    def _make(self, place: str, what: str, arguments: Json, _context: StepContext) -> Outcome:
        """Begin every job that never ended well, at all hosts at once, and wait for those that end within minutes.

        A host that does not answer is told in the outcome, with the jobs elsewhere that failed while it did not.

        Raises:
            ActionError: a job failed though every host answered; jobs and their last words are named.
        """
        hosts = words(arguments, "hosts")
        with ThreadPoolExecutor(max_workers=max(1, len(hosts))) as pool:
            came = dict(zip(hosts, pool.map(partial(self._begin, place), hosts), strict=True))
        silent = {host: error.what for host, error in came.items() if isinstance(error, Unreachable)}
        wrong = {host: why for host, one in came.items() if host not in silent and (why := _trouble(one))}
        if wrong and not silent:
            said = "; ".join(f"{host}: {why}" for host, why in sorted(wrong.items()))
            raise ActionError(f"no first {what}: {said}", effect=Effect.UNKNOWN, next_step="secondsite run provision")
        jobs = {host: one for host, one in came.items() if isinstance(one, Jobs)}
        made = {host: one.made for host, one in jobs.items() if one.made}
        runs = {host: one.runs for host, one in jobs.items() if one.runs}
        unreachable = silent | {host: f"its first {what} failed: {why}" for host, why in wrong.items()}
        detail = {"made": made, "runs": runs, "unreachable": unreachable, "said": _sentence(what, made, runs)}
        return Outcome(changed=bool(made or runs), detail=detail)

    def _begin(self, place: str, host: str) -> Jobs | SecondsiteError:
        argv = ["sudo", "-n", "/bin/sh", "-s", "--", place, str(WAIT_S)]
        try:
            return read(self.hands.run(host, argv, stdin=_BEGIN, timeout=LIMIT).stdout)
        except (Unreachable, ActionTimeout, ActionError) as error:
            return error


def read(said: str) -> Jobs:
    """Read what a host printed.

    Raises:
        ActionError: it makes no sense.
    """
    jobs = Jobs()
    for line in said.splitlines():
        how, _, rest = line.partition(" ")
        unit, _, why = rest.partition(" ")
        match how:
            case "made":
                jobs.made.append(unit)
            case "runs":
                jobs.runs.append(unit)
            case "failed":
                jobs.failed[unit] = " ".join(why.split())[:300] or "it did not say why"
            case _:
                raise ActionError(f"it answered with something else: {line[:80]!r}", effect=Effect.UNKNOWN)
    return jobs


def _trouble(came: Jobs | SecondsiteError) -> str:
    if isinstance(came, SecondsiteError):
        return came.what
    return "; ".join(f"{unit}: {why}" for unit, why in came.failed.items())


def _sentence(what: str, made: Mapping[str, list[str]], runs: Mapping[str, list[str]]) -> str:
    if not made and not runs:
        return f"nothing to change: every first {what} was made before"
    counted = [f"{sum(map(len, made.values()))} first {what}s"]
    counted += [f"{sum(map(len, runs.values()))} go on by themselves"] if runs else []
    return ", ".join(counted)
