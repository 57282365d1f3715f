"""Training pictures are moved by whole pixels, and every task draws from its own generator."""

from __future__ import annotations

import torch
from torch.nn import functional as F

from tina_framework.training.image_shifts import shifted


def draws(*seeds: int) -> list[torch.Generator]:
    return [torch.Generator().manual_seed(seed) for seed in seeds]


def test_a_shifted_picture_is_a_part_of_the_reflected_one() -> None:
    images = torch.randn(2, 16, 3, 8, 8)
    moved = shifted(images, 2, draws(0, 1))
    assert moved.shape == images.shape
    padded = F.pad(images.flatten(0, 1), (2, 2, 2, 2), mode="reflect")
    places = set()
    for before, after in zip(padded, moved.flatten(0, 1), strict=True):
        found = [(y, x) for y in range(5) for x in range(5) if torch.equal(before[:, y : y + 8, x : x + 8], after)]
        assert len(found) == 1
        places.add(found[0])
    assert len(places) > 4


def test_a_task_alone_is_shifted_as_in_a_batch() -> None:
    images = torch.randn(2, 9, 1, 6, 6)
    both = shifted(images, 1, draws(0, 1))
    torch.testing.assert_close(shifted(images[1:], 1, draws(1)), both[1:], rtol=0, atol=0)
    assert not torch.equal(both, shifted(images, 1, draws(2, 3)))
