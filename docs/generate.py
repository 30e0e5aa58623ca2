"""Make the reference pages and the README's help blocks from the code:  .venv/bin/python docs/generate.py [--check]."""

from __future__ import annotations

import inspect
import json
import os
import re
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "src"))
os.environ.update(COLUMNS="100", NO_COLOR="1", TERM="dumb")
for variable in [name for name in os.environ if name.startswith("SECONDSITE_")]:
    del os.environ[variable]

import click  # noqa: E402
from click.testing import CliRunner  # noqa: E402

from secondsite import errors  # noqa: E402
from secondsite.checks.rules import CHECKS  # noqa: E402
from secondsite.cli import main as cli_main  # noqa: E402
from secondsite.estate.load import estate_schema  # noqa: E402
from secondsite.evidence.assessment import Judgement  # noqa: E402
from secondsite.evidence.roles import ASSESSMENT_NAMESPACE, Independence  # noqa: E402

REFERENCE = ROOT / "docs" / "reference"
DRILL_SCHEMA = ROOT / "src" / "secondsite" / "measure" / "drill_result.schema.json"
NOTE = "<!-- made by docs/generate.py; edit the code, not this page -->\n"
HELP_BLOCK = re.compile(r"(<!-- help: (?P<words>[a-z -]*?) -->\n```text\n).*?(```\n)", re.DOTALL)

# codes that no error carries
OTHER_CODES = {
    0: "done; for a drill: verdict passed",
    3: "verdict failed, for any reason: an objective missed, two writers, dirty clean-up, a red check",
    5: "aborted, approval refused, or halted by a stop order",
    8: "inconclusive: something was not measured",
    10: "changes pending (`--detailed-exitcode`)",
    129: "hung up: the terminal is gone",
    130: "interrupted (Ctrl-C)",
    141: "the reader of standard output went away",
    143: "terminated",
}

Schema = Mapping[str, Any]


def main() -> int:
    """Write what differs, or with ``--check`` only name it; return 1 if something differed and was not written."""
    pages = {
        REFERENCE / "contracts.md": contracts(),
        REFERENCE / "estate.md": estate(),
        REFERENCE / "commands.md": commands(),
        ROOT / "README.md": readme(),
    }
    old = [path for path, text in pages.items() if not path.is_file() or path.read_text(encoding="utf-8") != text]
    for path in old:
        print(f"{'differs' if '--check' in sys.argv else 'written'}: {path.relative_to(ROOT)}")
        if "--check" not in sys.argv:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(pages[path], encoding="utf-8")
    if old and "--check" in sys.argv:
        print("next: .venv/bin/python docs/generate.py")
    return int(bool(old) and "--check" in sys.argv)


# --- contracts.md ----------------------------------------------------------------------------------------------------


def contracts() -> str:
    """Return the page on exit codes and JSON documents."""
    lines = [
        NOTE,
        "# Contracts that CI, auditors and other programs rely on",
        "",
        "Data goes to standard output, talk to standard error. Every JSON document has a `schema_version`; a change that"
        " removes or renames a key, or gives one another meaning, raises it.",
        "",
        "## Exit codes",
        "",
        "| code | meaning | errors |",
        "|---|---|---|",
        *exit_codes(),
        "",
        "Whatever the code, standard error says what happened, what was not done and what to do next.",
        "",
        "## Errors",
        "",
        "| error | code | meaning |",
        "|---|---|---|",
        *(f"| `{kind.__name__}` | {kind.exit_code} | {first_line(kind)} |" for kind in error_kinds()),
        "",
        "With `--json` an error is a document on standard output:",
        "",
        "```json",
        '{"schema_version": 1, "error": {"kind": "ConfigError", "what": "...", "not_done": "...", "next": "...",',
        '  "problems": [{"file": "...", "line": 44, "pointer": "/workloads/billing/objectives/rto", "what": "...",',
        '  "hint": "..."}]}, "exit_code": 2}',
        "```",
        "",
        "`problems` is there for wrong input files only.",
        "",
    ]
    lines += checks_contract()
    lines += evidence_contract()
    if DRILL_SCHEMA.is_file():
        schema = json.loads(DRILL_SCHEMA.read_text(encoding="utf-8"))
        lines += ["## `drill run SCENARIO --json`", "", schema.get("description", ""), ""]
        lines += [f"Schema: `{DRILL_SCHEMA.relative_to(ROOT)}`.", "", "| key | type | meaning |", "|---|---|---|"]
        lines += [f"| `{key}` | {kind} | {meaning} |" for key, kind, meaning in rows(schema, schema, "")]
        lines += [""]
    return "\n".join(lines)


