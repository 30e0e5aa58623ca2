"""Each rule of the verdict as a test case: not satisfied is a failure, not measured is an error, never a pass."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from xml.etree import ElementTree as Xml

from ..evidence.recorded_roles import recorded_roles
from ..measure import Status, Verdict, read_records, recompute
from ..measure.model import DrillResult, RuleResult
from .text import clean

ABORTED = "drill-not-aborted"


def _case(suite: Xml.Element, drill: str, rule: RuleResult) -> None:
    case = Xml.SubElement(suite, "testcase", classname=clean(drill), name=clean(f"{rule.id}: {rule.claim}"), time="0")
    said = clean(f"saw {rule.saw}; expected {rule.expected}")
    match rule.status:
        case Status.SATISFIED:
            Xml.SubElement(case, "system-out").text = said
        case Status.NOT_SATISFIED:
            Xml.SubElement(case, "failure", type="not-satisfied", message=said).text = said
        case Status.NOT_MEASURED:
            Xml.SubElement(case, "error", type="not-measured", message=said).text = said


def _aborted() -> RuleResult:
    return RuleResult(
        id=ABORTED,
        claim="The drill ran to its end",
        status=Status.NOT_MEASURED,
        saw="aborted",
        expected="not aborted",
    )


def to_xml(result: DrillResult, parts: Sequence[tuple[str, str]] = ()) -> str:
    """Return the JUnit document of a result; ``parts`` are (role, who), as properties."""
    rules = [*result.rules, *([_aborted()] if result.verdict is Verdict.ABORTED else [])]
    counts = {
        "tests": str(len(rules)),
        "failures": str(sum(rule.status is Status.NOT_SATISFIED for rule in rules)),
        "errors": str(sum(rule.status is Status.NOT_MEASURED for rule in rules)),
        "skipped": "0",
    }
    root = Xml.Element("testsuites", counts)
    suite = Xml.SubElement(root, "testsuite", {"name": clean(f"drill {result.drill}"), **counts})
    if parts:
        told = Xml.SubElement(suite, "properties")
        for role, who in parts:
            Xml.SubElement(told, "property", name=clean(role), value=clean(who))
    for rule in rules:
        _case(suite, result.scenario, rule)
    Xml.indent(root)
    return Xml.tostring(root, encoding="unicode", xml_declaration=True) + "\n"


def render_junit(files: Mapping[str, bytes]) -> str:
    """Return the JUnit document recomputed from record files."""
    roles = recorded_roles({f"records/{name}": content for name, content in files.items()}, None)
    parts = [(part.role.value, f"{part.name or 'no name'} {part.key}".strip()) for part in roles.parts]
    return to_xml(recompute(read_records(files)), list(dict.fromkeys(parts)))
