"""`GeneratedClassifier.fine_tune`, and accuracy by cross-validation."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn

from tina_framework.builtins.architectures.cnn_2layer import cnn_2layer
from tina_framework.classifier.classifier import GeneratedClassifier
from tina_framework.classifier.fine_tuning.data import FineTuneData
from tina_framework.classifier.fine_tuning.settings import FineTuneSettings, HeadSettings
from tina_framework.errors import ConfigError, DataError
from tina_framework.interfaces.architecture import FrozenTrunk, TargetArchitecture

Coloured = Callable[..., tuple[np.ndarray, list[str]]]
FAST = FineTuneSettings(40, 0.1)


def weights(classifier: GeneratedClassifier) -> Tensor:
    return torch.cat([p.detach().flatten() for p in classifier.parameters()])


def test_fine_tuning_returns_a_better_classifier_and_keeps_the_old_one(
    coloured: Coloured, classifier: GeneratedClassifier, tmp_path: Path
) -> None:
    images, labels = coloured(4)
    before = weights(classifier).clone()
    tuned = classifier.fine_tune(images, labels, settings=FAST, seed=7)
    assert tuned.predict(images) == labels
    assert tuned.predict(coloured(5, seed=1)[0]) == coloured(5)[1]
    assert torch.equal(weights(classifier), before)
    assert classifier.provenance == {"seed": 5}
    assert tuned.provenance["seed"] == 5
    [record] = tuned.provenance["fine_tuning"]
    assert record["pictures"] == {"red": 4, "green": 4, "blue": 4}
    assert record["seed"] == 7
    numpy_seed: Any = np.int64(7)
    again = classifier.fine_tune(images, labels, settings=FAST, seed=numpy_seed)
    assert type(again.provenance["fine_tuning"][0]["seed"]) is int
    with pytest.raises(ConfigError, match=r"The seed is 1\.5"):
        classifier.fine_tune(images, labels, settings=FAST, seed=1.5)  # type: ignore[arg-type]
    assert record["settings"]["steps"] == 40
    assert not tuned.training
    tuned.save_pretrained(tmp_path / "tuned")
    loaded = GeneratedClassifier.from_pretrained(tmp_path / "tuned")
    assert torch.equal(weights(loaded), weights(tuned))
    assert loaded.provenance["fine_tuning"] == [record]
    again = loaded.fine_tune(images, labels, settings=FAST)
    assert [entry["seed"] for entry in again.provenance["fine_tuning"]] == [7, 0]
    assert len(loaded.provenance["fine_tuning"]) == 1


def test_seeds_and_kinds_of_pictures(coloured: Coloured, classifier: GeneratedClassifier, tmp_path: Path) -> None:
    images, labels = coloured(2)
    settings = FineTuneSettings(3, 0.05)
    expected = weights(classifier.fine_tune(images, labels, settings=settings))
    for row, image in enumerate(images):
        Image.fromarray(image).save(tmp_path / f"{row}.png")
    paths = [tmp_path / f"{row}.png" for row in range(6)]
    same: list[tuple[Any, Any]] = [
        (images, [0, 0, 1, 1, 2, 2]),
        (torch.from_numpy(images).permute(0, 3, 1, 2), torch.tensor([0, 0, 1, 1, 2, 2])),
        (paths, labels),
        ([Image.fromarray(image) for image in images], labels),
    ]
    for pictures, names in same:
        assert torch.equal(weights(classifier.fine_tune(pictures, names, settings=settings)), expected)
    assert not torch.equal(weights(classifier.fine_tune(images, labels, settings=settings, seed=1)), expected)


@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode])
def test_gradients_may_be_switched_off(coloured: Coloured, classifier: GeneratedClassifier, mode: Any) -> None:
    images, labels = coloured(2)
    settings = FineTuneSettings(3, 0.05)
    expected = weights(classifier.fine_tune(images, labels, settings=settings))
    with mode():
        before = torch.is_grad_enabled(), torch.is_inference_mode_enabled()
        tuned = classifier.fine_tune(images, labels, settings=settings)
        data = FineTuneData.prepare(classifier, images, labels, settings)
        assert (torch.is_grad_enabled(), torch.is_inference_mode_enabled()) == before
        copied = GeneratedClassifier.from_state(cnn_2layer, classifier.class_names, tuned.network.state_dict())
    assert torch.equal(weights(tuned), expected)
    assert len(data.cross_validate(2)[0]) == 6
    for again in (tuned, copied):  # what was made in that mode can be trained on
        assert again.fine_tune(images, labels, settings=settings).predict(images)


def test_the_defaults_follow_the_number_of_pictures(coloured: Coloured, classifier: GeneratedClassifier) -> None:
    for count in (1, 20):
        assert FineTuneData.prepare(classifier, *coloured(count)).settings == FineTuneSettings.for_pictures(count)


def test_an_ensemble_of_copies_is_fine_tuned_like_the_single_network(
    coloured: Coloured, classifier: GeneratedClassifier
) -> None:
    images, labels = coloured(4)
    own = classifier.network.state_dict()
    state = {f"members.{place}.{name}": tensor for place in range(4) for name, tensor in own.items()}
    members = [[0, 1, 2]] * 4
    several = GeneratedClassifier.from_state(cnn_2layer, classifier.class_names, state, members=members)
    settings = FineTuneSettings(30, 0.02, pull=2000.0)
    alone, together = (start.fine_tune(images, labels, settings=settings) for start in (classifier, several))
    moved = np.abs(alone.predict_proba(images) - classifier.predict_proba(images)).max()
    np.testing.assert_allclose(together.predict_proba(images), alone.predict_proba(images), atol=float(moved) / 50)
    assert together.provenance["fine_tuning"] == alone.provenance["fine_tuning"]


def test_errors_come_before_the_work(coloured: Coloured, classifier: GeneratedClassifier) -> None:
    images, labels = coloured(1)
    with pytest.raises(DataError, match="no pictures to fine-tune on"):
        classifier.fine_tune([], [])
    with pytest.raises(DataError, match="3 pictures but 2 labels"):
        classifier.fine_tune(images, labels[:2])
    with pytest.raises(DataError, match="no picture of 'blue'"):
        classifier.fine_tune(images[:2], labels[:2])
    with pytest.raises(DataError, match="does not exist"):
        classifier.fine_tune(["missing.png"], ["red"])


def test_predicting_imports_nothing_of_fine_tuning() -> None:
    code = "import sys, tina_framework.classifier.classifier; print([m for m in sys.modules if 'fine_tuning' in m])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


class Trunk(nn.Module):
    """(N, 3, 32, 32) -> (N, 4): means of the channels, and of the left half."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(1))

    def forward(self, images: Tensor) -> Tensor:
        halves = images[..., :16].mean(dim=(1, 2, 3))
        return torch.cat([images.mean(dim=(2, 3)), halves[:, None]], dim=1) * self.scale


