"""What holds for ddpm and ddim alike, with and without diffusers."""

from __future__ import annotations

import json

import diffusers
import pytest
import torch

from tests.builtins.schedulers.loops import SHAPE, SPACINGS, compare_loops
from tina_framework.builtins.schedulers.ddim import DDIMScheduler
from tina_framework.builtins.schedulers.ddpm import DDPMScheduler
from tina_framework.errors import ConfigError

BOTH = pytest.mark.parametrize("scheduler", [DDPMScheduler, DDIMScheduler])


PREDICTION_TYPES = pytest.mark.parametrize("prediction_type", ["sample", "epsilon", "v_prediction"])


@pytest.mark.parametrize("beta_schedule", ["linear", "scaled_linear", "squaredcos_cap_v2"])
@pytest.mark.parametrize(
    ("ours", "theirs"), [(DDPMScheduler, diffusers.DDPMScheduler), (DDIMScheduler, diffusers.DDIMScheduler)]
)
def test_beta_schedules_noise_and_velocity(ours, theirs, beta_schedule: str) -> None:
    a = ours(num_train_timesteps=200, beta_start=1e-3, beta_end=0.05, beta_schedule=beta_schedule)
    b = theirs.from_config(a.config)
    torch.testing.assert_close(a.betas, b.betas, atol=0, rtol=1e-6)
    torch.testing.assert_close(a.alphas_cumprod, b.alphas_cumprod, atol=0, rtol=1e-6)
    x0, noise = torch.randn(2, *SHAPE, generator=torch.Generator().manual_seed(0))
    for t in (torch.tensor([0, 199]), torch.tensor([57, 3])):
        torch.testing.assert_close(a.add_noise(x0, noise, t), b.add_noise(x0, noise, t))
        torch.testing.assert_close(a.get_velocity(x0, noise, t), b.get_velocity(x0, noise, t))
    compare_loops(a, b, 10)


@pytest.mark.parametrize("spacing", SPACINGS)
@pytest.mark.parametrize("scheduler", [DDPMScheduler, DDIMScheduler])
def test_timesteps_for_every_step_count(scheduler, spacing: str) -> None:
    ours = scheduler(timestep_spacing=spacing)
    theirs = diffusers.DDPMScheduler.from_config(ours.config)
    for steps in range(1, 1001):
        ours.set_timesteps(steps)
        theirs.set_timesteps(steps)
        # diffusers gives one too many, ending in -1, for some counts with trailing spacing.
        assert ours.timesteps.tolist() == theirs.timesteps.tolist()[:steps]
        assert len(ours.timesteps) == steps
        assert int(ours.timesteps[-1]) >= 0


@pytest.mark.parametrize(
    ("ours", "theirs"), [(DDPMScheduler, diffusers.DDPMScheduler), (DDIMScheduler, diffusers.DDIMScheduler)]
)
def test_a_diffusers_configuration_can_be_read(ours, theirs) -> None:
    built = ours.from_config(theirs(clip_sample=False, prediction_type="v_prediction", num_train_timesteps=300).config)
    assert built.config["prediction_type"] == "v_prediction"
    assert built.config["timestep_spacing"] == "leading"
    assert len(built.alphas_cumprod) == 300


def tensors(count: int, *shape: int) -> list[torch.Tensor]:
    return list(torch.randn(count, *shape, generator=torch.Generator().manual_seed(0)))


@BOTH
@PREDICTION_TYPES
@pytest.mark.parametrize("spacing", ["trailing", "leading", "linspace"])
@pytest.mark.parametrize("steps", [1, 7, 50])
def test_an_oracle_ends_at_the_truth(scheduler, prediction_type: str, spacing: str, steps: int) -> None:
    x0, x = tensors(2, 3, 4, 6)
    sampler = scheduler(prediction_type=prediction_type, timestep_spacing=spacing)
    sampler.set_timesteps(steps)
    for t in sampler.timesteps:
        out = sampler.step(sampler.from_original_sample(x0, t, x), t, x, generator=torch.Generator().manual_seed(1))
        x = out.prev_sample
    torch.testing.assert_close(x, x0, atol=2e-3 if prediction_type == "epsilon" else 1e-4, rtol=1e-3)


