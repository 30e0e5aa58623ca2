"""The sites' TLS authorities: one each, which signs at that site and nowhere else.

Below one directory, public parts only:

    <site>.crt          signs the site's certificates
    <site>.next.crt     is believed already, and signs once everybody believes it (a rotation under way)
    <site>.old.crt      signs no longer, and is believed until nothing it signed is in use

Private parts are sealed (``age``). A new one can be opened here, so that it can be carried to its site; once the site
holds it, it is sealed for escrow alone, and this controller can't sign for that site any more.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import NameOID

from ..errors import ConfigError, Problem, UsageError
from .age import Safe, write_private

LIFETIME = dt.timedelta(days=3650)
LEAST_LEFT = dt.timedelta(days=120)  # what it signs now must not outlive it
_CLOCK_SKEW = dt.timedelta(minutes=5)


@dataclass(frozen=True, slots=True, kw_only=True)
class Authority:
    """One authority of one site. ``name`` and ``common_name`` tell it from every other, also of the same site."""

    site: str
    name: str
    common_name: str
    certificate: str
    public_key: str
    not_before: dt.datetime
    not_after: dt.datetime
    signs_authorities: bool


def reasons_not_to_sign(authority: Authority, *, now: dt.datetime) -> Iterator[str]:
    """Yield every reason why nothing may be signed with it now."""
    if not authority.signs_authorities:
        yield "its certificate is not an authority's"
    if now < authority.not_before:
        yield f"it begins on {authority.not_before:%Y-%m-%d %H:%M} UTC (is this machine's clock right?)"
    if now > authority.not_after:
        yield f"it ended on {authority.not_after:%Y-%m-%d %H:%M} UTC"
    elif authority.not_after - now < LEAST_LEFT:
        yield f"it ends on {authority.not_after:%Y-%m-%d %H:%M} UTC, before what it would sign"


class Authorities:
    """The authorities of an estate's sites."""

    def __init__(self, directory: Path, *, sites: Sequence[str], safe: Safe) -> None:
        """Read nothing yet."""
        self._directory = directory
        self._sites = tuple(sites)
        self._safe = safe

    def prepare(self, *, now: dt.datetime) -> tuple[str, ...]:
        """Make the authorities that are missing; return the sites that got one.

        Raises:
            UsageError: a site's authority can't sign any more. Nothing was made.
        """
        for site in self._sites:
            if not self._path(site).exists():
                self.activate(site)  # a rotation was cut between its two renames
            self._seal_open_key(site)
        missing = tuple(site for site in self._sites if not self._path(site).exists())
        reasons = [
            f"the TLS authority of {site}: {reason}"
            for site in self._sites
            if site not in missing
            for reason in reasons_not_to_sign(self.signing(site), now=now)
        ]
        if reasons:
            raise UsageError(
                "; ".join(reasons),
                not_done="no host was touched and nothing was signed",
                next_step="secondsite run rotate_certificates",
            )
        for site in missing:
            self._make(site, self._path(site), now=now)
        return missing

    def signing(self, site: str) -> Authority:
        """Return the authority that signs for a site.

        Raises:
            UsageError: it has none.
            ConfigError: its file holds no certificate.
        """
        path = self._path(site)
        if not path.exists():
            raise UsageError(f"{site} has no TLS authority", next_step="secondsite run provision")
        return _read(path, site=site)

    def believed(self, site: str) -> tuple[Authority, ...]:
        """Return every authority of a site that hosts believe now, the signing one first."""
        paths = (self._path(site), self._path(site, "next"), self._path(site, "old"))
        return tuple(_read(path, site=site) for path in paths if path.exists())

    def carried(self) -> Mapping[str, str]:
        """Return by name the private keys that still have to reach their sites."""
        held = [authority for site in self._sites for authority in self.believed(site)]
        return {
            one.name: self._safe.open(sealed_name(one)).decode()
            for one in held
            if self._safe.can_open(sealed_name(one))
        }

    def hand_over(self, authority: Authority) -> bool:
        """Seal a key for escrow alone: its site holds it. Return whether it was open here until now."""
        if not self._safe.can_open(sealed_name(authority)):
            return False
        self._safe.seal(sealed_name(authority), self._safe.open(sealed_name(authority)), for_escrow_alone=True)
        return True

    def recall(self, authority: Authority) -> None:
        """Take a key out of escrow so that it can be carried to its site again.

        Raises:
            UsageError: escrow's identity is not at hand.
        """
        self._safe.seal(sealed_name(authority), self._safe.recover(sealed_name(authority)))

    def begin(self, site: str, *, now: dt.datetime) -> bool:
        """Make the site's next authority, to be believed and not yet used. Return whether it was made now."""
        path = self._path(site, "next")
        if path.exists() or self._path(site, "old").exists():
            return False
        self._make(site, path, now=now)
        return True

    def activate(self, site: str) -> bool:
        """Let the next authority sign from now on; the old one stays believed. Return whether it changed."""
        coming = self._path(site, "next")
        if not coming.exists():
            return False
        old = self._path(site, "old")
        if not old.exists():  # a crash between the two renames is taken up where it was
            self._path(site).rename(old)
        coming.rename(self._path(site))
        return True

    def retire(self, site: str) -> bool:
        """Let nobody believe the old authority any more. Return whether there was one."""
        old = self._path(site, "old")
        found = old.exists()
        old.unlink(missing_ok=True)
        return found

    def _make(self, site: str, path: Path, *, now: dt.datetime) -> None:
        key = ec.generate_private_key(ec.SECP256R1())
        certificate = _self_signed(key, site=site, now=now)
        text = certificate.public_bytes(Encoding.PEM).decode("ascii")
        secret = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        self._safe.prepare()
        self._safe.seal(sealed_name(_authority(certificate, site=site)), secret)
        write_private(path, text.encode())

    def _seal_open_key(self, site: str) -> None:
        """Seal a key that an earlier release kept in the clear."""
        key = self._directory / f"{site}.key"
        if key.exists():
            self._safe.prepare()
            self._safe.seal(sealed_name(self.signing(site)), key.read_bytes())
            key.unlink()

    def _path(self, site: str, which: str = "") -> Path:
        return self._directory / (f"{site}.{which}.crt" if which else f"{site}.crt")


