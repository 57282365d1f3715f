"""Architectures that are not trained are written as a wider relative, in the shares that validation tasks choose."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from tina_framework.config.training import TrainingConfig
from tina_framework.generator.generator import Generator
from tina_framework.training.components import TrainingComponents, build_components
from tina_framework.training.export import make_generator
from tina_framework.training.loop import Trainer
from tina_framework.training.relatives import choose_shares, recorded_shares
from tina_framework.training.run_inputs import open_targets
from tina_framework.training.validation import ValidationResult

Make = Callable[..., TrainingConfig]


@pytest.fixture
def target(make_several: Make) -> TrainingComponents:
    untrained = open_targets(make_several())[-1]
    assert untrained.spec.relative is not None
    assert untrained.spec.relative.architecture.name == "cnn-2layer@0.5"  # the next wider one, not the widest
    return build_components(untrained, torch.device("cpu"))


def result(accuracy: float) -> ValidationResult:
    return ValidationResult(accuracy, 0.5, accuracy - 0.5, 0.0, 1)


@pytest.mark.parametrize("best", [(0.15, 0.75), (0.3, 0.3), (0.5, 0.25)])
def test_the_best_shares_are_chosen_filters_first(target: TrainingComponents, best: tuple[float, float]) -> None:
    rows = target.context.rows
    assert rows is not None
    assert (rows.filter_share, rows.row_share) == (1.0, 1.0)

    def measure() -> ValidationResult:
        now = target.context.rows
        assert now is not None
        return result(0.9 - 2 * abs(now.filter_share - best[0]) - abs(now.row_share - best[1]))

    found, shares = choose_shares(target, measure)
    assert shares == {"filters": best[0], "rows": best[1]}
    assert found.accuracy == pytest.approx(0.9)
    assert target.context.rows is not None
    assert (target.context.rows.filter_share, target.context.rows.row_share) == best
    assert torch.equal(target.context.rows.weight, rows.weight)


def test_a_resumed_run_keeps_the_shares(target: TrainingComponents) -> None:
    name = target.spec.architecture.name
    recorded_shares({"another": {"shares": {"filters": 0.9, "rows": 0.9}}, name: {}}, target)
    assert target.context.rows is not None
    assert target.context.rows.filter_share == 1.0
    recorded_shares({name: {"shares": {"filters": 0.3, "rows": 0.5}}}, target)
    assert (target.context.rows.filter_share, target.context.rows.row_share) == (0.3, 0.5)


def test_the_finished_generator_writes_the_relative_in_these_shares(make_several: Make) -> None:
    outcome = Trainer(make_several(num_validation_tasks=2, validation_steps=8)).train()
    generator = Generator.from_pretrained(outcome.generator, device="cpu")
    [name] = [name for name, found in generator.architectures.items() if not found.trained]
    assert outcome.validation is not None
    shares = outcome.validation.by_architecture[name]["shares"]
    assert generator.config.shares(name) == (shares["filters"], shares["rows"])
    assert generator.config.relative_of(name) == "cnn-2layer@0.5"
    own, relative = (generator.for_architecture(one).layout(3) for one in (name, "cnn-2layer@0.5"))
    assert own.descriptors is not None
    assert relative.descriptors is not None
    # Its filters have the descriptors of the leading filters of the relative, and its classes those of the relative's classes.
    first = generator.for_architecture(name).spec.parameters(3)[0].shape[0]
    assert torch.equal(own.descriptors[:first], relative.descriptors[:first])
    assert torch.equal(own.descriptors[-3:], relative.descriptors[-3:])
    # With tokens of 40 numbers, the second convolution of the relative is cut into more parts than its own.
    known = {tuple(row) for row in relative.descriptors.tolist()}
    assert all(tuple(row) in known for row in own.descriptors.tolist())


@pytest.mark.parametrize("weights", [(0, 1), (1, 0)], ids=["untrained, then trained", "trained, then untrained"])
def test_a_start_may_change_what_is_a_relative(make_several: Make, tmp_path: Path, weights: tuple[int, int]) -> None:
    """What is trained, what is validated and what the folder writes are the same networks, whatever the start recorded."""

    def settings(weight: int, **changes: object) -> TrainingConfig:
        architectures = f"cnn-2layer@0.5:1,cnn-2layer@0.25:{weight}"
        return make_several(architectures=architectures, max_steps=3, num_validation_tasks=2, **changes)

    first = Trainer(settings(weights[0], output_dir=tmp_path / "first")).train()
    trainer = Trainer(
        settings(weights[1], output_dir=tmp_path / "second", init_from=first.generator, learning_rate=0.05)
    )
    [target] = [t for t in trainer.targets if t.spec.architecture.name == "cnn-2layer@0.25"]
    assert target.context.rows is not None
    assert (target.context.rows.filter_share, target.context.rows.row_share) == (1.0, 1.0)
    assert (target.context.normalizer.spec.relative is None) == (target.spec.relative is None) == (weights[1] == 1)
    outcome = trainer.train()
    made = make_generator(trainer.targets, trainer.stepper.ema.denoiser(), validation=outcome.validation)
    loaded = Generator.from_pretrained(outcome.generator, device="cpu")
    one, other = (
        generator(["ant", "bee"], encoder=trainer.config.encoders[0], architecture="cnn-2layer@0.25")
        for generator in (made, loaded)
    )
    for name, tensor in one.network.state_dict().items():
        torch.testing.assert_close(other.network.state_dict()[name], tensor)
