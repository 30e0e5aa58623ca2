"""Units: what must run does run, and would again after a reboot."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from ...estate.model import Host
from ..model import Facts, Finding, Pair, World
from .frame import bad, good, host_check, pair_check, unclear

_ENABLED = frozenset({"enabled", "enabled-runtime"})
_ON_THE_WAY = frozenset({"activating", "reloading", "deactivating", "refreshing"})
# Brought up by need or by the seat, so that one twin may have it and the other not.
_BY_NEED = (
    "user@",
    "user-runtime-dir@",
    "session-",
    "run-",
    "getty@",
    "serial-getty@",
    "console-getty",
    "container-getty@",
)

Unit = Mapping[str, str]


def is_wanted(unit: Unit) -> bool:
    """Say whether the host is told to have it running after each boot."""
    return unit.get("UnitFileState") in _ENABLED


def runs_or_ran(unit: Unit) -> bool:
    """Say whether it is active, or was a single task that came to its end, or was not to be started here.

    systemd shows the result ``no`` also of conditions that it never looked at, as those of a unit that it forgot once
    it was stopped; only with the instant at which it looked is it a result.
    """
    looked = unit.get("ConditionTimestampMonotonic", "0") not in ("", "0")
    if unit.get("ActiveState") == "active" or (looked and unit.get("ConditionResult") == "no"):
        return True
    return unit.get("Type") == "oneshot" and unit.get("ActiveState") == "inactive" and unit.get("Result") == "success"


@host_check(
    "RDY-SERVICES",
    reads="units",
    expected="every enabled unit is active, none has failed, and nothing runs that would not after a reboot",
    fix="secondsite run provision",
    commitments="C06 C09",
    controls="DR-07 DR-26",
    tags="readiness services",
)
def services(host: Host, facts: Facts, _: World) -> Iterator[Finding]:
    """What is enabled runs, and what runs is enabled."""
    troubles = 0
    for name, unit in sorted(facts["units"].items()):
        trouble = _trouble(name, unit)
        if trouble:
            troubles += 1
            saw = f"{host.name}: {name} {trouble}"
            on_the_way = unit.get("ActiveState") in _ON_THE_WAY
            fix = f"on {host.name}: systemctl status {name}"
            yield unclear(saw, host.name) if on_the_way else bad(saw, host.name, fix=fix)
    if not troubles:
        yield good(f"{host.name}: {len(facts['units'])} units", host.name)


def _trouble(name: str, unit: Unit) -> str:
    active, enabled = unit.get("ActiveState", ""), unit.get("UnitFileState", "")
    if active == "failed":
        return "has failed"
    if is_wanted(unit) and not runs_or_ran(unit):
        return f"is enabled and {active or 'in no known state'}"
    runs_unasked = enabled == "disabled" and active == "active" and unit.get("SubState") == "running"
    if runs_unasked and not name.startswith(_BY_NEED):
        return "runs, but is not enabled: it would not come back after a reboot"
    return ""


@pair_check(
    "RDY-STANDBY-SERVICES",
    reads="units",
    expected="twins have the same units enabled, and each of them is active at both datacenters",
    fix="secondsite run provision",
    commitments="C09 C12",
    controls="DR-07 DR-25 DR-26",
    tags="readiness services parity",
)
def standby_services(pair: Pair, first: Facts, second: Facts, _: World) -> Iterator[Finding]:
    """What runs at one datacenter is ready at the other."""
    units = (first["units"], second["units"])
    wanted = sorted({name for side in units for name, unit in side.items() if is_wanted(unit)})
    troubles = 0
    for name in (one for one in wanted if not one.startswith(_BY_NEED)):
        for host, side, other in ((pair.first, *units), (pair.second, *reversed(units))):
            trouble = _missing_at(side.get(name), other.get(name, {}))
            if trouble:
                troubles += 1
                twin = next(one for one in pair.names if one != host.name)
                saw = f"{host.name}: {name} {trouble}; at {twin} it is"
                yield bad(
                    saw, host.name, difference=f"unit:{name}", fix=f"on {host.name}: systemctl enable --now {name}"
                )
    if not troubles:
        yield good(f"{' and '.join(pair.names)}: {len(wanted)} enabled units", *pair.names)


def _missing_at(unit: Unit | None, twin: Unit) -> str:
    if unit is None or not is_wanted(unit):
        return "is not enabled" if is_wanted(twin) else ""
    return "is enabled and does not run" if not runs_or_ran(unit) and runs_or_ran(twin) else ""


CHECKS = (services, standby_services)
