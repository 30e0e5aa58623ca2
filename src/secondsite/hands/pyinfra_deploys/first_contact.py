"""First contact with a bare host over its bootstrap key: from here on only certificates open it.

In order: the user `ops` and its sudo rule; the site's authority, the principals, the host's certificate; sshd reads
them; a login by certificate is *made from the controller*; only when that worked is every other way in closed. A host
where it did not work keeps its bootstrap key. The marker is written last, so its presence means all of it was done.

pyinfra's facts return defaults when a program is missing; so nothing here is taken as a measurement. The adapter looks
again afterwards, through the certificate.
"""

import shlex
import subprocess
from pathlib import Path

from pyinfra import host
from pyinfra.operations import python, server

DIRECTORY = "/etc/ssh/secondsite"
USER = shlex.quote(host.data.user)


def written(text: str, path: str, *, mode: str = "644") -> str:
    """Return the command that puts one root-owned file there, whole or not at all."""
    new = shlex.quote(f"{path}.new")
    return f"printf %s {shlex.quote(text)} >{new} && chmod {mode} {new} && mv {new} {shlex.quote(path)}"


def at_once(name: str, *commands: str) -> None:
    """Run commands in one round trip; the first that fails ends it."""
    server.shell(name=name, commands=["set -eu; umask 022; " + "; ".join(commands)], _sudo=host.data.ssh_user != "root")


def prove_certificate_login() -> None:
    """Log in from the controller by certificate, as sshd now stands, and become root; raise when that fails."""
    ended = subprocess.run(
        host.data.prove,
        timeout=15,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        check=False,
    )
    if ended.returncode != 0:
        said = Path(host.data.prove_log).read_text(errors="replace")[-300:]
        raise RuntimeError(f"no login by certificate, so the bootstrap key stays: {said}")


at_once(
    "Bring user, sudo, and trust in the site's authority",
    # a minimal Debian has neither; the roles need both
    "if ! command -v python3 >/dev/null || ! command -v sudo >/dev/null; then"
    " export DEBIAN_FRONTEND=noninteractive; apt-get -q update >&2;"
    " apt-get -q -y install --no-install-recommends python3 sudo >&2; fi",
    f"id -u {USER} >/dev/null 2>&1 || useradd --create-home --shell /bin/sh {USER}",
    # sshd refuses a locked password ('!') even to a certificate; '*' is no password at all
    f"usermod --password '*' {USER}",
    f"install -d -m 755 {DIRECTORY} {DIRECTORY}/principals",
    written(f"{host.data.user} ALL=(ALL) NOPASSWD: ALL\n", "/etc/sudoers.d/50-secondsite", mode="440"),
    written(host.data.authority, f"{DIRECTORY}/user_ca.pub"),
    written(host.data.principals, f"{DIRECTORY}/principals/{host.data.user}"),
    written(host.data.host_certificate, "/etc/ssh/ssh_host_ed25519_key-cert.pub"),
    written(host.data.sshd_trust, "/etc/ssh/sshd_config.d/00-secondsite-trust.conf"),
    "sshd -t",
    "systemctl reload ssh",
)
python.call(name="Log in by certificate", function=prove_certificate_login)
at_once(
    "Close every other way in, and leave the marker",
    written(host.data.sshd_only, "/etc/ssh/sshd_config.d/00-secondsite-only.conf"),
    "sshd -t",
    "systemctl reload ssh",
    "rm -f /root/.ssh/authorized_keys",
    written(host.data.marker, f"{DIRECTORY}/first-contact"),
)