def checks_contract() -> list[str]:
    """Return the section on `check --json`, and every check there is."""
    rows = [
        f"| {check.id} | {check.expected} | {', '.join(check.commitments)} | {', '.join(check.controls)} |"
        for check in sorted(CHECKS, key=lambda one: one.id)
    ]
    return [
        "## `check --json`",
        "",
        "```json",
        '{"schema_version": 1, "estate": "...", "checks": [{"id": "...", "state": "passed|failed|unknown", "saw": "...",',
        '  "expected": "...", "fix": "...", "hosts": ["..."], "commitments": ["..."], "controls": ["..."]}], "seconds": 0.0}',
        "```",
        "",
        "Ends with 0 only if all passed, with 3 if any failed, with 4 if no host told anything, else with 8.",
        "",
        "| check | what it expects | commitments | controls |",
        "|---|---|---|---|",
        *rows,
        "",
        "## `sabotage run --json`",
        "",
        "```json",
        '{"schema_version": 1, "planted": 0, "noticed": 0, "false_alarms": 0, "sabotages": [{"id": "...", "host": "...",',
        '  "noticed": true, "red": ["..."], "missed": [], "false_alarms": [], "not_green_again": [], "seconds": 0.0}]}',
        "```",
        "",
        "Ends with 0 if every planted fault was noticed without a false alarm, else with 3.",
        "",
    ]


def evidence_contract() -> list[str]:
    """Return the section on `evidence verify --json` and what lies beside a bundle."""
    judged = "|".join(one.value for one in Judgement)
    shown = "|".join(one.value for one in Independence)
    part = '{"name": "...", "key": "SHA256:...", "of": "..."}'
    return [
        "## `evidence verify BUNDLE --json`",
        "",
        "```json",
        '{"schema_version": 1, "bundle": "...", "verifies": true, "manifest_sha256": "...", "signed_by": ["..."],',
        '  "trusted": "...", "verdict": "...",',
        f'  "roles": {{"authors": [{part}], "executors": [],',
        '    "approvers": [], "missing": ["..."], "unsigned": ["..."], "unknown": ["..."]},',
        f'  "assessments": [{{"file": "...", "assessor": "...", "finding": "{judged}", "words": "...", "at": "...",',
        f'    "key": "SHA256:...", "key_known": true, "independence": "{shown}",',
        '    "counts": true, "problems": [{"pointer": "...", "what": "..."}]}],',
        '  "recomputed": {}, "problems": [{"file": "...", "pointer": "...", "what": "..."}], "warnings": ["..."]}',
        "```",
        "",
        "`recomputed` is the document of `drill run --json`, from the records alone. A name or key that is not known is null. `missing`:"
        " the evidence does not say who had a part; `unsigned`: nobody answers for that version of a runbook; `unknown`: somebody's key is not"
        " known. Where any of them says something, an assessment's `independence` is `unknown` at best. `counts` is true for one that is whole,"
        " independent, and made with a key that `--assessors` names. Ends with 0 if bundle and assessments verify, else with 7.",
        "",
        "`evidence assess BUNDLE` writes `NAME.assessment-ASSESSOR.json` beside the bundle `NAME` or `NAME.tar.gz`: canonical JSON (ADR 0003) of"
        " `statement` and `signature`, and a line feed. The signature is OpenSSH's, namespace `"
        + ASSESSMENT_NAMESPACE
        + "`, over the"
        " statement's canonical form:",
        "",
        "```json",
        '{"kind": "assessment", "schema_version": 1, "manifest_sha256": "...", "drill": "...", "verdict": "...",',
        f'  "finding": "{judged}", "words": "...", "assessor": "...", "at": "...", "roles": {{}}}}',
        "```",
        "",
    ]


