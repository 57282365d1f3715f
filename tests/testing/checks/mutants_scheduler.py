"""Noise schedulers, each broken in one way."""

from __future__ import annotations

from typing import Any, ClassVar

import torch

from tina_framework.builtins.schedulers.ddim import DDIMScheduler
from tina_framework.builtins.schedulers.ddpm import DDPMScheduler
from tina_framework.builtins.schedulers.flow_match_euler import FlowMatchEulerDiscreteScheduler
from tina_framework.interfaces.scheduler import StepOutput

__all__ = ["MUTANTS"]


class Stepping(DDIMScheduler):
    """DDIM whose new sample goes through `after`."""

    def step(self, model_output: Any, timestep: Any, sample: Any, **extra: Any) -> StepOutput:
        out = super().step(model_output, timestep, sample, **extra)
        return StepOutput(self.after(out.prev_sample, sample), out.pred_original_sample)

    def after(self, x: torch.Tensor, before: torch.Tensor) -> torch.Tensor:
        return x


class ClipsTheSample(Stepping):
    def after(self, x: torch.Tensor, before: torch.Tensor) -> torch.Tensor:
        return x.clamp(-3, 3)


class ClipsTheOriginal(DDIMScheduler):
    def predict_original_sample(self, model_output: Any, timestep: Any, sample: Any) -> torch.Tensor:
        return super().predict_original_sample(model_output, timestep, sample).clamp(-1, 1)


class SaysItClips(DDIMScheduler):
    def __init__(self, clip_sample: bool = True, **settings: Any) -> None:
        super().__init__(**settings)
        self.config["clip_sample"] = clip_sample


class StopsShort(DDIMScheduler):
    """The last step leaves the noise of an early timestep in."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        self.final_alpha_cumprod = self.alphas_cumprod[len(self.alphas_cumprod) // 20]


class TakesVelocityForNoise(DDIMScheduler):
    def predict_original_sample(self, model_output: Any, timestep: Any, sample: Any) -> torch.Tensor:
        signal, sigma = self.signal_and_noise(timestep, sample)
        if self.config["prediction_type"] == "v_prediction":
            return signal * sample + sigma * model_output
        return super().predict_original_sample(model_output, timestep, sample)


class GivesDoubles(Stepping):
    def after(self, x: torch.Tensor, before: torch.Tensor) -> torch.Tensor:
        return x.double()


class SqueezesSamples(Stepping):
    def after(self, x: torch.Tensor, before: torch.Tensor) -> torch.Tensor:
        return x.squeeze(0)


class ChangesTheSample(Stepping):
    def after(self, x: torch.Tensor, before: torch.Tensor) -> torch.Tensor:
        before.zero_()
        return x


class NaNAtTheEnd(Stepping):
    def after(self, x: torch.Tensor, before: torch.Tensor) -> torch.Tensor:
        return x / 0 if self.num_inference_steps == 1 else x


class SharesTimesteps(DDIMScheduler):
    """The noise level where steps end is kept in the class."""

    shared: ClassVar[dict[str, int]] = {}

    def set_timesteps(self, num_inference_steps: int, device: Any = None) -> None:
        super().set_timesteps(num_inference_steps, device)
        self.shared["steps"] = num_inference_steps

    def step(self, *arguments: Any, **extra: Any) -> StepOutput:
        self.num_inference_steps = self.shared["steps"]
        return super().step(*arguments, **extra)


class CountsTimestepsFromOne(DDIMScheduler):
    def add_noise(self, original_samples: Any, noise: Any, timesteps: Any) -> torch.Tensor:
        return super().add_noise(original_samples, noise, (timesteps - 1).clamp(min=0))


class SwapsSignalAndNoise(DDIMScheduler):
    def add_noise(self, original_samples: Any, noise: Any, timesteps: Any) -> torch.Tensor:
        return super().add_noise(noise, original_samples, timesteps)


class PureNoiseAtTheEnd(DDIMScheduler):
    """The last timestep is taken for pure noise, with the noise of twice the deviation."""

    def add_noise(self, original_samples: Any, noise: Any, timesteps: Any) -> torch.Tensor:
        last = (timesteps == len(self.alphas_cumprod) - 1).view(-1, *[1] * (noise.dim() - 1))
        return torch.where(last, 2 * noise, super().add_noise(original_samples, noise, timesteps))


class RisingTimesteps(DDIMScheduler):
    def set_timesteps(self, num_inference_steps: int, device: Any = None) -> None:
        super().set_timesteps(num_inference_steps, device)
        self.timesteps = self.timesteps.flip(0)


class OneStepTooMany(DDPMScheduler):
    def set_timesteps(self, num_inference_steps: int, device: Any = None) -> None:
        super().set_timesteps(min(num_inference_steps + 1, 1000), device)


class DrawsFromTheGlobalState(DDPMScheduler):
    def step(self, model_output: Any, timestep: Any, sample: Any, *, generator: Any = None) -> StepOutput:
        return super().step(model_output, timestep, sample)


class OneGeneratorForAll(DDPMScheduler):
    def step(self, model_output: Any, timestep: Any, sample: Any, *, generator: Any = None) -> StepOutput:
        first = generator[-1] if isinstance(generator, list) else generator
        return super().step(model_output, timestep, sample, generator=first)


class MixesRows(DDIMScheduler):
    """Rows are drawn together in every step but the last."""

    def step(self, model_output: Any, timestep: Any, sample: Any, **extra: Any) -> StepOutput:
        out = super().step(model_output, timestep, sample, **extra)
        if int(timestep) == int(self.timesteps[-1]):
            return out
        return StepOutput((out.prev_sample + out.prev_sample.mean(dim=0)) / 2, out.pred_original_sample)


class IgnoresBetas(DDIMScheduler):
    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        asked = {name: settings[name] for name in ("beta_start", "beta_end") if name in settings}
        plain = DDIMScheduler(**{name: value for name, value in settings.items() if name not in asked})
        self.alphas_cumprod = plain.alphas_cumprod


class KeepsASettingBack(DDIMScheduler):
    def __init__(self, num_train_timesteps: int = 500, **settings: Any) -> None:
        super().__init__(num_train_timesteps, **settings)
        self.config["schedule"] = "own"


class RisingSignal(DDIMScheduler):
    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        self.alphas_cumprod = self.alphas_cumprod.flip(0)


class StatesNoProcess(DDIMScheduler):
    noise_process = None  # type: ignore[assignment]


class StatesAnUnknownProcess(FlowMatchEulerDiscreteScheduler):
    noise_process = "rectified-flow"


class IgnoresTheSchedule(DDIMScheduler):
    """Right for linear betas only."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        self.alphas_cumprod = DDIMScheduler(**settings | {"beta_schedule": "linear"}).alphas_cumprod


