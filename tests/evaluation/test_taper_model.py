"""TAPER's networks against the formula, its folder, and that training through the mixture changes what it should."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tina_framework.builtins.architectures.cnn_2layer import cnn_2layer
from tina_framework.errors import CheckpointError, ConfigError
from tina_framework.evaluation.taper_model import TaperConfig, TaperModel
from tina_framework.interfaces.spec import ParameterSpec
from tina_framework.prompts.condition_space import ConditionSpace
from tina_framework.storage.digest import renew_digest

NAMES = ("ant", "bee", "cat", "dog", "eel")
WIDTH = 6


@pytest.fixture(scope="module")
def spec() -> ParameterSpec:
    return ParameterSpec(cnn_2layer)


def make(spec: ParameterSpec, **settings: Any) -> TaperModel:
    vectors = np.random.default_rng(0).normal(size=(len(NAMES), WIDTH)).astype(np.float32)
    config = TaperConfig(spec.architecture.name, NAMES, **{"num_bases": 3, "hidden_size": 8, **settings})
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        taper = TaperModel(config, spec, ConditionSpace.fit("toy", vectors))
        generic = dict(spec.architecture.build(len(NAMES)).named_parameters())
    taper.start_from({n: p.detach() for n, p in generic.items()}, 0.5, torch.Generator().manual_seed(1))
    return taper


@pytest.mark.parametrize("per_tensor", [True, False])
def test_networks_are_the_mixture_of_the_tasks_rows(spec: ParameterSpec, per_tensor: bool) -> None:
    taper = make(spec, per_tensor=per_tensor)
    conditions = torch.randn(2, 3, WIDTH, generator=torch.Generator().manual_seed(0))
    classes = torch.tensor([[4, 0, 2], [1, 3, 4]])
    found = taper.networks(conditions, classes)
    mix = taper.coefficients(conditions)
    torch.testing.assert_close(mix.sum(dim=-1), torch.ones(2, len(spec.class_axes) if per_tensor else 1))
    for b in range(2):
        state = spec.unflatten(found[b], 3)
        for g, name in enumerate(spec.class_axes):
            parts = [spec.select_classes(spec.unflatten(base, len(NAMES)), classes[b])[name] for base in taper.bases]
            weights = mix[b, g if per_tensor else 0]
            torch.testing.assert_close(state[name], sum(w * part for w, part in zip(weights, parts, strict=True)))


def test_the_order_of_classes_moves_rows_and_nothing_else(spec: ParameterSpec) -> None:
    taper = make(spec)
    conditions = torch.randn(1, 3, WIDTH, generator=torch.Generator().manual_seed(0))
    order = torch.tensor([2, 0, 1])
    classes = torch.tensor([[4, 0, 2]])
    one = spec.unflatten(taper.networks(conditions, classes)[0], 3)
    two = spec.unflatten(taper.networks(conditions[:, order], classes[:, order])[0], 3)
    torch.testing.assert_close(two["conv1.weight"], one["conv1.weight"])
    torch.testing.assert_close(two["fc.weight"], one["fc.weight"][order])


def test_bases_start_apart_around_the_generic_model(spec: ParameterSpec) -> None:
    taper = make(spec, num_bases=64)
    spread = taper.bases.detach().std(dim=0)
    first = spec.unflatten(taper.bases.detach().mean(dim=0), len(NAMES))["conv2.weight"]
    assert float(spread.min()) > 0
    ratio = spec.unflatten(spread, len(NAMES))["conv2.weight"].mean() / first.std()
    assert 0.4 < float(ratio) < 0.6


def test_a_saved_model_gives_the_same_networks(spec: ParameterSpec, tmp_path: Path) -> None:
    taper = make(spec, training={"steps": 3})
    taper.save(tmp_path / "taper")
    loaded = TaperModel.load(tmp_path / "taper", spec)
    assert loaded.config == taper.config
    assert (loaded.space.space, loaded.space.scale) == (taper.space.space, taper.space.scale)
    conditions, classes = torch.randn(1, 2, WIDTH), torch.tensor([[0, 1]])
    assert torch.equal(loaded.networks(conditions, classes), taper.networks(conditions, classes))
    taper.save(tmp_path / "taper")  # over another of its kind


def test_what_is_not_a_taper_folder_is_refused(spec: ParameterSpec, tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="not a tina-taper folder"):
        TaperModel.load(tmp_path, spec)
    folder = tmp_path / "taper"
    make(spec).save(folder)
    values = json.loads((folder / "config.json").read_text())

    def reads(changes: dict[str, Any], message: str) -> None:
        (folder / "config.json").write_text(json.dumps({**values, **changes}))
        renew_digest(folder / "config.json")
        with pytest.raises(CheckpointError, match=message):
            TaperModel.load(folder, spec)

    reads({"num_bases": 0}, "not an integer of at least 1")
    reads({"num_bases": 2}, "'bases' has shape")
    reads({"condition": {}}, "is wrong")
    reads({"more": 1}, "does not know more")
    reads({"architecture": "other"}, "mixes 'other' networks")
    (folder / "config.json").write_text(json.dumps(values))
    renew_digest(folder / "config.json")
    data = bytearray((folder / "model.safetensors").read_bytes())
    data[-1] ^= 1
    (folder / "model.safetensors").write_bytes(bytes(data))
    with pytest.raises(CheckpointError, match="was altered"):
        TaperModel.load(folder, spec)
    (folder / "model.safetensors").unlink()
    with pytest.raises(CheckpointError, match="does not exist"):
        TaperModel.load(folder, spec)
    (folder / "notes.txt").write_text("mine")
    with pytest.raises(ConfigError, match="nothing was changed"):
        make(spec).save(folder)
