"""Runs that train one generator for several architectures."""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from tests.training.conftest import CLASSES, bare_zoo
from tests.training.runs import finish, log, start_group, stop_after, weights
from tina_framework.config.training import TrainingConfig
from tina_framework.errors import CheckpointError, ConfigError
from tina_framework.generator.generator import Generator
from tina_framework.interfaces.spec import ParameterSpec
from tina_framework.training import run_inputs
from tina_framework.training.components import build_components
from tina_framework.training.export import make_generator
from tina_framework.training.loop import Trainer
from tina_framework.training.run_inputs import open_targets
from tina_framework.training.track import track_at

Make = Callable[..., TrainingConfig]
CPU = torch.device("cpu")
NAMES = ["cnn-2layer", "cnn-2layer@0.5", "cnn-2layer@0.25"]


def test_a_run_trains_validates_and_exports_all_of_them(make_several: Make) -> None:
    config = make_several(num_validation_tasks=3, validation_steps=4, whitening=0.1, learning_rate=0.01)
    trainer = Trainer(config)
    stepped = trainer.stepper
    which = Counter(track_at(stepped.tracks, config.seed, step).context.spec.architecture.name for step in range(8))
    assert set(which) == set(NAMES[:2])
    before = {name: p.detach().clone() for name, p in stepped.denoiser.named_parameters()}
    outcome = trainer.train()
    assert [n for n, p in stepped.denoiser.named_parameters() if torch.equal(p, before[n])] == []

    assert outcome.validation is not None
    of_each = outcome.validation.by_architecture
    assert list(of_each) == NAMES
    for figure in ("accuracy", "selection", "difference", "standard_error"):
        mean = (of_each[NAMES[0]][figure] + of_each[NAMES[1]][figure]) / 2
        assert getattr(outcome.validation, figure) == pytest.approx(mean)
    [*_, last] = log(config, "validation")
    assert last["by_architecture"] == of_each
    assert last["num_tasks"] == of_each[NAMES[0]]["num_tasks"]

    generator = Generator.from_pretrained(outcome.generator, device="cpu")
    assert generator.config.architecture == NAMES[0]
    assert {name: found.trained for name, found in generator.architectures.items()} == dict(
        zip(NAMES, (True, True, False), strict=True)
    )
    for name in NAMES:
        assert generator.config.validation_accuracy(name) == of_each[name]["accuracy"]
        model = generator(["ant", "bee", "cat"], encoder=config.encoders[0], architecture=name)
        assert model.num_parameters == generator.architectures[name].num_parameters(3)
        assert len(generator.config.whitened_weights(name)) > 1
    assert set(generator.config.training["zoos_sha256"]) == set(NAMES)


def test_before_the_first_step_each_architecture_is_written_as_by_a_run_of_its_own(
    make_several: Make, make_config: Make, world: Path, other_zoos: dict[str, Path]
) -> None:
    """The fixed row forecast is the regression that the skip of a denoiser for one architecture starts from."""
    config = make_several(max_steps=1)
    trainer = Trainer(config)
    trainer.close()
    together = make_generator(trainer.targets, trainer.components.denoiser)
    tasks = [["dog", "ant", "fox"], ["bee", "cat"]]
    for name, zoo in ({"cnn-2layer": world / "zoo"} | other_zoos).items():
        components = build_components(
            make_config(zoo=zoo, denoise_weight=0, preset="small", num_inference_steps=1), CPU
        )
        alone = make_generator(components, components.denoiser)
        for one, other in zip(
            alone(tasks, encoder=config.encoders[0]),
            together(tasks, encoder=config.encoders[0], architecture=name),
            strict=True,
        ):
            for key, tensor in one.network.state_dict().items():
                torch.testing.assert_close(other.network.state_dict()[key], tensor, atol=1e-4, rtol=1e-3)


@pytest.mark.parametrize("changes", [{"dropout": 0.2}, {"whitening": 0.1, "gradient_accumulation_steps": 2}])
def test_stopped_and_resumed_is_bit_identical(make_several: Make, tmp_path: Path, changes: dict[str, Any]) -> None:
    changes = {"num_validation_tasks": 2, "validation_steps": 3, **changes}
    whole = make_several(output_dir=tmp_path / "whole", **changes)
    assert Trainer(whole).train().finished
    parts = make_several(output_dir=tmp_path / "parts", **changes)
    trainer = Trainer(parts)
    stop_after(trainer, 4)
    assert trainer.train().step == 4
    resumed = Trainer(make_several(output_dir=tmp_path / "parts", resume_from_checkpoint="latest", **changes))
    assert resumed.stepper.step == 4
    assert resumed.train().finished
    one, two = weights(whole, 8), weights(parts, 8)
    assert one.keys() == two.keys()
    assert [name for name in one if not torch.equal(one[name], two[name])] == []
    for kind, figures in (("train", ("step", "loss", "grad_norm")), ("validation", ("step", "by_architecture"))):
        assert [[row[f] for f in figures] for row in log(whole, kind)] == [
            [row[f] for f in figures] for row in log(parts, kind)
        ]


