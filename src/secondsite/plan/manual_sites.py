"""What a person types to see whether a site is silent, and to isolate it at the carriers."""

from __future__ import annotations

from collections.abc import Sequence

from ..estate.model import Estate, HostName, SiteKind, SiteName
from .model import Command

_TABLE, _SET = "inet secondsite_isolation", "fenced"
_LISTED = f"sudo nft list set {_TABLE} {_SET} | grep -oE '[0-9]+[.][0-9.]+(/[0-9]+)?'"
_ISOLATE = "sudo secondsite-isolate"
_FLOWS = 8
_LOST_WITHIN = "3 -i 0.5 -W 1"
_OTHERS_ANSWER = "another site answers"


def reach_by_hand(hosts: Sequence[str]) -> tuple[Command, ...]:
    """Show how to see that hosts can be logged in to."""
    otherwise = "Bring it up, or wait for it; nothing was attempted on any of them."
    return tuple(Command(host=host, text="hostname", good=((host,),), otherwise=otherwise) for host in hosts)


def listen_by_hand(estate: Estate, *, site: SiteName, vantage: Sequence[HostName]) -> tuple[Command, ...]:
    """Show how to see from every vantage host that a site is silent, and that this host is not cut off itself."""
    addresses = _addresses(estate, site)
    ping = f'(sudo ping -nqc {_LOST_WITHIN} $address > /dev/null; echo "$address: ping exit $?") &'
    text = f"for address in {' '.join(addresses)}; do\n  {ping}\ndone; wait\n{_hear_others(estate, site)}"
    good = (*(f"{address}: ping exit 1" for address in addresses), _OTHERS_ANSWER)
    otherwise = (
        f"{site} is not lost as seen from here (exit 0: that host answers, 2: this host can't send)."
        " While customers complain, wait ten seconds and type it again."
    )
    return tuple(Command(host=host, text=text, good=(good,), otherwise=otherwise) for host in vantage)


def try_silence_by_hand(estate: Estate, *, site: SiteName, sources: Sequence[str]) -> tuple[Command, ...]:
    """Show how to try every address of a fenced site over new connections from the customers' side."""
    addresses = _addresses(estate, site)
    flow = "curl -sko /dev/null --connect-timeout 1 https://$address/"
    text = (
        f"for address in {' '.join(addresses)}; do\n"
        f"  for flow in $(seq {_FLOWS}); do\n"
        f'    ({flow}; echo "$address: curl exit $?") &\n'
        "  done\n"
        f'  (sudo ping -nqc 3 -i 0.3 -W 1 $address > /dev/null; echo "$address: ping exit $?") &\n'
        "done | sort | uniq -c\n"
        f"{_hear_others(estate, site)}"
    )
    silent = [
        line for address in addresses for line in (f"{_FLOWS} {address}: curl exit 28", f"1 {address}: ping exit 1")
    ]
    good = (*silent, _OTHERS_ANSWER)
    otherwise = f"{site} is NOT fenced: promote nothing. curl exit 28 is silence; 0, 7, 35, 52 and 56 are answers."
    return tuple(Command(host=source, text=text, good=(good,), otherwise=otherwise) for source in sources)


def isolate_by_hand(carrier: str, networks: Sequence[str]) -> tuple[Command, ...]:
    """Show how to drop everything from and to the networks at a carrier."""
    text = f'echo "add {",".join(networks)}" | {_ISOLATE} &&\n  echo "isolated at {carrier}"'
    return (Command(host=carrier, text=text, good=((f"isolated at {carrier}",),)),)


def read_isolation_by_hand(carrier: str, networks: Sequence[str]) -> tuple[Command, ...]:
    """Show how to read from a carrier's kernel which networks it drops, and that it drops them before anything else."""
    otherwise = "The site is NOT fenced here: promote nothing."
    chain = f"sudo nft list chain {_TABLE} prerouting | tr -s '\\n\\t ' ' '; echo"
    drops = " ".join(f"ip {side} @{_SET} counter packets * bytes * drop" for side in ("saddr", "daddr"))
    first = f"*{{ type filter hook prerouting priority raw - 10; policy accept; {drops} }}*"
    return (
        Command(host=carrier, text=_LISTED, good=(tuple(networks),), otherwise=otherwise),
        Command(host=carrier, text=chain, good=((first,),), otherwise=otherwise),
    )


def keep_isolation_by_hand(carrier: str, networks: Sequence[str]) -> tuple[Command, ...]:
    """Show how to write down at a carrier what it isolates now, so that a restart does not forget it."""
    good = tuple(f"kept: *{network}*" for network in networks)
    otherwise = "Type it again; the isolation itself holds."
    return (Command(host=carrier, text=f"echo keep | {_ISOLATE}", good=(good,), otherwise=otherwise),)


def lift_by_hand(carrier: str, networks: Sequence[str]) -> tuple[Command, ...]:
    """Show how to let the networks through again, now and after a restart, and how to see that."""
    text = "\n".join(
        [
            f"for network in {' '.join(networks)}; do",
            f'  echo "delete $network" | {_ISOLATE} 2> /dev/null',
            "done",
            f"echo keep | {_ISOLATE}",
            f"echo show | {_ISOLATE} | grep -cxF {' '.join(f'-e {one}' for one in networks)} |",
            "  sed 's/^/still isolated: /'",
        ]
    )
    return (Command(host=carrier, text=text, good=(("still isolated: 0",),)),)


def _hear_others(estate: Estate, site: SiteName) -> str:
    """A place that hears nobody else may be cut off itself: its silence says nothing."""
    elsewhere = [
        str(host.address)
        for host in estate.hosts.values()
        if host.site != site and estate.sites[host.site].kind is SiteKind.DATACENTER and host.address is not None
    ]
    ping = "sudo ping -nqc 1 -W 1 $other > /dev/null"
    return f'for other in {" ".join(elsewhere)}; do\n  {ping} && echo "{_OTHERS_ANSWER}" && break\ndone'


def _addresses(estate: Estate, site: SiteName) -> list[str]:
    return [str(host.address) for host in estate.hosts_at(site) if host.address is not None]
