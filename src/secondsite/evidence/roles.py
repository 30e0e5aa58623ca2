"""Who had which part in a drill, and whether somebody else judges it (DR-21). Pure: facts in, reasons out.

The author answers for a version of a runbook, the executor begins its run and seals the evidence, approvers consent at
its gates or sign its standing orders. The assessor judges the evidence afterwards and is none of them, neither by name
nor by the bytes of the key.
"""

from __future__ import annotations

import base64
import enum
import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from ..errors import Problem
from .canonical import canonical

APPROVAL_NAMESPACE = "approval@secondsite"
RUNBOOK_NAMESPACE = "runbook@secondsite"
ASSESSMENT_NAMESPACE = "assessment@secondsite"
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@-]{0,63}\Z")
"""What a person who signs may be called: it goes into file names and to ssh-keygen."""
_ED25519 = b"ssh-ed25519"


class Role(enum.Enum):
    """A part that somebody had in a drill."""

    AUTHOR = "author"
    EXECUTOR = "executor"
    APPROVER = "approver"
    ORDER_SIGNER = "signer of a standing order"


class Independence(enum.Enum):
    """Whether an assessor had no other part. Unknown never counts as independent."""

    INDEPENDENT = "independent"
    NOT_INDEPENDENT = "not-independent"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """What one person, or one key, did. ``name`` or ``key`` is empty where it is not known; ``of`` says of what."""

    role: Role
    name: str
    key: str = ""
    of: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Roles:
    """Who had which part, as the evidence shows.

    ``missing`` says what the evidence would have to hold and does not: then nobody can be told apart from whoever it
    leaves out. ``unsigned`` names the versions of runbooks that nobody answers for, ``unknown`` whose key is not known.
    ``problems`` are contradictions in what it holds.
    """

    parts: tuple[Part, ...] = ()
    missing: tuple[str, ...] = ()
    unsigned: tuple[str, ...] = ()
    unknown: tuple[str, ...] = ()
    problems: tuple[Problem, ...] = ()

    def of(self, *roles: Role) -> tuple[Part, ...]:
        """Return the parts of these roles."""
        return tuple(part for part in self.parts if part.role in roles)


def conflicts(name: str, key: str, roles: Roles) -> Iterator[str]:
    """Yield every reason why whoever has this name and this key is not independent of a drill.

    Names are compared as approvals do (no difference of case), keys by their bytes. An empty name or key is nobody's.
    """
    told = set()
    for part in roles.parts:
        did = f"{part.role.value} of {part.of}" if part.of else part.role.value
        if same_name(name, part.name):
            told.add(f"{name} is {did}")
        elif key and key == part.key:
            told.add(f"the key {key} is that of {part.name or 'whoever is'} {did}")
    yield from sorted(told)


def independence(name: str, key: str, roles: Roles) -> Independence:
    """Return whether an assessor had no other part in a drill, as far as the evidence tells."""
    if any(conflicts(name, key, roles)):
        return Independence.NOT_INDEPENDENT
    is_known = bool(name and key) and not (roles.missing or roles.unsigned or roles.unknown or roles.problems)
    return Independence.INDEPENDENT if is_known else Independence.UNKNOWN


def same_name(one: str, other: str) -> bool:
    """Say whether two names are one person's."""
    return bool(one.strip()) and one.strip().casefold() == other.strip().casefold()


def runbook_version(runbook: str, pins: Mapping[str, str]) -> str:
    """Return the digest of what an author answers for: the runbook's file and every file that its plans use.

    ``pins`` is path to SHA-256, as a plan holds it. The estate, the direction and the engine are no part of it.
    """
    return hashlib.sha256(canonical({"runbook": runbook, "pins": dict(pins)})).hexdigest()


def runbook_statement(*, runbook: str, version: str, author: str, at: str) -> dict[str, object]:
    """Return what an author signs, in canonical form."""
    return {
        "kind": "runbook",
        "schema_version": 1,
        "runbook": runbook,
        "version": version,
        "author": author,
        "at": at,
    }


def approval_statement(answer: Mapping[str, object]) -> bytes:
    """Return what a person who consents signs: everything the answer says, as one line of JSON, its keys in order."""
    body = {name: value for name, value in answer.items() if name != "signature"}
    return json.dumps({"kind": "approval", "schema_version": 1, **body}, sort_keys=True, ensure_ascii=True).encode()


def fingerprint(public: str) -> str:
    """Return an Ed25519 key (32 bytes as hexadecimal) as ``ssh-keygen`` names it, to tell it from persons' keys."""
    parts = (_ED25519, bytes.fromhex(public))
    blob = b"".join(len(part).to_bytes(4, "big") + part for part in parts)
    return "SHA256:" + base64.b64encode(hashlib.sha256(blob).digest()).decode().rstrip("=")


def roles_document(roles: Roles) -> dict[str, object]:
    """Return the roles as plain JSON values."""

    def listed(*wanted: Role) -> list[dict[str, object]]:
        return [{"name": part.name or None, "key": part.key or None, "of": part.of} for part in roles.of(*wanted)]

    return {
        "authors": listed(Role.AUTHOR),
        "executors": listed(Role.EXECUTOR),
        "approvers": listed(Role.APPROVER, Role.ORDER_SIGNER),
        "missing": list(roles.missing),
        "unsigned": list(roles.unsigned),
        "unknown": list(roles.unknown),
    }
