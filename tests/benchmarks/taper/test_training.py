"""Training TAPER lowers the loss, changes bases and mixer, and gives the same model for the same seed."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
import torch

from benchmarks.taper.training import TaperRecipe, train_taper
from tina_framework.errors import ConfigError, TrainingError
from tina_framework.evaluation.taper_model import TaperConfig, TaperModel
from tina_framework.interfaces.spec import ParameterSpec
from tina_framework.plugin.discovery import registries
from tina_framework.targets.functional import TargetRunner
from tina_framework.training.data import ConditionBank, TrainingImages
from tina_framework.zoo.image_bank import load_split
from tina_framework.zoo.store import Zoo
from tina_framework.zoo.task_sampler import TaskSampler
from tina_framework.zoo.teacher import Teacher

RECIPE = TaperRecipe(steps=40, tasks_per_step=4, images_per_task=24, lr=0.01, mixer_lr=0.02, spread=0.3)


def run(world: Path, recipe: TaperRecipe, taught: bool = False) -> tuple[TaperModel, TaperModel, list[float]]:
    """Return the model before and after training, and the losses."""
    dataset = registries().datasets.create(f"arrays:{world / 'data.npz'}")
    zoo = Zoo.open(world / "zoo")
    spec = ParameterSpec(registries().architectures.create("cnn-2layer"))
    conditions = ConditionBank(dataset.class_names, [f"embedding-table:{world / 'table.npz'}"], zoo.class_names)
    teacher = None
    if taught:
        data = load_split(dataset, "train")
        logits = torch.randn(2, len(data), len(dataset.class_names), generator=torch.Generator().manual_seed(0))
        teacher = Teacher.of(data, dataset.class_names, logits, "random numbers", {})
    images = TrainingImages(dataset, "train", spec, teacher=teacher)
    sampler = TaskSampler(zoo.class_names, class_counts={3: 1.0})

    def make() -> TaperModel:
        torch.manual_seed(0)
        taper = TaperModel(TaperConfig("cnn-2layer", zoo.class_names, 3, 8), spec, conditions.space)
        taper.start_from(zoo.generic, recipe.spread, torch.Generator().manual_seed(0))
        return taper

    losses: list[float] = []
    with torch.random.fork_rng(devices=[]):
        start, trained = make(), make()
    runner = TargetRunner(spec, "fp32", 1)
    train_taper(trained, images, conditions, sampler, runner, recipe, lambda step, loss: losses.append(loss))
    return start, trained, losses


def test_training_lowers_the_loss_and_moves_every_part(world: Path) -> None:
    start, trained, losses = run(world, RECIPE)
    assert len(losses) == RECIPE.steps
    assert sum(losses[-8:]) < 0.9 * sum(losses[:8])
    for (name, before), after in zip(start.named_parameters(), trained.parameters(), strict=True):
        assert not torch.equal(before, after), name
    # The bases move in different directions, because the mixer weights them differently for each task.
    moved = trained.bases.detach() - start.bases.detach()
    assert not torch.allclose(moved[0], moved[1])


def test_a_teacher_changes_what_is_learnt(world: Path) -> None:
    short = dataclasses.replace(RECIPE, steps=2)
    assert not torch.allclose(run(world, short)[1].bases, run(world, short, taught=True)[1].bases, atol=1e-3)
    unheard = dataclasses.replace(short, teacher_weight=0.0)
    assert torch.equal(run(world, short)[1].bases, run(world, unheard, taught=True)[1].bases)


def test_the_same_seed_gives_the_same_model(world: Path) -> None:
    short = dataclasses.replace(RECIPE, steps=2)
    one, two = run(world, short)[1], run(world, short)[1]
    assert torch.equal(one.bases, two.bases)


def test_a_loss_that_is_not_finite_stops_it(world: Path) -> None:
    with pytest.raises(TrainingError, match="lower its learning rates"):
        run(world, dataclasses.replace(RECIPE, spread=1e30))


@pytest.mark.parametrize("change", [{"steps": 0}, {"lr": float("nan")}, {"spread": -1.0}, {"warmup": 2.0}])
def test_settings_out_of_range_are_refused(change: dict[str, float]) -> None:
    with pytest.raises(ConfigError, match=next(iter(change))):
        dataclasses.replace(RECIPE, **change)


def test_the_rate_rises_and_ends_near_zero() -> None:
    recipe = TaperRecipe(steps=100, warmup=0.1)
    rates = [recipe.rate(step) for step in range(100)]
    assert max(rates) == rates[10] == 1.0
    assert rates[0] < 0.1
    assert rates[-1] < 0.01
