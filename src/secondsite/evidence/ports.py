"""What evidence needs from outside to check signatures of persons; OpenSSH is behind it (``hands.openssh``)."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol


class Signatures(Protocol):
    """Checks signatures in OpenSSH's format. A key is told by its fingerprint, so by its bytes."""

    def key_of(self, statement: bytes, signature: str, *, namespace: str) -> str:
        """Return the key that made exactly this signature over exactly this statement, whosever it is.

        Raises:
            EvidenceError: it is none, or for another purpose.
        """
        ...

    def key_of_person(self, who: str, statement: bytes, signature: str, *, namespace: str, allowed: Path) -> str:
        """Return the same if the key is one that the file ``allowed`` (``allowed_signers``) gives this person for this.

        Raises:
            EvidenceError: it is not, or the signature is none.
        """
        ...
