"""Rectified flow against diffusers, and what holds of a straight path whatever diffusers does."""

from __future__ import annotations

import json
from typing import Any

import diffusers
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from tina_framework.builtins.schedulers.flow_match_euler import FlowMatchEulerDiscreteScheduler
from tina_framework.errors import ConfigError

SHAPE = (2, 5, 7)
SHIFTS = pytest.mark.parametrize("shift", [1.0, 3.0])
PREDICTION_TYPES = pytest.mark.parametrize("prediction_type", ["flow_prediction", "sample"])


def tensors(count: int, *shape: int, seed: int = 0) -> list[Tensor]:
    return list(torch.randn(count, *shape, generator=torch.Generator().manual_seed(seed)))


def fake_model(x: Tensor, t: int) -> Tensor:
    """Depends on the sample and the timestep, and keeps a long loop's values near 1."""
    return 0.3 * x + 0.1 * torch.cos(torch.arange(x[0].numel()).view(x.shape[1:]) + t / 100)


@SHIFTS
@PREDICTION_TYPES
@pytest.mark.parametrize("steps", [1, 4, 10, 50, 1000])
def test_loop_against_diffusers(shift: float, prediction_type: str, steps: int) -> None:
    ours = FlowMatchEulerDiscreteScheduler(shift=shift, prediction_type=prediction_type)
    theirs = diffusers.FlowMatchEulerDiscreteScheduler(shift=shift)
    ours.set_timesteps(steps)
    theirs.set_timesteps(sigmas=np.linspace(1.0, 1 / steps, steps).tolist())  # as its pipelines do
    torch.testing.assert_close(ours.sigmas[ours.timesteps], theirs.sigmas[:-1], atol=0, rtol=1e-6)
    [x] = tensors(1, *SHAPE)
    y = x.clone()
    for t, their_t in zip(ours.timesteps, theirs.timesteps, strict=True):
        # diffusers has no prediction of x0; the velocity follows from it.
        velocity = fake_model(y, int(t))
        if prediction_type == "sample":
            velocity = (y - velocity) / ours.sigmas[t]
        x = ours.step(fake_model(x, int(t)), t, x).prev_sample
        y = theirs.step(velocity, their_t, y).prev_sample
        torch.testing.assert_close(x, y, atol=1e-5, rtol=1e-5)
    assert x.abs().max() > 0.01  # the comparison was about something


@SHIFTS
def test_noise_against_diffusers(shift: float) -> None:
    ours = FlowMatchEulerDiscreteScheduler(num_train_timesteps=200, shift=shift)
    theirs = diffusers.FlowMatchEulerDiscreteScheduler(num_train_timesteps=200, shift=shift)
    torch.testing.assert_close(ours.sigmas.flip(0), theirs.sigmas, atol=0, rtol=1e-6)
    x0, noise = tensors(2, 3, *SHAPE[1:])
    t = torch.tensor([199, 57, 0])
    expected = theirs.scale_noise(x0, theirs.timesteps[199 - t], noise)
    torch.testing.assert_close(ours.add_noise(x0, noise, t), expected)


@settings(max_examples=25, deadline=None)
@given(
    t=st.integers(0, 999),
    shift=st.floats(0.2, 8.0),
    prediction_type=st.sampled_from(["flow_prediction", "sample"]),
    seed=st.integers(0, 2**16),
)
def test_the_exact_prediction_brings_x0_back(t: int, shift: float, prediction_type: str, seed: int) -> None:
    x0, noise = tensors(2, *SHAPE, seed=seed)
    made = FlowMatchEulerDiscreteScheduler(shift=shift, prediction_type=prediction_type)
    t_B = torch.full(SHAPE[:1], t)
    x_t = made.add_noise(x0, noise, t_B)
    exact = x0 if prediction_type == "sample" else made.get_velocity(x0, noise, t_B)
    for timestep in (t, torch.tensor(t), t_B):
        torch.testing.assert_close(made.predict_original_sample(exact, timestep, x_t), x0, atol=1e-5, rtol=1e-5)
        # At little noise x_t - x0 is a small difference of large numbers.
        back = made.from_original_sample(x0, timestep, x_t)
        torch.testing.assert_close(back * made.sigmas[t], exact * made.sigmas[t], atol=1e-5, rtol=1e-5)


