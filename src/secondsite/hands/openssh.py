"""Signatures in OpenSSH's format (PROTOCOL.sshsig), made and checked by ``ssh-keygen -Y`` with any key it knows."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Sequence
from pathlib import Path

from ..errors import EvidenceError, UsageError
from .processes import plain, run_process, scrubbed_environment

_FINGERPRINT = re.compile(r"\bkey (SHA256:[A-Za-z0-9+/]{43})\b")
_LARGEST_SIGNATURE = 16 << 10
_TIMEOUT_S = 10.0


def sign_statement(statement: bytes, *, key: Path, namespace: str, agent: str = "") -> str:
    """Return the signature over a statement, made for one purpose (``namespace``) and for no other.

    Args:
        statement: What is signed.
        key: A private key's file, or a public key's whose private half an agent holds.
        namespace: What the signature is for.
        agent: The socket of an ssh-agent, if there is one.

    Raises:
        UsageError: the key can't be used; nothing was signed.
    """
    if not key.is_file():
        raise UsageError(
            f"there is no key {key}", not_done="nothing was signed", next_step="name yours with --key FILE"
        )
    with tempfile.TemporaryDirectory(prefix="secondsite-signing-") as scratch:
        written = Path(scratch) / "statement"
        written.write_bytes(statement)
        argv = ["ssh-keygen", "-q", "-Y", "sign", "-f", str(key), "-n", namespace, str(written)]
        environment = scrubbed_environment(**({"SSH_AUTH_SOCK": agent} if agent else {}))
        ended = run_process(argv, timeout_s=_TIMEOUT_S, environment=environment)
        signature = written.with_name("statement.sig")
        if ended.exit_code != 0 or not signature.is_file():
            raise UsageError(
                f"{key} can't sign: {plain(ended.stderr, limit=200).strip()}",
                not_done="nothing was signed",
                next_step="name another key with --key FILE; one with a passphrase must be in ssh-agent",
            )
        return signature.read_text()


class OpenSshSignatures:
    """Checks signatures. A key is told by its fingerprint, so by its bytes, whatever its holder is called."""

    def key_of(self, statement: bytes, signature: str, *, namespace: str) -> str:
        """Return the key that made exactly this signature over exactly this statement, whosever it is.

        Raises:
            EvidenceError: it is none, or for another purpose.
        """
        return _checked(["check-novalidate", "-n", namespace], statement, signature)

    def key_of_person(self, who: str, statement: bytes, signature: str, *, namespace: str, allowed: Path) -> str:
        """Return the same if the key is one that the file ``allowed`` (``allowed_signers``) gives this person for this.

        Raises:
            EvidenceError: it is not, or the signature is none.
        """
        return _checked(["verify", "-f", str(allowed), "-I", who, "-n", namespace], statement, signature)


def _checked(words: Sequence[str], statement: bytes, signature: str) -> str:
    if not signature.isascii() or len(signature) > _LARGEST_SIGNATURE:
        raise EvidenceError("the signature is none of OpenSSH's")
    with tempfile.TemporaryDirectory(prefix="secondsite-checking-") as scratch:
        written = Path(scratch) / "signature"
        written.write_text(signature)
        ended = run_process(["ssh-keygen", "-Y", *words, "-s", str(written)], stdin=statement, timeout_s=_TIMEOUT_S)
    found = _FINGERPRINT.search(ended.stdout)
    if ended.exit_code != 0 or found is None:
        raise EvidenceError(plain(ended.stderr or ended.stdout, limit=200).strip() or "ssh-keygen gave no reason")
    return found[1]
