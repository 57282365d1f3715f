"""Many small networks together on a GPU, against the same networks one by one."""

from __future__ import annotations

import pytest
import torch

from tests.targets.test_functional import COUNTS, SPEC, batch, reference
from tests.targets.toy_training import SPEC as TOY
from tests.targets.toy_training import flat, problem, start
from tina_framework.targets.batched import fit_batched
from tina_framework.targets.functional import TargetRunner
from tina_framework.targets.sgd import SGDRecipe, fit

CUDA = torch.device("cuda", 0)


def test_p_models_trained_together_are_those_trained_alone() -> None:
    images, labels = problem(96)
    recipe = SGDRecipe(epochs=3, batch_size=16, lr=0.05, precision="fp32")
    picks = [torch.arange(0, 48), torch.arange(48, 96), torch.arange(24, 72)]
    starts = [start(seed=s) for s in range(3)]
    stacked = torch.stack([flat(module) for module in starts])
    parts = [labels[p] for p in picks]
    together = fit_batched(TOY, 3, stacked, images.to(CUDA), picks, parts, recipe, [5, 5, 7]).cpu()
    on_cpu = fit_batched(TOY, 3, stacked, images, picks, parts, recipe, [5, 5, 7])
    alone = torch.stack(
        [
            flat(fit(module.to(CUDA), images[p].to(CUDA), labels[p].to(CUDA), recipe, seed)).cpu()
            for module, p, seed in zip(starts, picks, [5, 5, 7], strict=True)
        ]
    )
    torch.testing.assert_close(together, on_cpu, atol=1e-3, rtol=1e-2)
    torch.testing.assert_close(together, alone, atol=1e-3, rtol=1e-2)


@pytest.mark.parametrize("convolution", ["grouped", "im2col"])
@pytest.mark.parametrize(("precision", "tolerance"), [("fp32", 1e-4), ("bf16", 5e-2)])
def test_losses_of_all_class_counts(convolution: str, precision: str, tolerance: float) -> None:
    flats, mask, images, labels = batch()
    assert len(set(COUNTS)) > 1
    expected, _ = reference(SPEC, flats, mask, images, labels)
    runner = TargetRunner(SPEC, precision, convolution=convolution)
    losses, gradients = runner.losses_and_gradients(*(part.to(CUDA) for part in (flats, mask, images, labels)))
    torch.testing.assert_close(losses.cpu(), expected, atol=tolerance, rtol=tolerance)
    assert gradients.device.type == CUDA.type
    assert bool(gradients.isfinite().all())
