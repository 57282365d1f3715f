"""Many networks trained at once, against the same networks trained one by one."""

from __future__ import annotations

import pytest
import torch

from tests.targets.toy_training import SPEC, flat, problem, start
from tina_framework.errors import ConfigError, TrainingError
from tina_framework.targets.batched import fit_batched
from tina_framework.targets.sgd import SGDRecipe, fit


@pytest.mark.parametrize(("nesterov", "image_shift"), [(False, 0), (True, 0), (False, 2)])
def test_batched_equals_one_by_one(nesterov, image_shift):
    images, labels = problem(96)
    recipe = SGDRecipe(
        epochs=3,
        batch_size=16,
        lr=0.05,
        average_last=0.4,
        nesterov=nesterov,
        image_shift=image_shift,
        precision="fp32",
    )
    picks = [torch.arange(0, 48), torch.arange(48, 96), torch.arange(24, 72)]
    starts = [start(seed=s) for s in range(3)]
    stacked = torch.stack([flat(module) for module in starts])
    together = fit_batched(SPEC, 3, stacked, images, picks, [labels[p] for p in picks], recipe, [5, 5, 7])
    alone = [
        flat(fit(module, images[p], labels[p], recipe, seed))
        for module, p, seed in zip(starts, picks, [5, 5, 7], strict=True)
    ]
    torch.testing.assert_close(together, torch.stack(alone), atol=2e-5, rtol=1e-4)


def test_a_shift_as_large_as_the_images_is_refused():
    images, labels = problem(48)
    recipe = SGDRecipe(epochs=1, precision="fp32", image_shift=images.shape[-1])
    with pytest.raises(ConfigError, match="Set it below"):
        fit_batched(SPEC, 3, flat(start())[None], images, [torch.arange(48)], [labels], recipe, [0])


def test_divergence_is_an_error():
    images, labels = problem(48)
    recipe = SGDRecipe(epochs=3, lr=1e9, precision="fp32")
    with pytest.raises(TrainingError, match="lower the learning rate"):
        fit_batched(SPEC, 3, flat(start())[None], images * 1e4, [torch.arange(48)], [labels], recipe, [0])
