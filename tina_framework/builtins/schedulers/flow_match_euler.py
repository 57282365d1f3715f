"""`flow-match-euler`: rectified flow (arXiv 2209.03003; flow matching, arXiv 2210.02747), sampled by Euler's method."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Self

import torch
from torch import Tensor

from tina_framework.builtins.schedulers._settings import SchedulerConfig, check_steps, read_config, trailing
from tina_framework.interfaces.noise_process import FlowProcess
from tina_framework.interfaces.scheduler import StepOutput

__all__ = ["FlowMatchEulerDiscreteScheduler"]

# Settings of diffusers that are not implemented here -> the value that switches them off.
_SWITCHED_OFF: Mapping[str, Any] = {
    "use_dynamic_shifting": False,
    "invert_sigmas": False,
    "shift_terminal": None,
    "use_karras_sigmas": False,
    "use_exponential_sigmas": False,
    "use_beta_sigmas": False,
    "stochastic_sampling": False,
}
# Settings without effect once those above are switched off.
_WITHOUT_EFFECT = frozenset(
    {"base_shift", "max_shift", "base_image_seq_len", "max_image_seq_len", "time_shift_type"}
)  # fmt: skip


class FlowMatchEulerDiscreteScheduler(FlowProcess):
    """Samples as the scheduler of that name in diffusers does, given sigmas = 1, 1 - 1/S, ..., 1/S as its pipelines give them.

    Timesteps are whole and count from 0. diffusers writes the noise level of a timestep as the float 1000 s_t instead.

    Args:
        num_train_timesteps: T.
        shift: above 1, more of the timesteps are noisy ones; see `FlowProcess`.
        prediction_type: what the denoiser predicts: ``flow_prediction`` (noise - x0) or ``sample`` (x0).

    Attributes:
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
        super().__init__(num_train_timesteps, shift, prediction_type)
        self.config = SchedulerConfig(
            num_train_timesteps=num_train_timesteps, shift=shift, prediction_type=prediction_type
        )
        self.num_inference_steps: int | None = None
        self.timesteps = torch.arange(num_train_timesteps - 1, -1, -1)
        self._next: dict[int, int] = {}

    @classmethod
    def from_config(cls, config: Mapping[str, Any], **overrides: Any) -> Self:
        """Return a fresh scheduler from a configuration: its own or one of diffusers.

        Raises:
            ConfigError: the configuration asks for something that is not implemented here, e.g. `stochastic_sampling=True`.
        """
        return cls(**read_config(cls, {**config, **overrides}, _SWITCHED_OFF, _WITHOUT_EFFECT))

    def set_timesteps(self, num_inference_steps: int, device: Any = None) -> None:
        """Choose S of the T timesteps, in equal steps of the level u = (t + 1) / T, the first at pure noise.

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

    def step(self, model_output: Tensor, timestep: Any, sample: Tensor, *, generator: Any = None) -> StepOutput:
        """Go from x_t to the next x, along the velocity: Euler's method, x + (s_next - s) v (arXiv 2209.03003, section 2.1).

        Args:
            model_output: (B, ...) the denoiser's prediction at x_t.
            timestep: t, one of `timesteps`.
            sample: (B, ...) x_t, not scaled.
            generator: not used; nothing is drawn.

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
        is_velocity = self.prediction_type == "flow_prediction"
        velocity = model_output if is_velocity else (sample - x0) / s
        return StepOutput(sample + (target - s) * velocity, x0)
