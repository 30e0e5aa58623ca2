"""Read a scenario strictly: everything wrong is reported at once, with file, line and hint."""

from __future__ import annotations

import datetime as dt
import hashlib
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from ..errors import ConfigError, Problem, UsageError
from ..estate.inventory.load import sentence
from ..estate.model import Estate, HostName, SiteName, WorkloadName
from ..estate.schema.load import DURATION_HINT, Duration, GroupName, Name, Text
from ..estate.strict.load import Document, read_document, step_into
from .model import ComesBack, ExerciseKind, FaultKind, Scenario, TrafficShape, TrialSize
from .rules import reasons_not_to_drill

_MB = 1_000_000


class _Document(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid", frozen=True, regex_engine="python-re")


class TrafficDocument(_Document):
    """Open-loop rates, in requests a second."""

    writes: int = Field(ge=1, le=1000, description="Orders a second.")
    reads: int = Field(ge=1, le=1000, description="Reads of an order a second.")
    control_writes: int = Field(ge=1, le=1000, description="Writes a second to the control arm.")


class TrialDocument(_Document):
    """The size of one trial restore. The ones after it hold more."""

    database_mb: int = Field(ge=1, le=4096, description="Megabytes of a database.")
    files_mb: int = Field(ge=1, le=4096, description="Megabytes of files of 4 MB.")
    files: int = Field(ge=10, le=200_000, description="How many small files.")


class ScenarioDocument(_Document):
    """One drill."""

    schema_version: Literal[1] = Field(description="The version of this document kind.")
    name: Name = Field(description="The word after `secondsite drill run`; the file's name without .yml.")
    title: Text = Field(description="What happens, in a sentence.")
    kind: Literal["unplanned", "planned", "cold-restart"] = Field(
        description="Whether the fault is announced to the estate, or loses both live copies and the controller."
    )
    origin: Name = Field(description="The site that is lost.")
    target: Name = Field(description="The site that takes over.")
    runbook: GroupName | None = Field(default=None, description="The runbook that answers the fault.")
    return_runbook: GroupName | None = Field(default=None, description="The runbook that brings operations home.")
    resumes_within: Duration | None = Field(
        default=None,
        description="Instead of runbooks and a hold: operations are at the target, bear the loss of the origin, and"
        " customers are served again within this time.",
    )
    fault: Literal["cut-power", "cut-link", "cut-link-inward", "stop-etcd", "cut-controller"] = Field(
        description="What is injected: the power of all the site's hosts, all its links or what comes in over them, the"
        " quorum's members on fault_hosts, or the controller's wire. The estate must permit it."
    )
    fault_hosts: list[Name] = Field(default_factory=list, description="The hosts of stop-etcd.")
    together_with: Name | None = Field(
        default=None,
        description="A site that loses its power in the same instant; both get it back once it is proven. In a cold"
        " restart it is the target, and gets new machines.",
    )
    writers_may_stop: bool = Field(
        default=False, description="Where it is endured: nobody can go on writing while the fault lasts."
    )
    comes_back: Literal["at-the-end", "while-promoting", "once-promoted", "a-day-later"] = Field(
        default="at-the-end", description="When the power of a site that failed over comes back."
    )
    lying_fence: Name | None = Field(
        default=None,
        description="A carrier whose isolation answers success and drops nothing: the failover must be refused.",
    )
    lasts: Duration | None = Field(default=None, description="How long the fault lasts at least, where it is endured.")
    fault_site: Name = Field(description="The site it is injected at.")
    consent_at: Name | None = Field(
        default=None,
        description="The site where deputies sit who consent to the failover; without it, a standing order.",
    )
    by_hand: bool = Field(
        default=False,
        description="Whether the runbook is carried out from its printed page, over ssh, with nothing of the engine.",
    )
    also_lost: Name | None = Field(
        default=None, description="A site that loses its power as well, once the run waits for that consent."
    )
    hold: Name | None = Field(
        default=None, description="The control arm, whose replication is held back before the fault."
    )
    hold_for: Duration | None = Field(default=None, description="For how long it is held back at least.")
    trials: list[TrialDocument] = Field(
        default_factory=list, description="Sizes at which restores are timed after a cold restart, to project from."
    )
    traffic: TrafficDocument = Field(description="What customers do meanwhile.")
    warm_up: Duration = Field(description="How long customers are served before anything is done.")
    sustained: Duration = Field(description="How long the target must serve them within the service level.")
    maximum: Duration = Field(description="After this the drill ends in a safe abort.")


def scenario_names(folder: Path) -> list[str]:
    """Name every scenario in the folder."""
    return sorted(path.stem for path in folder.glob("*.yml"))


def load_scenario(name: str, *, folder: Path, estate: Estate) -> Scenario:
    """Return the scenario of that name, made sure to fit the estate.

    Raises:
        UsageError: there is none of that name.
        ConfigError: it is wrong, or the estate does not permit what it asks for; everything wrong is in it.
    """
    known = scenario_names(folder)
    if name not in known:
        raise UsageError(
            f"no scenario is named {name!r}; there are: {', '.join(known) or 'none'}",
            not_done="no drill was begun",
            next_step="secondsite drill list",
        )
    scenario, document = _read(name, folder)
    reasons = [Problem(file=document.file, line=None, pointer="", what=why) for why in _reasons(scenario, name, estate)]
    if reasons:
        raise ConfigError(reasons, not_done="no drill was begun")
    return scenario


def known_scenarios(*, folder: Path, estate: Estate) -> list[tuple[Scenario, list[str]]]:
    """Return every scenario in the folder, each with the reasons why it can't be conducted on this estate.

    Raises:
        ConfigError: one of them is wrong by itself, whatever the estate; everything wrong with it is told.
    """
    read = [_read(name, folder)[0] for name in scenario_names(folder)]
    return [(scenario, list(reasons_not_to_drill(scenario, estate))) for scenario in read]


def _read(name: str, folder: Path) -> tuple[Scenario, Document]:
    document = read_document(folder / f"{name}.yml")
    if document.problems:
        raise ConfigError(document.problems, not_done="no drill was begun")
    return _scenario(_parsed(document), document), document


def _reasons(scenario: Scenario, name: str, estate: Estate) -> list[str]:
    wrong_name = [f"name is {scenario.name!r}, the file's is {name!r}"] if scenario.name != name else []
    return [*wrong_name, *reasons_not_to_drill(scenario, estate)]


def _parsed(document: Document) -> ScenarioDocument:
    try:
        return ScenarioDocument.model_validate(document.value)
    except ValidationError as error:
        problems = []
        for one in error.errors(include_url=False):
            pointer = ""
            for part in one["loc"]:
                pointer = step_into(pointer, part)
            what = sentence(one["type"], one["msg"])
            problems.append(document.problem(pointer, what, DURATION_HINT if "duration" in what else ""))
        raise ConfigError(problems, not_done="no drill was begun") from error


def _scenario(parsed: ScenarioDocument, document: Document) -> Scenario:
    try:
        return Scenario(
            name=parsed.name,
            title=parsed.title,
            kind=ExerciseKind(parsed.kind),
            origin=SiteName(parsed.origin),
            target=SiteName(parsed.target),
            runbook=parsed.runbook or "",
            return_runbook=parsed.return_runbook or "",
            resumes_within=parsed.resumes_within,
            lasts=parsed.lasts or dt.timedelta(0),
            fault=FaultKind(parsed.fault),
            fault_site=SiteName(parsed.fault_site),
            consent_at=SiteName(parsed.consent_at) if parsed.consent_at else None,
            by_hand=parsed.by_hand,
            also_lost=SiteName(parsed.also_lost) if parsed.also_lost else None,
            comes_back=ComesBack(parsed.comes_back),
            fault_hosts=tuple(HostName(host) for host in parsed.fault_hosts),
            together_with=SiteName(parsed.together_with) if parsed.together_with else None,
            writers_may_stop=parsed.writers_may_stop,
            trials=tuple(
                TrialSize(database_bytes=one.database_mb * _MB, file_bytes=one.files_mb * _MB, files=one.files)
                for one in parsed.trials
            ),
            lying_fence=HostName(parsed.lying_fence) if parsed.lying_fence else None,
            hold=WorkloadName(parsed.hold) if parsed.hold else None,
            hold_for=parsed.hold_for or dt.timedelta(0),
            traffic=TrafficShape(**parsed.traffic.model_dump()),
            warm_up=parsed.warm_up,
            sustained=parsed.sustained,
            maximum=parsed.maximum,
            digest=hashlib.sha256(document.content).hexdigest(),
        )
    except ValueError as error:
        raise ConfigError([document.problem("", str(error))], not_done="no drill was begun") from error
