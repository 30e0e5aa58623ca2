"""Steps that take hosts in and make safe what they keep: the same whether hosts are new or old ones were lost."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ..estate.model import Estate, SiteKind
from .builder import PlanBuilder, call, seconds


def first_contact(plan: PlanBuilder, hosts: Sequence[str], *, after: Sequence[str]) -> None:
    """Let only certificates open the hosts (step ``first-contact``; what it reached is in its result)."""
    plan.step(
        "first-contact",
        title="Let only certificates open the hosts",
        call=call("first-contact", hosts=list(hosts)),
        hosts=tuple(hosts),
        after=tuple(after),
        probe=call("contacted", hosts=list(hosts)),
        repeatable=True,
        timeout=seconds(120),
        expected=seconds(5),
        by_hand="On each host, as root: create the user ops with sudo, install the site's authority"
        " (TrustedUserCAKeys) and the host's certificate, log in by certificate, then remove root's key.",
    )


def ask_keepers(plan: PlanBuilder) -> None:
    """Ask, after first contact, who holds the keys of the sites' authorities (step ``ask-keepers``)."""
    plan.step(
        "ask-keepers",
        title="Ask who holds the keys of the sites' authorities, and take from escrow what is gone",
        call=call("ask-keepers", must_hold=False),
        hosts=(),
        after=("first-contact",),
        repeatable=True,
        timeout=seconds(60),
        by_hand="On each site's keeper: ls /etc/secondsite/ca. A key that is missing comes from escrow.",
    )


def hand_over_keys(plan: PlanBuilder, *, after: Sequence[str], lost: str = "") -> None:
    """Keep no key of an authority here that its site holds, nor one of a ``lost`` site (step ``hand-over-keys``)."""
    plan.step(
        "hand-over-keys",
        title="Keep no key of an authority that its site holds",
        call=call("ask-keepers", must_hold=True, lost=lost),
        hosts=(),
        after=tuple(after),
        repeatable=True,
        timeout=seconds(60),
        by_hand="For each key that its keeper holds: seal it for escrow alone (age -r), and remove every other copy.",
    )


def escrow_hosts(estate: Estate, *, but: str = "") -> list[str]:
    """Name the hosts that keep the packages of escrow, except those of one site; none where no holder is declared."""
    keeping = [host for host in estate.hosts.values() if "standby" in host.groups and host.site != but]
    return [str(host.name) for host in keeping] if estate.escrow is not None else []


def kit_hosts(estate: Estate, *, but: str = "") -> list[str]:
    """Name the hosts at a vault that keep the kit a controller is rebuilt from, except those of one site."""
    keeping = [host for host in estate.hosts.values() if "standby" in host.groups and host.site != but]
    return [str(host.name) for host in keeping if estate.sites[host.site].kind is SiteKind.VAULT]


def keep_kit(plan: PlanBuilder, hosts: Sequence[str], *, after: Sequence[str]) -> None:
    """Have the vault keep what another controller is rebuilt from (step ``keep-kit``)."""
    plan.step(
        "keep-kit",
        title="Have the vault keep what another controller is rebuilt from: this program and every package it needs",
        call=call("keep-kit", hosts=list(hosts)),
        hosts=tuple(hosts),
        after=tuple(after),
        repeatable=True,
        timeout=seconds(400),
        expected=seconds(5),
        by_hand="Fetch every package (pip download -r requirements/main.lock, and of pyinfra.lock) into wheels beside"
        " the program, pack both as one file, and copy it to /var/lib/secondsite-kit for root alone.",
    )


def hand_over_escrow(plan: PlanBuilder, hosts: Sequence[str], *, after: Sequence[str]) -> None:
    """Have hosts keep the packages that two holders open (step ``hand-over-escrow``)."""
    plan.step(
        "hand-over-escrow",
        title="Have the vault and the sites keep what two holders of escrow open together",
        call=call("hand-over-escrow", hosts=list(hosts)),
        hosts=tuple(hosts),
        after=tuple(after),
        repeatable=True,
        timeout=seconds(60),
        by_hand="Copy secrets/escrow to each of these hosts, as /var/lib/secondsite-standby/ESTATE.escrow, for root"
        " alone.",
    )


def open_escrow(plan: PlanBuilder, hosts: Sequence[str], *, after: Sequence[str]) -> None:
    """Open escrow with what the vault returns, where that is due and holders are here (step ``open-escrow``)."""
    plan.step(
        "open-escrow",
        title="Open escrow with two holders' keys and nothing but what the vault returns, where that is due",
        call=call("open-escrow", hosts=list(hosts)),
        hosts=tuple(hosts),
        after=tuple(after),
        repeatable=True,
        timeout=seconds(120),
        by_hand="On an empty machine, with what lies at the vault: age -d -i FIRST PACKAGE | age -d -i SECOND > escrow;"
        " then age -d -i escrow opens each file of secrets/ in the copy. Destroy escrow afterwards.",
    )


def note_machines(
    plan: PlanBuilder, hosts: Sequence[str], *, whom: Sequence[str] | Mapping[str, str], after: Sequence[str]
) -> None:
    """Note which machine each host is (step ``note-machines``). ``whom`` are those of ``hosts`` to be asked."""
    plan.step(
        "note-machines",
        title="Note which machine each host is, to know it again before anything is taken from it or put there",
        call=call("note-machines", hosts=whom),
        hosts=tuple(hosts),
        after=tuple(after),
        repeatable=True,
        timeout=seconds(60),
        by_hand="On each host: cat /etc/machine-id /etc/secondsite/host.json. Write it down.",
    )


def keeping_hosts(estate: Estate, *, but: str = "") -> list[str]:
    """Name the hosts that make backups or keep them, except those of one site."""
    keeping = [host for host in estate.hosts.values() if {"producer", "repository"} & set(host.groups)]
    return [str(host.name) for host in keeping if host.site != but]


def first_backups(plan: PlanBuilder, hosts: Sequence[str], *, after: Sequence[str]) -> None:
    """Make the first backup of whatever these hosts never backed up (step ``first-backups``)."""
    plan.step(
        "first-backups",
        title="Make the first backup of whatever was never backed up",
        call=call("first-backups", hosts=list(hosts)),
        hosts=tuple(hosts),
        after=tuple(after),
        repeatable=True,
        timeout=seconds(900),
        expected=seconds(15),
        by_hand="On each of these hosts: systemctl start each unit that /etc/secondsite/first-backups/* names and"
        " whose file beside it is not there, and wait until all have ended well.",
    )


def first_verifications(plan: PlanBuilder, hosts: Sequence[str], *, after: Sequence[str]) -> None:
    """Restore and compare whatever these hosts never verified (step ``first-verifications``)."""
    plan.step(
        "first-verifications",
        title="Restore and compare whatever was never verified",
        call=call("first-verifications", hosts=list(hosts)),
        hosts=tuple(hosts),
        after=tuple(after),
        repeatable=True,
        timeout=seconds(900),
        expected=seconds(30),
        by_hand="On each of these hosts: systemctl start each unit that /etc/secondsite/first-verifications/* names"
        " and whose file beside it is not there, at all of them together, and wait until all have ended well.",
    )
