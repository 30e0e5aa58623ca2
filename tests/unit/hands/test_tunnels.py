"""The keys of tunnels: each edge its own, the same again from the same secret."""

from __future__ import annotations

import base64

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from secondsite.hands.tunnels import tunnel_keys


def test_every_edge_has_its_own_pair_and_another_secret_makes_all_anew() -> None:
    keys, again, others = (tunnel_keys(secret, ["one", "two"]) for secret in ("a", "a", "b"))
    assert keys == again
    assert len({pair[part] for pairs in (keys, others) for pair in pairs.values() for part in pair}) == 8


def test_the_public_key_belongs_to_the_private_one_as_wireguard_keeps_it() -> None:
    pair = tunnel_keys("a secret", ["edge1-dc1"])["edge1-dc1"]
    private = base64.b64decode(pair["private"])
    public = X25519PrivateKey.from_private_bytes(private).public_key()
    assert base64.b64decode(pair["public"]) == public.public_bytes(Encoding.Raw, PublicFormat.Raw)
    assert (private[0] & 7, private[31] & 192) == (0, 64)
