"""Approvals signed with OpenSSH keys: who may consent, with which key, and whether this is their signature.

The persons of an estate stand in a file in the format of OpenSSH's ``allowed_signers`` (ssh-keygen(1)): one line for
each person, a name and a public key. Any key that OpenSSH knows will do, hardware-backed ones included.
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from ..errors import UsageError
from ..run.model import Answer
from ..run.ports import NotSigned, Signed
from ..run.rules import BREAK_GLASS, answer_statement
from .keys import make_key
from .processes import plain, run_process, scrubbed_environment

NAMESPACE = "approval@secondsite"
LAB_DEPUTIES = ("lab-deputy-1", "lab-deputy-2")
LAB_PERSONS = ("lab-approver-1", "lab-approver-2", *LAB_DEPUTIES, BREAK_GLASS)
"""The lab's persons: approvers sit at headquarters, their deputies at the datacenters; the last is the sealed key."""
LAB_LIMITATION = (
    "the lab made the keys of its approvers for itself: an approval here shows that one was asked for and checked, not"
    " that a person gave it"
)
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@-]{0,63}\Z")
_FINGERPRINT = re.compile(r"\bkey (SHA256:[A-Za-z0-9+/]{43})\b")
_PUBLIC_KEY = re.compile(r"(?<=\s)(?:ssh|ecdsa|sk)-\S+ [A-Za-z0-9+/=]{40,}")
_TWO = 2
_LARGEST_SIGNATURE = 16 << 10
_TIMEOUT_S = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class SshApprovers:
    """The persons named in an ``allowed_signers`` file. It is read anew each time: who was taken out is out."""

    allowed: Path

    def signed(self, answer: Answer) -> Signed | NotSigned:
        """Say with which key exactly this answer was signed by the person it names, or why that is not so."""
        reasons = list(self._reasons_not_to_look(answer))
        if reasons:
            return NotSigned(reasons=tuple(reasons))
        with tempfile.TemporaryDirectory(prefix="secondsite-approval-") as scratch:
            signature = Path(scratch) / "signature"
            signature.write_text(answer.signature)
            argv = ["ssh-keygen", "-Y", "verify", "-f", str(self.allowed), "-I", answer.who, "-n", NAMESPACE]
            ended = run_process([*argv, "-s", str(signature)], stdin=answer_statement(answer), timeout_s=_TIMEOUT_S)
        found = _FINGERPRINT.search(ended.stdout)
        if ended.exit_code != 0 or found is None:
            why = plain(ended.stderr or ended.stdout, limit=200).strip() or "ssh-keygen gave no reason"
            return NotSigned(reasons=(f"{answer.who} did not sign this answer: {why}",))
        return Signed(key=found[1])

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
        lines = self.allowed.read_text().splitlines() if self.allowed.is_file() else []
        return [line for line in lines if line.strip() and not line.lstrip().startswith("#")]

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


def sign_answer(answer: Answer, *, key: Path, agent: str = "") -> Answer:
    """Return the answer signed with a key: a private key's file, or a public key's whose private half an agent holds.

    ``agent`` is the socket of an ssh-agent, if there is one.

    Raises:
        UsageError: the key can't be used; nothing was signed.
    """
    if not key.is_file():
        raise UsageError(
            f"there is no key {key}", not_done="nothing was signed", next_step="name yours with --key FILE"
        )
    with tempfile.TemporaryDirectory(prefix="secondsite-approval-") as scratch:
        statement = Path(scratch) / "statement"
        statement.write_bytes(answer_statement(answer))
        argv = ["ssh-keygen", "-q", "-Y", "sign", "-f", str(key), "-n", NAMESPACE, str(statement)]
        environment = scrubbed_environment(**({"SSH_AUTH_SOCK": agent} if agent else {}))
        ended = run_process(argv, timeout_s=_TIMEOUT_S, environment=environment)
        signature = statement.with_name("statement.sig")
        if ended.exit_code != 0 or not signature.is_file():
            raise UsageError(
                f"{key} can't sign: {plain(ended.stderr, limit=200).strip()}",
                not_done="nothing was signed",
                next_step="name another key with --key FILE; one with a passphrase must be in ssh-agent",
            )
        return replace(answer, signature=signature.read_text())


def make_lab_persons(folder: Path) -> None:
    """Make a key for each of the lab's persons and the file that names them, where they are not there yet."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    lines = []
    for name in LAB_PERSONS:
        make_key(folder / name, comment=name)
        public = (folder / f"{name}.pub").read_text().split()
        lines.append(f'{name} namespaces="{NAMESPACE}" {public[0]} {public[1]}')
    allowed = folder / "allowed_signers"
    if not allowed.is_file():
        partial = folder / ".allowed_signers"
        partial.write_text("\n".join(lines) + "\n")
        partial.replace(allowed)
