"""Training pictures are moved by whole pixels, and every task draws from its own generator."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch.nn import functional as F

from tina_framework.errors import ConfigError
from tina_framework.targets.image_shifts import check_shift, shifted


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


@pytest.mark.parametrize(
    ("size", "shape", "trunk", "match"),
    [
        (8, (3, 8, 16), None, "pictures of 'shapely' have 16 x 8 pixels. Set it below 8"),
        (1, (32,), None, "'shapely' reads no pictures"),
        (1, (3, 8, 8), object(), "frozen trunk, whose features cannot be shifted"),
    ],
)
def test_a_shift_that_pictures_do_not_allow_is_refused(
    size: int, shape: tuple[int, ...], trunk: object, match: str
) -> None:
    architecture: Any = SimpleNamespace(name="shapely", network_input=shape, trunk=trunk)
    check_shift(0, architecture)
    if trunk is None and len(shape) == 3:
        check_shift(size - 1, architecture)
    with pytest.raises(ConfigError, match=match):
        check_shift(size, architecture)
