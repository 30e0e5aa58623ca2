"""Look at this machine, at every host as it is now, and at the declaration; say what is missing."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from cryptography.hazmat.primitives.serialization import load_ssh_private_key

from ..checks.doctor.load import packages_by_group, packages_of
from ..checks.doctor.model import ControllerFacts, HostFacts, Symptom
from ..checks.doctor.rules import about_clock, about_controller, about_estate, about_host, exit_code_of
from ..errors import SecondsiteError
from ..estate.model import Estate
from ..hands.age import Safe
from ..hands.keys import Trust
from ..hands.pins import read_pins
from ..hands.power import PACKAGE
from ..hands.pyinfra import Bootstrap
from ..hands.visit import Visitor
from ..lab.model import LabSettings
from ..lab.netns import enter_control
from ..lab.packages import missing_system_packages
from ..store.clock import SystemClock
from .bench import approvers_of, bootstrap_for
from .escrow import reasons_not_today
from .places import PROJECT, lab_of, safe_of, state_path
from .power import trouble_with_endpoints
from .provision import PYINFRA

_PROGRAMS = {"ssh": "openssh-client", "ssh-keygen": "openssh-client", "prlimit": "util-linux"}
_SBIN = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_OTHERS_MAY = 0o077


@dataclass(frozen=True, slots=True, kw_only=True)
class DoctorEnd:
    """What was found."""

    symptoms: tuple[Symptom, ...]
    seconds: float

    @property
    def exit_code(self) -> int:
        """2 if anything is missing, else 4 if a host was not reached, else 8 if anything is unknown, else 0."""
        return exit_code_of(self.symptoms)


def examine(estate: Estate) -> DoctorEnd:
    """Look at everything once. Nothing is changed, here or there, but certificates that are about to end."""
    clock = SystemClock()
    begun = clock.monotonic()
    lab, safe = lab_of(estate), safe_of(estate)
    bootstrap = bootstrap_for(lab)
    trouble_with_lab = None if lab is None else _trouble(lambda: enter_control(lab))
    controller = ControllerFacts(
        programs=_programs(estate, lab),
        environments={".venv-pyinfra": (PROJECT / PYINFRA).exists()},
        state=str(state_path(estate)),
        state_writable=_is_writable(state_path(estate)),
        state_free=_free(state_path(estate)),
        trouble_with_secrets=_trouble_with_secrets(estate, safe),
        trouble_with_key=_trouble_with_key(bootstrap),
        trouble_with_approvers=approvers_of(estate).trouble(),
        trouble_with_lab=trouble_with_lab,
        trouble_with_power=None if trouble_with_lab else _trouble_with_power(estate, lab, safe),
    )
    told = () if trouble_with_lab else _visits(estate, safe, bootstrap, clock, secrets=controller.trouble_with_secrets)
    symptoms = (*about_controller(controller), *_about_hosts(estate, told, controller), *about_estate(estate))
    return DoctorEnd(symptoms=symptoms, seconds=clock.monotonic() - begun)


def _visits(
    estate: Estate, safe: Safe, bootstrap: Bootstrap, clock: SystemClock, *, secrets: str
) -> tuple[HostFacts, ...]:
    hosts = list(estate.hosts.values())
    trust = Trust(state_path(estate) / "keys", hosts, safe=safe)
    if trust.is_adopted() and not secrets:
        trust.prepare(now=clock.now())  # the certificates that log in hold for hours only
    visitor = Visitor(trust=trust, bootstrap=bootstrap, pinned=read_pins(bootstrap.pins, hosts), now=clock.now)
    by_group = packages_by_group(PROJECT)
    return visitor.visit(hosts, {host.name: packages_of(host, by_group) for host in hosts})


def _about_hosts(estate: Estate, told: tuple[HostFacts, ...], controller: ControllerFacts) -> Iterator[Symptom]:
    yield from about_clock(told)
    for facts in told:
        yield from about_host(facts, estate.hosts[facts.host], trouble_with_key=controller.trouble_with_key)


def _programs(estate: Estate, lab: LabSettings | None) -> dict[str, bool]:
    agents = {one.power.agent: PACKAGE for one in estate.fencing.values() if one.power is not None}
    needed = {
        f"{name} from {package}": shutil.which(name, path=_SBIN) is not None
        for name, package in (_PROGRAMS | agents).items()
    }
    missing = missing_system_packages(lab.cache) if lab is not None else ()
    return needed | {f"what the lab needs from {package}": False for package in missing}


def _standing(path: Path) -> Path:
    """Return the nearest directory that is there: what a missing one would be made in."""
    return next(one for one in (path, *path.absolute().parents) if one.is_dir())


def _is_writable(path: Path) -> bool:
    return os.access(_standing(path), os.W_OK | os.X_OK)


def _free(path: Path) -> int | None:
    try:
        return shutil.disk_usage(_standing(path)).free >> 20
    except OSError:
        return None


def _trouble_with_secrets(estate: Estate, safe: Safe) -> str:
    """Say why the estate's secrets could not be sealed and opened here; nothing is made, a lab makes its own."""
    if safe.makes_keys:
        return ""
    if not safe.directory.is_dir():
        return f"nobody is named who may open the estate's secrets: {safe.directory / 'recipients'} is missing"
    not_sealed = "" if estate.escrow is None else "; ".join(reasons_not_today(estate, safe))
    escrow = f"escrow is not sealed to its holders (secondsite escrow seal): {not_sealed}" if not_sealed else ""
    return _trouble(safe.prepare) or _trouble(safe.require_identity) or escrow


def _trouble_with_power(estate: Estate, lab: LabSettings | None, safe: Safe) -> str | None:
    """Say why a power endpoint can't be used; None where none is declared."""
    if all(one.power is None for one in estate.fencing.values()):
        return None
    return trouble_with_endpoints(estate, lab=lab, safe=safe, state=state_path(estate))


def _trouble_with_key(bootstrap: Bootstrap) -> str:
    """Say why the key that bare hosts accept can't be used. Programs that never ask can't use a passphrase."""
    if not bootstrap.key.is_file():
        return f"there is no key for first contact at {bootstrap.key}"
    if bootstrap.key.stat().st_mode & _OTHERS_MAY:
        return f"others may read {bootstrap.key}, so ssh refuses it: chmod 600 {bootstrap.key}"
    try:
        load_ssh_private_key(bootstrap.key.read_bytes(), password=None)
    except (ValueError, TypeError) as error:
        return f"{bootstrap.key} can't be used without asking: {error}"
    return ""


def _trouble(attempt: Callable[[], object]) -> str:
    try:
        attempt()
    except SecondsiteError as error:
        return error.what
    return ""