class IgnoresShift(FlowMatchEulerDiscreteScheduler):
    def __init__(self, shift: float = 1.0, **settings: Any) -> None:
        super().__init__(**settings)
        self.config["shift"] = shift


class LeavesTheStraightPath(FlowMatchEulerDiscreteScheduler):
    def add_noise(self, original_samples: Any, noise: Any, timesteps: Any) -> torch.Tensor:
        return self.scale_model_input(super().add_noise(original_samples, noise, timesteps), timesteps)


class DoesNotScale(FlowMatchEulerDiscreteScheduler):
    def scale_model_input(self, sample: Any, timestep: Any = None) -> torch.Tensor:
        return sample  # type: ignore[no-any-return]


MUTANTS = [
    (DDIMScheduler(), "check_interface"),
    (RisingSignal, "check_interface"),
    (StatesNoProcess, "check_interface"),
    (StatesAnUnknownProcess, "check_interface"),
    (IgnoresBetas, "check_settings"),
    (IgnoresTheSchedule, "check_settings"),
    (IgnoresShift, "check_settings"),
    (KeepsASettingBack, "check_config_rebuilds"),
    (RisingTimesteps, "check_timesteps"),
    (OneStepTooMany, "check_timesteps"),
    (CountsTimestepsFromOne, "check_add_noise"),
    (SwapsSignalAndNoise, "check_add_noise"),
    (PureNoiseAtTheEnd, "check_add_noise"),
    (LeavesTheStraightPath, "check_add_noise"),
    (DoesNotScale, "check_training_input"),
    (NaNAtTheEnd, "check_step_runs"),
    (ChangesTheSample, "check_step_runs"),
    (GivesDoubles, "check_shape_and_dtype"),
    (SqueezesSamples, "check_shape_and_dtype"),
    (StopsShort, "check_oracle"),
    (TakesVelocityForNoise, "check_oracle"),
    (ClipsTheOriginal, "check_no_clipping"),
    (ClipsTheSample, "check_no_clipping"),
    (SaysItClips, "check_no_clipping"),
    (SharesTimesteps, "check_instances_are_independent"),
    (DrawsFromTheGlobalState, "check_randomness"),
    (OneGeneratorForAll, "check_rows_are_independent"),
    (MixesRows, "check_rows_are_independent"),
]
