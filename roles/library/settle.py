"""Settle the users, files and units of a role in one round trip to the host."""

from __future__ import annotations

import grp
import os
import pwd
import stat
import tempfile
from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule

DOCUMENTATION = r"""
---
module: settle
short_description: Settle users, files and systemd units in one task
description:
  - A task for each costs a round trip per host. This module takes all of a role's at once, in this order - users,
    directories, files, links, what must be absent, units.
  - Files are replaced atomically, and only when content, owner, group or mode differ.
  - Units that run already are left alone; handlers restart them when their configuration changed.
  - The manager reads unit files again only when one that it has loaded changed; it reads the others when it needs them.
options:
  users:
    description: System users to exist. Each has C(name), C(home), C(shell), and may have C(group) and C(password), a hash.
    type: list
    elements: dict
    default: []
  directories:
    description: Directories to exist. Each has C(path), C(owner), C(group), C(mode).
    type: list
    elements: dict
    default: []
  files:
    description: Files to hold C(content). Each has C(path), C(owner), C(group), C(mode) and may have C(validate), a command as a list.
    type: list
    elements: dict
    default: []
  links:
    description: Symbolic links. Each has C(path) and C(target).
    type: list
    elements: dict
    default: []
  absent:
    description: Paths of files that must not exist.
    type: list
    elements: path
    default: []
  units:
    description: Units to be started now and at every boot, with their suffix.
    type: list
    elements: str
    default: []
"""

EXAMPLES = r"""
- name: Run the resolver as it is configured
  settle:
    files:
      - path: /etc/unbound/unbound.conf.d/secondsite.conf
        content: "{{ lookup('ansible.builtin.template', 'unbound.conf.j2') }}"
        validate: [unbound-checkconf, "%s"]
    units: [unbound.service]
  register: resolver_settled
  notify: Restart the resolver
"""

RETURN = r"""
changed_paths:
  description: What was written, created, linked or removed.
  type: list
  returned: always
changed_users:
  description: Users that were made, or changed.
  type: list
  returned: always
started:
  description: Units that did not run before. They were started with the configuration as it is now.
  type: list
  returned: always
enabled:
  description: Units that would not have been started at the next boot.
  type: list
  returned: always
"""

ASKED = ("LoadState", "ActiveState", "NeedDaemonReload")
OF_SYSTEMD = Path("/etc/systemd/system")
RUNNING = frozenset({"active", "activating", "reloading"})
# a unit that has an init script too is enabled as a unit; translating that into links of run levels takes a second
QUICKLY = {"SYSTEMCTL_SKIP_SYSV": "1"}
# links are files: without the manager, which would read all unit files again because of them (systemd's ENVIRONMENT.md)
BY_FILES = {**QUICKLY, "SYSTEMD_OFFLINE": "1"}

OWNED = {
    "path": {"type": "path", "required": True},
    "owner": {"type": "str", "default": "root"},
    "group": {"type": "str", "default": "root"},
}


class Users:
    """System users as the role needs them."""

    def __init__(self, module: AnsibleModule) -> None:
        self.module = module
        self.changed: list[str] = []

    def settle(self, want: dict[str, Any]) -> None:
        """Make the user exist with its group, home, shell and password."""
        name = want["name"]
        try:
            have = pwd.getpwnam(name)
        except KeyError:
            group = [] if want["group"] else ["--user-group"]
            self._run(name, ["useradd", "--system", "--no-create-home", *group, *self._words(want), name])
            return
        same = (have.pw_dir, have.pw_shell) == (want["home"], want["shell"])
        same = same and (want["group"] is None or grp.getgrnam(want["group"]).gr_gid == have.pw_gid)
        same = same and (want["password"] is None or self._password(name) == want["password"])
        if not same:
            self._run(name, ["usermod", *self._words(want), name])

    def _words(self, want: dict[str, Any]) -> list[str]:
        words = ["-d", want["home"], "-s", want["shell"]]
        words += ["-g", want["group"]] if want["group"] else []
        return words + (["-p", want["password"]] if want["password"] else [])

    def _password(self, name: str) -> str:
        lines = Path("/etc/shadow").read_text(encoding="utf-8").splitlines()
        return next((line.split(":")[1] for line in lines if line.split(":")[0] == name), "")

    def _run(self, name: str, words: list[str]) -> None:
        self.changed.append(name)
        if not self.module.check_mode:
            code, out, err = self.module.run_command(words)
            if code != 0:
                self.module.fail_json(msg=f"{words[0]} {name} ended with {code}: {(err or out).strip()}")


