"""What every noise scheduler promises: its settings, its timesteps and its noise process.

What is checked is the *factory*: the class or function that is registered, called with settings. How it samples is checked
in `scheduler_sampling`. Shapes: B batch, T training timesteps, S sampling steps.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from tina_framework.interfaces.noise_process import BETA_SCHEDULES, NOISE_PROCESSES
from tina_framework.interfaces.scheduler import PROCESS_NAMES, NoiseScheduler
from tina_framework.testing.checks._randomness import normal
from tina_framework.testing.findings import guarded, needs, require

__all__ = [
    "PREDICTION_TYPES",
    "SchedulerFactory",
    "check_add_noise",
    "check_config_rebuilds",
    "check_interface",
    "check_settings",
    "check_timesteps",
    "kinds",
]

SchedulerFactory = Callable[..., NoiseScheduler]
PREDICTION_TYPES = ("sample", "epsilon", "v_prediction")
"""The default; a scheduler of rectified flow is tried with the prediction types of that process instead."""

_METHODS = ("set_timesteps", "scale_model_input", "add_noise", "step")


def check_interface(scheduler: SchedulerFactory) -> None:
    """The factory makes schedulers that have the attributes and methods of the contract."""
    require(
        callable(scheduler) and (isinstance(scheduler, type) or not hasattr(scheduler, "add_noise")),
        f"The thing to check is a finished {type(scheduler).__name__}.",
        "Runs need fresh instances, made with settings.",
        "Give the class or function that is registered, not an instance of it.",
    )
    with guarded(
        "The scheduler cannot be made", "It is made by name, also without settings.", "Give every setting a default."
    ):
        made = scheduler()
    missing = [name for name in _METHODS if not callable(getattr(made, name, None))]
    missing += [
        name for name in ("config", "timesteps", "alphas_cumprod", "init_noise_sigma") if not hasattr(made, name)
    ]
    require(
        not missing,
        f"{type(made).__name__} lacks {', '.join(missing)}.",
        "Sampling and training use it.",
        "Write the attributes and methods of tina_framework.interfaces.scheduler.NoiseScheduler.",
    )
    stated = getattr(made, "noise_process", None)
    require(
        stated in PROCESS_NAMES,
        f"The attribute noise_process of {type(made).__name__} is {stated!r}.",
        "Training asks the scheduler which noise process the denoiser is trained for.",
        f"Set it to one of {', '.join(map(repr, PROCESS_NAMES))}.",
    )
    with guarded("The configuration cannot be read", "Generators store it.", "Let `config` be a mapping."):
        config: Mapping[str, Any] = dict(made.config)
    lacking = [name for name in ("num_train_timesteps", "prediction_type") if name not in config]
    require(
        not lacking,
        f"`config` lacks {', '.join(lacking)}; it has {', '.join(sorted(config)) or 'nothing'}.",
        "They say which noise process a generator was trained for.",
        "Put every setting into `config`, under diffusers' names.",
    )
    cumprod, total = torch.as_tensor(made.alphas_cumprod), int(config["num_train_timesteps"])
    require(
        tuple(cumprod.shape) == (total,)
        and bool(((cumprod >= 0) & (cumprod <= 1)).all())
        and bool((cumprod.diff() < 0).all()),
        f"alphas_cumprod has the shape {tuple(cumprod.shape)} and goes from {float(cumprod[0]):.4g} to {float(cumprod[-1]):.4g}.",
        f"It is the share of signal left, in variance, at each of {total} timesteps.",
        "Make it (T,), falling, within 0 and 1.",
    )
    sigma = float(made.init_noise_sigma)
    require(
        0 < sigma < float("inf"),
        f"init_noise_sigma is {sigma}.",
        "Sampling starts from noise of this standard deviation.",
        "Make it positive and finite; 1.0 for variance-preserving processes.",
    )


@needs(check_interface)
def check_settings(scheduler: SchedulerFactory, *, prediction_types: Sequence[str] = PREDICTION_TYPES) -> None:
    """It takes the settings of its noise process, and uses them."""
    noise_process = scheduler().noise_process
    for prediction_type in kinds(prediction_types, noise_process):
        _check_setting(scheduler, {**_SETTINGS[noise_process], "prediction_type": prediction_type})
    first = {**_SETTINGS[noise_process], "prediction_type": kinds(prediction_types, noise_process)[0]}
    for beta_schedule in BETA_SCHEDULES if noise_process == "diffusion" else ():
        _check_setting(scheduler, {**first, "beta_schedule": beta_schedule})


_SETTINGS: Mapping[str, Mapping[str, Any]] = {
    "diffusion": {"num_train_timesteps": 60, "beta_start": 1e-3, "beta_end": 0.05, "beta_schedule": "linear"},
    "flow": {"num_train_timesteps": 60, "shift": 2.0},
}
"""Settings of each noise process that differ from the usual defaults."""

_FORMULAS = {
    "diffusion": "cumprod(1 - betas)",
    "flow": "(1 - s)^2 / ((1 - s)^2 + s^2) with s = shift u / (1 + (shift - 1) u), u = (t + 1) / T",
}


def _check_setting(scheduler: SchedulerFactory, settings: Mapping[str, Any]) -> None:
    with guarded(
        f"The scheduler cannot be made with {settings}",
        "A generator makes it with the noise process it was trained for.",
        "Take these settings as keyword arguments; list the prediction types it has in `prediction_types`.",
    ):
        made = scheduler(**settings)
    config = dict(made.config)
    wrong = [f"{name}={config.get(name)!r}" for name, value in settings.items() if config.get(name) != value]
    require(
        not wrong,
        f"Made with {settings}, `config` says {', '.join(wrong)}.",
        "A setting that is silently ignored gives wrong weights.",
        "Store settings as they are given.",
    )
    found = torch.as_tensor(made.alphas_cumprod).float()
    expected = NOISE_PROCESSES[made.noise_process](**settings).alphas_cumprod
    require(
        found.shape == expected.shape and torch.allclose(found, expected, atol=1e-4),
        f"Made with {settings}, alphas_cumprod does not follow from these settings.",
        "The denoiser was trained for that noise process.",
        f"Compute alphas_cumprod = {_FORMULAS[made.noise_process]} from the settings, or use "
        f"tina_framework.interfaces.noise_process.{NOISE_PROCESSES[made.noise_process].__name__}.",
    )


def kinds(prediction_types: Sequence[str], noise_process: str) -> Sequence[str]:
    """Return the prediction types to try: as given, or by default those of the noise process."""
    if noise_process == "flow" and tuple(prediction_types) == PREDICTION_TYPES:
        return NOISE_PROCESSES["flow"].prediction_types
    return prediction_types


@needs(check_interface)
def check_config_rebuilds(scheduler: SchedulerFactory) -> None:
    """Its configuration goes through JSON and makes the same scheduler (entries that begin with _ are not compared)."""
    made = scheduler()
    config = _public(made)
    with guarded(
        f"The scheduler cannot be made again from its configuration {config}",
        "Loading a generator does this.",
        "Store plain values, and take each as a keyword argument.",
    ):
        again = scheduler(**json.loads(json.dumps(config)))
    changed = sorted(name for name in {**config, **_public(again)} if config.get(name) != _public(again).get(name))
    require(
        not changed and torch.equal(torch.as_tensor(again.alphas_cumprod), torch.as_tensor(made.alphas_cumprod)),
        f"Made again from its configuration, the scheduler has another {', '.join(changed) or 'alphas_cumprod'}.",
        "A generator that is loaded would sample differently.",
        "Put every setting into `config` as it is given (lists rather than tuples), and nothing else.",
    )


def _public(made: NoiseScheduler) -> dict[str, Any]:
    return {name: value for name, value in dict(made.config).items() if not name.startswith("_")}


@needs(check_interface)
def check_timesteps(scheduler: SchedulerFactory, *, steps: Sequence[int] = (1, 4, 10)) -> None:
    """`set_timesteps(S)` chooses S falling timesteps between 0 and T - 1."""
    for number in steps:
        made = scheduler()
        total = int(dict(made.config)["num_train_timesteps"])
        with guarded(
            f"set_timesteps({number}) failed", "Users choose the number of steps.", "Allow every S from 1 to T."
        ):
            made.set_timesteps(number)
            chosen = torch.as_tensor(made.timesteps)
        require(
            tuple(chosen.shape) == (number,) and chosen.dtype in (torch.int64, torch.float32),
            f"set_timesteps({number}) gives timesteps of shape {tuple(chosen.shape)} and type {chosen.dtype}.",
            "The denoiser runs once for each timestep.",
            f"Make `timesteps` ({number},) int64; float32, as some of diffusers' schedulers have it, is accepted, too.",
        )
        require(
            bool((chosen.diff() < 0).all()) and int(chosen.min()) >= 0 and int(chosen.max()) < total,
            f"set_timesteps({number}) gives {chosen.tolist()}.",
            f"Sampling goes from noisy to clean, at timesteps the denoiser was trained on (0 to {total - 1}).",
            "Let them fall strictly, within that range.",
        )


@needs(check_timesteps)
def check_add_noise(
    scheduler: SchedulerFactory, *, variance_exploding: bool = False, timestep: int | None = None, seed: int = 0
) -> None:
    """`add_noise` is the forward process: x_t = sqrt(a_t) x0 + sqrt(1 - a_t) noise, at both ends and between.

    With `variance_exploding`: x_t = x0 + sqrt((1 - a_t) / a_t) noise. Of rectified flow: x_t = (1 - s) x0 + s noise.
    `timestep` (modulo T) is tried besides the ends.
    """
    made = scheduler()
    total = int(dict(made.config)["num_train_timesteps"])
    made.set_timesteps(total)  # some schedulers know the noise of chosen timesteps only
    x0, noise = normal(3, 4, 5, seed=seed) * 3, normal(3, 4, 5, seed=seed + 1)
    steps = torch.tensor([0, (total // 2 if timestep is None else timestep) % total, total - 1])
    x0_before, noise_before = x0.clone(), noise.clone()
    with guarded(
        "add_noise failed", "Training makes its noisy samples with it.", "Take one timestep a row, (B,) int64."
    ):
        found = made.add_noise(x0, noise, steps)
    share = torch.as_tensor(made.alphas_cumprod).float()[steps].view(-1, 1, 1)
    expected: Tensor = share.sqrt() * x0_before + (1 - share).sqrt() * noise_before
    if variance_exploding:
        expected = x0_before + ((1 - share) / share).sqrt() * noise_before
    if made.noise_process == "flow":
        # s = sqrt(1 - a) / (sqrt(a) + sqrt(1 - a)), from a = (1 - s)^2 / ((1 - s)^2 + s^2).
        expected = expected / (share.sqrt() + (1 - share).sqrt())
    for row, t in enumerate(steps.tolist()):
        require(
            found.shape == expected.shape
            and torch.allclose(found[row], expected[row], rtol=1e-3, atol=1e-3 * float(expected[row].abs().max())),
            f"At timestep {t} add_noise is not the forward process (largest difference "
            f"{float((found[row] - expected[row]).abs().max()) if found.shape == expected.shape else float('nan'):.3g}).",
            "alphas_cumprod says how much signal is left, and the denoiser is told so.",
            "Return sqrt(a_t) x0 + sqrt(1 - a_t) noise with a_t = alphas_cumprod[t], t from 0 to T - 1; "
            "of rectified flow (1 - s) x0 + s noise.",
        )
    require(
        torch.equal(x0, x0_before) and torch.equal(noise, noise_before),
        "add_noise changed the tensors it was given.",
        "The caller uses the same tensors for the loss.",
        "Compute out of place.",
    )
