"""Dynamic DNS updates (RFC 2136) signed with TSIG: the one door to dnspython.

An update carries the address it believes is published as a prerequisite, so it is a compare-and-swap: a plan made
before somebody else's change is refused by the name server and changes nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import dns.exception
import dns.message
import dns.name
import dns.query
import dns.rcode
import dns.rdataclass
import dns.rdatatype
import dns.tsig
import dns.tsigkeyring
import dns.update

from ..errors import ActionError, ActionTimeout, Effect, Unreachable

_TIMEOUT_S = 2.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Published:
    """What an authoritative server answers for a name, and the zone's serial there."""

    addresses: tuple[str, ...]
    serial: int


@dataclass(frozen=True, slots=True, kw_only=True)
class NameServer:
    """The primary of a zone, reached at ``address``; ``secret`` yields the TSIG secret when it is needed."""

    address: str
    zone: str
    key_name: str
    secret: Callable[[], str]
    port: int = 53

    def published(self, name: str) -> Published:
        """Ask the server itself, not a cache.

        Raises:
            Unreachable: it gave no usable answer.
        """
        answer = self._ask(name, "A")
        soa = self._ask(self.zone, "SOA")
        addresses = sorted(
            item.to_text() for rrset in answer.answer if rrset.rdtype == dns.rdatatype.A for item in rrset
        )
        serials = [item.serial for rrset in soa.answer if rrset.rdtype == dns.rdatatype.SOA for item in rrset]
        if not serials:
            raise Unreachable(f"name server {self.address} has no SOA for {self.zone}")
        return Published(addresses=tuple(addresses), serial=int(serials[0]))

    def swap(self, name: str, *, expected: str, new: str, ttl_s: int) -> None:
        """Publish ``new`` for ``name`` if, and only if, exactly ``expected`` is published.

        Raises:
            ActionError: the server refused; nothing was changed.
            ActionTimeout: no answer; the effect is unknown.
        """
        update = dns.update.UpdateMessage(
            self.zone,
            keyring=dns.tsigkeyring.from_text({self.key_name: self.secret()}),
            keyname=dns.name.from_text(self.key_name),
            keyalgorithm=dns.tsig.HMAC_SHA256,
        )
        relative = dns.name.from_text(name).relativize(dns.name.from_text(self.zone))
        update.present(relative, "A", expected)
        update.replace(relative, ttl_s, "A", new)
        response = self._send(update, name)
        if response.rcode() != dns.rcode.NOERROR:
            raise ActionError(
                f"name server {self.address} refused to move {name} from {expected} to {new}:"
                f" {dns.rcode.to_text(response.rcode())}",
                effect=Effect.NONE,
                next_step=f"ask it what it publishes: kdig @{self.address} {name} A",
            )

    def _send(self, update: dns.update.UpdateMessage, name: str) -> dns.message.Message:
        try:
            return dns.query.tcp(update, self.address, timeout=_TIMEOUT_S, port=self.port)
        except dns.tsig.PeerError as error:
            raise ActionError(
                f"name server {self.address} rejected the signed update of {name}: {error}"
                " (it answers so too when its policy forbids the update)",
                effect=Effect.NONE,
            ) from error
        except (OSError, EOFError, dns.exception.DNSException) as error:
            raise ActionTimeout(
                f"name server {self.address} gave no answer to the update of {name}: {error}"
            ) from error

    def _ask(self, name: str, kind: str) -> dns.message.Message:
        query = dns.message.make_query(name, kind)
        query.flags &= ~dns.flags.RD
        try:
            return dns.query.tcp(query, self.address, timeout=_TIMEOUT_S, port=self.port)
        except (OSError, EOFError, dns.exception.DNSException) as error:
            raise Unreachable(f"name server {self.address} does not answer: {error}") from error