def test_a_resumed_run_keeps_the_factors_of_each_architecture(
    make_several: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    Trainer(make_several(max_steps=2, whitening=0.1)).train()

    def fail(*_: object) -> None:
        raise AssertionError("the factors were computed again")

    monkeypatch.setattr("tina_framework.training.loop.whitening_factors", fail)
    trainer = Trainer(make_several(max_steps=2, whitening=0.1, resume_from_checkpoint="latest"))
    trainer.close()
    shapes = [target.context.normalizer.whitening.factors["left.conv1.weight"].shape for target in trainer.targets]  # type: ignore[union-attr]
    assert [shape[0] for shape in shapes] == [target.spec.parameters(2)[0].shape[0] for target in trainer.targets]


def test_another_zoo_or_other_weights_end_a_resume(make_several: Make, world: Path, tmp_path: Path) -> None:
    Trainer(make_several(max_steps=1)).train()
    again = {"max_steps": 1, "resume_from_checkpoint": "latest"}
    with pytest.raises(CheckpointError, match=r"architectures="):
        Trainer(make_several(architectures="cnn-2layer:1,cnn-2layer@0.5:1,cnn-2layer@0.25:0", **again))
    # The first one is the default.
    with pytest.raises(CheckpointError, match=r"architectures=.*now.*Resume with the same values"):
        Trainer(make_several(architectures="cnn-2layer@0.5:2,cnn-2layer:1,cnn-2layer@0.25:0", **again))
    other = bare_zoo(tmp_path / "other", "cnn-2layer@0.25", seed=9)
    with pytest.raises(CheckpointError, match=r"the zoo's models have changed"):
        Trainer(make_several(zoos=f"{world / 'zoo-1'},{other}", **again))
    moved = shutil.copytree(world / "zoo-2", tmp_path / "moved")
    trainer = Trainer(make_several(zoos=f"{world / 'zoo-1'},{moved}", **again))
    trainer.close()
    assert trainer.stepper.step == 1


def test_two_processes_train_as_one(make_several: Make, settings: dict[str, Any], tmp_path: Path) -> None:
    one = make_several(max_steps=5, output_dir=tmp_path / "one")
    Trainer(one).train()
    two = make_several(max_steps=5, output_dir=tmp_path / "two")
    names = (
        *settings,
        "zoos",
        "architectures",
        "tokenizer",
        "denoise_weight",
        "pool_rank",
        "pool_moments",
        "forecast_width",
    )
    values = {name: getattr(two, name) for name in names}
    words = []
    for name, value in values.items():
        if isinstance(value, dict):
            value = ",".join(f"{key}:{weight}" for key, weight in value.items())
        elif isinstance(value, list | tuple):
            value = ",".join(map(str, value))
        words += [f"--{name}", "none" if value is None else str(value)]
    for code, error in finish(start_group([words] * 2)):
        assert code == 0, error
    figures = [[[row["loss"], row["grad_norm"]] for row in log(config)] for config in (one, two)]
    assert len(figures[0]) == 5
    for ours, theirs in zip(*figures, strict=True):
        assert ours == pytest.approx(theirs, rel=1e-4, abs=1e-5)


@pytest.fixture
def start(make_several: Make, tmp_path: Path) -> Path:
    """A generator of the two trained architectures."""
    config = make_several(
        max_steps=3, whitening=0.1, architectures="cnn-2layer:1,cnn-2layer@0.5:2", output_dir=tmp_path / "start"
    )
    return Trainer(config).train().generator


def test_a_start_keeps_the_coordinates_of_what_it_knows(make_several: Make, start: Path, tmp_path: Path) -> None:
    known = Generator.from_pretrained(start, device="cpu")
    run = {"init_from": start, "seed": 5, "output_dir": tmp_path / "second", "num_validation_tasks": 1}
    trainer = Trainer(make_several(max_steps=2, **run))
    assert [target.spec.architecture.name for target in trainer.targets] == NAMES
    for target in trainer.targets[:2]:
        found = known.known_target(target.spec.architecture.name)
        assert found is not None
        assert torch.equal(target.context.normalizer.base_flat(3), found.normalizer.base_flat(3))
        assert torch.equal(target.context.normalizer.scale_flat(3), found.normalizer.scale_flat(3))
        assert target.context.rows is not None
        assert found.rows is not None
        assert torch.equal(target.context.rows.weight, found.rows.weight)
    new = trainer.targets[2]
    # Coordinates of its own, of the same kind: from its zoo, and whitened with the recorded damping.
    assert new.context.normalizer.whitening is not None
    assert torch.equal(new.context.normalizer.base["conv1.weight"], new.zoo.generic["conv1.weight"])
    for name, tensor in known.denoiser.state_dict().items():
        assert torch.equal(trainer.stepper.denoiser.state_dict()[name], tensor)
    outcome = trainer.train()
    assert not torch.equal(
        trainer.stepper.denoiser.state_dict()["tokens.out_of.elements.weight"],
        known.denoiser.tokens.out_of.elements.weight,
    )  # type: ignore[arg-type]
    assert set(Generator.from_pretrained(outcome.generator, device="cpu").architectures) == set(NAMES)


def test_a_run_of_a_start_resumes_exactly(make_several: Make, start: Path, tmp_path: Path) -> None:
    run = {"init_from": start, "max_steps": 4}
    whole = make_several(output_dir=tmp_path / "whole", **run)
    Trainer(whole).train()
    parts = make_several(output_dir=tmp_path / "parts", **run)
    trainer = Trainer(parts)
    stop_after(trainer, 2)
    trainer.train()
    Trainer(make_several(output_dir=tmp_path / "parts", resume_from_checkpoint="latest", **run)).train()
    one, two = weights(whole, 4), weights(parts, 4)
    assert [name for name in one if not torch.equal(one[name], two[name])] == []


def test_an_unknown_architecture_alone(make_several: Make, start: Path, tmp_path: Path) -> None:
    run = {"init_from": start, "architectures": "cnn-2layer@0.25:1", "output_dir": tmp_path / "alone"}
    components = build_components(make_several(**run), CPU)
    assert components.context.normalizer.whitening is not None
    outcome = Trainer(make_several(max_steps=1, **run)).train()
    made = Generator.from_pretrained(outcome.generator, device="cpu")
    assert list(made.architectures) == ["cnn-2layer@0.25"]
    # The next run finds the damping in the record of the first one.
    again = {**run, "init_from": outcome.generator, "architectures": "cnn-2layer:1", "output_dir": tmp_path / "third"}
    assert build_components(make_several(**again), CPU).context.normalizer.whitening is not None


def test_generators_of_the_other_kind_are_refused_as_a_start(
    make_several: Make, make_config: Make, start: Path, tmp_path: Path
) -> None:
    plain = Trainer(make_config(max_steps=1, output_dir=tmp_path / "plain")).train().generator
    with pytest.raises(ConfigError, match=r"differs from the settings in group_widths.*descriptor_size"):
        build_components(make_several(init_from=plain, output_dir=tmp_path / "a"), CPU)
    with pytest.raises(ConfigError, match=r"differs from the settings in group_widths.*descriptor_size"):
        build_components(make_config(init_from=start, output_dir=tmp_path / "b"), CPU)
    for width in ("forecast_width", "output_width", "skip_width"):
        with pytest.raises(ConfigError, match=rf"differs from the settings in {width}"):
            build_components(make_several(init_from=start, output_dir=tmp_path / width, **{width: 8}), CPU)


def test_untrained_architectures_come_last(make_several: Make) -> None:
    config = make_several(architectures="cnn-2layer@0.25:0,cnn-2layer@0.5:1,cnn-2layer:1")
    found = open_targets(config)
    assert [target.spec.architecture.name for target in found] == ["cnn-2layer@0.5", "cnn-2layer", "cnn-2layer@0.25"]
    assert [target.weight for target in found] == [1, 1, 0]


def test_each_architecture_has_the_zoo_that_holds_it(make_several: Make, world: Path) -> None:
    places = {target.spec.architecture.name: target.zoo.folder.name for target in open_targets(make_several())}
    assert places == {"cnn-2layer": "zoo", "cnn-2layer@0.5": "zoo-1", "cnn-2layer@0.25": "zoo-2"}
    with pytest.raises(ConfigError, match=r"has generic models of 'cnn-2layer' alone, so it has no 'cnn-2layer@0.5'"):
        open_targets(make_several(zoos=world / "zoo-2"))


class FakeZoo:
    """A zoo that says whom it was narrowed to."""

    def __init__(self, architecture: str, *widths: float) -> None:
        self.architecture, self.config = architecture, SimpleNamespace(generic_widths=widths)

    def narrowed(self, spec: ParameterSpec) -> FakeZoo:
        return self

    def check(self, spec: ParameterSpec) -> None:
        pass


@pytest.mark.parametrize(
    ("name", "place"), [("cnn-2layer", 0), ("cnn-2layer@2", 1), ("cnn-2layer@0.5", 1), ("cnn-2layer@3", 2)]
)
def test_a_zoo_of_the_width_comes_before_a_wider_one_that_has_it_too(make_several: Make, name: str, place: int) -> None:
    zoos = [FakeZoo("cnn-2layer"), FakeZoo("cnn-2layer@2", 0.5, 1.0), FakeZoo("cnn-2layer@4", 0.5, 3.0)]
    assert run_inputs._matched(name, zoos, make_several())[1] is zoos[place]  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"zoos": "{zoo-1}"}, "has generic models of 'cnn-2layer' alone, so it has no 'cnn-2layer@0.25'"),
        ({"architectures": "cnn-2layer:1,cnn-3layer:1"}, "names 'cnn-3layer', but the zoos hold networks of cnn-2layer.*add its"),
        ({"architectures": "cnn-2layer@0.5:1,cnn-2layer:0"}, "'cnn-2layer' the weight 0.*wider network of its family, but none"),
        ({"architectures": "cnn-2layer:1,cnn-2layer@1:1"}, "'cnn-2layer' and 'cnn-2layer@1', which are the same"),
        ({"architectures": "cnn-2layer:1,cnn-2layer@9:1"}, "widths from 0.25 to 4"),
        ({"tokenizer": "class-row"}, "architectures is set, but the tokenizer 'class-row' gives tokens no descriptors"),
        ({"tokenizer": "filter:20"}, "has 33 parameters, but tokens are 20 wide"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_one_sentence(
    make_several: Make, world: Path, changes: dict[str, str], sentence: str
) -> None:
    changes = {name: value.replace("{zoo-1}", str(world / "zoo-1")) for name, value in changes.items()}
    with pytest.raises(ConfigError, match=sentence):
        Trainer(make_several(**changes))


def test_zoos_of_other_classes_are_refused(make_several: Make, tmp_path: Path) -> None:
    fewer = bare_zoo(tmp_path / "fewer", "cnn-2layer@0.25", classes=CLASSES[:-1])
    with pytest.raises(ConfigError, match=r"zoos of 'cnn-2layer' and 'cnn-2layer@0.25' know different classes"):
        open_targets(make_several(zoos=fewer, architectures="cnn-2layer:1,cnn-2layer@0.25:1"))
    with pytest.raises(ConfigError, match=rf"validation_classes names 'lion', which is no class of the zoo '{fewer}'"):
        open_targets(make_several(zoos=fewer, architectures="cnn-2layer@0.25:1", validation_classes=CLASSES[-1]))


def test_architectures_that_read_other_pictures_are_refused(
    make_several: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    matched = run_inputs._matched

    def other(name: str, *rest: Any) -> Any:
        spec, zoo = matched(name, *rest)
        if name == NAMES[2]:
            spec.architecture = replace(spec.architecture, mean=(0.4, 0.5, 0.5))
        return spec, zoo

    monkeypatch.setattr(run_inputs, "_matched", other)
    with pytest.raises(
        ConfigError, match=r"'cnn-2layer' and 'cnn-2layer@0.25' read pictures of different sizes or scales"
    ):
        open_targets(make_several())


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"denoise_weight": 0.1}, "denoise_weight must be 0"),
        ({"retrieve_rows": True}, "retrieve_rows must be false"),
        ({"kernel_ridge": 0.1}, "kernel_ridge must be none"),
        ({"prediction_type": "epsilon", "pool_rank": 0}, "prediction_type must be sample"),
    ],
)
def test_a_fixed_row_forecast_needs_the_same_settings_with_one_architecture(
    make_config: Make, changes: dict[str, Any], sentence: str
) -> None:
    settings = {"tokenizer": "filter:40", "denoise_weight": 0, **changes}
    with pytest.raises(ConfigError, match=rf"The tokenizer 'filter:40' describes its tokens, so {sentence}"):
        build_components(make_config(**settings), CPU)


def test_one_described_architecture(make_config: Make) -> None:
    outcome = Trainer(make_config(tokenizer="filter:40", denoise_weight=0, max_steps=2, num_validation_tasks=2)).train()
    made = Generator.from_pretrained(outcome.generator, device="cpu")
    assert list(made.architectures) == ["cnn-2layer"]
    assert outcome.validation is not None
    assert outcome.validation.by_architecture == {}
    assert made.config.validation_accuracy("cnn-2layer") == outcome.validation.accuracy