def toy_head() -> GeneratedClassifier:
    """A linear head of three classes on a trunk."""
    trunk = FrozenTrunk("fine-tuning-toy", Trunk, (4,))
    architecture = TargetArchitecture("toy-head", lambda count: nn.Linear(4, count), trunk=trunk)
    torch.manual_seed(0)
    return GeneratedClassifier.from_state(architecture, ("red", "green", "blue"), nn.Linear(4, 3).state_dict())


def test_heads_on_a_trunk_are_fitted_by_regression_unless_settings_of_the_loop_are_given(coloured: Coloured) -> None:
    images, labels = coloured(3)
    start = toy_head()
    data = FineTuneData.prepare(start, images, labels)
    assert data.settings == HeadSettings()
    assert data.mirrored is None
    tuned = start.fine_tune(images, labels)
    assert tuned.predict(coloured(5, seed=1)[0]) == coloured(5)[1]
    assert torch.equal(weights(start.fine_tune(images, labels, seed=9)), weights(tuned))
    assert tuned.provenance["fine_tuning"] == [
        {"pictures": {"red": 3, "green": 3, "blue": 3}, "settings": asdict(HeadSettings()), "seed": 0}
    ]
    assert sum(data.cross_validate(3)[1]) == 9
    changed = FineTuneData.prepare(start, images, labels, changes={"pull": 5.0})
    assert changed.settings == replace(FineTuneSettings.for_pictures(3), pull=5.0)
    assert changed.mirrored is not None
    with torch.inference_mode():
        assert torch.equal(weights(start.fine_tune(images, labels)), weights(tuned))


