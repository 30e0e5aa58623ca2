"""Enable and start all the systemd units of a role in one round trip to the host, with one reload of its manager."""

from __future__ import annotations

from ansible.module_utils.basic import AnsibleModule

DOCUMENTATION = r"""
---
module: run_units
short_description: Enable and start systemd units in one task
description:
  - A call of systemd_service asks and reloads the manager for each unit by itself. This module does it once for all.
  - Units that run already are left alone; handlers restart them when their configuration changed.
options:
  units:
    description: Units to be started now and at every boot, with their suffix.
    type: list
    elements: str
    required: true
  reload:
    description: Whether the manager has to read unit files again. It does so in any case when it says that some changed.
    type: bool
    default: false
"""

EXAMPLES = r"""
- name: Run the resolver
  run_units:
    units: [unbound.service]
    reload: "{{ resolver_placed is changed }}"
  register: resolver_run
"""

RETURN = r"""
started:
  description: Units that did not run before. They were started with the configuration as it is now.
  type: list
  returned: always
enabled:
  description: Units that would not have been started at the next boot.
  type: list
  returned: always
"""

ASKED = ("LoadState", "ActiveState", "UnitFileState", "NeedDaemonReload")
RUNNING = frozenset({"active", "activating", "reloading"})
# a unit that has an init script too is enabled as a unit; translating that into links of run levels takes a second
QUICKLY = {"SYSTEMCTL_SKIP_SYSV": "1"}


def main() -> None:
    """Run as an Ansible module."""
    module = AnsibleModule(
        argument_spec={
            "units": {"type": "list", "elements": "str", "required": True},
            "reload": {"type": "bool", "default": False},
        },
        supports_check_mode=True,
    )
    units: list[str] = module.params["units"]
    seen = dict(zip(units, states(module, units), strict=True))
    enabled = [unit for unit in units if seen[unit].get("UnitFileState") != "enabled"]
    started = [unit for unit in units if seen[unit].get("ActiveState") not in RUNNING]
    if not module.check_mode:
        stale = module.params["reload"] or any(state.get("NeedDaemonReload") == "yes" for state in seen.values())
        if enabled:
            systemctl(module, "enable", *enabled)  # which reloads too
        elif stale:
            systemctl(module, "daemon-reload")
        if started:
            systemctl(module, "start", *started)
    module.exit_json(changed=bool(enabled or started), started=started, enabled=enabled)


def states(module: AnsibleModule, units: list[str]) -> list[dict[str, str]]:
    """Ask the manager for all units at once: it answers in their order, with an empty line between them."""
    said = systemctl(module, "show", f"--property={','.join(ASKED)}", "--", *units)
    blocks = [dict(line.split("=", 1) for line in block.splitlines()) for block in said.strip().split("\n\n")]
    if len(blocks) != len(units):
        module.fail_json(msg=f"systemctl told of {len(blocks)} units when asked for {units}: {said}")
    return blocks


def systemctl(module: AnsibleModule, *words: str) -> str:
    """Run systemctl, and fail in its own words."""
    code, out, err = module.run_command(["systemctl", *words], environ_update=QUICKLY)
    if code != 0:
        module.fail_json(msg=f"systemctl {' '.join(words)} ended with {code}: {(err or out).strip()}")
    return str(out)


if __name__ == "__main__":
    main()
