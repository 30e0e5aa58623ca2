"""Packages, units, kernel settings, who the host is, and how big it is."""

from __future__ import annotations

import json
import os
import platform
import re
from pathlib import Path
from typing import Any

from .common import Settings, Unreadable, installed, run

_UNIT_FACTS = "Id,Type,ConditionResult,ConditionTimestampMonotonic,Result,UnitFileState"
_KINDS = "service,socket,timer,path,mount"
_UNIT_ROOTS = ("/etc/systemd/system", "/run/systemd/system")
_SYSCTL_FILES = ("/etc/sysctl.d", "/run/sysctl.d", "/usr/local/lib/sysctl.d")
_ALWAYS = (
    "net.ipv4.ip_forward",
    "net.ipv4.conf.all.rp_filter",
    "net.ipv4.conf.all.accept_redirects",
    "net.ipv4.fib_multipath_hash_policy",
    "net.ipv4.tcp_syncookies",
    "net.ipv6.conf.all.forwarding",
    "net.ipv6.conf.all.disable_ipv6",
    "net.core.somaxconn",
    "vm.overcommit_memory",
    "vm.swappiness",
)
_FOLDERS = ("/", "/srv", "/var", "/var/lib/etcd", "/srv/postgresql")


def packages(_: Settings) -> dict[str, str]:
    """Return every installed package and its version."""
    listed = run("dpkg-query", "-W", "-f", "${binary:Package}\t${Version}\t${db:Status-Status}\n")
    rows = [line.split("\t") for line in listed.splitlines()]
    return {row[0]: row[1] for row in rows if len(row) == 3 and row[2] == "installed"}


def units(_: Settings) -> dict[str, dict[str, str]]:
    """Return every loaded or enabled unit by its name.

    systemd takes a second to list all unit files, so what is enabled is read from the links that say so, and only what
    is idle though enabled, or runs though not enabled, is asked for one by one.
    """
    listed = json.loads(run("systemctl", "list-units", "--all", "--output=json", f"--type={_KINDS}"))
    enabled = _enabled()
    found = {
        one["unit"]: {
            "ActiveState": one["active"],
            "SubState": one["sub"],
            "UnitFileState": "enabled" if one["unit"] in enabled else "",
        }
        for one in listed
        if one["load"] == "loaded"
    }
    if not found:
        raise Unreadable("systemctl listed no unit")
    for name in enabled:
        found.setdefault(name, {"ActiveState": "inactive", "SubState": "dead", "UnitFileState": "enabled"})
    unsure = [
        name
        for name, unit in found.items()
        if (name in enabled) != (unit["ActiveState"] == "active") and (name in enabled or unit["SubState"] == "running")
    ]
    return found | _closer([name for name in unsure if name.endswith(".service") or name in enabled], found)


def _enabled() -> set[str]:
    """Return the units that something on disk starts at boot. Empty links mask a unit, which is then not enabled."""
    links = [link for root in _UNIT_ROOTS for kind in ("wants", "requires") for link in Path(root).glob(f"*.{kind}/*")]
    return {link.name for link in links if link.name.rpartition(".")[2] in _KINDS.split(",") and link.exists()}


def _closer(names: list[str], units: dict[str, dict[str, str]]) -> dict[str, dict[str, str]]:
    """Return units with what tells a task that is done from a service that is not there."""
    if not names:
        return {}
    shown = run("systemctl", "show", f"--property={_UNIT_FACTS}", "--", *names)
    found = {}
    for block in shown.split("\n\n"):
        facts = dict(line.split("=", 1) for line in block.splitlines() if "=" in line)
        if facts.get("Id") in units:
            found[facts["Id"]] = units[facts["Id"]] | facts
    return found


def kernel(_: Settings) -> dict[str, Any]:
    """Return each setting declared on disk with the value it has now, and some that matter in any case."""
    disk: dict[str, str] = {}
    for path in _sysctl_files():
        for line in path.read_text(errors="replace").splitlines():
            name, equals, value = line.partition("=")
            if equals and not line.lstrip().startswith(("#", ";")):
                disk[name.strip().lstrip("-").replace("/", ".")] = " ".join(value.split())
    live = {name: _live(name) for name in sorted({*disk, *_ALWAYS})}
    return {"disk": disk, "live": live, "release": platform.release()}


