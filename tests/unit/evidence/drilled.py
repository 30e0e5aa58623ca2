"""A sealed drill in which persons with real keys had their parts, to be assessed by others."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from tests.unit.measure.story import thin_story

from secondsite.app.roles import roles_record
from secondsite.evidence import Identity, canonical, new_identity, seal, sign_statement
from secondsite.evidence.roles import RUNBOOK_NAMESPACE, runbook_statement, runbook_version
from secondsite.hands.approvers import sign_answer
from secondsite.hands.keys import make_key
from secondsite.hands.openssh import OpenSshSignatures
from secondsite.hands.openssh import sign_statement as sign_as_person
from secondsite.run.model import Answer, Authorship, Note, NoteKind
from secondsite.run.roles import beginning_body
from secondsite.run.rules import answer_body

PINS = {"runbooks/failover.py": "ab" * 32}
VERSION = runbook_version("failover", PINS)
RUN = "000008-failover"
AT = "2026-11-30T09:00:00+00:00"
PERSONS = ("author", "starter", "approver", "assessor", "stranger")
SEALERS = ("sealer 1", "sealer 2")
ORDER_SIGNERS = ("order signer 1", "order signer 2")


@dataclass(frozen=True, kw_only=True)
class People:
    """Everybody's keys, in files below one folder; those who seal and sign orders have theirs in OpenSSH's form too."""

    folder: Path
    identities: dict[str, Identity]

    def key(self, name: str) -> Path:
        return self.folder / name.replace(" ", "-")

    def line(self, name: str, *, key: str = "", namespace: str = "assessment@secondsite") -> str:
        kind, public = (self.folder / f"{key or name}.pub").read_text().split()[:2]
        return f'{name} namespaces="{namespace}" {kind} {public}\n'


def people_in(folder: Path) -> People:
    folder.mkdir(parents=True, exist_ok=True)
    for name in PERSONS:
        make_key(folder / name, comment=name)
    identities = {name: new_identity(name) for name in (*SEALERS, *ORDER_SIGNERS)}
    people = People(folder=folder, identities=identities)
    for name, identity in identities.items():
        private = load_pem_private_key(identity.private_pem(), password=None)
        path = people.key(name)
        path.touch(mode=0o600)
        path.write_bytes(private.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption()))
    return people


@dataclass(kw_only=True)
class Drilled:
    """What a drill left, before it is sealed. Bend it, then ``seal`` it."""

    people: People
    by: str = "starter"
    author: str | None = "author"
    approver: str | None = "approver"
    version: str = VERSION
    with_order: bool = True
    with_roles: bool = True
    bend: dict[str, Any] = field(default_factory=dict)
    scenario: str = "site-loss"

    def authorship(self) -> Authorship:
        if self.author is None:
            return Authorship(runbook="failover", version=self.version, why="no version of it is signed")
        statement = runbook_statement(runbook="failover", version=self.version, author=self.author, at=AT)
        key = self.people.key(self.author)
        signature = sign_as_person(canonical(statement), key=key, namespace=RUNBOOK_NAMESPACE)
        return Authorship(
            runbook="failover",
            version=self.version,
            name=self.author,
            key=fingerprint_of(key),
            at=AT,
            signature=signature,
        )

    def notes(self) -> list[Note]:
        notes = [Note(run=RUN, kind=NoteKind.BEGUN, name="", body=beginning_body(self.by, self.authorship()))]
        if self.approver is not None:
            answer = Answer(
                run=RUN,
                gate="authorise",
                plan_digest="cd" * 32,
                targets=("db-dc2",),
                who=self.approver,
                granted=True,
                at=AT,
                expires="2026-11-30T13:00:00+00:00",
            )
            signed = sign_answer(answer, key=self.people.key(self.approver))
            notes.append(Note(run=RUN, kind=NoteKind.ANSWER, name="a", body=answer_body(signed)))
        return notes

    def record(self) -> dict[str, Any]:
        signers = [self.people.identities[name].public_key for name in ORDER_SIGNERS]
        made = roles_record(
            by=self.by,
            runs={RUN: self.notes()},
            by_hand={},
            order_signers=[{"name": one.name, "public": one.public} for one in signers],
        )
        return {**made, **self.bend}

    def sealed(self, folder: Path) -> Path:
        """Write and seal it, and return where its archive is."""
        (folder / "records").mkdir(parents=True)
        (folder / "plans").mkdir()
        story = thin_story()
        story.promised |= {"started_by": self.by, "scenario": self.scenario}
        story.approvals["standing_order"]["signed_by"] = list(ORDER_SIGNERS)
        for name, content in story.files().items():
            (folder / "records" / name).write_bytes(content)
        if self.with_roles:
            (folder / "records" / "roles.json").write_text(json.dumps(self.record()))
        (folder / "plans" / f"{RUN}.json").write_text(json.dumps({"runbook": "failover", "pins": PINS}))
        if self.with_order:
            identities = [self.people.identities[name] for name in ORDER_SIGNERS]
            order = sign_statement({"runbook": "failover"}, identities)
            (folder / "standing-order.json").write_text(json.dumps(order))
        sealers = [self.people.identities[name] for name in SEALERS]
        return seal(folder, sealers, names=("records", "plans", "standing-order.json"))


def fingerprint_of(key: Path) -> str:
    """Return a key's fingerprint as a signature by it shows it."""
    signature = sign_as_person(b"x", key=key, namespace="any@test")
    return OpenSshSignatures().key_of(b"x", signature, namespace="any@test")
