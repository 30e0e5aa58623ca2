#!/usr/bin/env python3
"""Carry out a printed procedure as persons would: read the page, type its commands over ssh, look at the answers.

    walk.py PAGE.md --ssh-config FILE --consent NAME --consent NAME [--through "ip netns exec NAME"] [--log FILE]

It knows the page and ssh, and nothing of the engine: what is not printed is not done. A step begins when the steps it
comes after are done, so steps of one round go on at once; commands of one step are typed one after the other. An answer
that is not one of the good ones printed stops everything that comes after, unless the page says to type it again.

Exit codes: 0 every step is done, 2 the page or the words can't be used, 3 stopped: the last lines say where and why.
"""

from __future__ import annotations

import argparse
import json
import re
import shlex
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from pathlib import Path

AGAIN = re.compile(r"\btype (it|all of it) again\b", re.IGNORECASE)
TRIES, PAUSE_S, COMMAND_TIMEOUT_S = 4, 10.0, 240.0
UNUSABLE, STOPPED = 2, 3
STANDARD_OUTPUT = Path("-")
NOWHERE = "- Where: no host: whoever conducts"
_STEP = re.compile(r"### (\d+)\. (.+)")
_TYPE = re.compile(r"\*\*(\d+)\.(\d+)\*\* On (\S+) as (\S+), type:")
_DIGEST = re.compile(r"Plan digest `([0-9a-f]{64})`")
_BLOCK = "    "


@dataclass(frozen=True, kw_only=True)
class Command:
    """One thing to type, and the answers that are good."""

    label: str
    host: str
    account: str
    text: str
    good: tuple[tuple[str, ...], ...]
    otherwise: str


@dataclass(kw_only=True)
class Step:
    """One step as printed."""

    number: int
    title: str
    name: str = ""
    after: frozenset[int] = frozenset()
    consents: int = 0
    is_on_hosts: bool = False
    commands: list[Command] = field(default_factory=list)


class Unusable(Exception):  # noqa: N818  what the page is
    """The page can't be carried out as it is printed."""


class Stopped(Exception):  # noqa: N818  what happened
    """A step had no good answer."""


# The page


def read_page(text: str) -> tuple[str, list[Step]]:
    """Return the digest of the plan it was printed from, and its steps in the printed order.

    Raises:
        Unusable: it is no such page, or part of it makes no sense.
    """
    found = _DIGEST.search(text)
    steps: list[Step] = []
    lines = text.splitlines()
    for at, line in enumerate(lines):
        if begun := _STEP.fullmatch(line):
            steps.append(Step(number=int(begun[1]), title=_plain(begun[2])))
        elif steps:
            _read_line(steps[-1], lines, at)
    known = {step.number for step in steps}
    if found is None or not steps or any(not step.name or not step.after <= known for step in steps):
        raise Unusable("this is no printed procedure: it names no digest, no steps, or steps that are not there")
    told = [str(step.number) for step in steps if step.is_on_hosts and not step.commands]
    if told:
        raise Unusable(f"the steps {', '.join(told)} say in words what to do on hosts: that takes a person")
    return found[1], steps


def _read_line(step: Step, lines: Sequence[str], at: int) -> None:
    line = lines[at]
    if line.startswith("- Step: "):
        step.name = _plain(line.removeprefix("- Step: ").removesuffix(" (critical path)"))
    elif line.startswith("- After: "):
        step.after = frozenset(int(one) for one in re.findall(r"(\d+) \\\(", line))
    elif line.startswith("- Where: "):
        step.is_on_hosts = line != NOWHERE
    elif line.startswith("Consent "):
        step.consents += 1
    elif typed := _TYPE.fullmatch(_plain_marks(line)):
        step.commands.append(_command(lines, at, typed))
    elif line.startswith("By hand: the runbook does not say how"):
        raise Unusable(f"step {step.number} has nothing that a person could do")


def _command(lines: Sequence[str], at: int, typed: re.Match[str]) -> Command:
    text, at = _block(lines, at + 1)
    good: list[tuple[str, ...]] = []
    while at < len(lines) and lines[at] in ("A good answer holds:", "or:"):
        answer, at = _block(lines, at + 1)
        good.append(tuple(answer.splitlines()))
    if not good or at >= len(lines) or not lines[at].startswith("Otherwise: "):
        raise Unusable(f"command {typed[1]}.{typed[2]} has no good answer, or not what to do otherwise")
    return Command(
        label=f"{typed[1]}.{typed[2]}",
        host=typed[3],
        account=typed[4],
        text=text,
        good=tuple(good),
        otherwise=_plain(lines[at].removeprefix("Otherwise: ")),
    )


def _block(lines: Sequence[str], at: int) -> tuple[str, int]:
    """Return the indented block that follows, and the line after it that says something."""
    while at < len(lines) and not lines[at].strip():
        at += 1
    inside = []
    while at < len(lines) and lines[at].startswith(_BLOCK):
        inside.append(lines[at].removeprefix(_BLOCK))
        at += 1
    while at < len(lines) and not lines[at].strip():
        at += 1
    return "\n".join(inside), at


def _plain(text: str) -> str:
    """Take Markdown's escapes away."""
    return re.sub(r"\\(.)", r"\1", text)


def _plain_marks(line: str) -> str:
    return _plain(line) if line.startswith("**") else line


# Answers


