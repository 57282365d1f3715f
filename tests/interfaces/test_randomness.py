from __future__ import annotations

import torch

from tina_framework.interfaces.randomness import generator_at


def test_a_draw_depends_on_its_place_alone() -> None:
    places = [(0, "noise", 1, 2), (0, "noise", 2, 1), (1, "noise", 1, 2), (0, "images", 1, 2), (0, "noise", 12)]
    first = [torch.randn(3, generator=generator_at(*place)) for place in places]
    again = [torch.randn(3, generator=generator_at(*place)) for place in reversed(places)][::-1]
    assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))
    assert len({tuple(draw.tolist()) for draw in first}) == len(places)


def test_the_global_generator_is_left_alone() -> None:
    before = torch.get_rng_state()
    torch.rand(4, generator=generator_at(0, "a", 0))
    assert torch.equal(before, torch.get_rng_state())
