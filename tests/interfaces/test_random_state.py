"""Torch's global random numbers belong to the caller, also if several threads draw from them."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import torch

from tina_framework.interfaces.random_state import seeded_random_state


def test_threads_draw_their_own_numbers_and_change_nothing() -> None:
    def draw(seed: int) -> list[float]:
        with seeded_random_state(seed):
            return [float(torch.rand(())) for _ in range(50)]

    before = torch.get_rng_state()
    alone = [draw(seed) for seed in range(8)]
    with ThreadPoolExecutor(8) as pool:
        together = list(pool.map(draw, range(8)))
    assert together == alone
    assert torch.equal(torch.get_rng_state(), before)


def test_one_thread_may_enter_twice() -> None:
    with seeded_random_state(1), seeded_random_state(2):
        inner = torch.rand(2)
    with seeded_random_state(2):
        assert torch.equal(torch.rand(2), inner)
