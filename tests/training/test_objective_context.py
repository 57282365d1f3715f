"""What all objectives share: noise, padding and draws of conditioning vectors."""

from __future__ import annotations

from collections.abc import Callable

import torch

from tina_framework.config.training import TrainingConfig
from tina_framework.training.components import build_components

Make = Callable[..., TrainingConfig]
CPU = torch.device("cpu")


def test_noise_depends_on_the_place_only(make_config: Make) -> None:
    context = build_components(make_config(), CPU).context
    whole = context.noise("x", 3, range(4))
    assert torch.equal(whole[2:], context.noise("x", 3, [2, 3]))
    assert not torch.equal(whole, context.noise("y", 3, range(4)))
    assert not torch.equal(whole, context.noise("x", 4, range(4)))


def test_tasks_of_different_sizes_are_padded_with_zeros(make_config: Make) -> None:
    context = build_components(make_config(), CPU).context
    width = context.conditions.width
    padded = context.pad_conditions([torch.ones(3, width), torch.ones(4, width)])
    mask = context.class_mask(torch.tensor([3, 4]))
    assert padded.shape == (2, 4, width)
    assert mask.tolist() == [[True, True, True, False], [True] * 4]
    assert not padded[0, 3].any()


def test_unseen_classes_are_drawn_as_often_as_the_setting_says(make_config: Make) -> None:
    settings = {"retrieve_rows": True, "max_classes": 4, "class_counts": "4:1", "images_per_task": 8}
    context = build_components(make_config(**settings, unseen_class_probability=0.5), CPU).context
    drawn = [context.draw_unseen_classes(0, i, 4) for i in range(400)]
    assert 150 < sum(bool(places) for places in drawn) < 250
    assert {len(places) for places in drawn} == {0, 1, 2}
    assert drawn[:5] == [context.draw_unseen_classes(0, i, 4) for i in range(5)]
    assert {k for places in drawn for k in places} == {0, 1, 2, 3}