class Placer:
    """Compare what is there with what should be, and change only what differs."""

    def __init__(self, module: AnsibleModule) -> None:
        self.module = module
        self.changed: list[str] = []

    def directory(self, want: dict[str, Any]) -> None:
        """Make the directory exist with its owner and mode."""
        path = Path(want["path"])
        if not path.is_dir():
            self.changed.append(str(path))
            if self.module.check_mode:
                return
            path.mkdir(parents=True)
        self._own(path, want)

    def file(self, want: dict[str, Any]) -> None:
        """Make the file hold its content, replaced atomically."""
        path = Path(want["path"])
        content = want["content"].encode()
        if content and not content.endswith(b"\n"):
            content += b"\n"
        if not path.is_symlink() and path.is_file() and path.read_bytes() == content:
            self._own(path, want)
            return
        self.changed.append(str(path))
        if not self.module.check_mode:
            self._replace(path, content, want)

    def link(self, want: dict[str, Any]) -> None:
        """Make the path a symbolic link to its target."""
        path, target = Path(want["path"]), want["target"]
        if path.is_symlink() and os.readlink(path) == target:
            return
        self.changed.append(str(path))
        if self.module.check_mode:
            return
        beside = path.with_name(f".{path.name}.secondsite")
        beside.unlink(missing_ok=True)
        beside.symlink_to(target)
        beside.replace(path)

    def absent(self, path: Path) -> None:
        """Make the file not exist."""
        if path.is_symlink() or path.exists():
            self.changed.append(str(path))
            if not self.module.check_mode:
                path.unlink()

    def _replace(self, path: Path, content: bytes, want: dict[str, Any]) -> None:
        handle, beside = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        try:
            with os.fdopen(handle, "wb") as stream:
                stream.write(content)
            self._own(Path(beside), want, count=False)
            self._validate(beside, want)
            os.replace(beside, path)
        except BaseException:
            Path(beside).unlink(missing_ok=True)
            raise

    def _validate(self, beside: str, want: dict[str, Any]) -> None:
        if not want.get("validate"):
            return
        code, out, err = self.module.run_command([part.replace("%s", beside) for part in want["validate"]])
        if code != 0:
            Path(beside).unlink(missing_ok=True)
            self.module.fail_json(
                msg=f"{want['path']} was not replaced: its new content is refused (exit {code}): {(err or out).strip()}"
            )

    def _own(self, path: Path, want: dict[str, Any], *, count: bool = True) -> None:
        mode, have = int(want["mode"], 8), path.stat()
        owner, group = pwd.getpwnam(want["owner"]).pw_uid, grp.getgrnam(want["group"]).gr_gid
        differs = (have.st_uid, have.st_gid, stat.S_IMODE(have.st_mode)) != (owner, group, mode)
        if not differs:
            return
        if count and str(path) not in self.changed:
            self.changed.append(str(path))
        if not self.module.check_mode:
            os.chown(path, owner, group)
            os.chmod(path, mode)


def run(module: AnsibleModule, units: list[str], *, changed_paths: list[str]) -> dict[str, list[str]]:
    """Enable and start units, after the manager has read what changed of any it has loaded; return what had to be done."""
    asked = list(dict.fromkeys([*units, *loaded_of(module, changed_paths)]))
    seen = dict(zip(asked, states(module, asked), strict=True)) if asked else {}
    enabled = [unit for unit, state in zip(units, enablement(module, units), strict=True) if state != "enabled"]
    started = [unit for unit in units if seen[unit].get("ActiveState") not in RUNNING]
    if not module.check_mode:
        if enabled:  # the links count at the next boot: now the units are started by name
            systemctl(module, "enable", "--", *enabled, environment=BY_FILES)
        if any(needs_reload(state) for state in seen.values()):
            systemctl(module, "daemon-reload")
        if started:
            systemctl(module, "start", "--", *started)
    return {"started": started, "enabled": enabled}


def needs_reload(state: dict[str, str]) -> bool:
    """Say whether the manager knows the unit otherwise than its files have it now."""
    return state.get("NeedDaemonReload") == "yes" or state.get("LoadState") == "not-found"


