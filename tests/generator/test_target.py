"""One generator that writes several architectures: views, folders, and what is wrong with an altered one."""

from __future__ import annotations

import copy
import dataclasses
import hashlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save
from torch import Tensor

from tests.generator.comparison import assert_differ, assert_same, state_of
from tests.generator.conftest import ARCHITECTURES, WHITENED
from tina_framework.errors import CheckpointError, ConfigError, UnknownNameError
from tina_framework.generator.generator import Generator
from tina_framework.generator.target import whitened_weights
from tina_framework.storage.digest import renew_digest
from tina_framework.testing.checks.generator import check_generates

NAMES = ["dog", "ant", "fox"]
OTHERS = ARCHITECTURES[1:]


def only(generator: Generator, name: str) -> Generator:
    """A generator of the same denoiser that knows one architecture."""
    config = dataclasses.replace(
        generator.config, architecture=name, architectures={name: generator.config.architectures[name]}
    )
    target = generator.known_target(name)
    assert target is not None
    return Generator(config, generator.denoiser, target.normalizer, generator.condition_space, None, {name: target})


def test_a_view_shares_the_denoiser_and_writes_its_own_architecture(mixed: Generator) -> None:
    for name in OTHERS:
        view = mixed.for_architecture(name)
        assert view.denoiser is mixed.denoiser
        assert (view.config.architecture, view.spec.architecture.name) == (name, name)
        model = view(NAMES, seed=1)
        assert model.num_parameters == mixed.architectures[name].num_parameters(3)
    assert mixed.config.architecture == mixed.spec.architecture.name == ARCHITECTURES[0]
    assert mixed(NAMES, seed=1).num_parameters == mixed.architectures[ARCHITECTURES[0]].num_parameters(3)


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_each_architecture_is_written_as_by_a_generator_of_it_alone(
    mixed: Generator, name: str, tmp_path: Path
) -> None:
    expected = mixed.for_architecture(name)(NAMES, seed=2)
    assert all(
        torch.equal(a, state_of(mixed(NAMES, seed=2, architecture=name))[n]) for n, a in state_of(expected).items()
    )
    alone = only(mixed, name)
    alone.save_pretrained(tmp_path / "alone")
    loaded = Generator.from_pretrained(tmp_path / "alone", device="cpu")
    assert list(loaded.architectures) == [name]
    for other in (alone, loaded):
        assert all(torch.equal(a, state_of(other(NAMES, seed=2))[n]) for n, a in state_of(expected).items())


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_the_forecast_of_rows_and_the_order_of_classes(mixed: Generator, name: str) -> None:
    model = mixed(NAMES, seed=3, architecture=name)
    assert_same(model, mixed(NAMES[::-1], seed=3, architecture=name))
    assert_differ(model, mixed(NAMES, seed=4, architecture=name))
    # The forecast is part of the row of a class, and of nothing else.
    without = copy.copy(mixed.for_architecture(name))
    without._targets = {**mixed._targets, name: dataclasses.replace(mixed._targets[name], rows=None)}
    changed = [n for n, a in state_of(model).items() if not torch.equal(a, state_of(without(NAMES, seed=3))[n])]
    assert changed == ["fc.weight", "fc.bias"]
    batch = mixed([NAMES, ["bee", "cat"]], seed=3, architecture=name)
    assert_same(batch[0], model)


def test_a_folder_round_trip(mixed: Generator, mixed_folder: Path) -> None:
    loaded = Generator.from_pretrained(mixed_folder, device="cpu")
    assert loaded.config.to_dict() == mixed.config.to_dict()
    for name in ARCHITECTURES:
        expected = state_of(mixed(NAMES, seed=5, architecture=name))
        found = state_of(loaded.for_architecture(name)(NAMES, seed=5))
        assert all(torch.equal(tensor, found[key]) for key, tensor in expected.items())
    tensors = load_file(mixed_folder / "model.safetensors")
    assert not [key for key in tensors if key.startswith("normalizer.")]
    assert tensors[f"target.{WHITENED}.normalizer.left.conv1.weight"].shape == (8, 8)
    assert tensors["target.cnn-3layer@0.5.rows.bias"].shape == (tensors["target.cnn-3layer@0.5.rows.weight"].shape[0],)


def test_views_are_made_quickly_and_share_what_takes_time(mixed: Generator) -> None:
    one, two = (mixed.for_architecture(OTHERS[0]) for _ in range(2))
    assert one.layout(4) is two.layout(4)
    assert one.spec is two.spec
    assert one.layout(4) is not mixed.layout(4)
    assert one.layout(4).num_parameters == one.spec.num_parameters(4)


