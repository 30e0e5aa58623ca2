"""SSH trust by certificates: one authority per site, short-lived certificates for `ops`, host certificates, pins.

Below one directory (0700), every private part 0600:

    ca/<site>.pub        the site's authority: signs `ops` for that site's hosts, and those hosts' own keys. Its private
                         part is sealed among the estate's secrets (``age``) and is opened in memory only
    ops/<site>           the key `ops` uses at that site; `<site>-cert.pub` beside it is re-issued before it ends
    runner/<site>        the same for `runner`, who carries out runbooks and may do no more than their verbs
    revoked              public keys that open nothing any more, whatever certificate they come with
    hosts/<host>.pub     the host's own public key as pinned; `<host>-cert.pub` its certificate
    known_hosts          the authorities, for OpenSSH: only a host certificate is believed
    pins                 the same hosts' keys one by one, for paramiko, which can't check host certificates
    ssh_config           how OpenSSH reaches every host; what Ansible and people use

An authority signs for its own site only: what leaks at one site opens nothing at another.
"""

from __future__ import annotations

import datetime as dt
import functools
import re
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    SSHCertificate,
    SSHCertificateBuilder,
    SSHCertificateType,
    SSHPublicKeyTypes,
    load_ssh_private_key,
    load_ssh_public_identity,
    load_ssh_public_key,
)

from ..errors import ActionError, ConfigError, Effect, Problem, UsageError
from ..estate.model import Host
from .age import Safe
from .escrow import own_safe
from .pins import KEY_TYPE, read_pins, require_pinned
from .processes import plain, run_process

USER = "ops"
RUNNER = "runner"
_CLOCK_SKEW = dt.timedelta(minutes=5)
_SAFE_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,62}\Z")
_KEYGEN_TIMEOUT_S = 20.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Lifetimes:
    """How long certificates hold, and how much must be left for one to be used again."""

    user: dt.timedelta = dt.timedelta(hours=12)
    user_left: dt.timedelta = dt.timedelta(hours=1)
    host: dt.timedelta = dt.timedelta(days=90)
    host_left: dt.timedelta = dt.timedelta(days=14)


