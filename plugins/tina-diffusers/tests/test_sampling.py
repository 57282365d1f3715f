"""The samplers against diffusers itself, against the forward process, and against one another."""

from __future__ import annotations

import inspect
from typing import Any

import diffusers
import pytest
import torch
from torch import Tensor

from tina_diffusers import samplers
from tina_diffusers.adapter import DiffusersSampler
from tina_framework import registries
from tina_framework.errors import ConfigError

pytestmark = pytest.mark.filterwarnings("ignore:__array:DeprecationWarning")

SAMPLERS: list[type[DiffusersSampler]] = [getattr(samplers, name) for name in samplers.__all__]
PREDICTION_TYPES = ["sample", "epsilon", "v_prediction"]
SHAPE = (2, 5, 7)
PROCESS = {"num_train_timesteps": 1000, "beta_start": 1e-4, "beta_end": 0.02}

every_sampler = pytest.mark.parametrize("sampler", SAMPLERS, ids=lambda cls: cls.__name__)
every_prediction = pytest.mark.parametrize("prediction_type", PREDICTION_TYPES)


def noise(seed: int = 0) -> Tensor:
    return torch.randn(SHAPE, generator=torch.Generator().manual_seed(seed))


def fake_x0(x: Tensor, t: int) -> Tensor:
    """Return a made-up forecast of x0, which depends on the sample and on the timestep."""
    return 0.3 * x + 0.1 * torch.cos(torch.arange(x[0].numel()).view(x.shape[1:]) + t / 100)


def rates(made: Any, t: int) -> tuple[Tensor, Tensor]:
    return made.alphas_cumprod[t].sqrt(), (1 - made.alphas_cumprod[t]).sqrt()


def prediction(kind: str, x0: Tensor, x: Tensor, signal: Tensor, sigma: Tensor) -> Tensor:
    """Return the prediction of that type which implies x0."""
    return {"sample": x0, "epsilon": (x - signal * x0) / sigma, "v_prediction": (signal * x - x0) / sigma}[kind]


def generators(start: int) -> list[torch.Generator]:
    return [torch.Generator().manual_seed(start + row) for row in range(SHAPE[0])]


def ours(made: DiffusersSampler, steps: int) -> list[Tensor]:
    """Return x_t before each step, and the end."""
    made.set_timesteps(steps)
    path, draws = [noise()], generators(5)
    for t in made.timesteps:
        x = path[-1]
        said = prediction(made.config["prediction_type"], fake_x0(x, int(t)), x, *rates(made, int(t)))
        path.append(made.step(said, t, x, generator=draws).prev_sample)
    return path


def theirs(cls: type[DiffusersSampler], kind: str, steps: int) -> list[Tensor]:
    """Return the same from diffusers called directly, converted to our coordinates."""
    if cls is samplers.FlowMatchEuler:
        return flow(steps)
    known = inspect.signature(getattr(diffusers, cls.scheduler).__init__).parameters
    if cls is samplers.EulerAncestral and kind == "sample":
        kind = "epsilon"
    settings = PROCESS | cls.fixed | {"prediction_type": kind, "timestep_spacing": "trailing"}
    made = getattr(diffusers, cls.scheduler)(**{k: v for k, v in settings.items() if k in known})
    if cls is samplers.DPMSolverSinglestep:  # it knows no "trailing"
        made.set_timesteps(timesteps=[round(1000 - number * 1000 / steps) - 1 for number in range(steps)])
    else:
        made.set_timesteps(steps)
    exploding = cls in (samplers.Euler, samplers.EulerAncestral)
    scales = [rates(made, int(t))[0] if exploding else torch.tensor(1.0) for t in made.timesteps]
    x, path, draws = noise() / scales[0], [noise()], generators(5)
    extra = {"generator": draws} if "generator" in inspect.signature(made.step).parameters else {}
    for t, scale in zip(made.timesteps, [*scales[1:], torch.tensor(1.0)], strict=True):
        seen = made.scale_model_input(x, t)
        said = prediction(kind, fake_x0(seen, int(t)), seen, *rates(made, int(t)))
        x = made.step(said, t, x, **extra).prev_sample
        path.append(x * scale)
    return path


