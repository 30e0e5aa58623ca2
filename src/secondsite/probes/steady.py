"""The estate's own checks (``drtests/``), run by pytest in a process of its own, and read back check by check."""

from __future__ import annotations

import datetime as dt
import json
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree as ET

from ..drill.ports import CheckResult
from ..errors import MeasurementError, SecondsiteError
from ..estate.model import Estate, HostName, Service, SiteName
from ..run.ports import Hands
from .customers import Customer, journey

_NO_TESTS = 5
_DONE = (0, 1, _NO_TESTS)


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckedByUse:
    """The estate's checks, and a customer's journey at home besides: what merely runs does not yet serve."""

    checks: EstateChecks
    hands: Hands
    customer: Customer
    within: dt.timedelta = dt.timedelta(seconds=15)

    def check(self, *, home: SiteName) -> Sequence[CheckResult]:
        """Run every check, then use the service.

        Raises:
            MeasurementError: the checks could not be run to their end; nothing is known.
        """
        return [*self.checks.check(home=home), self._journey(home)]

    def _journey(self, home: SiteName) -> CheckResult:
        (service,) = self.checks.estate.services
        served_by = service.members[home]
        expected = f"a customer signs in, orders and reads order, bill and login back, served by {served_by}"
        try:
            seen = journey(self.hands, self.customer, served_by=served_by, within=self.within)
        except SecondsiteError as error:
            return CheckResult(id="customer_journey", state="unknown", saw=error.what, expected=expected)
        state, saw = ("passed", f"order {seen.get('order')}") if seen["ok"] else ("failed", str(seen.get("error")))
        return CheckResult(id="customer_journey", state=state, saw=saw, expected=expected)


@dataclass(frozen=True, slots=True, kw_only=True)
class EstateChecks:
    """Runs the checks in ``folder`` over the connections that ``ssh_config`` describes."""

    estate: Estate
    folder: Path
    ssh_config: Path
    environment: Mapping[str, str]
    within: dt.timedelta = dt.timedelta(seconds=90)
    isolated: Sequence[str] = ()
    """The networks that are isolated at the carriers, and rightly: those of a site that stays lost."""

    def check(self, *, home: SiteName) -> Sequence[CheckResult]:
        """Run every check, expecting the services at ``home``.

        Raises:
            MeasurementError: the checks could not be run to their end; nothing is known.
        """
        with tempfile.TemporaryDirectory(prefix="secondsite-checks-") as scratch:
            facts, answers = Path(scratch) / "facts.json", Path(scratch) / "answers.xml"
            facts.write_text(json.dumps(self._facts(home)))
            ended = self._pytest(facts, answers)
            if ended.returncode not in _DONE or not answers.exists():
                raise MeasurementError(
                    f"the checks in {self.folder} did not run to their end (exit code {ended.returncode}):"
                    f" {ended.stdout.strip()[-500:]}"
                )
            return results_in(answers.read_text())

    def _pytest(self, facts: Path, answers: Path) -> subprocess.CompletedProcess[str]:
        argv = [sys.executable, "-m", "pytest", "-q", "-c", str(self.folder / "pytest.ini"), str(self.folder)]
        argv += ["--facts", str(facts), f"--junitxml={answers}", "-o", "junit_family=xunit1"]
        try:
            return subprocess.run(
                argv,
                check=False,
                capture_output=True,
                text=True,
                stdin=subprocess.DEVNULL,
                timeout=self.within.total_seconds(),
                env=dict(self.environment),
            )
        except subprocess.TimeoutExpired as error:
            raise MeasurementError(f"the checks in {self.folder} did not end within {self.within}") from error

    def _facts(self, home: SiteName) -> dict[str, object]:
        (service,) = self.estate.services
        return {
            "home": home,
            "isolated": list(self.isolated),
            "ssh_config": str(self.ssh_config),
            "hosts": {
                host.name: {"site": host.site, "groups": list(host.groups), "address": str(host.address)}
                for host in self.estate.hosts.values()
            },
            "service": self._service_facts(service, home),
            "names": {one.dns_name: str(self.estate.hosts[one.members[home]].address) for one in self.estate.published},
            "workloads": [
                {
                    "name": workload.name,
                    "scope": workload.settings["scope"],
                    "home_host": workload.members[home],
                    "standbys": len(workload.members) - 1,
                    "synchronous": not workload.objectives.rpo and len(workload.members) > 1,
                }
                for workload in self.estate.workloads.values()
                if workload.adapter == "patroni"
            ],
            "stored": [
                {
                    "name": workload.name,
                    "home_host": workload.members[home],
                    "in_sync": not workload.objectives.rpo and len(workload.members) > 1,
                    "rpo_s": workload.objectives.rpo.total_seconds(),
                }
                for workload in self.estate.workloads.values()
                if workload.takes_markers
            ],
        }

    def _service_facts(self, service: Service, home: SiteName) -> dict[str, object]:
        hosts = self.estate.hosts
        servers = name_servers_of(service, self.estate)
        return {
            "dns_name": service.dns_name,
            "zone": service.zone,
            "home_address": str(hosts[service.members[home]].address),
            "addresses": [str(hosts[name].address) for name in service.members.values()],
            "name_servers": [str(hosts[name].address) for name in servers],
        }


def name_servers_of(service: Service, estate: Estate) -> tuple[HostName, ...]:
    """Name the hosts that hold the service's zone, first its primary.

    Copies are at the operations' hosts, else at the web's, as roles/group_vars/all/services.yml has it.
    """
    by_group = ([host.name for host in estate.hosts.values() if group in host.groups] for group in ("ops", "web"))
    return (service.name_server, *next((names for names in by_group if names), ()))


def results_in(junit: str) -> list[CheckResult]:
    """Read pytest's JUnit answer. A check that did not come to an answer of its own is unknown, never passed.

    Raises:
        MeasurementError: it can't be read.
    """
    try:
        root = ET.fromstring(junit)  # noqa: S314  written by our own pytest a moment ago
    except ET.ParseError as error:
        raise MeasurementError(f"the answer of the checks can't be read: {error}") from error
    return [_result(case) for case in root.iter("testcase")]


def _result(case: ET.Element) -> CheckResult:
    name = case.get("name", "")
    saw = next((found.get("value", "") for found in case.iter("property") if found.get("name") == "saw"), "")
    for tag, state in (("error", "unknown"), ("skipped", "unknown"), ("failure", "failed")):
        trouble = case.find(tag)
        if trouble is not None:
            message = (trouble.get("message") or "").splitlines()
            return CheckResult(id=name, state=state, saw=saw or " ".join(message)[:500], expected=_sentence(name))
    return CheckResult(id=name, state="passed", saw=saw, expected=_sentence(name))


def _sentence(name: str) -> str:
    return name.removeprefix("test_").partition("[")[0].replace("_", " ")
