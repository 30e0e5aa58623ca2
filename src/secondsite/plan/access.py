"""Steps that have hosts refuse keys which were revoked: the same wherever somebody is to log in no more."""

from __future__ import annotations

from collections.abc import Sequence

from .builder import PlanBuilder, call, result_of, seconds

PLAYBOOK = "roles/access.yml"


def refuse_old_keys(plan: PlanBuilder, hosts: Sequence[str], *, after: str, otherwise: str, by_hand: str) -> str:
    """Have every host refuse the keys noted as revoked, and none left out; return the last step's name.

    ``otherwise`` says what a host that was left out would still do, ``by_hand`` what a person does about it.
    """
    plan.uses("roles")
    told = plan.step(
        "tell-hosts",
        title="Have every host refuse the old keys",
        call=call("converge", playbook=PLAYBOOK, hosts=list(hosts)),
        hosts=tuple(hosts),
        after=(after,),
        repeatable=True,
        timeout=seconds(300),
        expected=seconds(10),
        by_hand="On each host: write the list to /etc/ssh/secondsite/revoked, one public key a line.",
    )
    return plan.step(
        "require-all-hosts",
        title=f"See that no host was left out: {otherwise}",
        call=call("require-all-hosts", unreachable=[result_of(told, "unreachable")]),
        hosts=tuple(hosts),
        after=(told,),
        reads_only=True,
        timeout=seconds(10),
        by_hand=by_hand,
    )
