"""Read what the shop must know from two files: settings anyone may read, and secrets only the service may."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path

SETTINGS = Path("/etc/shop/settings.json")
SECRETS = Path("/etc/shop/secrets.json")
DOOR = Path("/var/lib/shop/door")


@dataclass(frozen=True, slots=True, kw_only=True)
class Database:
    """One database server of the shop's own site."""

    host: str
    address: str
    port: int
    name: str
    user: str
    password: str
    ca_file: str

    def parameters(self) -> dict[str, str | int]:
        """Return libpq's words: TLS with a checked name, and a dead peer noticed within two seconds."""
        return {
            "host": self.host,
            "hostaddr": self.address,
            "port": self.port,
            "dbname": self.name,
            "user": self.user,
            "password": self.password,
            "sslmode": "verify-full",
            "sslrootcert": self.ca_file,
            "gssencmode": "disable",
            "application_name": "shop",
            "connect_timeout": 2,
            "tcp_user_timeout": 2000,
            "keepalives_idle": 1,
            "keepalives_interval": 1,
            "keepalives_count": 2,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Store:
    """A host that keeps documents: by address, and believed by its name."""

    name: str
    address: str
    port: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Everything the shop needs. ``stores`` has that of the own site first, and none where no documents are kept."""

    web_host: str
    billing: Database
    control: Database | None
    stores: tuple[Store, ...]
    tls: dict[str, str]
    token_secret: bytes
    token_lifetime_s: int
    pool_size: int
    wait_s: float
    budget_s: float


def load(settings_file: Path = SETTINGS, secrets_file: Path | None = None) -> Settings:
    """Read both files; a missing or unknown key is an error, never a default."""
    words = json.loads(settings_file.read_text())
    secrets = json.loads((secrets_file or _secrets_file()).read_text())
    billing = Database(password=secrets.pop("billing_password"), **words.pop("billing"))
    control_password, control_words = secrets.pop("control_password"), words.pop("control")
    control = None if control_words is None else Database(password=control_password, **control_words)
    token_secret = secrets.pop("token_secret").encode()
    if secrets:
        raise ValueError(f"unknown secrets: {sorted(secrets)}")
    if len(token_secret) < 32:
        raise ValueError("token_secret must have at least 32 characters")
    stores = tuple(Store(**store) for store in words.pop("stores"))
    return Settings(billing=billing, control=control, stores=stores, token_secret=token_secret, **words)


def _secrets_file() -> Path:
    directory = os.environ.get("CREDENTIALS_DIRECTORY")
    return Path(directory) / "secrets" if directory else SECRETS
