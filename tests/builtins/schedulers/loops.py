"""Whole sampling loops, step by step, against diffusers with the same settings and the same noise."""

from __future__ import annotations

import torch
from torch import Tensor

PREDICTION_TYPES = ["sample", "epsilon", "v_prediction"]


SPACINGS = ["trailing", "leading", "linspace"]


SHAPE = (2, 5, 7)


def fake_model(x: Tensor, t: int) -> Tensor:
    """Depends on the sample and the timestep, and keeps a long loop's values near 1."""
    return 0.3 * x + 0.1 * torch.cos(torch.arange(x[0].numel()).view(x.shape[1:]) + t / 100)


def compare_loops(ours, theirs, steps: int, *, last: bool = True, **step_arguments) -> None:
    ours.set_timesteps(steps)
    theirs.set_timesteps(steps)
    assert torch.equal(ours.timesteps, theirs.timesteps)
    x = torch.randn(SHAPE, generator=torch.Generator().manual_seed(0))
    y = x.clone()
    noise = torch.Generator().manual_seed(1), torch.Generator().manual_seed(1)
    for i, t in enumerate(ours.timesteps):
        if i == steps - 1 and not last:
            return
        a = ours.step(fake_model(x, int(t)), t, x, generator=noise[0], **step_arguments)
        b = theirs.step(fake_model(y, int(t)), t, y, generator=noise[1], **step_arguments)
        torch.testing.assert_close(a.pred_original_sample, b.pred_original_sample, atol=1e-5, rtol=1e-5)
        torch.testing.assert_close(a.prev_sample, b.prev_sample, atol=1e-5, rtol=1e-5)
        x, y = a.prev_sample, b.prev_sample
    assert x.abs().max() > 0.01  # the comparison was about something
