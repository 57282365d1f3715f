"""`flow-match-euler`: rectified flow (arXiv 2209.03003; flow matching, arXiv 2210.02747), sampled by Euler's method.

x_t = (1 - s_t) x0 + s_t noise: a straight path from x0 (s = 0) to noise (s = 1), whose velocity is noise - x0. Timesteps are
whole and count from 0: t stands for the level u = (t + 1) / T and, shifted, s_t = shift u / (1 + (shift - 1) u). diffusers
writes the same level as the float 1000 s_t.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Self

import torch
from torch import Tensor

from tina_framework.builtins.schedulers._settings import (
    SchedulerConfig,
    StepOutput,
    check_steps,
    check_total,
    one_of,
    read_config,
    trailing,
)
from tina_framework.errors import ConfigError

__all__ = ["FlowMatchEulerDiscreteScheduler"]

PREDICTION_TYPES = ("flow_prediction", "sample")

# diffusers' settings that are not built here, at the value that switches them off, and those that then mean nothing.
_SWITCHED_OFF: Mapping[str, Any] = {
    "use_dynamic_shifting": False,
    "invert_sigmas": False,
    "shift_terminal": None,
    "use_karras_sigmas": False,
    "use_exponential_sigmas": False,
    "use_beta_sigmas": False,
    "stochastic_sampling": False,
}
_WITHOUT_EFFECT = frozenset(
    {"base_shift", "max_shift", "base_image_seq_len", "max_image_seq_len", "time_shift_type"}
)  # fmt: skip


class FlowMatchEulerDiscreteScheduler:
    """Samples as diffusers' scheduler of that name, given sigmas = 1, 1 - 1/S, ..., 1/S as its pipelines give them.

    The denoiser is made for inputs of unit variance. `scale_model_input` makes one of x_t by dividing by
    sqrt((1 - s)^2 + s^2); `alphas_cumprod` is the share of signal in that. `add_noise` and `step` stay on the straight path.

    Args:
        num_train_timesteps: T.
        shift: above 1, more of the timesteps are noisy ones (arXiv 2403.03206, section 5.3.2). In training and sampling
            alike: a timestep always stands for the same s.
        prediction_type: what the denoiser predicts: ``flow_prediction`` (noise - x0) or ``sample`` (x0).

    Attributes:
        sigmas: (T,) float32 on the CPU, rising: s_t, the last one 1.
        alphas_cumprod: (T,) (1 - s)^2 / ((1 - s)^2 + s^2), the last one 0.
        timesteps: (S,) int64, decreasing; all T of them until `set_timesteps` is called.
        num_inference_steps: S, None until `set_timesteps` is called.
        init_noise_sigma: 1.0, the standard deviation to start from.

    Raises:
        ConfigError: a setting is out of range.
    """

    order: ClassVar[int] = 1
    init_noise_sigma: float = 1.0

    def __init__(
        self, num_train_timesteps: int = 1000, shift: float = 1.0, prediction_type: str = "flow_prediction"
    ) -> None:
        check_total(num_train_timesteps)
        if isinstance(shift, bool) or not isinstance(shift, int | float) or not 0 < shift < float("inf"):
            raise ConfigError(f"shift is {shift!r}; it must be a number above 0, 1 for no shift.")
        one_of("prediction_type", prediction_type, PREDICTION_TYPES)
        self.config = SchedulerConfig(
            num_train_timesteps=num_train_timesteps, shift=shift, prediction_type=prediction_type
        )
        levels = torch.arange(1, num_train_timesteps + 1, dtype=torch.float64) / num_train_timesteps
        sigmas = shift * levels / (1 + (shift - 1) * levels)
        self.sigmas = sigmas.float()
        self.alphas_cumprod = ((1 - sigmas) ** 2 / ((1 - sigmas) ** 2 + sigmas**2)).float()
        self.num_inference_steps: int | None = None
        self.timesteps = torch.arange(num_train_timesteps - 1, -1, -1)
        self._next: dict[int, int] = {}

    @classmethod
    def from_config(cls, config: Mapping[str, Any], **overrides: Any) -> Self:
        """A fresh scheduler from a configuration: this one's or diffusers'.

        Raises:
            ConfigError: the configuration asks for something that is not built here (`stochastic_sampling=True`, say).
        """
        return cls(**read_config(cls, {**config, **overrides}, _SWITCHED_OFF, _WITHOUT_EFFECT))

    def set_timesteps(self, num_inference_steps: int, device: Any = None) -> None:
        """Chooses S of the T timesteps, in equal steps of u from pure noise on.

        Raises:
            ConfigError: S is not between 1 and T.
        """
        total = self.config["num_train_timesteps"]
        check_steps(num_inference_steps, total)
        chosen = torch.from_numpy(trailing(num_inference_steps, total))
        steps: list[int] = chosen.tolist()
        self._next = dict(zip(steps, [*steps[1:], -1], strict=True))
        self.num_inference_steps = num_inference_steps
        self.timesteps = chosen.to(device)

    def scale_model_input(self, sample: Tensor, timestep: Any = None) -> Tensor:
        """x_t / sqrt((1 - s)^2 + s^2): of unit variance where x0 is; one timestep for all rows, or (B,)."""
        s = self._sigma(timestep, sample)
        return sample / ((1 - s) ** 2 + s**2) ** 0.5

    def add_noise(self, original_samples: Tensor, noise: Tensor, timesteps: Any) -> Tensor:
        """x_t = (1 - s) x0 + s noise; one timestep a row, or one for all."""
        s = self._sigma(timesteps, original_samples)
        return (1 - s) * original_samples + s * noise

    def get_velocity(self, sample: Tensor, noise: Tensor, timesteps: Any = None) -> Tensor:
        """v = noise - x0, the same at all timesteps; `sample` is x0."""
        return noise - sample

    def predict_original_sample(self, model_output: Tensor, timestep: Any, sample: Tensor) -> Tensor:
        """The x0 that a prediction stands for.

        Args:
            model_output: the prediction, of type `config.prediction_type`.
            timestep: one for all rows, or (B,).
            sample: x_t, not scaled.
        """
        if self.config["prediction_type"] == "sample":
            return model_output
        return sample - self._sigma(timestep, sample) * model_output

    def from_original_sample(self, original_sample: Tensor, timestep: Any, sample: Tensor) -> Tensor:
        """The prediction that stands for `original_sample`: the inverse of `predict_original_sample`."""
        if self.config["prediction_type"] == "sample":
            return original_sample
        return (sample - original_sample) / self._sigma(timestep, sample)

    def step(self, model_output: Tensor, timestep: Any, sample: Tensor, *, generator: Any = None) -> StepOutput:
        """From x_t to the next x, along the velocity.

        Args:
            model_output: (B, ...) the denoiser's prediction at x_t.
            timestep: t, one of `timesteps`.
            sample: (B, ...) x_t, not scaled.
            generator: not used, nothing is drawn.

        Raises:
            ValueError: `set_timesteps` was not called, or did not choose t.
        """
        if self.num_inference_steps is None:
            raise ValueError("No timesteps are chosen yet; call set_timesteps before step.")
        t = int(timestep)
        if t not in self._next:
            raise ValueError(f"Timestep {t} is not among the {self.num_inference_steps} that set_timesteps chose.")
        s, following = float(self.sigmas[t]), self._next[t]
        target = float(self.sigmas[following]) if following >= 0 else 0.0
        x0 = self.predict_original_sample(model_output, t, sample)
        is_velocity = self.config["prediction_type"] == "flow_prediction"
        velocity = model_output if is_velocity else (sample - x0) / s
        return StepOutput(sample + (target - s) * velocity, x0)

    def _sigma(self, timestep: Any, like: Tensor) -> Tensor:
        """s_t: a scalar for one timestep, (B, 1, ...) for several, to multiply `like` (B, ...).

        Raises:
            ValueError: the one timestep lies outside 0 .. T - 1.
        """
        if isinstance(timestep, int) or (isinstance(timestep, Tensor) and timestep.dim() == 0):
            if not 0 <= int(timestep) < len(self.sigmas):
                raise ValueError(f"Timestep {int(timestep)} lies outside 0..{len(self.sigmas) - 1}.")
            # A CPU scalar multiplies tensors anywhere and keeps their type.
            return self.sigmas[int(timestep)]
        steps = torch.as_tensor(timestep, device=like.device)
        return self.sigmas.to(like.device, like.dtype)[steps].reshape(-1, *[1] * (like.dim() - 1))