class Trust:
    """The SSH trust of one estate, kept in one directory."""

    def __init__(
        self, directory: Path, hosts: Sequence[Host], *, lifetimes: Lifetimes | None = None, safe: Safe | None = None
    ) -> None:
        """Refuse names that a command line or a configuration file could take for something else.

        ``safe`` keeps the authorities' private parts; without it, a lab's own beside the directory.
        """
        for host in hosts:
            for word in (host.name, host.site):
                if not _SAFE_NAME.match(word):
                    raise ConfigError([Problem(file="inventory", line=None, pointer=f"/{word!r}", what=_NAME_RULE)])
        if _UNQUOTABLE.search(str(directory)):
            raise UsageError(f"the state directory's path {str(directory)!r} can't be written into ssh_config")
        self._directory = directory
        self._hosts = tuple(hosts)
        self._lifetimes = lifetimes or Lifetimes()
        self._safe = safe or own_safe(directory.parent / "secrets")

    @property
    def known_hosts(self) -> Path:
        """The authorities, for OpenSSH."""
        return self._directory / "known_hosts"

    @property
    def pins(self) -> Path:
        """The hosts' own keys, for paramiko."""
        return self._directory / "pins"

    @property
    def ssh_config(self) -> Path:
        """How OpenSSH reaches the hosts by name."""
        return self._directory / "ssh_config"

    @property
    def mark(self) -> tuple[str, str]:
        """Return the environment variable that marks every process acting on this estate's hosts."""
        return "SECONDSITE_ACTS_ON", str(self._directory)

    def identity(self, site: str, user: str = USER) -> Path:
        """Return the private key of a user for one site; its certificate lies beside it."""
        return self._directory / user / site

    @property
    def sites(self) -> tuple[str, ...]:
        """Every site with an authority."""
        return tuple(dict.fromkeys(str(host.site) for host in self._hosts))

    def revoked(self) -> tuple[str, ...]:
        """Return the public keys that open nothing any more."""
        path = self._directory / "revoked"
        return tuple(path.read_text(encoding="ascii").splitlines()) if path.exists() else ()

    def renew(self, site: str, *, now: dt.datetime) -> tuple[str, ...]:
        """Revoke the keys that users have at a site and make new ones; return what was revoked.

        Hosts refuse the old keys as soon as they know (role access). A crash in between revokes a key that is still
        here, so calling it again goes on.
        """
        gone = [public_line_of(self.identity(site, user).with_name(f"{site}.pub")) for user in (USER, RUNNER)]
        known = self.revoked()
        _write(self._directory / "revoked", "".join(f"{line}\n" for line in dict.fromkeys([*known, *gone])))
        for user in (USER, RUNNER):
            for name in (f"{site}-cert.pub", site, f"{site}.pub"):
                self.identity(site, user).with_name(name).unlink(missing_ok=True)
        self.prepare(now=now)
        return tuple(gone)

    def authority(self, site: str) -> str:
        """Return the public line of one site's authority."""
        return public_line_of(self._directory / "ca" / f"{site}.pub")

    def prepare(self, *, now: dt.datetime) -> None:
        """Make what is missing and re-issue what is about to end. Calling it again changes nothing.

        Raises:
            UsageError: this machine has no ssh-keygen.
            ActionError: ssh-keygen failed.
        """
        for part in ("", "ca", USER, RUNNER, "hosts"):
            (self._directory / part).mkdir(mode=0o700, parents=True, exist_ok=True)
        self._safe.prepare()
        for site in self.sites:
            self._make_authority(site)
            for user in (USER, RUNNER):
                make_key(self.identity(site, user), comment=f"{user}@{site}")
                self._certify_user(site, user, now=now)
        _write(self.known_hosts, self._authorities_text())
        _write(self.ssh_config, self._config_text())

    def adopt(self, pins: Path, *, now: dt.datetime) -> None:
        """Take the hosts' own keys from a file obtained out of band, and certify each by its site's authority.

        A host whose key was taken before, and that the file no longer names, keeps it.

        Raises:
            ConfigError: a host has no key there, or several.
        """
        before = read_pins(self.pins, self._hosts).keys if self.is_adopted() else {}
        given = read_pins(pins, self._hosts)
        require_pinned(given, [host for host in self._hosts if given.lacks(host, known=before)], pins)
        found = {**before, **given.keys}
        for host in self._hosts:
            public = self._directory / "hosts" / f"{host.name}.pub"
            _write(public, f"{found[str(host.management)]}\n")
            self._certify_host(host, public, now=now)
        _write(self.pins, "".join(f"{host.management} {found[str(host.management)]}\n" for host in self._hosts))

    def host_certificate(self, host: str) -> str:
        """Return the certificate line a host must present."""
        return public_line_of(self._directory / "hosts" / f"{host}-cert.pub")

    def is_adopted(self) -> bool:
        """Say whether every host's own key is pinned and certified."""
        return self.pins.exists() and all(
            (self._directory / "hosts" / f"{host.name}-cert.pub").exists() for host in self._hosts
        )

    def _certify_user(self, site: str, user: str, *, now: dt.datetime) -> None:
        key = self.identity(site, user)
        public = key.with_name(f"{site}.pub")
        if not self._is_held(public, site=site, until=now + self._lifetimes.user_left):
            self._sign(site, public, now=now, lifetime=self._lifetimes.user, principals=(user,), host=False)

    def _certify_host(self, host: Host, public: Path, *, now: dt.datetime) -> None:
        names = (str(host.name), str(host.management))
        if not self._is_held(public, site=host.site, until=now + self._lifetimes.host_left):
            self._sign(host.site, public, now=now, lifetime=self._lifetimes.host, principals=names, host=True)

    def _is_held(self, public: Path, *, site: str, until: dt.datetime) -> bool:
        """Say whether the certificate beside a public key is for that key, by that site, and still valid then."""
        certificate = public.with_name(f"{public.name.removesuffix('.pub')}-cert.pub")
        if not certificate.exists():
            return False
        identity = load_ssh_public_identity(certificate.read_bytes())
        return (
            isinstance(identity, SSHCertificate)
            and _line_of(identity.public_key()) == public_line_of(public)
            and _line_of(identity.signature_key()) == self.authority(site)
            and identity.valid_before > until.timestamp()
        )

    def _sign(
        self,
        site: str,
        public: Path,
        *,
        now: dt.datetime,
        lifetime: dt.timedelta,
        principals: tuple[str, ...],
        host: bool,
    ) -> None:
        subject = public.name.removesuffix(".pub")
        key = load_ssh_public_key(public.read_bytes())
        if not isinstance(key, Ed25519PublicKey):
            raise ActionError(f"{public} holds no {KEY_TYPE} key", effect=Effect.NONE)
        builder = (
            SSHCertificateBuilder()
            .public_key(key)
            .serial(int(now.timestamp()))
            .type(SSHCertificateType.HOST if host else SSHCertificateType.USER)
            .key_id((subject if host else f"{principals[0]}@{site}").encode())
            .valid_principals([principal.encode() for principal in principals])
            .valid_after(int((now - _CLOCK_SKEW).timestamp()))
            .valid_before(int((now + lifetime).timestamp()))
        )
        for extension in () if host else (b"permit-port-forwarding", b"permit-pty"):
            builder = builder.add_extension(extension, b"")
        certificate = builder.sign(self._authority_key(site)).public_bytes().decode("ascii")
        _write(public.with_name(f"{subject}-cert.pub"), f"{certificate}\n")

    def _make_authority(self, site: str) -> None:
        """Make the site's authority; its public part appears last. One that an earlier release left open is sealed."""
        private, public, name = self._directory / "ca" / site, self._directory / "ca" / f"{site}.pub", f"ssh-{site}"
        if not self._safe.holds(name):
            key = Ed25519PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption())
            self._safe.seal(name, private.read_bytes() if private.exists() else key)
        private.unlink(missing_ok=True)
        if not public.exists():
            _write(public, f"{_line_of(self._authority_key(site).public_key())} secondsite-ca-{site}\n")

    def _authority_key(self, site: str) -> Ed25519PrivateKey:
        key = load_ssh_private_key(self._safe.open(f"ssh-{site}"), password=None)
        if not isinstance(key, Ed25519PrivateKey):
            raise ActionError(f"the SSH authority of {site} is no {KEY_TYPE} key", effect=Effect.NONE)
        return key

    def _authorities_text(self) -> str:
        lines = (f"@cert-authority {host.name},{host.management} {self.authority(host.site)}\n" for host in self._hosts)
        return "".join(lines)

    def _config_text(self) -> str:
        return "".join(self._config_of(host) for host in self._hosts) + _CONFIG_FOR_ALL.format(
            user=USER, known_hosts=_quoted(self.known_hosts), agreement=_key_agreement()
        )

    def _config_of(self, host: Host) -> str:
        return (
            f"Host {host.name} {host.management}\n  HostName {host.management}\n  HostKeyAlias {host.name}\n"
            f"  IdentityFile {_quoted(self.identity(host.site))}\n"
        )


