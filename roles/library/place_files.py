"""Settle all the files, directories and links of a role in one round trip to the host."""

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
module: place_files
short_description: Settle files, directories and links in one task
description:
  - A task per file costs a round trip per host. This module takes all of a role's files at once.
  - Files are replaced atomically, and only when content, owner, group or mode differ.
options:
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
"""

EXAMPLES = r"""
- name: Place the resolver's configuration
  place_files:
    files:
      - path: /etc/unbound/unbound.conf.d/secondsite.conf
        content: "{{ lookup('ansible.builtin.template', 'unbound.conf.j2') }}"
        validate: [unbound-checkconf, "%s"]
"""

RETURN = r"""
changed_paths:
  description: What was written, created, linked or removed.
  type: list
  returned: always
"""

OWNED = {
    "path": {"type": "path", "required": True},
    "owner": {"type": "str", "default": "root"},
    "group": {"type": "str", "default": "root"},
}


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


def main() -> None:
    """Run as an Ansible module."""
    mode = {"type": "str"}
    module = AnsibleModule(
        argument_spec={
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
        },
        supports_check_mode=True,
    )
    placer = Placer(module)
    try:
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
    module.exit_json(changed=bool(placer.changed), changed_paths=placer.changed)


if __name__ == "__main__":
    main()
