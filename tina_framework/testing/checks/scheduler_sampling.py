"""How a noise scheduler samples: a perfect denoiser leads to x0, nothing is clipped, and instances share no state."""

from __future__ import annotations

import copy
import inspect
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from tina_framework.interfaces.noise_process import process_sampled_by
from tina_framework.interfaces.scheduler import NoiseScheduler
from tina_framework.testing.checks._randomness import normal, seeded
from tina_framework.testing.checks.scheduler import (
    PREDICTION_TYPES,
    SchedulerFactory,
    check_add_noise,
    check_settings,
    check_timesteps,
    kinds,
)
from tina_framework.testing.findings import guarded, needs, require

__all__ = [
    "check_instances_are_independent",
    "check_no_clipping",
    "check_oracle",
    "check_randomness",
    "check_rows_are_independent",
    "check_shape_and_dtype",
    "check_step_runs",
    "check_training_input",
]

Predict = Callable[[Tensor, int, int], Tensor]
"""(scaled sample, timestep, number of the step) -> the prediction of a denoiser."""


def sample(made: NoiseScheduler, predict: Predict, start: Tensor, steps: int, generator: Any = None) -> list[Tensor]:
    """Return the samples after each step of a whole run, `start` first."""
    made.set_timesteps(steps)
    extra = {"generator": generator} if "generator" in inspect.signature(made.step).parameters else {}
    path = [start * float(made.init_noise_sigma)]
    for number, t in enumerate(made.timesteps):
        prediction = predict(made.scale_model_input(path[-1], t), int(t), number)
        path.append(made.step(prediction, t, path[-1], **extra).prev_sample)
    return path


def generators(rows: Sequence[int]) -> list[torch.Generator]:
    """Return one random generator for each row."""
    return [torch.Generator().manual_seed(100 + row) for row in rows]


def oracle(made: NoiseScheduler, x0: Tensor) -> Predict:
    """Return a denoiser that knows x0 and predicts it in the scheduler's prediction type."""
    share_T = torch.as_tensor(made.alphas_cumprod)
    kind = dict(made.config)["prediction_type"]

    def predict(scaled: Tensor, t: int, number: int) -> Tensor:
        signal, sigma = share_T[t].sqrt(), (1 - share_T[t]).sqrt()
        noise = (scaled - signal * x0) / sigma
        said = {
            "sample": x0,
            "epsilon": noise,
            "v_prediction": signal * noise - sigma * x0,
            "flow_prediction": noise - x0,
        }
        return said[kind].to(scaled.dtype)

    return predict


def _fixed(scaled: Tensor, t: int, number: int) -> Tensor:
    """Return a prediction that depends on the step alone, the same for every row."""
    return normal(*scaled.shape[1:], seed=50 + number, dtype=scaled.dtype).expand(scaled.shape).contiguous()


@needs(check_timesteps)
def check_step_runs(scheduler: SchedulerFactory, *, steps: Sequence[int] = (1, 4, 10)) -> None:
    """A run of any length goes through and stays finite; `step` leaves its arguments alone."""
    for number in steps:
        with guarded(
            f"A run of {number} steps failed",
            "This is how generators sample.",
            "Let step(model_output, timestep, sample) return an object with prev_sample.",
        ):
            path = sample(scheduler(), _fixed, normal(2, 3, 4), number, generators([0, 1]))
        require(
            all(bool(torch.isfinite(x).all()) for x in path),
            f"A run of {number} steps gives values that are not finite.",
            "Generated weights must be numbers.",
            "Look for a division by zero at the first or last timestep.",
        )
    made = scheduler()
    made.set_timesteps(4)
    x, prediction = normal(2, 3, 4), normal(2, 3, 4, seed=1)
    x_before, prediction_before = x.clone(), prediction.clone()
    with seeded(0):
        made.step(prediction, made.timesteps[0], x)
    require(
        torch.equal(x, x_before) and torch.equal(prediction, prediction_before),
        "step changed the sample or the prediction it was given.",
        "The caller still uses them.",
        "Compute out of place.",
    )


