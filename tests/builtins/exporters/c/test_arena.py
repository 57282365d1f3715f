"""Places in memory: values that live at the same time never overlap."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from tina_framework.builtins.exporters.c.arena import Lifetime, placed

LIFETIMES = st.builds(
    lambda size, first, length: Lifetime(size, first, first + length),
    st.integers(0, 50),
    st.integers(0, 9),
    st.integers(0, 5),
)


@given(st.lists(LIFETIMES, max_size=12))
def test_nothing_overlaps(lifetimes: list[Lifetime]) -> None:
    offsets, block = placed(lifetimes)
    for i, one in enumerate(lifetimes):
        assert 0 <= offsets[i] <= block - one.size or one.size == 0
        for j, other in enumerate(lifetimes[:i]):
            together = one.first <= other.last and other.first <= one.last
            apart = offsets[i] + one.size <= offsets[j] or offsets[j] + other.size <= offsets[i]
            assert not together or apart or not one.size or not other.size


def test_a_chain_needs_its_two_largest_neighbours() -> None:
    sizes = [3072, 4096, 8192, 32]
    offsets, block = placed([Lifetime(size, i, i + 1) for i, size in enumerate(sizes)])
    assert block == 4096 + 8192
    assert len(offsets) == 4


def test_no_values() -> None:
    assert placed([]) == ([], 0)