def loaded_of(module: AnsibleModule, paths: list[str]) -> list[str]:
    """Name the units that files are of and that the manager has loaded; it reads the others when it needs them."""
    patterns = sorted({unit.replace("@.", "@*.") for path in paths if (unit := unit_of(Path(path)))})
    if not patterns:
        return []
    said = systemctl(module, "list-units", "--all", "--plain", "--no-legend", "--", *patterns)
    return [line.split()[0] for line in said.splitlines() if line.split()]


def unit_of(path: Path) -> str | None:
    """Name the unit that a file in the administrator's folder is, or adds to."""
    if not path.is_relative_to(OF_SYSTEMD) or path == OF_SYSTEMD:
        return None
    first = path.relative_to(OF_SYSTEMD).parts[0]
    if path.parent != OF_SYSTEMD and not first.endswith(".d"):
        return None
    return first.removesuffix(".d")


def states(module: AnsibleModule, units: list[str]) -> list[dict[str, str]]:
    """Ask the manager for all units at once: it answers in their order, with an empty line between them."""
    said = systemctl(module, "show", f"--property={','.join(ASKED)}", "--", *units)
    blocks = [dict(line.split("=", 1) for line in block.splitlines()) for block in said.strip().split("\n\n")]
    if len(blocks) != len(units):
        module.fail_json(msg=f"systemctl told of {len(blocks)} units when asked for {units}: {said}")
    return blocks


def enablement(module: AnsibleModule, units: list[str]) -> list[str]:
    """Ask the files, in the units' order, whether each unit is started at boot."""
    if not units:
        return []
    # its exit code says whether any of them is; one that it can't find has a line too
    _, out, err = module.run_command(["systemctl", "is-enabled", "--", *units], environ_update=BY_FILES)
    if len(said := out.split()) != len(units):
        module.fail_json(msg=f"systemctl told of {len(said)} units when asked for {units}: {(err or out).strip()}")
    return said


def systemctl(module: AnsibleModule, *words: str, environment: dict[str, str] = QUICKLY) -> str:
    """Run systemctl, and fail in its own words."""
    code, out, err = module.run_command(["systemctl", *words], environ_update=environment)
    if code != 0:
        module.fail_json(msg=f"systemctl {' '.join(words)} ended with {code}: {(err or out).strip()}")
    return str(out)


def main() -> None:
    """Run as an Ansible module."""
    mode = {"type": "str"}
    module = AnsibleModule(
        argument_spec={
            "users": {
                "type": "list",
                "elements": "dict",
                "default": [],
                "options": {
                    "name": {"type": "str", "required": True},
                    "home": {"type": "str", "required": True},
                    "shell": {"type": "str", "required": True},
                    "group": {"type": "str"},
                    "password": {"type": "str", "no_log": False},
                },
            },
            "directories": {
                "type": "list",
                "elements": "dict",
                "default": [],
                "options": {**OWNED, "mode": {**mode, "default": "0755"}},
            },
            "files": {
                "type": "list",
                "elements": "dict",
                "default": [],
                "options": {
                    **OWNED,
                    "content": {"type": "str", "required": True},
                    "mode": {**mode, "default": "0644"},
                    "validate": {"type": "list", "elements": "str"},
                },
            },
            "links": {
                "type": "list",
                "elements": "dict",
                "default": [],
                "options": {"path": OWNED["path"], "target": {"type": "str", "required": True}},
            },
            "absent": {"type": "list", "elements": "path", "default": []},
            "units": {"type": "list", "elements": "str", "default": []},
        },
        supports_check_mode=True,
    )
    users, placer = Users(module), Placer(module)
    try:
        for want in module.params["users"]:
            users.settle(want)
        for want in module.params["directories"]:
            placer.directory(want)
        for want in module.params["files"]:
            placer.file(want)
        for want in module.params["links"]:
            placer.link(want)
        for gone in module.params["absent"]:
            placer.absent(Path(gone))
    except (OSError, KeyError) as problem:
        module.fail_json(msg=f"cannot place files: {problem}", changed_paths=placer.changed)
    did = {"changed_users": users.changed, "changed_paths": placer.changed}
    # without having placed them, there is nothing of them to be read
    did |= run(module, module.params["units"], changed_paths=[] if module.check_mode else placer.changed)
    module.exit_json(changed=any(did.values()), **did)


if __name__ == "__main__":
    main()