@needs(check_step_runs, check_settings, check_add_noise)
def check_training_input(scheduler: SchedulerFactory, *, seed: int = 0) -> None:
    """The denoiser is shown the same in sampling as in training, which takes its noisy samples from the noise process."""
    total = int(dict(scheduler().config)["num_train_timesteps"])
    x0, noise = normal(2, 3, 4, seed=seed), normal(2, 3, 4, seed=seed + 1)
    for place in (0, total // 2, total - 1):
        made = scheduler()  # a fresh one: some schedulers count the calls of scale_model_input
        made.set_timesteps(total)
        t = made.timesteps[place]
        steps = torch.full((2,), int(t))
        with guarded(
            "The scheduler's noise process cannot be made",
            "Training makes it from `config`.",
            "Put the settings of the noise process into `config`, under diffusers' names.",
        ):
            process = process_sampled_by(made)
        expected = process.scale_model_input(process.add_noise(x0, noise, steps), steps)
        with guarded(
            "scale_model_input failed", "The denoiser is shown what it returns.", "Take one timestep for all rows."
        ):
            found = made.scale_model_input(made.add_noise(x0, noise, steps), t)
        require(
            found.shape == expected.shape and torch.allclose(found, expected, rtol=1e-3, atol=2e-3),
            f"At timestep {int(t)} scale_model_input(add_noise(x0, noise)) differs by "
            f"{float((found - expected).abs().max()) if found.shape == expected.shape else float('nan'):.3g} "
            "from what training shows the denoiser.",
            "A denoiser is only good at inputs like those of its training.",
            "Scale x_t to unit variance: return sqrt(a_t) x0 + sqrt(1 - a_t) noise with a_t = alphas_cumprod[t].",
        )


@needs(check_step_runs)
def check_shape_and_dtype(scheduler: SchedulerFactory) -> None:
    """Samples keep their shape and type through scaling, noising and stepping."""
    for shape, dtype in (((2, 3, 4), torch.float32), ((1, 5), torch.float32), ((2, 3, 4), torch.float64)):
        made = scheduler()
        x = normal(*shape, dtype=dtype)
        made.set_timesteps(4)
        t = made.timesteps[0]
        results = {
            "scale_model_input": made.scale_model_input(x, t),
            "step": _stepped(made, x, t),
            "add_noise": made.add_noise(x, x, torch.full((shape[0],), int(t))),
        }
        for name, result in results.items():
            require(
                tuple(result.shape) == shape and result.dtype == dtype,
                f"{name} turns {shape} of {dtype} into {tuple(result.shape)} of {result.dtype}.",
                "Tokens of any shape and type are sampled.",
                "Convert coefficients to the sample's type and shape them to broadcast; do not squeeze.",
            )


def _stepped(made: NoiseScheduler, x: Tensor, t: Tensor) -> Tensor:
    with seeded(0):
        result: Tensor = made.step(x, t, x).prev_sample
    return result


@needs(check_step_runs, check_settings, check_training_input)
def check_oracle(
    scheduler: SchedulerFactory,
    *,
    prediction_types: Sequence[str] = PREDICTION_TYPES,
    steps: Sequence[int] = (1, 4, 10),
    tolerance: float = 5e-3,
    seed: int = 0,
) -> None:
    """A denoiser that always knows x0 leads to x0, whatever it predicts and however many steps are taken.

    `seed` chooses x0 and the noise; `tolerance` is the difference allowed, for values of about 0.5.
    """
    x0 = normal(2, 3, 4, seed=seed).clamp(-0.9, 0.9)  # check_no_clipping tries values beyond 1
    for prediction_type in kinds(prediction_types, scheduler().noise_process):
        for number in steps:
            made = scheduler(prediction_type=prediction_type)
            end = sample(made, oracle(made, x0), normal(2, 3, 4, seed=seed + 1), number, generators([0, 1]))[-1]
            error = float((end - x0).abs().max())
            require(
                error <= tolerance,
                f"With prediction_type='{prediction_type}' and {number} steps, sampling with a perfect denoiser ends "
                f"{error:.3g} away from x0 (allowed: {tolerance}).",
                "No denoiser could then give the right weights.",
                "Check the conversion of predictions to x0, and that the last step ends at a = 1 (no noise left).",
            )


@needs(check_step_runs)
def check_no_clipping(scheduler: SchedulerFactory) -> None:
    """Nothing is clipped, because weights are not limited to a range as pixels are."""
    config = dict(scheduler().config)
    on = [name for name in ("clip_sample", "thresholding") if config.get(name)]
    require(
        not on,
        f"`config` says {' and '.join(f'{name}=True' for name in on)}.",
        "Weights beyond 1 are cut off.",
        "Make False the default.",
    )
    # Without clipping a run is affine in (start, predictions), so runs at scales 0.05 and 5 determine the run at 50.
    ends = []
    for scale in (0.05, 5.0, 50.0):

        def predict(scaled: Tensor, t: int, number: int, scale: float = scale) -> Tensor:
            return _fixed(scaled, t, number) * scale

        with seeded(0):
            ends.append(sample(scheduler(), predict, normal(2, 3, 4) * scale, 4, generators([0, 1])))
    for number, (small, large, huge) in enumerate(zip(*ends, strict=True)):
        expected = small + (large - small) * (50.0 - 0.05) / (5.0 - 0.05)
        error = float((huge - expected).abs().max())
        require(
            error <= 1e-2 * float(expected.abs().max()),
            f"After step {number} large values are not treated as small ones are (difference {error:.3g} at values of "
            f"{float(expected.abs().max()):.3g}).",
            "Samples are clipped, thresholded or rescaled, which destroys weights.",
            "Switch clip_sample, thresholding and the like off; clamp neither x0 nor the sample.",
        )


@needs(check_step_runs)
def check_randomness(scheduler: SchedulerFactory, *, stochastic: bool | None = None) -> None:
    """Random numbers come from `generator` alone.

    `stochastic`: True: it must draw; False: it must not; None: either.
    """
    rows = [0, 1, 2]
    plain, reseeded, redrawn = _third(scheduler, rows, 0), _third(scheduler, rows, 1), _third(scheduler, rows, 0, 10)
    require(
        torch.equal(plain, reseeded),
        "The same generators give another sample under another global seed.",
        "A seed promises the same model.",
        "Take a keyword `generator` and draw from it only; draw nothing without need.",
    )
    draws = not torch.equal(plain, redrawn)
    require(
        stochastic is None or draws == stochastic,
        f"The scheduler is said to be {'stochastic' if stochastic else 'deterministic'}, but other generators "
        f"{'change' if draws else 'do not change'} the sample.",
        "Users rely on the flag.",
        f"Set stochastic = {draws}, or change `step`.",
    )


@needs(check_randomness)
def check_instances_are_independent(scheduler: SchedulerFactory) -> None:
    """Two schedulers share no state, and neither do a scheduler and its copy."""
    start = normal(2, 3, 4)
    alone = torch.stack(sample(scheduler(), _fixed, start, 4, generators([0, 1])))
    first, second = scheduler(), scheduler()

    def interrupted(scaled: Tensor, t: int, number: int) -> Tensor:
        for other in (second, copy.deepcopy(first)):
            sample(other, _fixed, start * 2, 3, generators([2, 3]))
        return _fixed(scaled, t, number)

    with guarded(
        "A run fails when another scheduler is used meanwhile",
        "Validation samples while training goes on.",
        "Keep timesteps and step counters in the instance, never in the class or module; allow copy.deepcopy.",
    ):
        beside = torch.stack(sample(first, interrupted, start, 4, generators([0, 1])))
    require(
        torch.equal(alone, beside),
        f"A run gives another result when another scheduler is used meanwhile "
        f"(difference {float((alone - beside).abs().max()):.3g}).",
        "Validation samples while training goes on.",
        "Keep timesteps, histories and step counters in the instance, never in the class or module.",
    )


@needs(check_randomness, check_shape_and_dtype)
def check_rows_are_independent(scheduler: SchedulerFactory) -> None:
    """A row is sampled the same alone and in a batch; `generator` may be a list, one for each row."""
    whole = _third(scheduler, [0, 1, 2], 0)
    for row in range(3):
        alone = _third(scheduler, [row], 0)[0]
        require(
            torch.allclose(alone, whole[row], rtol=1e-4, atol=1e-5),
            f"Row {row} is sampled differently alone than in a batch of 3 "
            f"(difference {float((alone - whole[row]).abs().max()):.3g}).",
            "A seed promises the same model alone or in a batch.",
            "Draw each row's noise from its own generator, and mix nothing over rows.",
        )


def _third(scheduler: SchedulerFactory, rows: list[int], seed: int, offset: int = 0) -> Tensor:
    """Return the samples after two of four steps, because the last step may depend on nothing but the prediction."""
    with seeded(seed):
        draws = generators([row + offset for row in rows])
        return sample(scheduler(), _fixed, normal(3, 4, 5)[rows], 4, draws)[2]
