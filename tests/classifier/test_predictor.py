"""Answers for raw pictures: accuracy, types of the weights, devices, and inputs that are no standardised pictures."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn

from tina_framework.classifier.classifier import GeneratedClassifier
from tina_framework.errors import ConfigError, DataError
from tina_framework.interfaces.architecture import FrozenTrunk, TargetArchitecture

NAMES = ("ant", "bee", "cat")
TYPES = [torch.float16, torch.bfloat16, torch.float64]


class Trunk(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            self.conv = nn.Conv2d(3, 16, 5)

    def forward(self, pictures: Tensor) -> Tensor:
        return self.conv(pictures).relu().mean(dim=(2, 3))


BEHIND = TargetArchitecture(
    "predictor-head", lambda count: nn.Linear(16, count), (3, 8, 8), trunk=FrozenTrunk("predictor-trunk", Trunk, (16,))
)


@pytest.fixture
def behind() -> GeneratedClassifier:
    """A classifier on a frozen trunk."""
    torch.manual_seed(1)
    state = {name: 20 * tensor for name, tensor in nn.Linear(16, 3).state_dict().items()}
    return GeneratedClassifier.from_state(BEHIND, NAMES, state)


def test_accuracy_and_classes_as_in_scikit_learn(classifier: GeneratedClassifier, pixels: np.ndarray) -> None:
    assert classifier.classes_.tolist() == list(NAMES)
    answers = classifier.predict(pixels)
    assert classifier.score(pixels, answers) == 1.0
    assert classifier.score(pixels, np.array([NAMES.index(name) for name in answers])) == 1.0
    wrong = [NAMES[(NAMES.index(name) + 1) % 3] for name in answers]
    assert classifier.score(iter(pixels), [*answers[:2], *wrong[2:]]) == pytest.approx(2 / 6)
    assert classifier.classes_[classifier.predict_proba(pixels).argmax(axis=1)].tolist() == answers


def test_accuracy_of_nothing_is_refused(classifier: GeneratedClassifier, pixels: np.ndarray) -> None:
    with pytest.raises(DataError, match="no pictures, so there is no accuracy"):
        classifier.score([], [])
    with pytest.raises(DataError, match="6 pictures but 1 labels"):
        classifier.score(pixels, ["ant"])
    with pytest.raises(DataError, match="no class 'antt'; did you mean 'ant'"):
        classifier.score(pixels[:1], "antt")


@pytest.mark.parametrize("dtype", TYPES)
def test_weights_of_another_type(classifier: GeneratedClassifier, pixels: np.ndarray, dtype: torch.dtype) -> None:
    other = copy.deepcopy(classifier).to(dtype)
    assert other.dtype == dtype
    assert classifier.dtype == torch.float32
    assert other(classifier.preprocessing(pixels)).dtype == dtype
    assert other(classifier.preprocessing(pixels).to(dtype)).dtype == dtype
    probabilities = other.predict_proba(pixels)
    assert probabilities.dtype == np.float32
    np.testing.assert_allclose(probabilities, classifier.predict_proba(pixels), atol=0.1)
    assert len(other.predict(pixels)) == 6
    tuned = other.fine_tune(pixels[:3], list(NAMES))
    assert tuned.dtype == dtype
    expected = classifier.fine_tune(pixels[:3], list(NAMES)).predict_proba(pixels)
    np.testing.assert_allclose(tuned.predict_proba(pixels), expected, atol=0.1)


@pytest.mark.parametrize("dtype", TYPES)
def test_weights_of_another_type_behind_a_trunk(behind: GeneratedClassifier, dtype: torch.dtype) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (6, 8, 8, 3), dtype=np.uint8)
    expected = behind.predict_proba(pixels)
    other = copy.deepcopy(behind).to(dtype)
    np.testing.assert_allclose(other.predict_proba(pixels), expected, atol=0.1)
    prepared = behind.preprocessing(pixels)
    assert other(prepared.to(dtype)).dtype == dtype
    # The trunk is shared with all other classifiers, and stays as it is.
    np.testing.assert_array_equal(behind.predict_proba(pixels), expected)
    tuned = other.fine_tune(pixels[:3], list(NAMES))
    assert tuned.dtype == dtype
    assert "pull" in tuned.provenance["fine_tuning"][0]["settings"]
    assert tuned.score(pixels[:3], list(NAMES)) == 1.0


def test_the_short_forms(classifier: GeneratedClassifier, pixels: np.ndarray) -> None:
    answers = classifier.predict(pixels)
    for change in (nn.Module.half, nn.Module.bfloat16, nn.Module.double):
        assert len(change(copy.deepcopy(classifier)).predict(pixels)) == len(answers)
    assert copy.deepcopy(classifier).double().float().predict(pixels) == answers


def test_half_precision_is_saved_and_loaded(classifier: GeneratedClassifier, pixels: np.ndarray, tmp_path: Any) -> None:
    copy.deepcopy(classifier).bfloat16().save_pretrained(tmp_path / "c")
    loaded = GeneratedClassifier.from_pretrained(tmp_path / "c", device="auto")
    assert loaded.dtype == torch.float32
    np.testing.assert_allclose(loaded.predict_proba(pixels), classifier.predict_proba(pixels), atol=0.1)


def test_devices_and_types_that_do_not_exist(classifier: GeneratedClassifier, folder: Any) -> None:
    assert classifier.to("auto") is classifier
    assert classifier.to(device="cpu", dtype=torch.float32) is classifier
    for dtype in (torch.int8, torch.bool, torch.complex64):
        with pytest.raises(ConfigError, match=r"layers compute in floating point.* export the classifier"):
            classifier.to(dtype)
    with pytest.raises(ConfigError, match="layers compute in floating point"):
        classifier.to(torch.zeros(1, dtype=torch.int8))
    with pytest.raises(ConfigError, match=r"Device '.*99' cannot be used"):
        classifier.to(99)
    with pytest.raises(ConfigError, match="Device 'None' cannot be used"):
        GeneratedClassifier.from_pretrained(folder, device=None)  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match=r"'half' is a type and not a device; write to\(torch\.half\)"):
        classifier.to("half")
    with pytest.raises(ConfigError, match="Device 'gpu' cannot be used"):
        classifier.to("gpu")
    with pytest.raises(ConfigError, match="Device 'gpu' cannot be used"):
        GeneratedClassifier.from_pretrained(folder, device="gpu")


@pytest.mark.parametrize(
    ("given", "what"),
    [
        (Image.new("RGB", (8, 8)), "an object of the type Image was given"),
        (np.zeros((1, 32, 32, 3), np.uint8), "an object of the type ndarray was given"),
        ("a.png", "an object of the type str was given"),
        ([], "an object of the type list was given"),
        (torch.zeros(3, 32, 32), r"a tensor of the shape \(3, 32, 32\) was given"),
        (torch.zeros(1, 32, 32, 3), r"a tensor of the shape \(1, 32, 32, 3\) was given"),
        (torch.zeros(1, 3, 32, 32, dtype=torch.uint8), "a tensor of uint8 was given"),
    ],
)
def test_a_call_takes_standardised_pictures(classifier: GeneratedClassifier, given: Any, what: str) -> None:
    with pytest.raises(DataError, match=f"{what}; call predict, which takes files, PIL images and arrays"):
        classifier(given)


def test_torch_export(classifier: GeneratedClassifier, pixels: np.ndarray, tmp_path: Any) -> None:
    images = classifier.preprocessing(pixels)
    program = torch.export.export(classifier, (images[:2],), dynamic_shapes=({0: torch.export.Dim("batch", min=1)},))
    torch.export.save(program, tmp_path / "c.pt2")
    torch.testing.assert_close(torch.export.load(tmp_path / "c.pt2").module()(images), classifier(images))
