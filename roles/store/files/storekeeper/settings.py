"""What the storekeeper is told: one file."""

from __future__ import annotations

import json
import ssl
from dataclasses import dataclass
from pathlib import Path

FILE = Path("/etc/storekeeper/settings.json")


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """A host by name and address."""

    name: str
    address: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Everything the storekeeper needs. ``peer`` is None where there is no other site to copy to."""

    host: str
    address: str
    port: int
    peer: Place | None
    root: Path
    workloads: tuple[str, ...]
    repositories: tuple[str, ...]
    writers: tuple[str, ...]
    quorum: tuple[Place, ...]
    mail_routes: dict[str, Place]
    tls: dict[str, str]
    full_pass_s: float

    def context(self, purpose: ssl.Purpose) -> ssl.SSLContext:
        """Return TLS for one side of a connection: both sides show certificates."""
        context = ssl.create_default_context(purpose, cafile=self.tls["authorities"])
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.load_cert_chain(self.tls["certificate"], self.tls["key"])
        context.verify_mode = ssl.CERT_REQUIRED
        return context


def load(file: Path = FILE) -> Settings:
    """Read the file; a missing or unknown key is an error, never a default."""
    words = json.loads(file.read_text())
    peer = words.pop("peer")
    return Settings(
        peer=Place(**peer) if peer else None,
        root=Path(words.pop("root")),
        workloads=tuple(words.pop("workloads")),
        repositories=tuple(words.pop("repositories")),
        writers=tuple(words.pop("writers")),
        quorum=tuple(Place(**place) for place in words.pop("quorum")),
        mail_routes={domain: Place(**place) for domain, place in words.pop("mail_routes").items()},
        **words,
    )
