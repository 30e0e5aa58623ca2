"""What a person types instead of a step on a workload, by the workload's adapter.

Databases are asked through psql and patronictl, storekeepers through storectl, and the quorum through secondsite-lease:
words that are on the hosts themselves, so that nothing of the engine is needed.
"""

from __future__ import annotations

from ..estate.model import Estate, HostName, SiteName, Workload
from .model import Command

_STANDS_STILL = "Stop. Nothing was changed. Look at both sides before anything else."
_PATRONI_SAYS = "sudo patronictl -c /etc/patroni/{scope}.yml list"
_WRITE = "BEGIN; INSERT INTO secondsite.writability (node) VALUES ('probe'); ROLLBACK;"
_REFUSALS = (
    "*cannot execute INSERT in a read-only transaction*",
    "*Connection refused*",
    "*failed: No such file or directory*",
    "*the database system is starting up*",
    "*the database system is shutting down*",
    "*the database system is not yet accepting connections*",
)


def read_lease_by_hand(
    estate: Estate, workload: Workload, *, old: HostName, new: HostName, avoiding: SiteName
) -> tuple[Command, ...]:
    """Show how to read who may write, and who is in sync."""
    in_sync = (f"in sync with {old}: *{new}*",) if _loses_nothing(workload) else ()
    expired = [("leader: nobody", *in_sync)] if workload.adapter == "patroni" else []
    return (
        _at_quorum(
            estate,
            f"sudo secondsite-lease show {_lease_words(workload)}",
            good=((f"leader: {old}", *in_sync), *expired, (f"leader: {new}",)),
            otherwise=f"Stop: {new} may not take over {workload.name}."
            + (f" A write that was acknowledged may be missing on {new}." if in_sync else ""),
            avoiding=avoiding,
        ),
    )


def promote_by_hand(
    estate: Estate, workload: Workload, *, old: HostName, new: HostName, avoiding: SiteName
) -> tuple[Command, ...]:
    """Show how to take the lease from a fenced primary in one transaction, and see that the new one accepts a write."""
    words = _lease_words(workload)
    said = [f"taken from {old} for {new}", f"{new} holds it already"]
    said += ["nobody holds it, Patroni chooses"] if workload.adapter == "patroni" else []
    in_sync = " --in-sync" if _loses_nothing(workload) else ""
    take = _at_quorum(
        estate,
        f"sudo secondsite-lease take {words} {old} {new}{in_sync}",
        good=tuple((f"{words.split()[-1]}: {one}",) for one in said),
        otherwise=_STANDS_STILL,
        avoiding=avoiding,
    )
    return take, _write_until_accepted(workload, new)


def verify_by_hand(workload: Workload, *, node: HostName) -> tuple[Command, ...]:
    """Show how to use a workload at its primary."""
    return (_write_until_accepted(workload, node),)


def read_writability_by_hand(workload: Workload, *, node: HostName) -> tuple[Command, ...]:
    """Show how to see that a node accepts no write."""
    otherwise = f"Stop: {node} accepts writes. Leave it isolated, and find out why."
    match workload.adapter:
        case "patroni":
            text = f'{_psql(workload, _WRITE)} &&\n  echo "IT ACCEPTS WRITES"'
            good = tuple((line,) for line in _REFUSALS)
        case "store":
            text = f"sudo storectl try {workload.name} 2>&1"
            good = (('{"writable": false*',), ("the storekeeper does not answer*",))
        case _:
            raise _unknown(workload)
    return (Command(host=node, text=text, good=good, otherwise=otherwise),)


def rebuild_by_hand(workload: Workload, *, node: HostName, leader: HostName) -> tuple[Command, ...]:
    """Show how to make a returned copy one of the leader's."""
    match workload.adapter:
        case "patroni":
            scope = workload.settings["scope"]
            patronictl = f"sudo patronictl -c /etc/patroni/{scope}.yml"
            joined = f'{patronictl} list -f json | grep -o \'"Member": "{node}"\''
            made = f"{patronictl} reinit {scope} {node} --force --wait |\n    grep completed"
            complete = f"Reinitialize is completed on: {node}"
            otherwise = f"Wait a minute and type it again. Still not: {_PATRONI_SAYS.format(scope=scope)}"
            return (
                Command(host=leader, text=_until(joined), good=((f'"Member": "{node}"',),), otherwise=otherwise),
                Command(host=leader, text=_until(made, times=15, pause="3"), good=((complete,),), otherwise=otherwise),
            )
        case "store":
            refreshed = _until(f'sudo storectl refresh > /dev/null && echo "{node} knows the leases"')
            copied = _until(
                f'sudo storectl copy {workload.name} > /dev/null && echo "{workload.name} is copied"', times=30
            )
            otherwise = "Wait a minute and type it again. Still not: sudo storectl status"
            return (
                Command(host=node, text=refreshed, good=((f"{node} knows the leases",),), otherwise=otherwise),
                Command(host=leader, text=copied, good=((f"{workload.name} is copied",),), otherwise=otherwise),
            )
    raise _unknown(workload)