def test_a_saved_view_keeps_all_architectures_and_has_another_default(mixed: Generator, tmp_path: Path) -> None:
    mixed.for_architecture(WHITENED).save_pretrained(tmp_path / "view")
    loaded = Generator.from_pretrained(tmp_path / "view", device="cpu")
    assert loaded.config.architecture == WHITENED
    assert loaded.normalizer.whitening is not None
    for name in ARCHITECTURES:
        expected = state_of(mixed(NAMES, seed=6, architecture=name))
        found = state_of(loaded(NAMES, seed=6, architecture=name))
        assert all(torch.equal(tensor, found[key]) for key, tensor in expected.items())


def test_the_default_can_be_chosen_when_a_folder_is_read(mixed: Generator, mixed_folder: Path) -> None:
    loaded = Generator.from_pretrained(mixed_folder, device="cpu", architecture=OTHERS[1])
    assert loaded.config.architecture == OTHERS[1]
    assert_same(loaded(NAMES, seed=1), mixed(NAMES, seed=1, architecture=OTHERS[1]))
    with pytest.raises(UnknownNameError, match=r"does not write the architecture 'cnn-3layer'\. Did you mean"):
        Generator.from_pretrained(mixed_folder, device="cpu", architecture="cnn-3layer")


def test_views_of_views(mixed: Generator) -> None:
    view = mixed.for_architecture(OTHERS[0])
    assert view.for_architecture(OTHERS[0]) is view
    assert view.for_architecture("cnn-2layer@0.50") is view
    back = view.for_architecture("cnn-2layer@1")
    assert_same(back(NAMES, seed=1), mixed(NAMES, seed=1))
    again = copy.deepcopy(view)
    assert_same(again(NAMES, seed=1), view(NAMES, seed=1))


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        (
            "cnn-2layer@2",
            r"does not write the architecture 'cnn-2layer@2'.*It writes: cnn-2layer@0\.5, cnn-3layer@0\.5, cnn-2layer",
        ),
        ("cnn-2layer@9", r"does not write the architecture 'cnn-2layer@9'.*It writes: cnn-2layer@0\.5, "),
        ("cnn-2leyer", "Did you mean 'cnn-2layer'"),
        ("", "does not write"),
    ],
)
def test_other_architectures_are_refused(mixed: Generator, name: str, sentence: str) -> None:
    with pytest.raises(UnknownNameError, match=sentence):
        mixed(NAMES, architecture=name)
    assert mixed.known_target(name) is None


@pytest.mark.parametrize("name", [5, ["cnn-2layer"]])
def test_a_name_must_be_a_text(mixed: Generator, name: Any) -> None:
    with pytest.raises(ConfigError, match=r"architecture is .*; give the name of one: cnn-2layer, "):
        mixed(NAMES, architecture=name)
    with pytest.raises(ConfigError, match="architecture is None"):
        mixed.for_architecture(None)  # type: ignore[arg-type]


def test_a_relative_may_be_null(folder: Path) -> None:
    """As another program may write an absent value."""
    expected = state_of(Generator.from_pretrained(folder, device="cpu")(NAMES, seed=1, architecture=OTHERS[0]))
    edit(folder, lambda values: values["architectures"][OTHERS[0]].update(relative=None))
    found = state_of(Generator.from_pretrained(folder, device="cpu")(NAMES, seed=1, architecture=OTHERS[0]))
    assert all(torch.equal(tensor, found[key]) for key, tensor in expected.items())


def test_a_generator_of_one_architecture_knows_its_name(tiny_generator: Generator) -> None:
    assert tiny_generator.for_architecture("cnn-2layer") is tiny_generator
    assert tiny_generator.for_architecture("cnn-2layer@1.0") is tiny_generator
    with pytest.raises(UnknownNameError, match=r"'cnn-3layer'.*It writes: cnn-2layer\."):
        tiny_generator(NAMES, architecture="cnn-3layer")
    target = tiny_generator.known_target("cnn-2layer")
    assert target is not None
    assert (target.normalizer is tiny_generator.normalizer, target.rows) == (True, None)


def test_which_weights_are_whitened(mixed: Generator) -> None:
    for name in ARCHITECTURES:
        target = mixed.known_target(name)
        assert target is not None
        assert whitened_weights(target.normalizer) == mixed.config.whitened_weights(name)
    assert mixed.config.whitened_weights(WHITENED) == ("conv1.weight",)


