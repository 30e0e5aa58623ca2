"""Approvals signed with OpenSSH keys: who may consent, with which key, and whether this is their signature.

The persons of an estate stand in a file in the format of OpenSSH's ``allowed_signers`` (ssh-keygen(1)): one line for
each person, a name and a public key. Any key that OpenSSH knows will do, hardware-backed ones included.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from pathlib import Path

from ..errors import EvidenceError
from ..evidence.roles import APPROVAL_NAMESPACE, ASSESSMENT_NAMESPACE, RUNBOOK_NAMESPACE
from ..run.model import Answer
from ..run.ports import NotSigned, Signed
from ..run.rules import BREAK_GLASS, answer_statement
from .keys import make_key
from .openssh import OpenSshSignatures, sign_statement

NAMESPACE = APPROVAL_NAMESPACE
LAB_DEPUTIES = ("lab-deputy-1", "lab-deputy-2")
LAB_PERSONS = ("lab-approver-1", "lab-approver-2", *LAB_DEPUTIES, BREAK_GLASS)
"""The lab's persons: approvers sit at headquarters, their deputies at the datacenters; the last is the sealed key."""
LAB_AUTHOR, LAB_ASSESSOR = "lab-author", "lab-assessor"
"""Who signs the lab's runbooks, and who may assess its drills: neither may consent to anything."""
_OTHERS = {LAB_AUTHOR: RUNBOOK_NAMESPACE, LAB_ASSESSOR: ASSESSMENT_NAMESPACE}
LAB_LIMITATION = (
    "the lab made the keys of its approvers for itself: an approval here shows that one was asked for and checked, not"
    " that a person gave it"
)
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@-]{0,63}\Z")
_PUBLIC_KEY = re.compile(r"(?<=\s)(?:ssh|ecdsa|sk)-\S+ [A-Za-z0-9+/=]{40,}")
_NAMESPACES = re.compile(r'\bnamespaces="(?P<patterns>[^"]*)"')
_ROLES = "# roles: approvers, author, assessor"
"""Stands in the lab's own file since there are an author and an assessor: who is taken out of it stays out."""
_TWO = 2
_LARGEST_SIGNATURE = 16 << 10


@dataclass(frozen=True, slots=True, kw_only=True)
class SshApprovers:
    """The persons named in an ``allowed_signers`` file. It is read anew each time: who was taken out is out."""

    allowed: Path

    def signed(self, answer: Answer) -> Signed | NotSigned:
        """Say with which key exactly this answer was signed by the person it names, or why that is not so."""
        reasons = list(self._reasons_not_to_look(answer))
        if reasons:
            return NotSigned(reasons=tuple(reasons))
        statement, allowed = answer_statement(answer), self.allowed
        try:
            key = OpenSshSignatures().key_of_person(
                answer.who, statement, answer.signature, namespace=NAMESPACE, allowed=allowed
            )
        except EvidenceError as error:
            return NotSigned(reasons=(f"{answer.who} did not sign this answer: {error.what}",))
        return Signed(key=key)

    def names(self) -> tuple[str, ...]:
        """Return the names of all who may consent."""
        return tuple(name for line in self._lines() for name in line.split()[0].strip('"').split(","))

    def trouble(self) -> str:
        """Say why two persons could not consent, or nothing."""
        if not self.allowed.is_file():
            return f"nobody may consent to a step of a run: {self.allowed} is missing"
        keys = {found[0] for line in self._lines() if (found := _PUBLIC_KEY.search(line))}
        named = f"{self.allowed} names {len(self.names())} persons with {len(keys)} different keys"
        return "" if min(len(keys), len(set(self.names()))) >= _TWO else f"{named}, and two of each are needed"

    def _lines(self) -> list[str]:
        """Return the lines of those whose key is not kept for another role."""
        lines = self.allowed.read_text().splitlines() if self.allowed.is_file() else []
        meant = [line for line in lines if line.strip() and not line.lstrip().startswith("#")]
        return [line for line in meant if is_for(line, NAMESPACE)]

    def _reasons_not_to_look(self, answer: Answer) -> Iterator[str]:
        if not self.allowed.is_file():
            yield f"nobody may consent yet: {self.allowed} is missing; a line for each person: NAME ssh-ed25519 KEY"
        elif answer.who not in self.names():
            yield f"{answer.who!r:.80} is not one of those who may consent ({', '.join(self.names()) or 'nobody'})"
        if not _NAME.match(answer.who):
            yield f"{answer.who!r:.80} is no name of a person: letters, digits and . _ @ -"
        if not answer.signature:
            yield "the answer is not signed"
        elif len(answer.signature) > _LARGEST_SIGNATURE or not answer.signature.isascii():
            yield "the answer's signature is none of OpenSSH's"


def is_for(line: str, namespace: str) -> bool:
    """Say whether a line of ``allowed_signers`` lets its key sign for this purpose; one that names none, for any."""
    _, _, rest = line.partition(" ")
    found = _NAMESPACES.search(_PUBLIC_KEY.split(f" {rest}", maxsplit=1)[0])
    return found is None or any(fnmatchcase(namespace, one) for one in found["patterns"].split(","))


def sign_answer(answer: Answer, *, key: Path, agent: str = "") -> Answer:
    """Return the answer signed with a key; see ``openssh.sign_statement``.

    Raises:
        UsageError: the key can't be used; nothing was signed.
    """
    signature = sign_statement(answer_statement(answer), key=key, namespace=NAMESPACE, agent=agent)
    return replace(answer, signature=signature)


def make_lab_persons(folder: Path) -> None:
    """Make a key for each of the lab's persons and the file that names them, where they are not there yet.

    A file from before there were an author and an assessor gets their two lines; what stands in it stays. Where all are
    named no key is made: a person's key that is not here is with that person.
    """
    allowed = folder / "allowed_signers"
    if allowed.is_file() and _ROLES in allowed.read_text().splitlines():
        return
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    for name in (*LAB_PERSONS, *_OTHERS):
        make_key(folder / name, comment=name)
    kept = allowed.read_text() if allowed.is_file() else "".join(_line(folder, name) for name in LAB_PERSONS)
    partial = folder / ".allowed_signers"
    partial.write_text(f"{kept.rstrip()}\n{_ROLES}\n" + "".join(_line(folder, name) for name in _OTHERS))
    partial.replace(allowed)


def _line(folder: Path, name: str) -> str:
    public = (folder / f"{name}.pub").read_text().split()
    return f'{name} namespaces="{_OTHERS.get(name, NAMESPACE)}" {public[0]} {public[1]}\n'
