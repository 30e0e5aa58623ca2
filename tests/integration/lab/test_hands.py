"""The SSH door, against real hosts: what they send is bounded, who they are is pinned, and what is unknown stays so."""

from __future__ import annotations

import datetime as dt
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import pytest

from secondsite.cli.terminal import clean
from secondsite.errors import ActionError, ActionTimeout, Effect, Unreachable
from secondsite.hands.ssh import OUTPUT_LIMIT, SshHands, SshTarget
from secondsite.lab import netns
from secondsite.lab.faults import LabInjector
from secondsite.lab.model import LabSettings, Topology
from secondsite.run.ports import CommandResult

pytestmark = [pytest.mark.lab, pytest.mark.timeout(120)]

T = TypeVar("T")
Using = Callable[[Callable[[SshHands], T]], T]
SHORT, LONG = dt.timedelta(seconds=1), dt.timedelta(seconds=60)


@pytest.fixture
def using(standing: LabSettings, topology: Topology, tmp_path: Path) -> Callable[..., object]:
    """Work with hands inside the control namespace; ``pins`` may be other ones than the hosts'."""

    def use(work: Callable[[SshHands], T], *, pins: Path | None = None) -> T:
        targets = {
            host.name: SshTarget(host=host.name, address=str(host.management.ip), user="root", key_file=standing.key)
            for host in topology.hosts.values()
        }

        def inside() -> T:
            hands = SshHands(targets, known_hosts=pins or standing.known_hosts, monotonic=time.monotonic)
            try:
                return work(hands)
            finally:
                hands.close()

        return netns.in_namespace(netns.path_of(standing.control), inside)

    return use


def test_every_host_is_reached_at_once_and_words_are_not_a_shells(using: Using[str], topology: Topology) -> None:
    def work(hands: SshHands) -> str:
        assert hands.open(list(topology.hosts)) == {}
        return hands.run("vault", ["printf", "%s", "$(id) `id` 'x' ; {{ y }}"], timeout=LONG).stdout

    assert using(work) == "$(id) `id` 'x' ; {{ y }}"


def test_a_host_that_answers_with_hundreds_of_megabytes_costs_one(using: Using[tuple[int, bool]]) -> None:
    def work(hands: SshHands) -> tuple[int, bool]:
        result = hands.run("vault", ["head", "-c", "300000000", "/dev/zero"], timeout=LONG)
        return len(result.stdout), result.truncated

    assert using(work) == (OUTPUT_LIMIT, True)


def test_a_line_without_an_end_costs_a_bounded_amount(using: Using[list[int]]) -> None:
    def work(hands: SshHands) -> list[int]:
        seen: list[int] = []
        stream = hands.stream(
            "vault", ["head", "-c", "50000000", "/dev/zero"], stdin="", on_line=lambda x: seen.append(len(x))
        )
        while stream.alive():
            time.sleep(0.05)
        return seen

    assert max(using(work)) <= 1 << 16


def test_terminal_escapes_of_a_host_are_shown_as_text(using: Using[str]) -> None:
    said = using(lambda hands: hands.run("vault", ["printf", "\\033[2J\\007<b>x</b>"], timeout=LONG).stdout)
    assert clean(said) == "\\x1b[2J\\x07<b>x</b>"


def test_no_answer_in_time_leaves_the_effect_unknown(using: Using[CommandResult]) -> None:
    with pytest.raises(ActionTimeout) as caught:
        using(lambda hands: hands.run("vault", ["sleep", "20"], timeout=SHORT))
    assert caught.value.effect is Effect.UNKNOWN


def test_an_exit_code_nobody_accepted_is_an_error(using: Using[CommandResult]) -> None:
    with pytest.raises(ActionError, match="vault: false ended with exit code 1"):
        using(lambda hands: hands.run("vault", ["false"], timeout=LONG))


def test_a_host_with_another_key_than_pinned_is_refused(
    using: Callable[..., CommandResult], standing: LabSettings, tmp_path: Path
) -> None:
    lines = standing.known_hosts.read_text().splitlines()
    keys = [line.split(" ", 1)[1] for line in lines]
    swapped = [f"{line.split(' ', 1)[0]} {key}" for line, key in zip(lines, [*keys[2:], *keys[:2]], strict=True)]
    pins = tmp_path / "pins"
    pins.write_text("\n".join(swapped) + "\n")
    with pytest.raises(Unreachable):
        using(lambda hands: hands.run("vault", ["true"], timeout=LONG), pins=pins)


def test_a_host_without_a_pin_is_refused(using: Callable[..., CommandResult], tmp_path: Path) -> None:
    pins = tmp_path / "pins"
    pins.write_text("")
    with pytest.raises(Unreachable):
        using(lambda hands: hands.run("vault", ["true"], timeout=LONG), pins=pins)


def test_a_host_that_lost_its_power_is_unreachable_and_is_reached_again_when_it_is_back(
    using: Using[str], standing: LabSettings
) -> None:
    injector = LabInjector(standing)

    def work(hands: SshHands) -> str:
        hands.run("console", ["true"], timeout=LONG)
        injector.cut_power(["console"])
        try:
            with pytest.raises((Unreachable, ActionTimeout)):
                hands.run("console", ["true"], timeout=SHORT)
        finally:
            injector.restore_power(["console"])
        return hands.run("console", ["hostname"], timeout=LONG).stdout.strip()

    assert using(work) == "console"


def test_an_armed_command_begins_before_it_is_fed_and_each_arming_serves_one_run(using: Using[list[str]]) -> None:
    command = ["sh", "-c", "echo $$; cat"]

    def work(hands: SshHands) -> list[str]:
        hands.arm("vault", command)
        time.sleep(1.0)
        after = hands.run("vault", ["sh", "-c", "echo $$"], timeout=LONG).stdout
        fed = hands.run("vault", command, stdin="fed\n", timeout=LONG).stdout.split()
        fresh = hands.run("vault", command, stdin="fresh\n", timeout=LONG).stdout.split()
        return [*(fed if int(fed[0]) < int(after) else []), *(fresh if int(fresh[0]) > int(after) else [])]

    assert [word for word in using(work) if not word.isdigit()] == ["fed", "fresh"]


def test_an_armed_command_that_ended_meanwhile_is_started_anew(using: Using[str]) -> None:
    command = ["sh", "-c", "if test -e /run/armed-once; then cat; else touch /run/armed-once; fi"]

    def work(hands: SshHands) -> str:
        hands.run("vault", ["rm", "-f", "/run/armed-once"], timeout=LONG)
        hands.arm("vault", command)
        time.sleep(2.0)
        return hands.run("vault", command, stdin="fed\n", timeout=LONG).stdout.strip()

    assert using(work) == "fed"


def test_a_host_restarted_since_a_command_was_armed_is_fed_a_new_one(using: Using[str], standing: LabSettings) -> None:
    injector = LabInjector(standing)

    def work(hands: SshHands) -> str:
        hands.arm("console", ["cat"])
        injector.cut_power(["console"])
        injector.restore_power(["console"])
        try:
            return hands.run("console", ["cat"], stdin="fed\n", timeout=LONG).stdout.strip()
        except ActionError as lost:  # sent into the dead connection: said to be unknown, never said to be done
            return f"unknown: {lost.effect is Effect.UNKNOWN}"

    assert using(work) in {"fed", "unknown: True"}