def test_parts_that_are_not_those_of_the_configuration_are_refused(mixed: Generator) -> None:
    arguments = mixed.config, mixed.denoiser, mixed.normalizer, mixed.condition_space, None
    for targets in (None, {name: mixed._targets[name] for name in OTHERS}):
        with pytest.raises(ConfigError, match=r"writes cnn-2layer.*, but has the parts of"):
            Generator(*arguments, targets)


def test_the_check_for_authors_generates_with_all_parts(mixed: Generator, mixed_folder: Path) -> None:
    check_generates(mixed_folder)


@pytest.fixture
def folder(mixed_folder: Path, tmp_path: Path) -> Path:
    """A copy that may be spoiled."""
    return Path(shutil.copytree(mixed_folder, tmp_path / "generator"))


def edit(folder: Path, change: Callable[[dict[str, Any]], object]) -> None:
    values = json.loads((folder / "config.json").read_text())
    change(values)
    (folder / "config.json").write_text(json.dumps(values))
    renew_digest(folder / "config.json")


def edit_tensors(folder: Path, change: Callable[[dict[str, Tensor]], object]) -> None:
    """With the right hash: only what the tensors are is wrong."""
    path = folder / "model.safetensors"
    tensors = {name: tensor.clone() for name, tensor in load_file(path).items()}
    change(tensors)
    sha256 = hashlib.sha256(save(tensors, {"format": "pt"}))
    path.write_bytes(save(tensors, {"format": "pt"}))
    edit(folder, lambda values: values["sha256"].update({path.name: sha256.hexdigest()}))


def rename(values: dict[str, Any], name: str) -> None:
    values["architectures"][name] = values["architectures"].pop(OTHERS[0])


def relate(values: dict[str, Any], relative: object, name: str = OTHERS[0], **shares: object) -> None:
    entry = {"architecture": relative, "filters": 0.5, "rows": 0.5} | shares
    values["architectures"][name].update(relative=entry, trained=False)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda values: values.pop("architectures"), "such a denoiser needs the setting"),
        (lambda values: values.update(architectures={}), "such a denoiser needs the setting"),
        (lambda values: values.update(architectures=["cnn-2layer"]), "is not a table"),
        (lambda values: values.update(architecture="cnn-3layer"), "architecture='cnn-3layer' is not one of its archi"),
        (lambda values: rename(values, "cnn-9layer"), "Unknown architecture 'cnn-9layer'"),
        (lambda values: rename(values, "builtins:eval"), "cannot be created"),
        (lambda values: rename(values, "cnn-2layer@9"), "widths from 0.25 to 4"),
        (lambda values: rename(values, "cnn-2layer@0.50"), "'cnn-2layer@0.50' is called 'cnn-2layer@0.5'"),
        (lambda values: rename(values, "cnn-2layer@0.25"), "lacks|shape|unknown"),
        (lambda values: values["architectures"].pop(OTHERS[0]), "unknown"),
        (lambda values: values["architectures"].update({OTHERS[0]: {}}), "needs whitened and trained"),
        (lambda values: values["architectures"].update({OTHERS[0]: 5}), "needs whitened and trained"),
        (lambda values: values["architectures"][OTHERS[0]].update(more=1), "may have validation, metrics and relative"),
        (lambda values: values["architectures"][OTHERS[0]].update(whitened="conv1.weight"), "not a list of names"),
        (lambda values: values["architectures"][OTHERS[0]].update(whitened=[3]), "not a list of names"),
        (lambda values: values["architectures"][OTHERS[0]].update(whitened=["nonsense"]), "unknown"),
        (lambda values: values["architectures"][OTHERS[0]].update(whitened=[]), "unknown"),
        (lambda values: values["architectures"][OTHERS[0]].update(trained=1), "must be true or false"),
        (
            lambda values: values["architectures"][OTHERS[0]].update(relative="cnn-2layer", trained=False),
            "needs exactly architecture",
        ),
        (lambda values: values["architectures"][OTHERS[0]].update(relative="cnn-2layer"), "was trained, but has relative"),
        (lambda values: relate(values, "cnn-9layer"), "which is no trained architecture"),
        (lambda values: relate(values, 3), "which is no trained architecture"),
        (lambda values: relate(values, ARCHITECTURES[0], rows=1.5), "rows=1.5, not a share from 0 to 1"),
        (lambda values: relate(values, ARCHITECTURES[0], filters=True), "filters=True, not a share from 0 to 1"),
        (lambda values: relate(values, OTHERS[1]), "which is no trained architecture"),
        (lambda values: relate(values, ARCHITECTURES[0], OTHERS[1]), "cannot be written as 'cnn-2layer'"),
        (lambda values: values["tokenizer"]["config"].update(token_width=161), "token groups are not those"),
        (lambda values: values["tokenizer"]["config"].update(token_width=9), "has 33 parameters, but tokens are 9 wide"),
        (lambda values: values.update(tokenizer={"name": "class-row", "config": {}}), "token groups are not those"),
        (lambda values: values["denoiser"].update(descriptor_size=90), "shape|descriptors"),
        (lambda values: values["denoiser"].update(descriptor_size=0), "do not fit together"),
    ],
)  # fmt: skip
def test_altered_configs_are_refused(folder: Path, change: Callable[[dict[str, Any]], object], sentence: str) -> None:
    edit(folder, change)
    with pytest.raises(CheckpointError, match=sentence):
        Generator.from_pretrained(folder, device="cpu")