def flow(steps: int) -> list[Tensor]:
    """Flow matching at the noise levels of the sampler's own timesteps."""
    own = samplers.FlowMatchEuler()
    own.set_timesteps(steps)
    units = [sum(rates(own, int(t))) for t in own.timesteps]
    levels = [float(rates(own, int(t))[1] / unit) for t, unit in zip(own.timesteps, units, strict=True)]
    made = diffusers.FlowMatchEulerDiscreteScheduler()
    made.set_timesteps(sigmas=levels)
    x, path = noise() / units[0], [noise()]
    following = [*units[1:], torch.tensor(1.0)]
    for t, theirs_t, level, unit, after in zip(own.timesteps, made.timesteps, levels, units, following, strict=True):
        x0 = fake_x0(x * unit, int(t))
        x = made.step((x - x0) / level, theirs_t, x).prev_sample
        path.append(x * after)
    return path


@pytest.mark.parametrize("steps", [2, 5, 20])
@every_prediction
@every_sampler
def test_as_diffusers_called_directly(sampler: type[DiffusersSampler], prediction_type: str, steps: int) -> None:
    found, expected = ours(sampler(prediction_type=prediction_type), steps), theirs(sampler, prediction_type, steps)
    if sampler in (samplers.DEIS, samplers.SASolver):
        # The last step of these two leads to the noise level of t = 0 in diffusers, and to x0 here.
        end, expected = found.pop(), expected[:-1]
        torch.testing.assert_close(end, fake_x0(found[-1], round(1000 / steps) - 1), atol=2e-4, rtol=2e-4)
    assert len(found) == len(expected)
    for a, b in zip(found, expected, strict=True):
        torch.testing.assert_close(a, b, atol=2e-4, rtol=2e-4)
    assert float((found[-1] - found[0]).abs().max()) > 0.1  # the comparison was about something


@pytest.mark.parametrize("steps", [3, 10])
@every_prediction
@every_sampler
def test_a_perfect_denoiser_stays_on_the_forward_process(
    sampler: type[DiffusersSampler], prediction_type: str, steps: int
) -> None:
    """After every step, x_t holds as much of x0 as `alphas_cumprod` says."""
    made, x0, start = sampler(prediction_type=prediction_type), 3 * noise(1), noise()
    deterministic = sampler not in (samplers.DPMSolverMultistepSDE, samplers.SASolver, samplers.EulerAncestral)
    rows = 1 if deterministic else 4000  # a stochastic one keeps to it on average
    x0, start = x0.repeat(rows, 1, 1), torch.randn(2 * rows, 5, 7, generator=torch.Generator().manual_seed(0))
    draws = torch.Generator().manual_seed(1)
    made.set_timesteps(steps)
    x = made.add_noise(x0, start, torch.full((len(x0),), 999))
    for t, following in zip(made.timesteps.tolist(), made.timesteps.tolist()[1:], strict=False):
        x = made.step(prediction(prediction_type, x0, x, *rates(made, t)), t, x, generator=draws).prev_sample
        signal, sigma = rates(made, following)
        left = (x - signal * x0) / sigma
        if deterministic:
            torch.testing.assert_close(left, start, atol=2e-3, rtol=2e-3)
        else:
            assert float(left.mean().abs()) < 0.02
            assert float(left.std()) == pytest.approx(1.0, abs=0.02)


@pytest.mark.parametrize("name", ["linear", "scaled_linear", "squaredcos_cap_v2"])
@every_sampler
def test_beta_schedules_are_those_of_the_built_in(sampler: type[DiffusersSampler], name: str) -> None:
    made, built_in = sampler(beta_schedule=name), registries().schedulers.create("ddim", beta_schedule=name)
    torch.testing.assert_close(made.alphas_cumprod, built_in.alphas_cumprod, atol=0, rtol=1e-6)
    t = torch.tensor([0, 999])
    torch.testing.assert_close(made.add_noise(noise(), noise(1), t), built_in.add_noise(noise(), noise(1), t))
    torch.testing.assert_close(made.get_velocity(noise(), noise(1), t), built_in.get_velocity(noise(), noise(1), t))