def test_a_class_without_pictures_keeps_its_row(coloured: Coloured, classifier: GeneratedClassifier) -> None:
    images, labels = coloured(2)
    start = toy_head()
    tuned = start.fine_tune(images[:4], labels[:4])
    assert torch.equal(tuned.network.weight[2], start.network.weight[2])  # type: ignore[index]
    assert not torch.equal(tuned.network.weight[:2], start.network.weight[:2])  # type: ignore[index]
    assert tuned.provenance["fine_tuning"][0]["pictures"]["blue"] == 0
    with pytest.raises(DataError, match="All pictures are of the class 'red'"):
        start.fine_tune(images[:2], labels[:2])
    with pytest.raises(DataError, match="no picture of 'blue'"):
        start.fine_tune(images[:4], labels[:4], settings=FAST)
    with pytest.raises(ConfigError, match="is no linear or cosine head"):
        classifier.fine_tune(images, labels, settings=HeadSettings())


def test_behind_a_frozen_trunk_only_the_head_is_fine_tuned(coloured: Coloured) -> None:
    start = toy_head()
    trunk = start.trunk
    assert trunk is not None
    images, labels = coloured(4)
    data = FineTuneData.prepare(start, images, labels, FAST)
    assert data.inputs.shape == (12, 4)
    assert data.mirrored is not None
    torch.testing.assert_close(data.mirrored[:, :3], data.inputs[:, :3])
    assert not torch.equal(data.mirrored, data.inputs)
    from tina_framework.targets.trunk import load_trunk

    tuned = start.fine_tune(images, labels, settings=FAST)
    assert tuned.predict(images) == labels
    assert tuned.trunk is trunk
    assert float(next(load_trunk(trunk, torch.device("cpu")).parameters()).detach()) == 1.0
    assert tuned.num_parameters == 15


def test_folds_are_stratified_and_hold_every_picture_once(coloured: Coloured, classifier: GeneratedClassifier) -> None:
    data = FineTuneData.prepare(classifier, *coloured(10))
    folds = data.folds(5)
    assert sorted(row for fold in folds for row in fold) == list(range(30))
    assert all(sorted(data.labels[row] for row in fold) == [0, 0, 1, 1, 2, 2] for fold in folds)


def test_held_out_pictures_are_classified_by_networks_that_did_not_see_them(
    coloured: Coloured, classifier: GeneratedClassifier, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps: list[tuple[int, int]] = []
    data = FineTuneData.prepare(classifier, *coloured(4), FAST)
    before, after = data.cross_validate(2, lambda done, total: steps.append((done, total)))
    assert len(before) == len(after) == 12
    assert sum(after) == 12 > sum(before)
    assert steps == [(done, 80) for done in range(1, 81)]
    shown: list[list[int]] = []
    original = FineTuneData.train

    def spying(self: FineTuneData, rows: Any = None, *arguments: Any, **keywords: Any) -> nn.Module:
        shown.append(list(rows))
        return original(self, rows, *arguments, **keywords)

    monkeypatch.setattr(FineTuneData, "train", spying)
    FineTuneData.prepare(classifier, *coloured(4), FineTuneSettings(1, 0.1)).cross_validate(3)
    assert [sorted({*range(12)} - {*rows}) for rows in shown] == [sorted(fold) for fold in data.folds(3)]


def test_a_change_to_none_keeps_the_value(coloured: Coloured, classifier: GeneratedClassifier) -> None:
    data = FineTuneData.prepare(classifier, *coloured(1))
    same = FineTuneData.prepare(classifier, *coloured(1), changes={"steps": None, "lr": None})
    assert same.settings == data.settings
    assert FineTuneData.prepare(classifier, *coloured(1), changes={"steps": 7}).settings.steps == 7
    assert np.isfinite(data.inputs.numpy()).all()