def disown(directory: Path) -> tuple[str, ...]:
    """Note the public keys of another controller's users as revoked and forget them; return them.

    For a directory that came from another controller: its private keys are not in it, and new ones are made.
    """
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    found = sorted(path for user in (USER, RUNNER) for path in (directory / user).glob("*.pub"))
    keys = [public_line_of(path) for path in found if not path.name.endswith("-cert.pub")]
    revoked = directory / "revoked"
    known = revoked.read_text(encoding="ascii").splitlines() if revoked.exists() else []
    _write(revoked, "".join(f"{line}\n" for line in dict.fromkeys([*known, *keys])))
    for path in found:
        path.unlink()
    return tuple(keys)


_NAME_RULE = "a host's or site's name is 1 to 63 of a-z, 0-9 and -, and does not begin with -"
_UNQUOTABLE = re.compile(r'["\\\x00-\x1f\x7f]')
_CONFIG_FOR_ALL = """\
Host *
  User {user}
  IdentitiesOnly yes
  IdentityAgent none
  UserKnownHostsFile {known_hosts}
  GlobalKnownHostsFile /dev/null
  StrictHostKeyChecking yes
  HostKeyAlgorithms ssh-ed25519-cert-v01@openssh.com
  KexAlgorithms ^{agreement}
  UpdateHostKeys no
  PreferredAuthentications publickey
  PasswordAuthentication no
  KbdInteractiveAuthentication no
  GSSAPIAuthentication no
  ForwardAgent no
  BatchMode yes
  ConnectTimeout 5
  ServerAliveInterval 5
  ServerAliveCountMax 3
"""


