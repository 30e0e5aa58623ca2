"""What a person types to open and close a service, to move its name, and to use it as a customer does."""

from __future__ import annotations

from collections.abc import Sequence

from ..estate.model import Estate, HostName, Service
from .model import Command

UPDATE_KEY = "/etc/secondsite/names-update.key"
"""The TSIG key for updates, on the name server that takes them (role nameserver); root may read it."""
_AUTHORITIES = "/etc/secondsite/tls/ca-bundle.crt"
_TENANT = "/etc/secondsite/tenant.json"


def open_by_hand(host: HostName) -> tuple[Command, ...]:
    """Show how to open a service's door to customers."""
    return (Command(host=host, text="sudo shopctl open; sudo shopctl status", good=(("open",),)),)


def close_by_hand(host: HostName) -> tuple[Command, ...]:
    """Show how to close it."""
    return (Command(host=host, text="sudo shopctl close; sudo shopctl status", good=(("closed",),)),)


def redirect_by_hand(service: Service, *, old: str, new: str) -> tuple[Command, ...]:
    """Show how to move a name, if it leads where this procedure believes, and to tell the other name servers."""
    name, words = (
        f"{service.dns_name}.",
        [
            "server 127.0.0.1",
            f"zone {service.zone}.",
            f"prereq yxrrset {service.dns_name}. A {old}",
            f"update del {service.dns_name}. A",
            f"update add {service.dns_name}. {int(service.ttl.total_seconds())} A {new}",
            "send",
        ],
    )
    text = "\n".join(
        [
            f"sudo knsupdate -k {UPDATE_KEY} << 'END'",
            *words,
            "END",
            f"sudo knotc zone-notify {service.zone}",
            f"kdig @127.0.0.1 +short {name} A",
        ]
    )
    otherwise = f"The name leads somewhere else than to {old} or {new}: find out who moved it before you do."
    return (Command(host=service.name_server, text=text, good=((new,),), otherwise=otherwise),)


def visit_by_hand(named: Service, *, customers: Sequence[str], served_by: HostName) -> tuple[Command, ...]:
    """Show how to read the first page under a name from the customers' side."""
    ask = f"curl -sS -o /dev/null --max-time 5 --cacert {_AUTHORITIES}"
    text = f"{ask} \\\n  -w '%{{http_code}} from %header{{x-served-by}}\\n' https://{named.dns_name}/"
    otherwise = "Wait ten seconds, for a name that is remembered somewhere, and type it again."
    good = ((f"2* from {served_by}",), (f"3* from {served_by}",))
    return tuple(Command(host=source, text=text, good=good, otherwise=otherwise) for source in customers)


def journey_by_hand(
    estate: Estate, service: Service, *, customers: Sequence[str], served_by: HostName
) -> tuple[Command, ...]:
    """Show how to sign in, order, and read the order and its bill, as the drills' own customer."""
    if estate.drills is None:  # then there is no customer as whom somebody may sign in
        return ()
    told = "'\\n%{http_code} from %header{x-served-by}\\n'"
    text = "\n".join(
        [
            "ask() {",
            f'  curl -sS --max-time 10 --cacert {_AUTHORITIES} \\\n    -H "Authorization: Bearer $token" "$@"',
            "}",
            f"shop=https://{service.dns_name}",
            f"""body=$(sudo sed 's/{{/{{"customer": "{estate.drills.tenant}-1", /' {_TENANT})""",
            'token=$(echo "$body" | ask --data @- $shop/signin |',
            """  sed -n 's/.*"token": *"\\([^"]*\\)".*/\\1/p')""",
            "order=$(cat /proc/sys/kernel/random/uuid)",
            """echo "{\\"id\\": \\"$order\\", \\"item\\": \\"tea\\"}" |""",
            f"  ask --data @- -w {told} $shop/orders",
            """ask $shop/orders/$order | grep -o '"item": *"tea"' | sed 's/.*/the order is there/'""",
            """ask "$shop/bills?order=$order" | grep -o '"cents": *[1-9]' | sed 's/.*/the bill is there/'""",
        ]
    )
    good = ((f"20* from {served_by}", "the order is there", "the bill is there"),)
    otherwise = "Wait ten seconds, for a name that is remembered somewhere, and type all of it again."
    return tuple(Command(host=source, text=text, good=good, otherwise=otherwise) for source in customers)
