"""Passwords and bearer tokens.

A token is signed, not stored, with a secret that both sites hold: a customer who signed in before a failover stays
signed in after it.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json

# unknown customers cost as much time as known ones
NOBODY = "scrypt$4096$8$1$bm9ib2R5J3Mgc2FsdA==$" + base64.b64encode(bytes(32)).decode()


def password_matches(password: str, stored: str) -> bool:
    """Compare in constant time with ``scrypt$<n>$<r>$<p>$<salt>$<hash>``, the last two in base64."""
    kind, n, r, p, salt, expected = stored.split("$")
    if kind != "scrypt":
        raise ValueError(f"unknown kind of password hash: {kind}")
    found = hashlib.scrypt(password.encode(), salt=base64.b64decode(salt), n=int(n), r=int(r), p=int(p), dklen=32)
    return hmac.compare_digest(found, base64.b64decode(expected))


def issue(customer: str, *, secret: bytes, now: float, lifetime_s: int) -> str:
    """Return a token that names the customer until it expires."""
    claims = json.dumps({"customer": customer, "expires": int(now) + lifetime_s}, separators=(",", ":"))
    body = base64.urlsafe_b64encode(claims.encode()).decode().rstrip("=")
    return f"{body}.{_signature(body, secret)}"


def customer_of(token: str, *, secret: bytes, now: float) -> str | None:
    """Return whose token it is; None if it was not signed by us or has expired."""
    body, _, signature = token.partition(".")
    if not hmac.compare_digest(signature.encode(), _signature(body, secret).encode()):
        return None
    claims = json.loads(base64.urlsafe_b64decode(body + "=" * (-len(body) % 4)))
    return str(claims["customer"]) if claims["expires"] > now else None


def _signature(body: str, secret: bytes) -> str:
    return hmac.new(secret, body.encode(), hashlib.sha256).hexdigest()
