"""`Ensemble`: whose logits count for a class, which groups are refused, and that a classifier made of one works as any other."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from pathlib import Path
from threading import Lock

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file
from torch import nn

from tina_framework.builtins.architectures.cnn_2layer import CNN2Layer, cnn_2layer
from tina_framework.classifier.classifier import GeneratedClassifier
from tina_framework.classifier.fine_tuning.settings import FineTuneSettings
from tina_framework.errors import CheckpointError, ConfigError
from tina_framework.interfaces.architecture import TargetArchitecture
from tina_framework.interfaces.spec import ParameterSpec
from tina_framework.storage.digest import renew_digest
from tina_framework.targets.ensemble import Ensemble, build_network, checked_groups, member_names

NAMES = ("ant", "bee", "cat", "dog")
GROUPS = ((2, 0, 1), (1, 3))


class Says(nn.Module):
    """The same logits for every picture."""

    def __init__(self, *logits: float) -> None:
        super().__init__()
        self.logits = nn.Parameter(torch.tensor(logits))

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        return self.logits.expand(len(inputs), -1)


@pytest.fixture(scope="module")
def classifier() -> GeneratedClassifier:
    torch.manual_seed(0)
    members = [CNN2Layer(len(group)) for group in GROUPS]
    state = {f"members.{i}.{name}": t * 5 for i, m in enumerate(members) for name, t in m.state_dict().items()}
    return GeneratedClassifier.from_state(cnn_2layer, NAMES, state, {"seed": 5}, members=GROUPS)


@pytest.fixture(scope="module")
def pixels() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (8, 32, 32, 3), dtype=np.uint8)


@pytest.fixture
def folder(classifier: GeneratedClassifier, tmp_path: Path) -> Path:
    classifier.save_pretrained(tmp_path / "model")
    return tmp_path / "model"


def test_a_class_has_the_mean_of_those_that_know_it() -> None:
    ensemble = Ensemble([Says(1.0, 2.0), Says(10.0, 20.0), Says(5.0)], [[0, 2], [2, 1], [0]], 3)
    expected = [[3.0, 20.0, 6.0]] * 4
    assert ensemble(torch.zeros(4, 7)).tolist() == expected
    assert ensemble(torch.zeros(0, 7)).shape == (0, 3)
    assert list(ensemble.state_dict()) == ["members.0.logits", "members.1.logits", "members.2.logits"]


@given(st.data(), st.integers(2, 6), st.integers(1, 5))
def test_the_order_of_members_and_slots_does_not_matter(data: st.DataObject, count: int, more: int) -> None:
    subsets = st.lists(st.integers(0, count - 1), min_size=1, unique=True)
    groups = [list(range(count)), *data.draw(st.lists(subsets, min_size=more, max_size=more))]
    values = [[float(10 * g + k) for k in group] for g, group in enumerate(groups)]
    one = Ensemble([Says(*v) for v in values], groups, count)(torch.zeros(1, 1))
    turned = [(group[::-1], v[::-1]) for group, v in zip(groups, values, strict=True)][::-1]
    other = Ensemble([Says(*v) for _, v in turned], [group for group, _ in turned], count)(torch.zeros(1, 1))
    torch.testing.assert_close(one, other)
    means = [np.mean([10 * g + k for g, group in enumerate(groups) if k in group]) for k in range(count)]
    np.testing.assert_allclose(one[0].detach().numpy(), means, rtol=1e-6)


@pytest.mark.parametrize(
    ("groups", "sentence"),
    [
        ([[0, 1], [1, 2]], "Class index 3 is in no member"),
        ([[0, 1, 2, 4]], "Member 0 has the class index 4; give whole numbers from 0 to 3"),
        ([[0, 1], [2, -1]], "Member 1 has the class index -1"),
        ([[0, 1, 2, True]], "class index True"),
        ([[0, 1, 2, 3.0]], r"class index 3\.0"),
        ([[0, 1, 2, 3, 3]], "a class index twice"),
        ([[0, 1, 2, 3], []], "not lists of class indices"),
        ([], "not lists of class indices"),
        ("0123", "not lists of class indices"),
        (["0123"], "not lists of class indices"),
        (3, "not lists of class indices"),
    ],
)
def test_groups_that_do_not_fit_are_refused(folder: Path, groups: object, sentence: str) -> None:
    with pytest.raises(ConfigError, match=sentence):
        checked_groups(groups, 4)
    values = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**values, "members": groups}))
    renew_digest(folder / "config.json")
    with pytest.raises(CheckpointError, match=sentence):
        GeneratedClassifier.from_pretrained(folder)


def test_every_group_needs_its_network() -> None:
    with pytest.raises(ConfigError, match="1 networks were given for 2 groups"):
        Ensemble([Says(1.0, 2.0)], [[0], [1]], 2)


@pytest.mark.parametrize("template", [None, ParameterSpec(cnn_2layer).template])
def test_built_around_copies(template: Callable[[int], nn.Module] | None) -> None:
    flat = torch.zeros(20_000, dtype=torch.float64)
    shapes = {name: t.shape for name, t in CNN2Layer(2).state_dict().items()}
    state = {name: flat[: shape.numel()].view(shape) for name, shape in shapes.items()}
    named = {name: t for i in (0, 1) for name, t in zip(member_names(i, list(state)), state.values(), strict=True)}
    network = build_network(cnn_2layer, 3, named, [[0, 1], [1, 2]], template)
    flat.fill_(1.0)
    assert all(not p.any() and p.dtype == torch.float32 for p in network.parameters())
    assert all(not tensor.is_meta for tensor in [*network.parameters(), *network.buffers()])
    with pytest.raises(ConfigError, match="Class index 2 is in no member"):
        build_network(cnn_2layer, 3, named, [[0, 1], [1, 0]], template)


class Locked(nn.Linear):
    """It cannot be copied."""

    def __init__(self, num_classes: int) -> None:
        super().__init__(4, num_classes)
        self.lock = Lock()


def test_a_network_that_cannot_be_copied_is_built_anew() -> None:
    architecture = TargetArchitecture("locked", Locked)
    state = nn.Linear(4, 3).state_dict()
    template = ParameterSpec(architecture).template
    with pytest.raises(TypeError):
        copy.deepcopy(template(3))
    first, second = (build_network(architecture, 3, state, template=template) for _ in range(2))
    assert all(torch.equal(value, state[name]) for name, value in first.state_dict().items())
    assert first.lock is not second.lock


def test_a_classifier_of_several_networks(classifier: GeneratedClassifier, pixels: np.ndarray) -> None:
    assert classifier.members == GROUPS
    assert classifier.num_parameters == 2 * 5040 + 33 * 5
    assert classifier.class_tensors == {f"members.{i}.fc.{kind}" for i in (0, 1) for kind in ("weight", "bias")}
    inputs = classifier.preprocessing(pixels)
    one, two = (member(inputs) for member in classifier.network.members)  # type: ignore[union-attr]
    expected = torch.stack([one[:, 1], (one[:, 2] + two[:, 0]) / 2, one[:, 0], two[:, 1]], dim=1)
    torch.testing.assert_close(classifier(inputs), expected)
    assert classifier.predict(pixels) == [NAMES[k] for k in expected.argmax(dim=1)]
    assert classifier.predict(pixels, abstain=1e9) == [None] * 8
    copied = copy.deepcopy(classifier)
    np.testing.assert_array_equal(copied.predict_proba(pixels), classifier.predict_proba(pixels))
    moved = copied.to("meta")
    assert all(tensor.is_meta for tensor in [*moved.network.parameters(), *moved.network.buffers()])


def test_it_is_exported_for_any_number_of_pictures(classifier: GeneratedClassifier, tmp_path: Path) -> None:
    images = torch.randn(5, 3, 32, 32)
    program = torch.export.export(classifier, (images[:2],), dynamic_shapes=({0: torch.export.Dim("batch", min=1)},))
    torch.export.save(program, tmp_path / "c.pt2")
    loaded = torch.export.load(tmp_path / "c.pt2").module()
    torch.testing.assert_close(loaded(images), classifier(images))


def test_folder_round_trip(classifier: GeneratedClassifier, folder: Path, pixels: np.ndarray) -> None:
    loaded = GeneratedClassifier.from_pretrained(folder)
    np.testing.assert_array_equal(loaded.predict_proba(pixels), classifier.predict_proba(pixels))
    assert loaded.members == GROUPS
    assert json.loads((folder / "config.json").read_text())["members"] == [[2, 0, 1], [1, 3]]
    tensors = load_file(folder / "model.safetensors")
    assert set(tensors) == {f"members.{i}.{name}" for i in (0, 1) for name in CNN2Layer(2).state_dict()}
    plain = CNN2Layer(2)
    plain.load_state_dict({name.removeprefix("members.1."): t for name, t in tensors.items() if "members.1." in name})
    inputs = classifier.preprocessing(pixels)
    torch.testing.assert_close(plain(inputs)[:, 1], classifier(inputs)[:, 3])


def test_tensors_that_do_not_fit_the_groups_are_refused(folder: Path) -> None:
    config = json.loads((folder / "config.json").read_text())
    for members, sentence in (
        ([[2, 0, 1, 3], [1, 3]], r"'members\.0\.fc\.weight' has shape \(3, 32\), expected \(4, 32\)"),
        ([[2, 0, 1, 3]], r"has unknown members\.1\.conv1\.weight"),
        ([[2, 0, 1], [1, 3], [0, 1]], r"lacks members\.2\.conv1\.weight"),
    ):
        (folder / "config.json").write_text(json.dumps({**config, "members": members}))
        renew_digest(folder / "config.json")
        with pytest.raises(CheckpointError, match=sentence):
            GeneratedClassifier.from_pretrained(folder)
    without = {key: value for key, value in config.items() if key != "members"}
    (folder / "config.json").write_text(json.dumps(without))
    renew_digest(folder / "config.json")
    with pytest.raises(CheckpointError, match=r"lacks conv1\.weight"):
        GeneratedClassifier.from_pretrained(folder)
    (folder / "config.json").write_text(json.dumps(config))
    renew_digest(folder / "config.json")
    tensors = {name: tensor.clone() for name, tensor in load_file(folder / "model.safetensors").items()}
    save_file({**tensors, "outputs": torch.zeros(5)}, folder / "model.safetensors")
    with pytest.raises(CheckpointError, match="has unknown outputs"):
        GeneratedClassifier.from_pretrained(folder)


def test_it_learns_from_pictures(tmp_path: Path) -> None:
    torch.manual_seed(0)
    state = {f"members.{i}.{name}": t for i in (0, 1) for name, t in CNN2Layer(2).state_dict().items()}
    names = ("red", "green", "blue")
    start = GeneratedClassifier.from_state(cnn_2layer, names, state, members=[[0, 1], [1, 2]])
    noise = np.random.default_rng(0).integers(0, 120, (15, 32, 32, 3), dtype=np.uint8)
    for row in range(15):
        noise[row, ..., row // 5] += 100
    labels = [name for name in names for _ in range(5)]
    tuned = start.fine_tune(noise, labels, settings=FineTuneSettings(steps=60, lr=0.05))

    def loss(model: GeneratedClassifier) -> float:
        return float(-np.log(model.predict_proba(noise)[np.arange(15), np.repeat(np.arange(3), 5)]).mean())

    assert loss(tuned) < 0.5 * loss(start)
    assert tuned.members == start.members
    for before, after in zip(start.network.parameters(), tuned.network.parameters(), strict=True):
        assert not torch.equal(before, after)
    tuned.save_pretrained(tmp_path / "tuned")
    assert GeneratedClassifier.from_pretrained(tmp_path / "tuned").members == start.members
