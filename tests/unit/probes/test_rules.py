"""A site is lost when everybody who can judge hears nothing for long enough, and never because nobody listened."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from secondsite.probes.model import Answer, Clocks, Hearing, HostClock, Sighting, SiteLoss, Streak, Trip
from secondsite.probes.rules import (
    after,
    hearings_that_count,
    reasons_to_doubt_one_clock,
    site_loss,
    uncertainty_s,
)

WEB, DB, ELSEWHERE = "198.18.1.10", "198.18.1.20", "198.18.2.10"
VANTAGE = ("vault", "console")


def seen(asked: float, answer: Answer, *, t: float | None = None, address: str = WEB) -> Sighting:
    site = "dc2" if address == ELSEWHERE else "dc1"
    ended = t if t is not None else asked + (0.5 if answer is Answer.SILENT else 0.001)
    return Sighting(t=ended, asked=asked, vantage="vault", site=site, address=address, port=443, answer=answer)


def fold(sightings: Iterable[Sighting]) -> Streak:
    streak: Streak | None = None
    for one in sightings:
        streak = after(streak, one)
    assert streak is not None
    return streak


def silent(since: float, latest: float) -> Streak:
    return Streak(site="dc1", heard_at=since - 0.1, silent_since=since, latest=latest)


def heard(at: float, site: str = "dc1") -> Streak:
    return Streak(site=site, heard_at=at, latest=at)


def loss(streaks: Mapping[tuple[str, str], Streak], *, now: float = 100.0) -> SiteLoss:
    return site_loss(streaks, site="dc1", addresses=(WEB, DB), vantage=VANTAGE, silence_s=1.5, now=now, fresh_s=1.2)


def everybody(web: Streak, db: Streak, elsewhere: Streak | None) -> dict[tuple[str, str], Streak]:
    known = {WEB: web, DB: db} | ({ELSEWHERE: elsewhere} if elsewhere else {})
    return {(host, address): streak for host in VANTAGE for address, streak in known.items()}


LONG, SHORT = silent(98.0, 99.9), silent(99.0, 99.9)
OTHER_SITE = heard(99.9, "dc2")


def test_silence_everywhere_for_long_enough_is_a_lost_site() -> None:
    assert loss(everybody(LONG, LONG, OTHER_SITE)) == SiteLoss(lost=True, reasons=())


@pytest.mark.parametrize(
    ("streaks", "lost", "reason"),
    [
        pytest.param(everybody(SHORT, LONG, OTHER_SITE), False, "for 0.90 s only", id="silent for too short a time"),
        pytest.param(everybody(heard(99.9), LONG, OTHER_SITE), False, f"hears {WEB}", id="one address answers"),
        pytest.param(everybody(LONG, LONG, None), None, "cut off itself", id="the vantage hosts hear nobody at all"),
        pytest.param(
            everybody(LONG, LONG, heard(98.0, "dc2")), None, "cut off itself", id="the other site fell silent as well"
        ),
        pytest.param(
            everybody(silent(90, 98.5), LONG, OTHER_SITE), None, "has not reported", id="a vantage host stopped talking"
        ),
        pytest.param({}, None, "has not tried", id="nobody has tried anything"),
    ],
)
def test_anything_less_is_not(
    streaks: dict[tuple[str, str], Streak],
    lost: bool | None,  # noqa: FBT001  a column of the table
    reason: str,
) -> None:
    found = loss(streaks)
    assert found.lost is lost
    assert any(reason in one for one in found.reasons)


def test_one_vantage_host_that_hears_the_site_outweighs_one_that_knows_nothing() -> None:
    streaks = everybody(heard(99.9), LONG, OTHER_SITE)
    del streaks["console", WEB]
    assert loss(streaks).lost is False


def test_with_nobody_to_watch_nothing_is_known() -> None:
    found = site_loss({}, site="dc1", addresses=(WEB,), vantage=(), silence_s=1.5, now=1.0, fresh_s=1.0)
    assert found.lost is None


def test_silence_counts_from_the_first_try_begun_after_the_last_answer() -> None:
    streak = fold(
        [
            seen(1.0, Answer.OPEN),
            seen(0.9, Answer.SILENT, t=1.4),
            seen(1.1, Answer.SILENT),
            seen(1.2, Answer.SILENT),
        ]
    )
    assert streak.silent_since == 1.1


@pytest.mark.parametrize("answer", [Answer.OPEN, Answer.REFUSED])
def test_an_answer_ends_a_silence_and_a_refusal_is_one(answer: Answer) -> None:
    streak = fold([seen(1.0, Answer.SILENT), seen(2.0, answer)])
    assert streak.silent_since is None
    assert streak.heard_at == 2.001


@given(
    st.lists(st.tuples(st.floats(0, 50), st.sampled_from(list(Answer))), min_size=1).map(
        lambda steps: [seen(asked, answer) for asked, answer in sorted(steps, key=lambda step: step[0])]
    )
)
def test_a_streak_is_silent_exactly_if_the_newest_tries_were(sightings: list[Sighting]) -> None:
    streak = fold(sorted(sightings, key=lambda one: one.t))
    answers = [one.t for one in sightings if one.answer is not Answer.SILENT]
    later = [one.asked for one in sightings if one.answer is Answer.SILENT and one.asked > max(answers, default=-1)]
    assert streak.silent_since == min(later, default=None)
    assert streak.heard_at == max(answers, default=None)


QUIET, LOUD = Hearing(flows=24, answers=0, heard=()), Hearing(flows=24, answers=8, heard=("443 open",))


def test_silence_counts_where_a_reference_answers() -> None:
    assert hearings_that_count({WEB: QUIET, ELSEWHERE: LOUD}, references=[ELSEWHERE]) == {WEB: QUIET}


def test_silence_counts_as_no_flow_where_no_reference_answers() -> None:
    found = hearings_that_count({WEB: QUIET, ELSEWHERE: QUIET}, references=[ELSEWHERE])
    assert found[WEB].flows == 0


def test_an_answer_counts_also_where_no_reference_answers() -> None:
    assert hearings_that_count({WEB: LOUD, ELSEWHERE: QUIET}, references=[ELSEWHERE]) == {WEB: LOUD}


def clocks(boot_id: str = "k", remote: float = 1.05) -> Clocks:
    trips = (Trip(before=1.0, remote=remote, after=1.1), Trip(before=2.0, remote=2.01, after=2.02))
    return Clocks(controller="k", hosts={"web-dc1": HostClock(boot_id=boot_id, trips=trips)})


def test_one_kernel_and_readings_that_fit_leave_no_doubt() -> None:
    assert list(reasons_to_doubt_one_clock(clocks())) == []
    assert uncertainty_s(clocks()) == pytest.approx(0.02)


@pytest.mark.parametrize(
    ("doubtful", "reason"),
    [
        pytest.param(clocks(boot_id="other"), "another kernel", id="another kernel"),
        pytest.param(clocks(remote=5.0), "read 5.000000 between", id="a reading outside its round trip"),
        pytest.param(
            Clocks(controller="k", hosts={"web-dc1": HostClock(boot_id="k", trips=())}), "was not read", id="not read"
        ),
    ],
)
def test_anything_else_is_doubted(doubtful: Clocks, reason: str) -> None:
    assert any(reason in one for one in reasons_to_doubt_one_clock(doubtful))


def test_a_clock_that_was_not_read_has_no_uncertainty_instead_of_none_at_all() -> None:
    assert uncertainty_s(Clocks(controller="k", hosts={})) is None
