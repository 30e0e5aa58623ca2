"""A store that is filled for a benchmark holds what was asked for, in the sizes that are declared."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as some

from .scripts import script

unchanged = script("unchanged")
MANY = 400_000_000


@given(some.integers(0, MANY))
def test_a_store_is_filled_to_the_byte_with_sizes_that_are_declared(wanted: int) -> None:
    sizes = unchanged.sizes_of(wanted)
    assert sum(sizes) == wanted
    assert {*sizes[:-1]} <= {size for size, _ in unchanged.SIZES}
    assert all(size > 0 for size in sizes)


def test_each_size_has_its_share_wherever_one_stops() -> None:
    sizes = unchanged.sizes_of(MANY)
    for many in (len(sizes) // 2, len(sizes)):
        for size, share in unchanged.SIZES:
            assert abs(sum(one == size for one in sizes[:many]) - many * share / 100) <= len(unchanged.SIZES)