def error_kinds() -> list[type[errors.SecondsiteError]]:
    found = [
        kind for _, kind in inspect.getmembers(errors, inspect.isclass) if issubclass(kind, errors.SecondsiteError)
    ]
    return sorted(found, key=lambda kind: (kind.exit_code, kind.__name__))


def first_line(kind: type) -> str:
    return (kind.__doc__ or "").strip().splitlines()[0]


def exit_codes() -> Iterator[str]:
    by_code: dict[int, list[type[errors.SecondsiteError]]] = {}
    for kind in error_kinds():
        by_code.setdefault(kind.exit_code, []).append(kind)
    for code in sorted({*by_code, *OTHER_CODES}):
        kinds = by_code.get(code, [])
        meaning = OTHER_CODES.get(code) or "; ".join(first_line(kind).rstrip(".") for kind in kinds)
        if code == errors.SecondsiteError.exit_code:
            meaning = "our bug; the message names a file with the details"
        yield f"| {code} | {meaning} | {', '.join(f'`{kind.__name__}`' for kind in kinds)} |"


# --- JSON schemas as tables ------------------------------------------------------------------------------------------


def rows(schema: Schema, root: Schema, path: str) -> Iterator[tuple[str, str, str]]:
    """Yield key, type and meaning of everything inside a schema, depth first."""
    schema = resolved(schema, root)
    inner = schema.get("properties", {})
    for key, given in inner.items():
        here = f"{path}.{key}" if path else key
        yield from row(given, root, here)
    extra = schema.get("additionalProperties")
    if isinstance(extra, dict):
        yield from rows_below(extra, root, f"{path}.NAME")
    for pattern, given in schema.get("patternProperties", {}).items():
        yield from rows_below(given, root, f"{path}.{'C01' if 'C' in pattern else 'NAME'}")


def row(given: Schema, root: Schema, here: str) -> Iterator[tuple[str, str, str]]:
    given_resolved = resolved(given, root)
    meaning = given.get("description") or given_resolved.get("description", "")
    yield here, type_of(given_resolved, root), meaning.replace("|", "\\|").replace("\n", " ")
    yield from rows_below(given_resolved, root, here)


def rows_below(given: Schema, root: Schema, here: str) -> Iterator[tuple[str, str, str]]:
    given = resolved(given, root)
    for branch in given.get("anyOf", ()):
        yield from rows(branch, root, here)
    if given.get("type") == "array" and isinstance(given.get("items"), dict):
        yield from rows(given["items"], root, f"{here}[]")
    else:
        yield from rows(given, root, here)


def resolved(schema: Schema, root: Schema) -> Schema:
    reference = schema.get("$ref")
    if reference is None:
        return schema
    found: Schema = root
    for part in reference.removeprefix("#/").split("/"):
        found = found[part]
    return found


def type_of(schema: Schema, root: Schema) -> str:
    schema = resolved(schema, root)
    if "const" in schema:
        return f"`{json.dumps(schema['const'])}`"
    if "enum" in schema:
        return ", ".join(f"`{word}`" for word in schema["enum"])
    if "anyOf" in schema:
        return " or ".join(type_of(branch, root) for branch in schema["anyOf"])
    kind = schema.get("type", "any value")
    if isinstance(kind, list):
        return " or ".join(kind)
    if kind == "array":
        return f"list of {type_of(schema.get('items', {}), root)}"
    if kind == "string" and "(ms|s|m|h|d)" in schema.get("pattern", ""):
        return "duration"
    return str({"object": "mapping", "string": schema.get("format", "word")}.get(kind, kind))


# --- estate.md -------------------------------------------------------------------------------------------------------