@every_prediction
@pytest.mark.parametrize("steps", [1, 4, 20])
def test_euler_is_ddim(steps: int, prediction_type: str) -> None:
    """It takes the same step in other coordinates, as the README says."""
    ddim = registries().schedulers.create("ddim", prediction_type=prediction_type)
    for a, b in zip(ours(samplers.Euler(prediction_type=prediction_type), steps), ours(ddim, steps), strict=True):
        torch.testing.assert_close(a, b, atol=2e-4, rtol=2e-4)


def test_flow_matching_is_ddim_at_other_timesteps() -> None:
    """It differs from ddim in its timesteps alone."""
    made = samplers.FlowMatchEuler()
    path = ours(made, 8)
    assert made.timesteps.tolist() != list(range(999, -1, -125))
    for t, following, x, after in zip(
        made.timesteps.tolist(), made.timesteps.tolist()[1:], path, path[1:], strict=False
    ):
        (signal, sigma), (less, more) = rates(made, t), rates(made, following)
        x0 = fake_x0(x, t)
        torch.testing.assert_close(after, less * x0 + more * (x - signal * x0) / sigma, atol=1e-4, rtol=1e-4)


def test_flow_matching_takes_equal_steps_of_its_noise_level() -> None:
    made = samplers.FlowMatchEuler()
    for steps in (1, 2, 5, 16):
        made.set_timesteps(steps)
        levels = torch.tensor([float(rates(made, t)[1] / sum(rates(made, t))) for t in made.timesteps.tolist()])
        torch.testing.assert_close(levels, levels[0] * (1 - torch.arange(steps) / steps), atol=3e-3, rtol=0)


@every_sampler
def test_timesteps_for_every_number_of_steps(sampler: type[DiffusersSampler]) -> None:
    made = sampler(num_train_timesteps=300)
    for steps in range(1, 301):
        made.set_timesteps(steps)
        chosen = made.timesteps
        assert chosen.dtype == torch.int64
        assert len(chosen) == steps
        assert int(chosen[0]) == 299
        assert int(chosen[-1]) >= 0
        assert bool((chosen.diff() < 0).all())


@every_sampler
def test_with_one_timestep_too_many_in_diffusers_it_still_ends_at_x0(sampler: type[DiffusersSampler]) -> None:
    """numpy.arange(1000, 0, -1000 / 49) has 50 entries."""
    made = sampler()
    path = ours(made, 49)
    assert len(path) == 50
    torch.testing.assert_close(path[-1], fake_x0(path[-2], int(made.timesteps[-1])))


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"clip_sample": True}, "clip_sample is True; weights are not pixels and must not be cut off"),
        ({"thresholding": True}, "thresholding is True; weights are not pixels"),
        ({"clip_sample": 1}, "clip_sample is 1"),
        ({"num_train_timesteps": 0}, "num_train_timesteps is 0"),
        ({"num_train_timesteps": 10.0}, "num_train_timesteps is 10.0"),
        ({"beta_start": 0.03}, "beta_start=0.03"),
        ({"beta_schedule": "sigmoid"}, "beta_schedule is 'sigmoid'"),
        ({"prediction_type": "flow_prediction"}, "prediction_type is 'flow_prediction'"),
        ({"clip_samples": False}, "has no setting 'clip_samples'. Did you mean 'clip_sample'"),
    ],
)
def test_refusals(settings: dict[str, Any], sentence: str) -> None:
    for name in ("unipc", "euler", "flow-match-euler-vp"):
        with pytest.raises(ConfigError) as caught:
            registries().schedulers.create(name, **settings)
        assert sentence in str(caught.value)
        assert "\n" not in str(caught.value)


@every_sampler
def test_nothing_of_diffusers_is_left_switched_on(sampler: type[DiffusersSampler]) -> None:
    config = dict(sampler().inner.config)
    assert not config.get("clip_sample")
    assert not config.get("thresholding")
    assert not config.get("use_karras_sigmas")


def test_steps_that_cannot_be_taken() -> None:
    made = samplers.UniPC()
    with pytest.raises(ValueError, match="not among those that set_timesteps chose"):
        made.step(noise(), 999, noise())
    for steps in (0, 1001):
        with pytest.raises(ConfigError, match=f"num_inference_steps is {steps}"):
            made.set_timesteps(steps)
    made.set_timesteps(4)
    with pytest.raises(ValueError, match="Timestep 3 is not among"):
        made.step(noise(), 3, noise())
