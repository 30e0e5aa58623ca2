"""As root on a member of the agreement: go on without the members that are gone, or expect others that are new.

Reads one JSON object on standard input: ``verb``; for ``alone`` also ``gone`` (names) and ``scopes`` (clusters whose
leader and log position are of the past), for ``expect`` also ``new`` (name to peer address). What the agreement holds
otherwise stays. Repeating it changes nothing.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

ETCDCTL = "/usr/local/sbin/secondsite-etcdctl"
CONFIGURATION = Path("/etc/etcd/secondsite.yml")
ALONE = Path("/run/secondsite-etcd-alone.yml")
DROP_IN = Path("/run/systemd/system/etcd.service.d/zz-alone.conf")
ANSWERS_WITHIN_S = 30.0
REFUSED = 3
LOOKS, LOOKED_FOR_S = 3, 8.0
_KEPT = "/etc/secondsite/tls"
TLS = ("--cacert", f"{_KEPT}/ca-bundle.crt", "--cert", f"{_KEPT}/host.crt", "--key", f"{_KEPT}/host.key")
CURL = ("curl", "--http1.1", *TLS, "--silent", "--max-time", "5")  # between peers, HTTP/2 is for their own talk alone
# who led, who was in sync, how far the log had come: a restored cluster is behind all that, and begins anew
OF_THE_PAST = ("leader", "sync", "status", "failover", "optime/leader", "failsafe")


def run(*words: str, check: bool = True) -> str:
    done = subprocess.run(words, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60, check=False)
    if check and done.returncode != 0:
        sys.exit(f"{' '.join(words[:3])}: {done.stderr.strip()[-300:]}")
    return done.stdout if done.returncode == 0 else ""


def etcdctl(*words: str, check: bool = True) -> str:
    return run(ETCDCTL, "--command-timeout=3s", *words, check=check)


def members() -> dict[str, Any]:
    """Return the members by name, as this one counts them; nothing where it can't say."""
    said = etcdctl("member", "list", "-w", "json", check=False)
    return {str(one.get("name") or one["peerURLs"][0]): one for one in json.loads(said)["members"]} if said else {}


def wait_until_it_answers() -> None:
    until = time.monotonic() + ANSWERS_WITHIN_S
    while not etcdctl("get", "/secondsite/agree", "--prefix", "--limit=1", "--keys-only", "-w", "json", check=False):
        if time.monotonic() > until:
            sys.exit("it does not answer alone; its own log says why: journalctl -u etcd")
        time.sleep(0.2)


def require_no_leader() -> None:
    """Go on only if this member lives and knows of no leader for a while: no answer alone does not mean no majority."""
    expected()  # ends where the member itself does not answer
    until, looks = time.monotonic() + LOOKED_FOR_S, 0
    while looks < LOOKS or time.monotonic() < until:  # a member without a majority takes seconds to say nothing
        looks += 1
        told = run(*CURL, "https://127.0.0.1:2379/metrics", check=False)
        if re.search(r"^etcd_server_has_leader 1$", told, re.MULTILINE) or members():
            print("a majority still follows a leader: nothing was changed", file=sys.stderr)
            sys.exit(REFUSED)
        time.sleep(1)


def go_on_alone() -> None:
    """Start once as the only member, with all it holds; then as ever."""
    ALONE.write_text(CONFIGURATION.read_text() + "\nforce-new-cluster: true\n")
    os.chmod(ALONE, 0o644)
    DROP_IN.parent.mkdir(parents=True, exist_ok=True)
    DROP_IN.write_text(f"[Service]\nExecStart=\nExecStart=/usr/bin/etcd --config-file {ALONE}\n")
    try:
        run("systemctl", "daemon-reload")
        run("systemctl", "restart", "etcd.service")
        wait_until_it_answers()
    finally:
        DROP_IN.unlink()
        run("systemctl", "daemon-reload")
    run("systemctl", "restart", "etcd.service")
    wait_until_it_answers()
    ALONE.unlink()


def alone(told: dict[str, Any]) -> list[str]:
    """Go on without those that are gone, unless they still count and a majority still answers."""
    known = members()
    if left := sorted(set(told["gone"]) & set(known)):
        print(f"{', '.join(left)} still counts, and a majority still answers: nothing was changed", file=sys.stderr)
        sys.exit(REFUSED)
    if known:
        return []
    require_no_leader()
    go_on_alone()
    for scope in told["scopes"]:
        for key in OF_THE_PAST:
            etcdctl("del", f"/service/{scope}/{key}")
        etcdctl("del", "--prefix", f"/service/{scope}/members/")
    return ["goes on alone"]


def expect(told: dict[str, Any]) -> list[str]:
    """Take in members that are yet to come. From then on it needs them for a majority."""
    known = {url for one in members().values() for url in one["peerURLs"]} or expected()
    missing = [name for name, url in sorted(told["new"].items()) if url not in known]
    for name in missing:
        etcdctl("member", "add", name, f"--peer-urls={told['new'][name]}")
    return [f"expects {name}" for name in missing]


def expected() -> set[str]:
    """Return the addresses of all members as this one keeps them: where one is awaited, there is no majority to ask."""
    address = re.search(r"^listen-peer-urls: (\S+)$", CONFIGURATION.read_text(), re.MULTILINE)
    said = run(*CURL, "--show-error", "--fail", f"{address and address[1]}/members")
    return {str(url) for one in json.loads(said) for url in one["peerURLs"]}


def main() -> None:
    told = json.load(sys.stdin)
    print(json.dumps({"changed": alone(told) if told["verb"] == "alone" else expect(told)}))


main()