def is_good(answer: str, good: Sequence[Sequence[str]]) -> bool:
    """Say whether an answer holds every line of one of the good ones."""
    lines = [line.strip() for line in answer.splitlines()]
    return any(all(any(_matches(line, wanted) for line in lines) for wanted in one) for one in good)


def _matches(line: str, wanted: str) -> bool:
    return re.fullmatch(".*".join(re.escape(part) for part in wanted.strip().split("*")), line) is not None


# Hands


@dataclass(kw_only=True)
class Walk:
    """One walk through a page."""

    steps: list[Step]
    ssh: list[str]
    persons: list[str]
    log: Path | None
    _writing: threading.Lock = field(default_factory=threading.Lock)
    _stopping: threading.Event = field(default_factory=threading.Event)

    def go(self) -> None:
        """Do every step.

        Raises:
            Stopped: one had no good answer; what was under way was finished, and nothing after it begun.
        """
        open_, done, stopped = {step.number: step for step in self.steps}, set[int](), list[Stopped]()
        under_way: dict[Future[None], int] = {}
        with ThreadPoolExecutor(max_workers=len(self.steps)) as pool:
            while open_ or under_way:
                for step in [one for one in open_.values() if one.after <= done and not stopped]:
                    under_way[pool.submit(self._do, open_.pop(step.number))] = step.number
                if not under_way:
                    break
                for ended in wait(under_way, return_when=FIRST_COMPLETED).done:
                    number = under_way.pop(ended)
                    try:
                        ended.result()
                        done.add(number)
                    except Stopped as error:
                        self._stopping.set()
                        stopped.append(error)
        if stopped or open_:
            self._note("stopped", why=[str(one) for one in stopped])
            raise Stopped("; ".join(map(str, stopped)) or f"nothing leads to the steps {sorted(open_)}")

    def _do(self, step: Step) -> None:
        self._note("step-begun", step=step.name, number=step.number)
        if step.consents > len(set(self.persons)):
            raise Stopped(f"step {step.number} needs the consent of {step.consents} persons: name them with --consent")
        if step.consents:
            self._note("consented", step=step.name, persons=sorted(set(self.persons)))
        for command in step.commands:
            self._type(step, command)
        self._note("step-done", step=step.name, number=step.number)

    def _type(self, step: Step, command: Command) -> None:
        tries, answer = TRIES if AGAIN.search(command.otherwise) else 1, ""
        for attempt in range(1, tries + 1):
            answer = self._typed(command)
            good = is_good(answer, command.good)
            told = {"command": command.label, "host": command.host, "try": attempt, "good": good}
            self._note("answered", step=step.name, **told, answer=answer[-2000:])
            if good:
                return
            if attempt < tries and self._stopping.wait(PAUSE_S):
                break
        raise Stopped(
            f"{command.label} ({step.name}) on {command.host} had no good answer\n{command.text}\nanswered: {answer}\n"
            f"otherwise: {command.otherwise}"
        )

    def _typed(self, command: Command) -> str:
        """Return what the host said, errors included: a person sees both."""
        argv = [*self.ssh, f"{command.account}@{command.host}", "--", command.text]
        try:
            ended = subprocess.run(
                argv,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                errors="replace",
                timeout=COMMAND_TIMEOUT_S,
                check=False,
            )
        except subprocess.TimeoutExpired:
            return f"(no end after {COMMAND_TIMEOUT_S:g} s)"
        return ended.stdout

    def _note(self, event: str, **words: object) -> None:
        line = {"event": event, "t": time.monotonic(), **words}
        with self._writing:
            print(_for_people(line), file=sys.stderr, flush=True)
            if self.log == STANDARD_OUTPUT:
                print(json.dumps(line), flush=True)
            elif self.log is not None:
                with self.log.open("a", encoding="utf-8") as file:
                    file.write(json.dumps(line) + "\n")


def _for_people(line: dict[str, object]) -> str:
    words = " ".join(f"{name}={value}" for name, value in line.items() if name not in ("event", "answer", "t"))
    return f"{line['t']:.2f} {line['event']} {words}"


def _words() -> argparse.Namespace:
    words = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    words.add_argument("page", type=Path)
    words.add_argument("--ssh-config", type=Path, required=True)
    words.add_argument("--consent", action="append", default=[], metavar="NAME", help="who consents, on paper")
    words.add_argument("--through", type=shlex.split, default=[], help="what ssh is started by")
    words.add_argument("--log", type=Path, help="append what happened, as JSON Lines; - is standard output")
    return words.parse_args()


def _summary(steps: Sequence[Step]) -> Iterator[str]:
    yield f"{len(steps)} steps, {sum(len(step.commands) for step in steps)} commands"


def main() -> int:
    """Walk."""
    given = _words()
    try:
        digest, steps = read_page(given.page.read_text(encoding="utf-8"))
    except (OSError, Unusable) as error:
        print(f"error: {given.page}: {error}", file=sys.stderr)
        return UNUSABLE
    print(f"{'; '.join(_summary(steps))}, printed from plan {digest}", file=sys.stderr)
    ssh = [*given.through, "ssh", "-F", str(given.ssh_config), "-o", "LogLevel=ERROR"]
    try:
        Walk(steps=steps, ssh=ssh, persons=given.consent, log=given.log).go()
    except Stopped as error:
        print(f"stopped: {error}", file=sys.stderr)
        return STOPPED
    print(json.dumps({"plan_digest": digest, "steps": len(steps), "commands": sum(len(s.commands) for s in steps)}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
