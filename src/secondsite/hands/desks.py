"""Desks: hosts at which persons find the gates that wait, and leave signed answers; whoever carries them."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass

from ..errors import ActionError, Effect
from ..run.model import Answer
from ..run.ports import Hands
from ..run.rules import answer_from

GROUP = "desk"
_ARGV = ("sudo", "-n", "--", "/usr/local/sbin/secondsite-desk")
_TIMEOUT = dt.timedelta(seconds=5)
_MOST_ANSWERS = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class WaitingGate:
    """What a person at a desk is told of a gate; ``opened_at`` is ISO 8601, ``lasts_s`` how long an answer holds."""

    run: str
    gate: str
    title: str
    plan_digest: str
    targets: tuple[str, ...]
    persons: int
    opened_at: str
    lasts_s: float


def exchange(hands: Hands, desk: str, gates: Sequence[WaitingGate]) -> tuple[Answer, ...]:
    """Have exactly these gates lie open at a desk, and return the answers to them that lie there, unchecked.

    Raises:
        Unreachable, ActionError: the desk could not be reached or is none.
    """
    order = json.dumps({"open": [asdict(gate) for gate in gates]})
    told = hands.run(desk, _ARGV, stdin=order, timeout=_TIMEOUT, limit=_MOST_ANSWERS << 15)
    try:
        document = json.loads(told.stdout)
        answers = document["answers"]
    except (ValueError, KeyError, TypeError) as error:
        raise ActionError(
            f"{desk} answered with something that is no list of answers", effect=Effect.UNKNOWN
        ) from error
    if told.truncated or not isinstance(answers, list):
        raise ActionError(f"{desk} answered with more than answers", effect=Effect.UNKNOWN)
    return tuple(answer_from(one) for one in answers[:_MOST_ANSWERS] if isinstance(one, Mapping))