KEY = f"target.{OTHERS[0]}"


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda tensors: tensors.pop(f"{KEY}.rows.bias"), rf"lacks {KEY}\.rows\.bias"),
        (lambda tensors: tensors.pop(f"{KEY}.normalizer.base.conv1.weight"), "lacks"),
        (lambda tensors: tensors.update({"target.cnn-9layer.rows.bias": torch.zeros(3)}), "unknown target.cnn-9layer"),
        (lambda tensors: tensors.update({f"{KEY}.rows.weight": torch.zeros(33, 24)}), "shape"),
        (lambda tensors: tensors.update({f"{KEY}.rows.bias": torch.full((17,), torch.nan)}), "not finite"),
        (lambda tensors: tensors.update({f"{KEY}.normalizer.scale.conv1.weight": torch.ones(2)}), "shape"),
        (lambda tensors: tensors[f"{KEY}.normalizer.left.conv1.weight"].zero_(), "not positive"),
    ],
)
def test_altered_tensors_are_refused(
    folder: Path, change: Callable[[dict[str, Tensor]], object], sentence: str
) -> None:
    edit_tensors(folder, change)
    with pytest.raises(CheckpointError, match=sentence):
        Generator.from_pretrained(folder, device="cpu")


def test_an_untouched_copy_is_read(folder: Path) -> None:
    edit(folder, lambda values: None)
    edit_tensors(folder, lambda tensors: None)
    assert set(Generator.from_pretrained(folder, device="cpu").architectures) == set(ARCHITECTURES)


def test_architectures_need_a_denoiser_that_reads_descriptors(tiny_generator: Generator) -> None:
    entry = {"cnn-2layer": {"whitened": [], "trained": True}}
    with pytest.raises(ConfigError, match="architectures needs a denoiser that reads descriptors"):
        dataclasses.replace(tiny_generator.config, architectures=entry)


def test_a_folder_of_one_architecture_says_nothing_of_several(tiny_folder: Path) -> None:
    values = json.loads((tiny_folder / "config.json").read_text())
    assert "architectures" not in values
    assert not {"descriptor_size", "forecast_width", "output_width", "skip_width"} & values["denoiser"].keys()


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_half_precision_keeps_the_projections_of_descriptors(mixed_folder: Path, dtype: str) -> None:
    whole, half = (Generator.from_pretrained(mixed_folder, device="cpu", dtype=name) for name in ("float32", dtype))
    kinds = {name: p.dtype for name, p in half.denoiser.named_parameters()}
    kept = {name for name, kind in kinds.items() if kind == torch.float32}
    assert kept
    assert all(".projection." in name for name in kept)
    assert kinds["tokens.out_of.weights.projection.weight"] == torch.float32
    assert kinds["timestep.projection.weight"] == getattr(torch, dtype)
    for name in ARCHITECTURES:
        one, other = (
            torch.cat([t.flatten() for t in state_of(g(NAMES, architecture=name)).values()]) for g in (whole, half)
        )
        assert 0 < (one - other).norm() / one.norm() < 0.03


def test_views_share_the_encoder(mixed_folder: Path) -> None:
    generator = Generator.from_pretrained(mixed_folder, device="cpu")
    view = generator.for_architecture(OTHERS[0])
    assert view.encoder is generator.encoder is generator.for_architecture(OTHERS[1]).encoder