@BOTH
@PREDICTION_TYPES
def test_predictions_and_originals_are_two_ways_of_saying_the_same(scheduler, prediction_type: str) -> None:
    x0, noise = tensors(2, 5, 3, 4)
    sampler = scheduler(prediction_type=prediction_type)
    t = torch.tensor([0, 1, 250, 700, 999])
    x_t = sampler.add_noise(x0, noise, t)
    prediction = sampler.from_original_sample(x0, t, x_t)
    expected = {"sample": x0, "epsilon": noise, "v_prediction": sampler.get_velocity(x0, noise, t)}[prediction_type]
    torch.testing.assert_close(prediction, expected, atol=1e-3, rtol=1e-3)
    torch.testing.assert_close(sampler.predict_original_sample(prediction, t, x_t), x0, atol=1e-4, rtol=1e-4)
    one = sampler.predict_original_sample(prediction[2:3], 250, x_t[2:3])
    torch.testing.assert_close(one, sampler.predict_original_sample(prediction, t, x_t)[2:3])


@BOTH
def test_sampling_starts_at_pure_noise_by_default(scheduler) -> None:
    sampler = scheduler()
    for steps in (1, 3, 50, 61, 1000):
        sampler.set_timesteps(steps)
        assert int(sampler.timesteps[0]) == 999
        assert len(sampler.timesteps) == steps
        assert bool((sampler.timesteps.diff() < 0).all())
        assert int(sampler.timesteps[-1]) >= 0


@BOTH
def test_noise_of_a_row_does_not_depend_on_its_neighbours(scheduler) -> None:
    x, out = tensors(2, 3, 4, 6)
    sampler = scheduler()
    sampler.set_timesteps(10)
    eta = {"eta": 1.0} if scheduler is DDIMScheduler else {}

    def step(rows: list[int]) -> torch.Tensor:
        made = [torch.Generator().manual_seed(100 + row) for row in rows]
        return sampler.step(out[rows], 499, x[rows], generator=made, **eta).prev_sample

    together = step([0, 1, 2])
    assert not torch.equal(together[0] - x[0], together[1] - x[1])
    for row in range(3):
        assert torch.equal(step([row])[0], together[row])
    with pytest.raises(ValueError, match="2 random generators for a batch of 3"):
        sampler.step(out, 499, x, generator=[torch.Generator(), torch.Generator()], **eta)


@BOTH
@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
def test_samples_keep_their_type(scheduler, dtype: torch.dtype) -> None:
    x, out = (tensor.to(dtype) for tensor in tensors(2, 2, 3, 4))
    sampler = scheduler(prediction_type="v_prediction")
    sampler.set_timesteps(4)
    step = sampler.step(out, sampler.timesteps[1], x, generator=torch.Generator().manual_seed(0))
    assert step.prev_sample.dtype == dtype
    assert step.pred_original_sample.dtype == dtype
    assert sampler.add_noise(x, out, torch.tensor([3, 5])).dtype == dtype


@BOTH
def test_configuration_goes_through_json_and_to_the_other_sampler(scheduler) -> None:
    sampler = scheduler(num_train_timesteps=77, beta_end=0.03, prediction_type="epsilon", timestep_spacing="leading")
    assert sampler.config.prediction_type == "epsilon"
    again = scheduler.from_config(json.loads(json.dumps(sampler.config)))
    assert again.config == sampler.config
    assert scheduler(**sampler.config).config == sampler.config
    other = (DDIMScheduler if scheduler is DDPMScheduler else DDPMScheduler).from_config(sampler.config)
    assert torch.equal(other.alphas_cumprod, sampler.alphas_cumprod)
    assert scheduler.from_config(sampler.config, prediction_type="sample").config["prediction_type"] == "sample"


@BOTH
@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"num_train_timesteps": 0}, "num_train_timesteps is 0"),
        ({"num_train_timesteps": 10.0}, "num_train_timesteps is 10.0"),
        ({"beta_start": 0.3, "beta_end": 0.2}, "beta_start=0.3 and beta_end=0.2"),
        ({"beta_schedule": "cosine"}, "beta_schedule is 'cosine'; it must be one of linear"),
        ({"prediction_type": "x0"}, "prediction_type is 'x0'; it must be one of sample"),
        ({"timestep_spacing": "even"}, "timestep_spacing is 'even'"),
        ({"clip_sample": True}, "clip_sample is true"),
        ({"thresholding": True}, "has no thresholding=True"),
        ({"karras": True}, "has no setting 'karras'"),
    ],
)
def test_wrong_settings_are_refused(scheduler, settings: dict, sentence: str) -> None:
    with pytest.raises(ConfigError, match=sentence):
        scheduler.from_config(settings)


@BOTH
@pytest.mark.parametrize("steps", [0, 51, -3, 2.0])
def test_impossible_step_counts_are_refused(scheduler, steps) -> None:
    with pytest.raises(ConfigError, match="1 to 50"):
        scheduler(num_train_timesteps=50).set_timesteps(steps)
