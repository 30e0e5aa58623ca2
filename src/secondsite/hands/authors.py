"""Who answers for runbooks: statements of one version of a runbook, signed with OpenSSH keys, one file for each.

A version is the digest of the runbook's file and of every file that its plans use (``evidence.roles``), so a signature
holds in every direction and on every estate that lets its author sign, and for nothing that was changed since.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from ..errors import EvidenceError, Refused, UsageError
from ..evidence.canonical import canonical
from ..evidence.roles import NAME, RUNBOOK_NAMESPACE, runbook_statement
from ..plan.model import Plan
from ..run.model import Authorship
from ..run.roles import version_of
from .openssh import OpenSshSignatures, sign_statement

LAB_LIMITATION = (
    "the lab signed the runbooks for itself: the author named here shows that a version is bound to a signature, not"
    " that a person answers for it"
)
_LARGEST = 64 << 10


@dataclass(frozen=True, slots=True, kw_only=True)
class SshAuthors:
    """The signed versions of runbooks in a folder, and who may sign them (``allowed``, as ``allowed_signers``).

    Both are read anew each time: who was taken out of ``allowed`` answers for nothing any more.
    """

    allowed: Path
    folder: Path

    def answering_for(self, plan: Plan) -> Authorship:
        """Say who answers for exactly the version of its runbook that a plan was built by, or why nobody does."""
        version = version_of(plan)
        path = self._path(plan.runbook, version)
        try:
            if not path.is_file():
                return Authorship(runbook=plan.runbook, version=version, why=self._why_not(plan.runbook))
            return self._checked(path.read_bytes(), runbook=plan.runbook, version=version)
        except (EvidenceError, UsageError) as error:  # no ssh-keygen here is no reason not to fail over
            why = error.what
        except OSError as error:
            why = f"it can't be read or checked ({error.strerror})"
        return Authorship(runbook=plan.runbook, version=version, why=f"{path.name}: {why}")

    def sign(self, plan: Plan, *, who: str, at: str, key: Path, agent: str = "") -> Authorship:
        """Sign the version that a plan was built by, keep the signature, and return who answers for it now.

        Raises:
            UsageError: the name or the key can't be used; nothing was kept.
            Refused: somebody answers for this version already, or this person may not with this key; nothing was kept.
        """
        before = self.answering_for(plan)
        if before.is_signed:
            raise Refused(
                f"{before.name} answers for this version of {plan.runbook} ({before.version[:12]}) since {before.at}",
                next_step=f"to take that back, remove {self._path(plan.runbook, before.version)}",
            )
        if not NAME.match(who):
            what = f"{who!r:.80} is no name of a person: letters, digits and . _ @ -"
            raise UsageError(what, not_done="nothing was signed")
        statement = runbook_statement(runbook=plan.runbook, version=before.version, author=who, at=at)
        signature = sign_statement(canonical(statement), key=key, namespace=RUNBOOK_NAMESPACE, agent=agent)
        content = canonical({"statement": statement, "signature": signature}) + b"\n"
        try:
            made = self._checked(content, runbook=plan.runbook, version=before.version)
        except EvidenceError as error:
            raise Refused(
                f"{who} may not answer for a runbook with this key: {error.what}",
                next_step=f'a line in {self.allowed}: {who} namespaces="{RUNBOOK_NAMESPACE}" ssh-ed25519 KEY',
            ) from error
        self._keep(self._path(plan.runbook, before.version), content)
        return made

    def _keep(self, path: Path, content: bytes) -> None:
        partial = path.with_name(f".{path.name}")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            partial.write_bytes(content)
            partial.replace(path)
        except OSError as error:
            raise UsageError(f"{path} can't be written: {error.strerror}", not_done="nothing was kept") from error

    def _path(self, runbook: str, version: str) -> Path:
        return self.folder / f"{runbook}-{version[:16]}.json"

    def _why_not(self, runbook: str) -> str:
        others = sorted(path.stem.rpartition("-")[2][:12] for path in self.folder.glob(f"{runbook}-*.json"))
        return f"signed are other versions of it ({', '.join(others)})" if others else "no version of it is signed"

    def _checked(self, content: bytes, *, runbook: str, version: str) -> Authorship:
        """Return what a signed version says.

        Raises:
            EvidenceError: it is none of this version, or not signed by somebody who may.
        """
        statement, signature = _parsed(content)
        who, at = str(statement.get("author")), str(statement.get("at"))
        if statement != runbook_statement(runbook=runbook, version=version, author=who, at=at) or not NAME.match(who):
            raise EvidenceError(f"it is not about version {version[:12]} of {runbook}")
        if not self.allowed.is_file():
            raise EvidenceError(f"nobody may sign a runbook yet: {self.allowed.name} is missing")
        key = OpenSshSignatures().key_of_person(
            who, canonical(statement), signature, namespace=RUNBOOK_NAMESPACE, allowed=self.allowed
        )
        return Authorship(runbook=runbook, version=version, name=who, key=key, at=at, signature=signature)


@dataclass(frozen=True, slots=True, kw_only=True)
class LabAuthors:
    """The lab's own author signs whatever version there is, when it is asked for; a report says so."""

    authors: SshAuthors
    name: str
    key: Path
    now: Callable[[], str]

    def answering_for(self, plan: Plan) -> Authorship:
        """Say who answers for a version, after the lab's author has signed it if nobody did."""
        found = self.authors.answering_for(plan)
        if found.is_signed:
            return found
        try:
            return self.authors.sign(plan, who=self.name, at=self.now(), key=self.key)
        except (Refused, UsageError) as error:  # a runbook that nobody answers for runs all the same, and says so
            return Authorship(runbook=plan.runbook, version=found.version, why=error.what)


def _parsed(content: bytes) -> tuple[Mapping[str, object], str]:
    try:
        document = json.loads(content) if len(content) <= _LARGEST else None
    except (ValueError, RecursionError) as error:
        raise EvidenceError("it is not JSON") from error
    if not isinstance(document, dict) or set(document) != {"statement", "signature"}:
        raise EvidenceError("it is not a statement and its signature")
    statement, signature = document["statement"], document["signature"]
    if not isinstance(statement, dict) or not isinstance(signature, str):
        raise EvidenceError("it is not a statement and its signature")
    return statement, signature