def estate() -> str:
    """Return the page on estate.yml and hosts.yml."""
    schema = estate_schema()
    lines = [
        NOTE,
        "# `estate.yml` and `hosts.yml`",
        "",
        "An estate is a directory with two files. `hosts.yml` is a plain Ansible inventory; every host has `ansible_host`"
        " (its management address), `site`, and `address` (what sites and customers see; routers have none). `estate.yml`"
        " is described here. `secondsite schema estate` prints its JSON schema.",
        "",
        "Both are read strictly. Everything wrong is reported at once, with file, line and a hint, and the command ends"
        " with 2 before anything is attempted:",
        "",
        "- YAML 1.2 core; no anchors, aliases, merge keys, tags, directives or second documents; a key stands once.",
        "- Words that readers of YAML disagree about (`no`, `4:00`, `0o17`, `~`, dates) must be quoted or written plainly.",
        "- Durations carry a unit: `1500ms`, `60s`, `5m`, `24h`, `7d`.",
        "- Names are a small letter and at most 62 small letters, digits and dashes.",
        "- No line breaks or other invisible characters, no `{{`, `{%`, `$(`, `${` or backticks, and nothing that begins"
        " with a dash.",
        "- In `hosts.yml` no `ansible_...` variable but `ansible_host`, `ansible_port`, `ansible_user` and"
        " `ansible_python_interpreter`: others can run programs on this machine.",
        "- At most 256 KiB, 20,000 values and 16 levels a file.",
        "",
        "The lab's `inventories/lab/estate.yml` is a complete, commented example.",
        "",
        "| key | type | required | meaning |",
        "|---|---|---|---|",
    ]
    for key, kind, meaning in rows(schema, schema, ""):
        lines.append(f"| `{key}` | {kind} | {'yes' if is_required(schema, key) else ''} | {meaning} |")
    return "\n".join([*lines, ""])


def is_required(schema: Schema, key: str) -> bool:
    """Say whether a key must be there wherever what holds it is there."""
    here: Schema = schema
    *holders, last = key.split(".")
    for holder in holders:
        here = resolved(step(here, holder, schema), schema)
    if "anyOf" in here:
        here = next(resolved(one, schema) for one in here["anyOf"] if one.get("type") != "null")
    return last in here.get("required", ())


def step(here: Schema, holder: str, root: Schema) -> Schema:
    if holder in {"NAME", "C01"}:
        named: Schema = here.get("additionalProperties") or next(iter(here["patternProperties"].values()))
        return named
    if "properties" not in here:  # what may be left out is this or nothing
        here = next(resolved(one, root) for one in here["anyOf"] if one.get("type") != "null")
    found: Schema = resolved(here["properties"][holder.removesuffix("[]")], root)
    return found["items"] if holder.endswith("[]") else found


# --- commands --------------------------------------------------------------------------------------------------------


def commands() -> str:
    """Return the page with the help of every command."""
    lines = [NOTE, "# Commands", "", "Options can also be given as the variables named beside them.", ""]
    for words in verbs():
        lines += [f"## `{' '.join(['secondsite', *words])}`", "", "```text", help_of(words).rstrip("\n"), "```", ""]
    return "\n".join(lines)


def verbs() -> Iterator[tuple[str, ...]]:
    yield ()
    context = click.Context(cli_main.cli)
    for name in cli_main.cli.list_commands(context):
        yield from below((name,), cli_main.load_command(name))


def below(words: tuple[str, ...], command: click.Command) -> Iterator[tuple[str, ...]]:
    yield words
    if isinstance(command, click.Group):
        context = click.Context(command)
        for name in command.list_commands(context):
            inner = command.get_command(context, name)
            if inner is not None and not inner.hidden:
                yield from below((*words, name), inner)


def help_of(words: tuple[str, ...]) -> str:
    shown = CliRunner().invoke(cli_main.cli, [*words, "--help"], prog_name="secondsite")
    if shown.exit_code != 0:
        raise SystemExit(f"secondsite {' '.join(words)} --help ended with {shown.exit_code}: {shown.output}")
    lines = [line.rstrip() for line in shown.stdout.splitlines()]
    return "\n".join(lines).strip("\n") + "\n"


def readme() -> str:
    """Return the README with each help block as the command prints it."""
    path = ROOT / "README.md"
    text = path.read_text(encoding="utf-8") if path.is_file() else ""
    return HELP_BLOCK.sub(lambda found: found[1] + help_of(tuple(found["words"].split())) + found[3], text)


if __name__ == "__main__":
    sys.exit(main())
