"""First contact with bare hosts: the one door to pyinfra, which runs as its own process from its own environment.

pyinfra 3.10 needs paramiko below 5, so it can't share ours; its API is about to change, its command line with `--json`
is not. Its facts return defaults when a program is missing, so nothing it says counts as a measurement: before and
after, the hosts are asked through a certificate, and the bootstrap key is tried and has to be refused.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import json
import shutil
from collections.abc import Mapping, Sequence, Set
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from ..errors import ActionTimeout, UsageError
from ..estate.model import Host
from .keys import USER, Trust
from .processes import Ended, end_marked, plain, run_process, scrubbed_environment

MARKER = "/etc/ssh/secondsite/first-contact"
_DEPLOYS = Path(__file__).parent / "pyinfra_deploys"
_MEMORY_LIMIT = 2 << 30
_LOOK_TIMEOUT_S = 12.0
_SSH_FAILED = 255
# Logins that only look carry no secret, so nothing is worth recording for a later decryption: a key agreement that
# costs a tenth of the default one's processor time is enough. Whoever refuses it is asked as usual.
_LOOK_OPTIONS = ("-o", "KexAlgorithms=^curve25519-sha256")
AFTER_A_RELOAD = ("-o", "ConnectionAttempts=3")
"""For ssh: an sshd that reads its configuration anew listens to nobody for a moment, and refuses whoever comes then."""

_SSHD_TRUST = """\
HostKey /etc/ssh/ssh_host_ed25519_key
HostCertificate /etc/ssh/ssh_host_ed25519_key-cert.pub
TrustedUserCAKeys /etc/ssh/secondsite/user_ca.pub
AuthorizedPrincipalsFile /etc/ssh/secondsite/principals/%u
MaxSessions 64
MaxStartups 64:30:128
"""
_SSHD_ONLY = f"""\
AuthenticationMethods publickey
AuthorizedKeysFile none
PasswordAuthentication no
KbdInteractiveAuthentication no
PermitRootLogin no
AllowUsers {USER}
AllowAgentForwarding no
X11Forwarding no
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bootstrap:
    """How bare hosts are reached the first time: their keys obtained out of band, and the key root accepts."""

    pins: Path
    key: Path
    user: str = "root"

    def require_key(self, hosts: Sequence[Host]) -> None:
        """Refuse when the key that bare hosts accept is not at hand.

        Raises:
            UsageError: it is not; nothing was attempted.
        """
        if hosts and not self.key.is_file():
            raise UsageError(
                f"first contact with {', '.join(host.name for host in hosts)} needs a key they accept for"
                f" {self.user}; there is none at {self.key}",
                not_done="no host was contacted",
                next_step="name it in SECONDSITE_BOOTSTRAP_KEY (the user, if not root, in SECONDSITE_BOOTSTRAP_USER)",
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class Contacted:
    """What first contact came to, by host. A host is in exactly one of these."""

    already: tuple[str, ...]
    made: tuple[str, ...]
    unreachable: Mapping[str, str]
    failed: Mapping[str, str]


class PyinfraDoor:
    """Makes first contact with hosts, and says what it found through a certificate."""

    def __init__(self, executable: Path, *, trust: Trust, bootstrap: Bootstrap, ssh: str = "ssh") -> None:
        """Start nothing."""
        self._executable = executable
        self._trust = trust
        self._bootstrap = bootstrap
        self._ssh = ssh

    @property
    def trust(self) -> Trust:
        """Whom the hosts believe."""
        return self._trust

    def first_contact(
        self, hosts: Sequence[Host], *, directory: Path, now: dt.datetime, timeout: dt.timedelta
    ) -> Contacted:
        """See to it that only certificates open each host; hosts that are so already are not touched.

        Raises:
            UsageError: pyinfra's environment is missing; nothing was changed.
            ActionTimeout: pyinfra did not end in time.
            ConfigError: a host has no pinned key.
        """
        opened = self._trust.is_adopted()  # else nothing can know certificates that don't exist yet
        self._trust.prepare(now=now)
        self._trust.adopt(self._bootstrap.pins, now=now)
        before = self.look(hosts) if opened else dict.fromkeys((host.name for host in hosts), _NEVER_SEEN)
        due = [host for host in hosts if before[host.name].marker != self._marker(host)]
        already = tuple(host.name for host in hosts if host not in due)
        if not due:
            return Contacted(already=already, made=(), unreachable={}, failed={})
        by_certificate = {str(host.name) for host in due if before[host.name].logged_in}
        self._bootstrap.require_key([host for host in due if host.name not in by_certificate])
        said = self._run(due, by_certificate, directory=directory, timeout=timeout)
        return self._judge(due, said, already=already)

    def due(self, hosts: Sequence[Host]) -> tuple[str, ...]:
        """Name the hosts where first contact is not complete, or that can't be asked by certificate."""
        if not self._trust.is_adopted():
            return tuple(host.name for host in hosts)
        seen = self.look(hosts)
        return tuple(host.name for host in hosts if seen[host.name].marker != self._marker(host))

    def look(self, hosts: Sequence[Host], *, options: Sequence[str] = ()) -> Mapping[str, Look]:
        """Log in to each host by certificate, in parallel, and read its marker. Changes nothing."""
        with ThreadPoolExecutor(max_workers=max(1, len(hosts))) as pool:
            looks = pool.map(lambda host: self._look(host, options), hosts)
            return dict(zip((host.name for host in hosts), looks, strict=True))

    def bootstrap_refused(self, hosts: Sequence[Host]) -> Mapping[str, bool]:
        """Try the bootstrap key on each host and say where it was refused; an unreachable host has refused nothing."""
        with ThreadPoolExecutor(max_workers=max(1, len(hosts))) as pool:
            return dict(zip((host.name for host in hosts), pool.map(self._is_bootstrap_refused, hosts), strict=True))

    def _look(self, host: Host, options: Sequence[str]) -> Look:
        # an endless answer is cut by head on the host and by run_process here
        ended = run_process(
            [*self._ssh_argv(), *options, "--", str(host.name), f"head -c 200 {MARKER} 2>/dev/null; true"],
            timeout_s=_LOOK_TIMEOUT_S,
            limit=4096,
        )
        if ended.exit_code != 0:
            answered = ended.exit_code is not None and "connect to host" not in ended.stderr
            return Look(logged_in=False, answered=answered, marker="", why=_why(ended))
        return Look(logged_in=True, answered=True, marker=ended.stdout.strip(), why="")

    def _is_bootstrap_refused(self, host: Host) -> bool:
        options = (
            *("-F", "/dev/null", "-i", str(self._bootstrap.key), "-o", "IdentitiesOnly=yes", "-o", "BatchMode=yes"),
            *("-o", "StrictHostKeyChecking=yes", "-o", f"UserKnownHostsFile={_option_value(self._trust.pins)}"),
            *("-o", "GlobalKnownHostsFile=/dev/null", "-o", "ConnectTimeout=5", "-o", "HostKeyAlgorithms=ssh-ed25519"),
            *("-l", self._bootstrap.user),
            *_LOOK_OPTIONS,
            *AFTER_A_RELOAD,
        )
        ended = run_process(
            [self._ssh, *options, "--", str(host.management), "true"], timeout_s=_LOOK_TIMEOUT_S, limit=4096
        )
        return ended.exit_code == _SSH_FAILED and "Permission denied" in ended.stderr

    def _ssh_argv(self) -> tuple[str, ...]:
        return (self._ssh, "-F", str(self._trust.ssh_config), *_LOOK_OPTIONS)

    def _marker(self, host: Host) -> str:
        """Return what the marker of a host reads when everything below was installed there as it is now."""
        parts = (self._trust.authority(host.site), self._trust.host_certificate(host.name), _SSHD_TRUST, _SSHD_ONLY)
        deploy = (_DEPLOYS / "first_contact.py").read_text(encoding="utf-8")
        return hashlib.sha256("\x00".join((*parts, deploy)).encode()).hexdigest()

    def _run(self, hosts: Sequence[Host], by_certificate: Set[str], *, directory: Path, timeout: dt.timedelta) -> _Said:
        if not self._executable.exists():
            raise UsageError(
                f"pyinfra is not installed at {self._executable}",
                not_done="no host was touched",
                next_step="run ./secondsite once: it makes .venv-pyinfra from requirements/pyinfra.lock",
            )
        mark, marked = self._trust.mark
        end_marked(mark, marked)  # a controller that was killed may have left its run going
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        for name in ("inventory.py", "first_contact.py"):
            shutil.copyfile(_DEPLOYS / name, directory / name)
        entries = [self._entry(host, by_certificate, directory) for host in hosts]
        (directory / "hosts.json").write_text(json.dumps(entries, indent=1), encoding="utf-8")
        argv = ["prlimit", f"--as={_MEMORY_LIMIT}", "--", str(self._executable), "--json", "--yes", "--no-wait"]
        ended = run_process(
            [*argv, "inventory.py", "first_contact.py"],
            timeout_s=timeout.total_seconds(),
            environment={**scrubbed_environment(HOME=str(directory)), mark: marked},
            directory=directory,
            limit=8 << 20,
        )
        return _read_answer(ended)

    def _entry(self, host: Host, by_certificate: Set[str], directory: Path) -> Mapping[str, object]:
        known = host.name in by_certificate
        connection = {
            "ssh_hostname": str(host.management),
            "ssh_user": USER if known else self._bootstrap.user,
            "ssh_key": str(self._trust.identity(host.site) if known else self._bootstrap.key),
            "ssh_known_hosts_file": str(self._trust.pins),
            "ssh_strict_host_key_checking": "yes",
            "ssh_config_file": str(directory / "no-ssh-config"),
            "ssh_allow_agent": False,
            "ssh_look_for_keys": False,
        }
        prove = [
            *self._ssh_argv(),
            *AFTER_A_RELOAD,
            "-E",
            str(directory / f"{host.name}.ssh.log"),
            "--",
            host.name,
            "sudo -n true",
        ]
        data = {
            "user": USER,
            "authority": f"{self._trust.authority(host.site)}\n",
            "principals": f"{USER}\n",
            "host_certificate": f"{self._trust.host_certificate(host.name)}\n",
            "sshd_trust": _SSHD_TRUST,
            "sshd_only": _SSHD_ONLY,
            "marker": f"{self._marker(host)}\n",
            "prove": prove,
            "prove_log": prove[prove.index("-E") + 1],
        }
        return {"name": host.name, "connection": connection, "data": data}

    def _judge(self, due: Sequence[Host], said: _Said, *, already: tuple[str, ...]) -> Contacted:
        """Believe the certificate, not pyinfra: look again, and try the bootstrap key."""
        with ThreadPoolExecutor(max_workers=2) as pool:
            looking, trying = (
                pool.submit(self.look, due, options=AFTER_A_RELOAD),
                pool.submit(self.bootstrap_refused, due),
            )
            after, refused = looking.result(), trying.result()
        made: list[str] = []
        unreachable: dict[str, str] = {}
        failed: dict[str, str] = {}
        for host in due:
            look = after[host.name]
            if look.marker == self._marker(host) and refused[host.name]:
                made.append(host.name)
            elif not look.answered:
                unreachable[host.name] = look.why
            else:
                failed[host.name] = said.about(host.name) or _reason(look, bootstrap_refused=refused[host.name])
        return Contacted(already=already, made=tuple(made), unreachable=unreachable, failed=failed)


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """What a login by certificate showed. ``answered``: something did answer."""

    logged_in: bool
    answered: bool
    marker: str
    why: str


_NEVER_SEEN = Look(logged_in=False, answered=False, marker="", why="its certificates are new")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Said:
    """pyinfra's own words, to explain; never to decide by."""

    changed: int
    log: str

    def about(self, host: str) -> str:
        lines = [line.strip() for line in self.log.splitlines() if f"[{host}]" in line]
        return plain("; ".join(line for line in lines if "rror" in line or "no login" in line), limit=400)


def _read_answer(ended: Ended) -> _Said:
    if ended.exit_code is None:
        raise ActionTimeout("pyinfra did not end in time", next_step="provision again: it repeats only what is missing")
    try:
        changed = sum(len(operation["success"]) for operation in json.loads(ended.stdout)["results"]["operations"])
    except (json.JSONDecodeError, KeyError, TypeError):
        changed = 0  # when no host could be connected to, it prints its log and no document
    return _Said(changed=changed, log=ended.stderr)


def _reason(look: Look, *, bootstrap_refused: bool) -> str:
    if not look.logged_in:
        return f"no login by certificate: {look.why}"
    if not bootstrap_refused:
        return "the bootstrap key still opens it, or it gave no answer to that key"
    return "its marker does not read as it should"


def _why(ended: Ended) -> str:
    if ended.exit_code is None:
        return "no answer in time"
    return plain(ended.stderr.strip() or f"exit code {ended.exit_code}", limit=300)


def _option_value(path: Path) -> str:
    return f'"{str(path).replace("%", "%%")}"'
