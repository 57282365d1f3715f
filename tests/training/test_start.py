"""Runs that start from another generator."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from tina_framework.config.training import TrainingConfig
from tina_framework.errors import ConfigError
from tina_framework.generator.generator import Generator
from tina_framework.training.components import build_components
from tina_framework.training.loop import Trainer

Make = Callable[..., TrainingConfig]
CPU = torch.device("cpu")


def test_a_run_may_start_from_a_generator(make_config: Make, tmp_path: Path) -> None:
    first = Trainer(make_config(max_steps=3, learning_rate=0.01))
    folder = first.train().generator
    start = Generator.from_pretrained(folder, device="cpu")
    # Another seed and other p-Models: the weights, and what they mean, come from the generator all the same.
    components = build_components(make_config(init_from=str(folder), seed=5, output_dir=tmp_path / "second"), CPU)
    for name, tensor in start.denoiser.state_dict().items():
        assert torch.equal(components.denoiser.state_dict()[name], tensor)
    assert torch.equal(components.context.normalizer.base_flat(4), start.normalizer.base_flat(4))
    assert torch.equal(components.context.conditions.space.mean, start.condition_space.mean)
    assert "start" in components.fingerprints


def test_a_generator_of_other_settings_is_refused(make_config: Make, tmp_path: Path) -> None:
    folder = Trainer(make_config(max_steps=1)).train().generator
    with pytest.raises(ConfigError, match="differs from the settings in hidden_size, beta_end"):
        build_components(
            make_config(init_from=str(folder), hidden_size=32, beta_end=0.03, output_dir=tmp_path / "b"), CPU
        )
    flow = make_config(init_from=str(folder), scheduler="flow-match-euler", output_dir=tmp_path / "c")
    with pytest.raises(ConfigError, match="differs from the settings in scheduler"):
        build_components(flow, CPU)


def test_a_run_that_starts_from_an_open_vocabulary_keeps_it(make_config: Make, tmp_path: Path) -> None:
    settings = {"kernel_ridge": 0.1, "open_vocabulary": True, "encoders": make_config().encoders[0]}
    folder = Trainer(make_config(max_steps=2, **settings)).train().generator
    start = Generator.from_pretrained(folder, device="cpu")
    assert start.config.open_vocabulary
    held_out = start.config.class_names[-1]
    # The landmarks remain the classes of the start, also if the run sees fewer of them.
    again = make_config(
        max_steps=1, init_from=str(folder), validation_classes=held_out, output_dir=tmp_path / "second", **settings
    )
    second = Generator.from_pretrained(Trainer(again).train().generator, device="cpu")
    assert second.config.open_vocabulary
    assert second.config.class_names == start.config.class_names
    other = make_config(init_from=str(folder), beta_end=0.03, output_dir=tmp_path / "third", **settings)
    with pytest.raises(ConfigError, match="differs from the settings in beta_end"):
        build_components(other, CPU)
    with pytest.raises(ConfigError, match="differs from the settings in input_floor"):
        build_components(make_config(init_from=str(folder), input_floor=1, **settings), CPU)


def test_a_start_keeps_its_coordinates_and_a_setting_must_not_contradict_them(
    make_config: Make, tmp_path: Path
) -> None:
    plain = Trainer(make_config(max_steps=1, output_dir=tmp_path / "plain")).train().generator
    whitened = Trainer(make_config(max_steps=1, whitening=0.1, output_dir=tmp_path / "whitened")).train().generator
    for folder, changes in ((plain, {}), (plain, {"whitening": None}), (whitened, {}), (whitened, {"whitening": 0.3})):
        components = build_components(make_config(init_from=folder, **changes), CPU)
        assert (components.context.normalizer.whitening is None) == (folder == plain)
    with pytest.raises(ConfigError, match=r"whitening is 0\.3, but the generator '.*' has plain coordinates"):
        build_components(make_config(init_from=plain, whitening=0.3), CPU)
    with pytest.raises(ConfigError, match=r"whitening is none, but the generator '.*' has whitened coordinates"):
        build_components(make_config(init_from=whitened, whitening=None), CPU)
