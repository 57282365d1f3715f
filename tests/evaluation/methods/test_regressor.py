"""*regressor*, and what a generator without initial noise promises."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest
import torch

from tina_framework.errors import CheckpointError, ConfigError
from tina_framework.evaluation.methods import parse_methods
from tina_framework.evaluation.methods.regressor import Regressor
from tina_framework.generator.generator import Generator
from tina_framework.interfaces.method import Context, MethodUnavailable, Network
from tina_framework.storage.digest import renew_digest
from tina_framework.zoo.tasks import Task

TASK = Task(("hen", "lion", "fox"))


@pytest.fixture
def regressor(tiny_generator: Generator) -> Generator:
    config = dataclasses.replace(tiny_generator.config, num_inference_steps=1, initial_noise=False)
    parts = tiny_generator
    return Generator(config, parts.denoiser, parts.normalizer, parts.condition_space, parts.generic)


def test_one_step_from_zeros(context: Context, regressor: Generator, tmp_path: Path) -> None:
    regressor.save_pretrained(tmp_path / "plain")
    method = Regressor(context, str(tmp_path / "plain"))
    method.prepare([TASK])
    (network,) = method.parameters([TASK])
    assert isinstance(network, Network)
    # By hand: classes in the order of their keys, zeros at the last timestep.
    names = sorted(TASK.classes)
    layout = regressor.layout(3)
    condition = regressor.condition_space.apply(context.encoder.encode_text(names))[None]
    mask = torch.ones(1, 3, dtype=torch.bool)
    zeros, last = torch.zeros(1, layout.num_tokens, layout.token_width), torch.tensor([999])
    with torch.no_grad():
        tokens = regressor.denoiser.eval()(condition, mask, zeros, last, layout)
        expected = regressor.normalizer.denormalize(layout.scatter(tokens), 3)[0]
    expected_state, found = context.spec.unflatten(expected, 3), context.spec.unflatten(network.flat, 3)
    torch.testing.assert_close(found["conv1.weight"], expected_state["conv1.weight"], rtol=1e-4, atol=1e-5)
    order = [names.index(name) for name in TASK.classes]
    torch.testing.assert_close(found["fc.weight"], expected_state["fc.weight"][order], rtol=1e-4, atol=1e-5)
    # No noise: the seed says nothing.
    context.seed = 7
    assert torch.equal(method.parameters([TASK])[0].flat, network.flat)  # type: ignore[union-attr]
    assert method.describe() == "generator 'plain', tokens class-row, one step from zeros"


def test_more_steps_are_refused(regressor: Generator) -> None:
    with pytest.raises(ConfigError, match="plain regressor, which takes one step"):
        regressor(list(TASK.classes), num_inference_steps=4)
    with pytest.raises(ConfigError, match="takes one step"):
        dataclasses.replace(regressor.config, num_inference_steps=4)


def test_the_folder_says_so_and_others_do_not(regressor: Generator, tiny_folder: Path, tmp_path: Path) -> None:
    regressor.save_pretrained(tmp_path / "plain")
    values = json.loads((tmp_path / "plain" / "config.json").read_text())
    assert values["initial_noise"] is False
    assert "initial_noise" not in json.loads((tiny_folder / "config.json").read_text())
    (tmp_path / "plain" / "config.json").write_text(json.dumps({**values, "initial_noise": "no"}))
    renew_digest(tmp_path / "plain" / "config.json")
    with pytest.raises(CheckpointError, match="initial_noise='no' is not true or false"):
        Generator.from_pretrained(tmp_path / "plain")


def test_a_generator_with_noise_is_none(context: Context, tiny_folder: Path) -> None:
    with pytest.raises(MethodUnavailable, match=r"trained with diffusion.*tina@1"):
        Regressor(context, str(tiny_folder)).prepare([TASK])
    with pytest.raises(ConfigError, match="write regressor@MODEL"):
        parse_methods("regressor")
