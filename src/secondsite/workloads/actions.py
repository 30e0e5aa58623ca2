"""The steps on workloads: read the lease, promote, switch over, rebuild, catch up."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from ..errors import SecondsiteError
from ..estate.model import WorkloadName
from ..run.functions import ActionFrom, ProbeFrom, flag, word
from ..run.model import Json
from ..run.ports import Action, Outcome, Registry, StepContext
from .ports import WorkloadAdapter


@dataclass(frozen=True, slots=True, kw_only=True)
class Steps:
    """What the steps below work with: every workload's adapter."""

    adapters: Mapping[WorkloadName, WorkloadAdapter]

    def registry(self) -> Registry:
        """Name every action and probe."""
        ready = {"promote": self._get_ready_to_promote}
        return Registry(actions=self._actions(), probes={"promoted": ProbeFrom(self._promoted)}, ready=ready)

    def _actions(self) -> dict[str, Action]:
        return {
            "read-lease": ActionFrom(self._read_lease),
            "promote": ActionFrom(self._promote),
            "switchover": ActionFrom(self._switchover),
            "rebuild": ActionFrom(self._rebuild),
            "catch-up": ActionFrom(self._catch_up),
            "read-writability": ActionFrom(self._read_writability),
            "verify-workload": ActionFrom(self._verify),
        }

    def _read_lease(self, arguments: Json, _context: StepContext) -> Outcome:
        old, new = word(arguments, "old"), word(arguments, "new")
        lease = self._adapter(arguments).lease(avoiding=(old,))
        in_sync = lease.sync_leader == old and new in lease.in_sync
        saw = f"leader {lease.leader}, in sync {list(lease.in_sync)}, read at {lease.read_at}"
        taken_by_new = lease.leader == new
        ok = taken_by_new or lease.leader in (old, None)
        loses_nothing = taken_by_new or in_sync or flag(arguments, "loss_allowed")
        detail = {"ok": ok, "saw": saw, "leader": lease.leader, "in_sync": in_sync, "loses_nothing": loses_nothing}
        lacks = {} if loses_nothing else {"lacks": self._lacks(arguments, old=old, new=new)}
        return Outcome(changed=False, detail={**detail, **lacks})

    def _lacks(self, arguments: Json, *, old: str, new: str) -> str:
        """Say what is known of the writes that the new primary lacks: for persons who decide, not for a rule."""
        try:
            return self._adapter(arguments).lacks(new, avoiding=old)
        except SecondsiteError as error:
            return f"how much {new} lacks is not known: {error.what}"

    def _promote(self, arguments: Json, _context: StepContext) -> Outcome:
        self._adapter(arguments).promote(old=word(arguments, "old"), new=word(arguments, "new"))
        return Outcome(changed=True, detail={"writable": True})

    def _get_ready_to_promote(self, arguments: Json) -> None:
        self._adapter(arguments).get_ready_to_promote(old=word(arguments, "old"), new=word(arguments, "new"))

    def _promoted(self, arguments: Json, _context: StepContext) -> bool:
        return self._adapter(arguments).is_writable(word(arguments, "new"))

    def _switchover(self, arguments: Json, _context: StepContext) -> Outcome:
        self._adapter(arguments).demote(word(arguments, "old"), successor=word(arguments, "new"))
        return Outcome(changed=True)

    def _rebuild(self, arguments: Json, _context: StepContext) -> Outcome:
        self._adapter(arguments).rejoin(word(arguments, "host"), leader=word(arguments, "leader"))
        return Outcome(changed=True)

    def _catch_up(self, arguments: Json, context: StepContext) -> Outcome:
        adapter, node = self._adapter(arguments), word(arguments, "host")
        adapter.catch_up(node, leader=word(arguments, "leader"), within=context.timeout / 2)
        return Outcome(changed=False, detail={"ok": True, "saw": f"{node} follows and holds everything"})

    def _verify(self, arguments: Json, context: StepContext) -> Outcome:
        self._adapter(arguments).verify(word(arguments, "host"), within=context.timeout / 2)
        return Outcome(changed=False, detail={"ok": True, "saw": "a write was accepted"})

    def _read_writability(self, arguments: Json, _context: StepContext) -> Outcome:
        writable = self._adapter(arguments).is_writable(word(arguments, "host"))
        return Outcome(changed=False, detail={"writable": writable})

    def _adapter(self, arguments: Json) -> WorkloadAdapter:
        return self.adapters[WorkloadName(word(arguments, "workload"))]
