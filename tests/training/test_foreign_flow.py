"""A flow scheduler that is not built in, written for this test alone: it passes the kit, trains, is saved and samples."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

import tina_framework as tina
from tina_framework.config.training import load_training_config
from tina_framework.errors import ConfigError
from tina_framework.generator.generator import Generator
from tina_framework.plugin import discovery
from tina_framework.testing import SchedulerTests
from tina_framework.training.__main__ import main

NAMES = ["ant", "bee", "cat", "dog"]


class StraightPath:
    """Walks along the straight path in steps of its own choice: equal steps of the timestep, each straight towards x0.

    Nothing of the package is used, and no method that training needs is here.
    """

    noise_process = "flow"
    init_noise_sigma = 1.0

    def __init__(
        self, num_train_timesteps: int = 1000, shift: float = 1.0, prediction_type: str = "sample", first: int = 0
    ) -> None:
        self.config = {
            "num_train_timesteps": num_train_timesteps,
            "shift": shift,
            "prediction_type": prediction_type,
            "first": first,
        }
        level = [(t + 1) / num_train_timesteps for t in range(num_train_timesteps)]
        self.levels = [shift * u / (1 + (shift - 1) * u) for u in level]
        self.alphas_cumprod = torch.tensor([(1 - s) ** 2 / ((1 - s) ** 2 + s**2) for s in self.levels])
        self.timesteps = torch.empty(0, dtype=torch.int64)

    def set_timesteps(self, num_inference_steps: int, device: Any = None) -> None:
        total = len(self.levels)
        chosen = [total - 1 - number * total // num_inference_steps for number in range(num_inference_steps)]
        self.timesteps = torch.tensor(chosen, device=device)

    def _level(self, timestep: Any, like: Tensor) -> Tensor:
        return torch.tensor(self.levels, dtype=like.dtype)[timestep].reshape(-1, *[1] * (like.dim() - 1))

    def scale_model_input(self, sample: Tensor, timestep: Any = None) -> Tensor:
        s = self._level(timestep, sample)
        return sample / torch.sqrt((1 - s) ** 2 + s**2)

    def add_noise(self, original_samples: Tensor, noise: Tensor, timesteps: Tensor) -> Tensor:
        return torch.lerp(original_samples, noise, self._level(timesteps, noise))

    def step(self, model_output: Tensor, timestep: Any, sample: Tensor) -> SimpleNamespace:
        place = self.timesteps.tolist().index(int(timestep))
        rest = self.timesteps.tolist()[place + 1 :]
        here, there = self.levels[int(timestep)], self.levels[rest[0]] if rest else 0.0
        direct = self.config["prediction_type"] == "sample"
        x0 = model_output if direct else sample - here * model_output
        return SimpleNamespace(prev_sample=x0 + (sample - x0) * (there / here))


@pytest.fixture
def _registered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(discovery, "_host", None)
    tina.register_scheduler("straight-path")(StraightPath)


class TestStraightPath(SchedulerTests):
    stochastic = False

    @pytest.fixture
    def scheduler(self) -> type[StraightPath]:
        return StraightPath


@pytest.mark.usefixtures("_registered")
@pytest.mark.parametrize("prediction_type", ["flow_prediction", "sample"])
def test_it_trains_is_saved_and_samples(settings: dict[str, Any], tmp_path: Any, prediction_type: str) -> None:
    given = {**settings, "prediction_type": prediction_type, "shift": "2.0", "scheduler": "straight-path"}
    assert main([f"--{name}={value}" for name, value in given.items()]) == 0
    folder = f"{given['output_dir']}/generator"
    generator = Generator.from_pretrained(folder, encoder=given["encoders"])
    process = {"num_train_timesteps": 1000, "shift": 2.0, "prediction_type": prediction_type}
    assert generator.config.scheduler == {"name": "straight-path", "config": {**process, "first": 0}}
    model = generator(NAMES, num_inference_steps=4)
    assert all(bool(torch.isfinite(tensor).all()) for tensor in model.state_dict().values())

    # The noise process is what is trained for, whoever samples it: another scheduler of it trains the same denoiser.
    other = {**given, "scheduler": "flow-match-euler", "output_dir": str(tmp_path / "other")}
    assert main([f"--{name}={value}" for name, value in other.items()]) == 0
    theirs = load_file(f"{other['output_dir']}/generator/model.safetensors")
    ours = load_file(f"{folder}/model.safetensors")
    assert all(torch.equal(tensor, theirs[name]) for name, tensor in ours.items())
    # Each can sample what the other was trained with; their steps differ where the shift makes them.
    assert generator(NAMES, scheduler="flow-match-euler").provenance["scheduler"] == "flow-match-euler"
    with pytest.raises(ConfigError, match=r"ddim samples diffusion, .* use one of: .*straight-path"):
        generator(NAMES, scheduler="ddim")


@pytest.mark.usefixtures("_registered")
def test_settings_of_diffusion_are_refused(settings: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match="expected flow_prediction or sample with scheduler straight-path"):
        load_training_config({**settings, "scheduler": "straight-path", "prediction_type": "epsilon", "pool_rank": "0"})
    with pytest.raises(ConfigError, match=r"a shift needs one of the schedulers .*straight-path"):
        load_training_config({**settings, "shift": "2"})