def sealed_name(authority: Authority) -> str:
    """Return the name under which an authority's key is sealed."""
    return f"tls-{authority.name}"


def _self_signed(key: ec.EllipticCurvePrivateKey, *, site: str, now: dt.datetime) -> x509.Certificate:
    serial = x509.random_serial_number()
    subject = x509.Name(
        [
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, "secondsite"),
            # two authorities of one site differ in name: a verifier looks issuers up by it
            x509.NameAttribute(NameOID.COMMON_NAME, f"authority of {site} {serial:040x}"[:64]),
        ]
    )
    usage = x509.KeyUsage(
        digital_signature=False, content_commitment=False, key_encipherment=False, data_encipherment=False,
        key_agreement=False, key_cert_sign=True, crl_sign=True, encipher_only=False, decipher_only=False,
    )  # fmt: skip
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(serial)
        .not_valid_before(now - _CLOCK_SKEW)
        .not_valid_after(now + LIFETIME)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )


def authority_in(certificate: bytes, *, site: str) -> Authority:
    """Return the authority that a certificate in PEM is of.

    Raises:
        ValueError: it holds none.
    """
    return _authority(x509.load_pem_x509_certificate(certificate), site=site)


def public_of(key: bytes) -> str:
    """Return the public half of a private key in PEM.

    Raises:
        ValueError: it holds none, or one that is sealed again.
    """
    try:
        loaded = load_pem_private_key(key, password=None)
    except TypeError as error:
        raise ValueError("the key is sealed with a password") from error
    return loaded.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode("ascii")


def _read(path: Path, *, site: str) -> Authority:
    try:
        certificate = x509.load_pem_x509_certificate(path.read_bytes())
    except ValueError as error:
        raise ConfigError([Problem(file=str(path), line=None, pointer="", what="holds no certificate")]) from error
    return _authority(certificate, site=site)


def _authority(certificate: x509.Certificate, *, site: str) -> Authority:
    try:
        constraints = certificate.extensions.get_extension_for_class(x509.BasicConstraints).value
        signs = constraints.ca
    except x509.ExtensionNotFound:
        signs = False
    public = certificate.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    called = certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    return Authority(
        site=site,
        common_name=str(called[0].value) if called else "",
        name=f"{site}-{certificate.fingerprint(hashes.SHA256()).hex()[:12]}",
        certificate=certificate.public_bytes(Encoding.PEM).decode("ascii"),
        public_key=public.decode("ascii"),
        not_before=certificate.not_valid_before_utc,
        not_after=certificate.not_valid_after_utc,
        signs_authorities=signs,
    )
