"""Backups: who makes them can't take them back."""

from __future__ import annotations

from collections.abc import Iterator

from ...estate.model import Host
from ..model import Facts, Finding, World
from .frame import bad, good, host_check, unclear

_FORBIDDEN = 403
_STRANGER = (401, 403)
_NOT_THERE = 404


@host_check(
    "BK-IMMUTABLE",
    reads="producer",
    groups="producer",
    expected="the append-only server and every archive forbid each producer to delete, and the server shows it nothing"
    " that is another's, and nothing to whoever has no certificate",
    fix="secondsite run provision",
    commitments="C02 C04",
    controls="DR-12",
    tags="backup",
)
def immutable(host: Host, facts: Facts, _: World) -> Iterator[Finding]:
    """No producer can destroy what it sent away, tried as the producer."""
    told = facts["producer"]
    server, own = told["server"], told["reads_its_own"]
    wrong = []
    if told["deletes"] != _FORBIDDEN:
        wrong.append(f"{host.name} may delete at {server} (it answers {told['deletes']})")
    if told["reads_anothers"] not in _STRANGER:
        wrong.append(f"{host.name} may read another's repository at {server} (it answers {told['reads_anothers']})")
    if told["reads_unnamed"] not in _STRANGER:
        wrong.append(f"whoever reaches {server} may read {host.name}'s repository (it answers {told['reads_unnamed']})")
    if told["reads_uncertified"] not in _STRANGER:
        wrong.append(
            f"whoever knows {host.name}'s password may read its repository at {server} without its certificate"
            f" (it answers {told['reads_uncertified']})"
        )
    wrong += [
        f"{host.name} may replace what is archived at {at}, and so delete it"
        for at, may in told["archives"].items()
        if may
    ]
    yield from (bad(one, host.name) for one in wrong)
    if own != _NOT_THERE:  # it is refused everything, so that a refused deletion proves nothing
        yield unclear(f"{host.name} is not known to {server} (it answers {own})", host.name)
    elif not wrong:
        yield good(f"{host.name} is refused at {', '.join([server, *told['archives']])}", host.name)


CHECKS = (immutable,)
