"""The controller of a lab is served first while it works, and as before afterwards."""

from __future__ import annotations

from pathlib import Path

import pytest

from secondsite.lab.weight import served_first


@pytest.mark.parametrize("before", [0, 5, -3])
def test_the_session_weighs_more_meanwhile_and_as_before_afterwards(tmp_path: Path, before: int) -> None:
    group = tmp_path / "autogroup"
    group.write_text(f"/autogroup-34 nice {before}\n")

    with served_first(group):
        assert group.read_text() == "-10"

    assert group.read_text() == str(before)


def test_two_commands_of_one_session_leave_no_weight_behind_whichever_ends_first(tmp_path: Path) -> None:
    group = tmp_path / "autogroup"
    group.write_text("/autogroup-34 nice 0\n")
    first, second = served_first(group), served_first(group)

    first.__enter__()
    second.__enter__()
    first.__exit__(None, None, None)
    second.__exit__(None, None, None)

    assert group.read_text() == "0"


def test_a_kernel_that_weighs_no_sessions_is_left_alone(tmp_path: Path) -> None:
    with served_first(tmp_path / "autogroup"):
        pass

    assert not list(tmp_path.iterdir())
