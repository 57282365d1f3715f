"""Frozen trunks: features once computed and kept, heads that know which trunk they were made for."""

from __future__ import annotations

import dataclasses
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from tina_framework.classifier.classifier import GeneratedClassifier
from tina_framework.errors import CheckpointError, PluginError
from tina_framework.generator.generator import Generator
from tina_framework.interfaces.architecture import FrozenTrunk, TargetArchitecture
from tina_framework.interfaces.dataset import ArrayDataset, LabelledImages
from tina_framework.interfaces.spec import ParameterSpec
from tina_framework.plugin.discovery import registries
from tina_framework.storage.digest import renew_digest
from tina_framework.storage.files import write_json
from tina_framework.targets.trunk import cached_features, check_trunk_record, load_trunk, trunk_features, trunk_record
from tina_framework.training.data import TrainingImages
from tina_framework.zoo.build_plan import plan_build
from tina_framework.zoo.build_process import ProcessSetup
from tina_framework.zoo.builder import build_zoo
from tina_framework.zoo.image_bank import ImageBank
from tina_framework.zoo.store import Zoo
from tina_framework.zoo.zoo_config import ZooConfig

CALLS: list[int] = []


class Halves(nn.Module):
    """(N, 3, 8, 8) -> (N, 6): the mean of each half, channel by channel, scaled by a weight."""

    def __init__(self, scale: float = 2.0) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.tensor([scale]))

    def forward(self, images: Tensor) -> Tensor:
        CALLS.append(images.shape[0])
        left, right = images[..., :4].mean(dim=(2, 3)), images[..., 4:].mean(dim=(2, 3))
        return torch.cat([left, right], dim=1) * self.scale


def head(num_classes: int) -> nn.Module:
    return nn.Linear(6, num_classes)


HALVES = TargetArchitecture("halves-head", head, (3, 8, 8), trunk=FrozenTrunk("halves", Halves, (6,)))
OTHER = TargetArchitecture("halves-head", head, (3, 8, 8), trunk=FrozenTrunk("halves", lambda: Halves(3.0), (6,)))
PIXELS = np.random.default_rng(0).integers(0, 256, (20, 8, 8, 3), dtype=np.uint8)


@pytest.fixture(autouse=True)
def _cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TINA_CACHE", str(tmp_path / "cache"))
    CALLS.clear()


@pytest.fixture
def registered() -> dict[str, TargetArchitecture]:
    """The architecture under its name; put another into the box, and that is what the name makes."""
    registry, box = registries().architectures, {"now": HALVES}
    if "halves-head" not in registry:
        registry.add("halves-head", lambda: _BOX["now"])
    _BOX.update(box)
    return _BOX


_BOX: dict[str, TargetArchitecture] = {}


def dataset() -> ArrayDataset:
    labels = np.arange(20) % 2
    return ArrayDataset("toy", ("a", "b"), {s: LabelledImages(PIXELS, labels) for s in ("train", "validation")})


def by_hand(pixels: np.ndarray) -> Tensor:  # type: ignore[type-arg]
    prepared = torch.from_numpy(np.ascontiguousarray(pixels)).permute(0, 3, 1, 2).float() / 255 * 2 - 1
    return torch.cat([prepared[..., :4].mean(dim=(2, 3)), prepared[..., 4:].mean(dim=(2, 3))], dim=1) * 2


def test_features_are_those_of_the_pictures_and_of_their_mirror_images() -> None:
    torch.testing.assert_close(cached_features(HALVES, PIXELS), by_hand(PIXELS))
    torch.testing.assert_close(cached_features(HALVES, PIXELS, mirrored=True), by_hand(PIXELS[:, :, ::-1]))


def test_features_are_computed_once_for_the_same_trunk_and_pictures() -> None:
    seen: list[tuple[int, int]] = []
    first = cached_features(HALVES, PIXELS, on_progress=lambda done, total: seen.append((done, total)))
    assert (CALLS, seen) == ([20], [(0, 20), (20, 20)])
    assert torch.equal(cached_features(HALVES, PIXELS), first)
    assert CALLS == [20]
    cached_features(HALVES, PIXELS[::-1])
    cached_features(OTHER, PIXELS)
    assert CALLS == [20, 20, 20]


def test_a_damaged_cache_is_computed_anew(tmp_path: Path) -> None:
    first = cached_features(HALVES, PIXELS)
    (kept,) = (tmp_path / "cache" / "features").iterdir()
    kept.write_bytes(kept.read_bytes()[:50])
    assert torch.equal(cached_features(HALVES, PIXELS), first)
    assert CALLS == [20, 20]