def _quoted(path: Path) -> str:
    return f'"{str(path).replace("%", "%%")}"'


def ssh_public_of(key: bytes) -> str:
    """Return the public line of a private key in OpenSSH's format.

    Raises:
        ValueError: it holds none.
    """
    return _line_of(load_ssh_private_key(key, password=None).public_key())


def public_line_of(path: Path) -> str:
    """Return a public key's kind and body, without its comment."""
    return " ".join(path.read_text(encoding="ascii").split()[:2])


# In order of preference. OpenSSH before 9.9 has only sntrup761 that withstands quantum computers, which costs a
# connection 0.1 s of computing on each side; what a runbook says is not worth recording for their day.
_AGREEMENTS = ("mlkem768x25519-sha256", "curve25519-sha256")


@functools.cache
def _key_agreement() -> str:
    """Name the quick key agreement to try first, of those this machine's OpenSSH knows."""
    ended = run_process(["ssh", "-Q", "kex"], timeout_s=_KEYGEN_TIMEOUT_S)
    named = [name for name in _AGREEMENTS if name in ended.stdout.split()]
    if ended.exit_code != 0 or not named:
        said = plain(ended.stderr) or f"it knows none of {', '.join(_AGREEMENTS)}"
        raise ActionError(f"ssh could not say which key agreement to use: {said}", effect=Effect.NONE)
    return named[0]


def _keygen(argv: Sequence[str]) -> None:
    ended = run_process(argv, timeout_s=_KEYGEN_TIMEOUT_S)
    if ended.exit_code != 0:
        raise ActionError(f"ssh-keygen failed: {plain(ended.stderr or ended.stdout)}", effect=Effect.NONE)


def make_key(path: Path, *, comment: str) -> None:
    """Make a key pair; the private file appears last, so a crash in between leaves nothing half-made."""
    if path.exists():
        return
    with tempfile.TemporaryDirectory(dir=path.parent) as scratch:
        new = Path(scratch) / path.name
        _keygen(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", comment, "-f", str(new)])
        new.with_name(f"{path.name}.pub").rename(path.with_name(f"{path.name}.pub"))
        new.rename(path)


def _line_of(key: SSHPublicKeyTypes) -> str:
    return key.public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).decode("ascii")


def _write(path: Path, text: str) -> None:
    """Write a file whole or not at all, and leave it alone when it already reads so."""
    if path.exists() and path.read_text(encoding="utf-8") == text:
        return
    partial = path.with_name(f".{path.name}.new")
    partial.write_text(text, encoding="utf-8")
    partial.chmod(0o600)
    partial.rename(path)