def catch_up_by_hand(
    estate: Estate, workload: Workload, *, node: HostName, leader: HostName, avoiding: SiteName
) -> tuple[Command, ...]:
    """Show how to see that a copy holds everything."""
    otherwise = f"Type it again until {node} has caught up; do not go on before."
    match workload.adapter:
        case "patroni":
            sql = "\n     ".join(
                [
                    "SELECT application_name || ' holds everything' FROM pg_stat_replication",
                    f"WHERE application_name = '{node}' AND state = 'streaming' AND replay_lsn >= sent_lsn",
                ]
            )
            streams = Command(
                host=leader,
                text=_until(f"{_psql(workload, sql)} |\n    grep holds", times=150, pause="1"),
                good=((f"{node} holds everything",),),
                otherwise=otherwise,
            )
            if not _loses_nothing(workload):
                return (streams,)
            shown = f"sudo secondsite-lease show {_lease_words(workload)} | grep 'in sync with {leader}: .*{node}'"
            listed = _at_quorum(
                estate,
                _until(shown, times=150, pause="1"),
                good=((f"in sync with {leader}: *{node}*",),),
                otherwise=otherwise,
                avoiding=avoiding,
            )
            return streams, listed
        case "store":
            said = f"{workload.name} is whole" + (" and in sync" if _loses_nothing(workload) else "")
            in_sync = " --in-sync" if _loses_nothing(workload) else ""
            text = f"sudo storectl wait-whole {workload.name}{in_sync}"
            return (Command(host=node, text=text, good=((said,),), otherwise=otherwise),)
    raise _unknown(workload)


def switch_by_hand(workload: Workload, *, old: HostName, new: HostName) -> tuple[Command, ...]:
    """Show how to hand a workload over while both sides are healthy."""
    match workload.adapter:
        case "patroni":
            scope = workload.settings["scope"]
            words = f"switchover {scope} \\\n    --leader {old} --candidate {new} --force | grep Successfully"
            text = _until(f"sudo patronictl -c /etc/patroni/{scope}.yml {words}", times=15, pause="3")
            good = (f'*Successfully switched over to "{new}"',)
            otherwise = f"{_STANDS_STILL} {_PATRONI_SAYS.format(scope=scope)}"
        case "store":
            text, good = f"sudo storectl hand-over {workload.name} {new}", (f'{{"handed_to": "{new}"*',)
            otherwise = f"{_STANDS_STILL} On {old} and on {new}: sudo storectl status"
        case _:
            raise _unknown(workload)
    return Command(host=old, text=text, good=(good,), otherwise=otherwise), _write_until_accepted(workload, new)


def _write_until_accepted(workload: Workload, node: HostName) -> Command:
    otherwise = f"{node} accepts no write yet. Type it again; after a minute of that, stop and look at {node}."
    match workload.adapter:
        case "patroni":
            text = _until(f'{_psql(workload, _WRITE)} &&\n    echo "{node} accepts a write"')
            return Command(host=node, text=text, good=((f"{node} accepts a write",),), otherwise=otherwise)
        case "store":
            tried = f"sudo storectl try {workload.name} | grep '\"writable\": true'"
            text = _until(f"sudo storectl refresh > /dev/null\n  {tried}")
            return Command(host=node, text=text, good=(('{"writable": true*',),), otherwise=otherwise)
    raise _unknown(workload)


def _at_quorum(
    estate: Estate, text: str, *, good: tuple[tuple[str, ...], ...], otherwise: str, avoiding: SiteName
) -> Command:
    """Ask a voter that does not stand at the site; if that one is dead, another one answers the same."""
    if estate.quorum is None:
        raise ValueError("nobody wrote down who agrees on leases: the estate declares no quorum")
    host, *others = [one for one in estate.quorum.members if estate.hosts[one].site != avoiding]
    also = f" If {host} itself does not answer: the same on {' or '.join(others)}." if others else ""
    return Command(host=host, text=text, good=good, otherwise=otherwise + also)


def _until(command: str, *, times: int = 60, pause: str = "0.5") -> str:
    """Type a command again and again until it succeeds."""
    return f"for try in $(seq {times}); do\n  {command} && break\n  sleep {pause}\ndone"


def _psql(workload: Workload, sql: str) -> str:
    port, database = workload.settings["port"], workload.settings["database"]
    return f'sudo -u postgres psql -XAtq -v ON_ERROR_STOP=1 -p {port} -d {database} -c \\\n    "{sql}"'


def _lease_words(workload: Workload) -> str:
    match workload.adapter:
        case "patroni":
            return f"patroni {workload.settings['scope']}"
        case "store":
            return f"store {workload.name}"
    raise _unknown(workload)


def _loses_nothing(workload: Workload) -> bool:
    return not workload.objectives.rpo


def _unknown(workload: Workload) -> ValueError:
    return ValueError(f"nobody wrote down how to work {workload.name} by hand: its adapter is {workload.adapter}")