def test_a_cache_that_cannot_be_written_does_no_harm(tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("a file where the folder should be")
    torch.testing.assert_close(cached_features(HALVES, PIXELS), by_hand(PIXELS))


def test_pictures_are_cropped_as_the_architecture_says() -> None:
    cropped = dataclasses.replace(HALVES, crop_pct=0.5)
    large = PIXELS[:4].repeat(4, axis=1).repeat(4, axis=2)
    expected = cached_features(HALVES, large[:, 8:24, 8:24])
    cached_features(HALVES, large)
    torch.testing.assert_close(cached_features(cropped, large), expected, atol=0.1, rtol=0)
    made = GeneratedClassifier.from_state(cropped, ["a", "b", "c"], head(3).state_dict())
    np.testing.assert_allclose(
        made.predict_proba(large), made.network(cached_features(cropped, large)).softmax(1).detach(), atol=1e-6
    )


def test_pictures_of_another_size_are_scaled() -> None:
    assert cached_features(HALVES, np.full((3, 32, 24, 3), 255, dtype=np.uint8)).tolist() == [[2.0] * 6] * 3


def test_banks_hold_features() -> None:
    spec = ParameterSpec(HALVES)
    bank = ImageBank(dataset(), "train", spec)
    torch.testing.assert_close(bank.images, by_hand(PIXELS))
    rows = torch.tensor([3, 5])
    mirrored = bank.mirrored_rows(rows)
    assert mirrored is not None
    torch.testing.assert_close(mirrored, by_hand(PIXELS[[3, 5], :, ::-1]))
    training = TrainingImages(dataset(), "train", spec)
    taken = training.take(rows, torch.tensor([False, True]))
    torch.testing.assert_close(taken, torch.stack([by_hand(PIXELS[3:4])[0], by_hand(PIXELS[5:6, :, ::-1])[0]]))


def test_a_bank_without_trunk_has_no_mirror_images() -> None:
    plain = TargetArchitecture("plain", lambda k: nn.Sequential(nn.Flatten(), nn.Linear(192, k)), (3, 8, 8))
    bank = ImageBank(dataset(), "train", ParameterSpec(plain))
    assert bank.images.shape == (20, 3, 8, 8)
    assert bank.mirrored is None


def test_the_trunk_is_frozen_shared_and_its_hash_follows_the_weights() -> None:
    trunk = HALVES.trunk
    assert trunk is not None
    module = load_trunk(trunk, torch.device("cpu"))
    assert module is load_trunk(trunk, torch.device("cpu"))
    assert not module.training
    assert not any(parameter.requires_grad for parameter in module.parameters())
    ours, theirs = trunk_record(HALVES), trunk_record(OTHER)
    assert ours is not None
    assert theirs is not None
    assert ours["name"] == theirs["name"] == "halves"
    assert ours["sha256"] != theirs["sha256"]
    assert len(ours["sha256"]) == 64


def test_a_trunk_built_by_a_prediction_is_an_ordinary_one() -> None:
    trunk = FrozenTrunk("halves", lambda: Halves(4.0), (6,))
    with torch.inference_mode():
        module = load_trunk(trunk, torch.device("cpu"))
    assert not any(parameter.is_inference() for parameter in module.parameters())


def test_features_of_another_shape_are_refused() -> None:
    wrong = TargetArchitecture("wrong", head, (3, 8, 8), trunk=FrozenTrunk("wrong", Halves, (7,)))
    with pytest.raises(PluginError, match=r"gave features of shape \(2, 6\); its feature_shape promises \(2, 7\)"):
        trunk_features(wrong, torch.zeros(2, 3, 8, 8))


class Loose(nn.Module):
    """Returns something else than features."""

    def __init__(self, output: object) -> None:
        super().__init__()
        self.output = output

    def forward(self, pictures: Tensor) -> object:
        if isinstance(self.output, Exception):
            raise self.output
        return self.output


@pytest.mark.parametrize(
    ("build", "sentence"),
    [
        (lambda: Loose({"features": 1}), r"Trunk 'odd' returns a dict; return one tensor \(N, 6\)"),
        (lambda: Loose(torch.full((2, 6), float("nan"))), "Trunk 'odd' gives features that are not finite"),
        (lambda: Loose(RuntimeError("no size")), r"Trunk 'odd' fails on pictures of shape .*RuntimeError: no size"),
        (lambda: nn.LazyLinear(6), "Trunk 'odd' has a lazy layer"),
        (lambda: 1 / 0, r"Trunk 'odd' cannot be built \(ZeroDivisionError: division by zero\)"),
    ],
)
def test_a_trunk_of_another_kind_is_refused(build: Callable[[], nn.Module], sentence: str) -> None:
    odd = TargetArchitecture("odd", head, (3, 8, 8), trunk=FrozenTrunk("odd", build, (6,)))
    with pytest.raises(PluginError, match=sentence):
        trunk_features(odd, torch.zeros(2, 3, 8, 8))


def classifier() -> GeneratedClassifier:
    torch.manual_seed(0)
    return GeneratedClassifier.from_state(HALVES, ["a", "b", "c"], head(3).state_dict())


def test_a_classifier_reads_pictures_and_saves_its_head_alone(
    tmp_path: Path, registered: dict[str, TargetArchitecture]
) -> None:
    made = classifier()
    logits = made.network(by_hand(PIXELS))
    np.testing.assert_allclose(made.predict_proba(PIXELS), logits.softmax(dim=1).detach().numpy(), atol=1e-6)
    assert made.num_parameters == 21
    made.save_pretrained(tmp_path / "c")
    assert json.loads((tmp_path / "c" / "config.json").read_text())["trunk"] == trunk_record(HALVES)
    again = GeneratedClassifier.from_pretrained(tmp_path / "c")
    assert set(again.network.state_dict()) == {"weight", "bias"}
    np.testing.assert_array_equal(again.predict_proba(PIXELS), made.predict_proba(PIXELS))


def test_pictures_behind_a_trunk_pass_in_small_batches(registered: dict[str, TargetArchitecture]) -> None:
    made, many = classifier(), np.concatenate([PIXELS] * 4)
    CALLS.clear()
    by_default = made.predict_proba(many)
    assert CALLS == [32, 32, 16]
    np.testing.assert_allclose(made.predict_proba(iter(many), batch_size=80), by_default, atol=1e-6)
    assert CALLS[3:] == [80]


def test_an_ensemble_of_heads_asks_the_trunk_once(tmp_path: Path, registered: dict[str, TargetArchitecture]) -> None:
    torch.manual_seed(0)
    state = {f"members.{i}.{name}": t for i in (0, 1) for name, t in head(2).state_dict().items()}
    made = GeneratedClassifier.from_state(HALVES, ["a", "b", "c"], state, members=[[0, 1], [1, 2]])
    CALLS.clear()
    first = made.predict_proba(PIXELS)
    assert sum(CALLS) == len(PIXELS)
    made.save_pretrained(tmp_path / "c")
    again = GeneratedClassifier.from_pretrained(tmp_path / "c")
    np.testing.assert_array_equal(again.predict_proba(PIXELS), first)
    tuned = again.fine_tune(PIXELS[:3], ["a", "b", "c"])
    assert not np.array_equal(tuned.predict_proba(PIXELS), first)


def test_it_is_exported_with_its_trunk(tmp_path: Path) -> None:
    """Also where the trunk was never asked for before, and for another number of pictures than that of the example."""
    made, batch = classifier(), torch.export.Dim("batch", min=1)
    images = torch.randn(7, 3, 8, 8)
    load_trunk.cache_clear()
    program = torch.export.export(made, (images[:3],), dynamic_shapes=({0: batch},))
    torch.export.save(program, tmp_path / "c.pt2")
    loaded = torch.export.load(tmp_path / "c.pt2").module()
    torch.testing.assert_close(loaded(images), made(images))
    assert not made.network.weight.is_meta
    assert type(next(load_trunk(HALVES.trunk, torch.device("cpu")).parameters())) is nn.Parameter  # type: ignore[arg-type]


def test_a_head_is_refused_behind_another_trunk(tmp_path: Path, registered: dict[str, TargetArchitecture]) -> None:
    classifier().save_pretrained(tmp_path / "c")
    registered["now"] = OTHER
    with pytest.raises(CheckpointError, match=r"was made for trunk 'halves' \(.*\), but the installed architecture"):
        GeneratedClassifier.from_pretrained(tmp_path / "c")
    registered["now"] = TargetArchitecture(
        "halves-head", lambda k: nn.Sequential(nn.Flatten(), nn.Linear(192, k)), (3, 8, 8)
    )
    with pytest.raises(CheckpointError, match=r"but the installed architecture 'halves-head' has no trunk; install"):
        GeneratedClassifier.from_pretrained(tmp_path / "c")


@pytest.mark.parametrize("recorded", ["halves", {"name": "halves"}, {"name": "halves", "sha256": 3}])
def test_an_altered_record_is_refused(recorded: object) -> None:
    with pytest.raises(CheckpointError, match="not a name and a hash; it was altered"):
        check_trunk_record(recorded, HALVES, "'config.json'")


def test_a_generator_is_refused_behind_another_trunk(tiny_folder: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(tiny_folder, tmp_path / "tiny")
    config = json.loads((folder / "config.json").read_text())
    assert "trunk" not in config
    write_json(folder / "config.json", config | {"trunk": trunk_record(HALVES)})
    renew_digest(folder / "config.json")
    with pytest.raises(
        CheckpointError, match=r"made for trunk 'halves' .* the installed architecture 'cnn-2layer' has no trunk"
    ):
        Generator.from_pretrained(folder)


def test_a_zoo_is_refused_behind_another_trunk(tmp_path: Path, registered: dict[str, TargetArchitecture]) -> None:
    config = ZooConfig(
        architecture="halves-head", dataset="toy", num_models=0, generic={"epochs": 1}, model={"epochs": 1}
    )
    setup = ProcessSetup("halves-head")
    build_zoo(plan_build(tmp_path / "zoo", config, ParameterSpec(HALVES), dataset(), setup))
    zoo = Zoo.open(tmp_path / "zoo")
    zoo.check(ParameterSpec(HALVES))
    with pytest.raises(CheckpointError, match=r"Zoo '.*' was made for trunk 'halves'"):
        zoo.check(ParameterSpec(OTHER))
