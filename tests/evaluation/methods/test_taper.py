"""*taper*: reads its folder, mixes in batches, and says what it lacks."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
import torch

from tina_framework.errors import CheckpointError, ConfigError
from tina_framework.evaluation.methods import parse_methods
from tina_framework.evaluation.methods.taper import Taper
from tina_framework.evaluation.taper_model import TaperConfig, TaperModel
from tina_framework.interfaces.method import Context, MethodUnavailable, Missing, Network
from tina_framework.prompts.condition_space import ConditionSpace
from tina_framework.prompts.encoded_task import encode_task
from tina_framework.zoo.store import Zoo
from tina_framework.zoo.tasks import Task

TASKS = [Task(("hen", "lion", "fox")), Task(("ant", "zebra", "bee")), Task(("kite", "ant", "hen"))]


@pytest.fixture
def model(context: Context, zoo: Zoo) -> TaperModel:
    torch.manual_seed(0)
    taper = TaperModel(
        TaperConfig("cnn-2layer", zoo.class_names, 3, 8), context.spec, context.generator.condition_space
    )
    taper.start_from(zoo.generic, 0.3, torch.Generator().manual_seed(0))
    return taper


@pytest.mark.parametrize("within", ["", "config.json"])
def test_networks_are_the_models_own(context: Context, model: TaperModel, tmp_path: Path, within: str) -> None:
    model.save(tmp_path / "taper")
    method = Taper(context, str(tmp_path / "taper" / within))
    method.prepare(TASKS)
    one, missing, two = method.parameters(TASKS)
    assert isinstance(missing, Missing)
    assert "no row for 'zebra'" in missing.reason
    for answer, task in ((one, TASKS[0]), (two, TASKS[2])):
        assert isinstance(answer, Network)
        assert answer.outputs == task.classes
        condition = model.space.apply(encode_task(task.classes, context.encoder).vectors)
        classes = torch.tensor([[model.config.class_names.index(name) for name in task.classes]])
        torch.testing.assert_close(answer.flat, model.networks(condition[None], classes)[0].detach())
    assert method.describe() == "3 bases of 12 classes, mixed tensor by tensor"


def test_an_encoder_of_another_space_is_refused(context: Context, model: TaperModel, tmp_path: Path) -> None:
    model.space = ConditionSpace("elsewhere", model.space.mean, model.space.scale)
    model.save(tmp_path / "taper")
    with pytest.raises(MethodUnavailable, match="reads 'elsewhere'"):
        Taper(context, str(tmp_path / "taper")).prepare(TASKS)


def test_it_needs_a_folder(context: Context, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="write taper@FOLDER"):
        parse_methods("taper")
    with pytest.raises(CheckpointError, match="not a tina-taper folder"):
        Taper(dataclasses.replace(context), str(tmp_path)).prepare(TASKS)