@settings(max_examples=25, deadline=None)
@given(
    steps=st.integers(1, 60),
    shift=st.floats(0.2, 8.0),
    prediction_type=st.sampled_from(["flow_prediction", "sample"]),
    seed=st.integers(0, 2**16),
)
def test_any_number_of_exact_steps_ends_at_x0(steps: int, shift: float, prediction_type: str, seed: int) -> None:
    x0, noise = tensors(2, *SHAPE, seed=seed)
    made = FlowMatchEulerDiscreteScheduler(num_train_timesteps=60, shift=shift, prediction_type=prediction_type)
    made.set_timesteps(steps)
    assert (len(made.timesteps), int(made.timesteps[0])) == (steps, 59)
    x = noise * made.init_noise_sigma
    for t in made.timesteps:
        torch.testing.assert_close(x, made.add_noise(x0, noise, t), atol=1e-5, rtol=1e-5)
        x = made.step(x0 if prediction_type == "sample" else noise - x0, t, x).prev_sample
    torch.testing.assert_close(x, x0, atol=1e-5, rtol=1e-5)


@SHIFTS
def test_what_the_denoiser_sees_is_variance_preserving(shift: float) -> None:
    made = FlowMatchEulerDiscreteScheduler(shift=shift)
    x0, noise = tensors(2, 4, 3, 4)
    t = torch.tensor([0, 300, 998, 999])
    seen = made.scale_model_input(made.add_noise(x0, noise, t), t)
    share = made.alphas_cumprod[t].view(-1, 1, 1)
    # 1 - share has few digits left at t = 0.
    torch.testing.assert_close(seen, share.sqrt() * x0 + (1 - share).sqrt() * noise, atol=1e-4, rtol=1e-5)
    assert made.alphas_cumprod[-1] == 0
    torch.testing.assert_close(seen[-1], noise[-1])
    torch.testing.assert_close(made.scale_model_input(made.add_noise(x0, noise, 300), 300)[1], seen[1])


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
def test_samples_keep_their_type(dtype: torch.dtype) -> None:
    x, out = (tensor.to(dtype) for tensor in tensors(2, 2, 3, 4))
    made = FlowMatchEulerDiscreteScheduler()
    made.set_timesteps(4)
    t = made.timesteps[1]
    step, t_B = made.step(out, t, x), torch.tensor([3, 5])
    results = [step.prev_sample, step.pred_original_sample, made.add_noise(x, out, t_B)]
    results += [made.scale_model_input(x, t), made.scale_model_input(x, t_B)]
    assert {result.dtype for result in results} == {dtype}


def test_configurations_of_its_own_and_of_diffusers_can_be_read() -> None:
    made = FlowMatchEulerDiscreteScheduler(num_train_timesteps=77, shift=2.5, prediction_type="sample")
    again = FlowMatchEulerDiscreteScheduler.from_config(json.loads(json.dumps(made.config)))
    assert again.config == made.config
    assert torch.equal(again.sigmas, made.sigmas)
    theirs = diffusers.FlowMatchEulerDiscreteScheduler(num_train_timesteps=300, shift=3.0)
    read = FlowMatchEulerDiscreteScheduler.from_config(theirs.config)
    assert read.config == {"num_train_timesteps": 300, "shift": 3.0, "prediction_type": "flow_prediction"}


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        ({"num_train_timesteps": 0}, "num_train_timesteps is 0"),
        ({"shift": 0}, "shift is 0; it must be a number above 0"),
        ({"shift": float("nan")}, "shift is nan"),
        ({"prediction_type": "epsilon"}, "prediction_type is 'epsilon'; it must be one of flow_prediction, sample"),
        ({"stochastic_sampling": True}, "has no stochastic_sampling=True"),
        ({"beta_start": 1e-4}, "has no setting 'beta_start'"),
    ],
)
def test_wrong_settings_are_refused(wrong: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ConfigError, match=sentence):
        FlowMatchEulerDiscreteScheduler.from_config(wrong)


def test_misuse_is_refused() -> None:
    x, made = torch.zeros(1, 2, 2), FlowMatchEulerDiscreteScheduler(num_train_timesteps=50)
    with pytest.raises(ConfigError, match="1 to 50"):
        made.set_timesteps(51)
    with pytest.raises(ValueError, match="call set_timesteps"):
        made.step(x, 49, x)
    made.set_timesteps(10)
    with pytest.raises(ValueError, match="Timestep 48 is not among the 10"):
        made.step(x, 48, x)
    with pytest.raises(ValueError, match=r"Timestep 50 lies outside 0\.\.49"):
        made.add_noise(x, x, 50)
