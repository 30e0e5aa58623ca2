"""What a hoster's installer would leave: an SSH key for root, a host key for each machine, and their pins."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from .model import LabHost, LabSettings
from .state import write_whole


def ensure_keys(settings: LabSettings, hosts: Iterable[LabHost]) -> None:
    """Make the keys that are missing, and write the pins of all host keys."""
    settings.key.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    _ensure_pair(settings.key, "lab-bootstrap")
    pins = []
    for host in hosts:
        public = _ensure_pair(host_key(settings, host.name), f"root@{host.name}")
        pins.append(f"{host.name},{host.management.ip} {' '.join(public.split()[:2])}")
    write_whole(settings.known_hosts, "\n".join(pins) + "\n")


def host_key(settings: LabSettings, host: str) -> Path:
    """Return the private host key of a host; its public half stands beside it."""
    return settings.home / "keys" / f"{host}_ed25519"


def public_key(private: Path) -> str:
    """Return the public half of a key."""
    return private.with_suffix(".pub").read_text(encoding="ascii").strip()


def _ensure_pair(private: Path, comment: str) -> str:
    if not private.exists() or not private.with_suffix(".pub").exists():
        key = Ed25519PrivateKey.generate()
        public = key.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).decode("ascii")
        secret = key.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption()).decode("ascii")
        write_whole(private, secret, mode=0o600)
        write_whole(private.with_suffix(".pub"), f"{public} {comment}\n")
    return public_key(private)