def _sysctl_files() -> list[Path]:
    named = {path.name: path for folder in reversed(_SYSCTL_FILES) for path in sorted(Path(folder).glob("*.conf"))}
    files = [named[name] for name in sorted(named)]
    return [*files, *[path for path in [Path("/etc/sysctl.conf")] if path.is_file()]]


def _live(name: str) -> str | None:
    path = Path("/proc/sys") / name.replace(".", "/")
    try:
        return " ".join(path.read_text().split())
    except OSError:
        return None


def identity(_: Settings) -> dict[str, Any]:
    """Return who the host says it is, where it is plugged in, and who may enter."""
    addresses = [
        f"{one['local']}/{one['prefixlen']}"
        for wire in json.loads(run("ip", "-j", "address"))
        for one in wire.get("addr_info", [])
        if one.get("family") == "inet" and wire["ifname"] != "lo"
    ]
    return {
        "hostname": platform.node(),
        "machine_id": Path("/etc/machine-id").read_text().strip(),
        "boot_id": Path("/proc/sys/kernel/random/boot_id").read_text().strip(),
        "addresses": addresses,
        "gateways": _gateways(),
        "users": _users(),
        "members": _members(),
        "release": _release(),
        "place": _place(),
        "user_authorities": _user_authorities(),
    }


def _place() -> Any:
    """Return what place provisioning wrote down for this host; a runbook asks for it before it takes anything away."""
    try:
        return json.loads(Path("/etc/secondsite/host.json").read_text())
    except (OSError, ValueError):
        return None


def _user_authorities() -> list[str]:
    """Return the public lines of whoever may sign people's SSH certificates."""
    files = [Path("/etc/ssh/sshd_config"), *sorted(Path("/etc/ssh/sshd_config.d").glob("*.conf"))]
    texts = [path.read_text(errors="replace") for path in files if path.is_file()]
    named = [name for text in texts for name in re.findall(r"(?mi)^\s*TrustedUserCAKeys\s+(\S+)", text)]
    return [line for name in dict.fromkeys(named) for line in Path(name).read_text().splitlines() if line.strip()]


def _gateways() -> list[str]:
    routes = json.loads(run("ip", "-j", "route", "show", "default"))
    hops = [hop for route in routes for hop in (route.get("nexthops") or [route])]
    return sorted(hop["gateway"] for hop in hops if "gateway" in hop)


def _users() -> dict[str, str]:
    rows = [line.split(":") for line in Path("/etc/passwd").read_text().splitlines()]
    return {row[0]: f"home {row[5]}, shell {row[6]}" for row in rows if len(row) == 7}


def _members() -> dict[str, list[str]]:
    rows = [line.split(":") for line in Path("/etc/group").read_text().splitlines()]
    return {row[0]: sorted(filter(None, row[3].split(","))) for row in rows if len(row) == 4}


def _release() -> str:
    found = re.search(r'^PRETTY_NAME="?([^"\n]*)', Path("/etc/os-release").read_text(), re.MULTILINE)
    return found[1] if found else ""


def capacity(_: Settings) -> dict[str, float]:
    """Return what the host can carry: the more the better, in every line."""
    memory = re.search(r"^MemTotal:\s+(\d+) kB", Path("/proc/meminfo").read_text(), re.MULTILINE)
    if memory is None:
        raise Unreadable("/proc/meminfo names no MemTotal")
    found = {"processors": float(len(os.sched_getaffinity(0))), "memory MiB": int(memory[1]) / 1024}
    for limit, name in (("memory.max", "memory limit MiB"), ("pids.max", "processes limit")):
        path = Path("/sys/fs/cgroup") / limit
        if path.is_file() and (words := path.read_text().split()) and words[0] != "max":
            found[name] = int(words[0]) / (2**20 if "MiB" in name else 1)
    for folder in _FOLDERS:
        if Path(folder).is_dir():
            disk = os.statvfs(folder)
            found[f"disk {folder} MiB"] = disk.f_blocks * disk.f_frsize / 2**20
    return found | _web_server()


def _web_server() -> dict[str, float]:
    if not installed("nginx"):
        return {}
    text = Path("/etc/nginx/nginx.conf").read_text(errors="replace")
    found = dict(
        re.findall(r"^\s*(worker_connections|worker_processes|worker_rlimit_nofile)\s+(\d+);", text, re.MULTILINE)
    )
    return {f"nginx {name}": float(value) for name, value in found.items()}


SECTIONS = {"packages": packages, "units": units, "kernel": kernel, "identity": identity, "capacity": capacity}
