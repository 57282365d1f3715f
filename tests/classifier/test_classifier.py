"""`GeneratedClassifier`: predictions, abstaining, and training further."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from tina_framework.builtins.architectures.cnn_2layer import cnn_2layer
from tina_framework.classifier.classifier import NONE_OF_THESE, GeneratedClassifier
from tina_framework.errors import ConfigError, DataError

NAMES = ("ant", "bee", "cat")


def test_predictions_are_those_of_the_network(classifier: GeneratedClassifier, pixels: np.ndarray) -> None:
    inputs = torch.from_numpy(pixels).permute(0, 3, 1, 2).float().div(255).sub(0.5).div(0.5)
    with torch.no_grad():
        logits = classifier.network(inputs)
    torch.testing.assert_close(classifier(inputs), logits)
    probabilities = classifier.predict_proba(pixels)
    np.testing.assert_allclose(probabilities, logits.softmax(dim=1).numpy(), atol=1e-5)
    assert probabilities.dtype == np.float32
    assert probabilities.shape == (6, 3)
    assert classifier.predict(pixels) == [NAMES[k] for k in logits.argmax(dim=1)]
    assert classifier.num_parameters == 432 + 4608 + 33 * 3


def test_batches_do_not_matter(classifier: GeneratedClassifier, pixels: np.ndarray) -> None:
    np.testing.assert_allclose(
        classifier.predict_proba(pixels, batch_size=4), classifier.predict_proba(pixels), atol=1e-6
    )


def test_topk_is_sorted(classifier: GeneratedClassifier, pixels: np.ndarray) -> None:
    probabilities = classifier.predict_proba(pixels)
    for row, best in zip(probabilities, classifier.predict_topk(pixels, k=2), strict=True):
        assert [name for name, _ in best] == [NAMES[k] for k in np.argsort(-row)[:2]]
        assert [value for _, value in best] == pytest.approx(sorted(row, reverse=True)[:2])
    assert len(classifier.predict_topk(pixels, k=99)[0]) == 3
    with pytest.raises(ConfigError, match="k is 0"):
        classifier.predict_topk(pixels, k=0)


def test_abstaining(classifier: GeneratedClassifier, pixels: np.ndarray, tmp_path: Path) -> None:
    scores = classifier.abstention_scores(pixels)
    inputs = classifier.preprocessing(pixels)
    with torch.no_grad():
        np.testing.assert_allclose(scores, classifier(inputs).amax(dim=1).numpy(), atol=1e-5)
    middle = float(np.median(scores))
    expected = [
        NONE_OF_THESE if score < middle else n for n, score in zip(classifier.predict(pixels), scores, strict=True)
    ]
    assert expected.count(NONE_OF_THESE) == 3
    assert classifier.predict(pixels, abstain=middle) == expected
    assert classifier.predict(pixels, abstain=np.float32(scores.min())) == classifier.predict(pixels)
    with pytest.raises(
        ConfigError, match=r"no threshold to abstain by \(its generator was not calibrated, or only for another"
    ):
        classifier.predict(pixels, abstain=True)
    own = GeneratedClassifier.from_state(
        cnn_2layer, NAMES, classifier.network.state_dict(), abstention_threshold=middle
    )
    own.save_pretrained(tmp_path / "own")
    loaded = GeneratedClassifier.from_pretrained(tmp_path / "own")
    assert loaded.abstention_threshold == own.abstention_threshold
    assert loaded.predict(pixels, abstain=True) == expected
    assert loaded.predict(pixels) == classifier.predict(pixels)
    assert loaded.abstains(pixels).tolist() == [name is NONE_OF_THESE for name in expected]
    assert not loaded.abstains(pixels, threshold=float(scores.min())).any()
    assert loaded.abstains([]).shape == (0,)
    tuned = loaded.fine_tune(pixels[:3], list(NAMES))
    with pytest.raises(ConfigError, match="fine-tuning changes scores"):
        tuned.abstains(pixels)


def test_one_picture_or_many(classifier: GeneratedClassifier, pixels: np.ndarray, tmp_path: Path) -> None:
    image = Image.fromarray(pixels[0])
    image.save(tmp_path / "a.png")
    expected = classifier.predict_proba(pixels[:1])
    for given in (pixels[0], image, [image], tmp_path / "a.png", [str(tmp_path / "a.png")]):
        np.testing.assert_allclose(classifier.predict_proba(given), expected, atol=1e-6)
    assert classifier.predict([]) == []
    assert len(classifier.predict(Image.new("L", (300, 200)))) == 1
    with pytest.raises(DataError, match="missing"):
        classifier.predict(tmp_path / "missing.png")


def test_loading_and_predicting_need_no_generator(folder: Path) -> None:
    code = (
        "import sys, numpy as np\n"
        "from tina_framework import GeneratedClassifier\n"
        f"GeneratedClassifier.from_pretrained({str(folder)!r}).predict(np.zeros((1, 32, 32, 3), dtype=np.uint8))\n"
        "print([m for m in sys.modules if m.startswith(('tina_framework.denoiser', 'tina_framework.generator.generator', "
        "'tina_framework.prompts', 'transformers', 'huggingface_hub', 'accelerate'))])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "[]"


def test_a_saved_classifier_can_be_trained_further(folder: Path) -> None:
    loaded = GeneratedClassifier.from_pretrained(folder)
    loaded(torch.randn(2, 3, 32, 32)).sum().backward()
    assert all(parameter.grad is not None for parameter in loaded.parameters())


@pytest.mark.parametrize("value", [0, -1, True, 2.0, "2", None])
def test_odd_numbers_are_refused(classifier: GeneratedClassifier, pixels: np.ndarray, value: Any) -> None:
    for call in (
        lambda: classifier.predict_topk(pixels, k=value),
        lambda: classifier.predict_proba(pixels, batch_size=[2] if value is None else value),
    ):
        with pytest.raises(ConfigError, match=r"is .*; it must be a whole number of at least 1\.$"):
            call()


def test_scalars_of_numpy_and_torch_count(classifier: GeneratedClassifier, pixels: np.ndarray) -> None:
    assert classifier.predict(pixels, abstain=np.bool_(False)) == classifier.predict(pixels)
    assert classifier.predict(pixels, abstain=torch.tensor(-1e9)) == classifier.predict(pixels)
    assert len(classifier.predict_topk(pixels, k=np.int64(2))[0]) == 2
    assert classifier.predict_proba(pixels, batch_size=torch.tensor(2)).shape == (6, 3)  # type: ignore[arg-type]


def test_answers_do_not_depend_on_the_mode(classifier: GeneratedClassifier, pixels: np.ndarray) -> None:
    network = torch.nn.Sequential(torch.nn.Dropout(0.9), classifier.network)
    model = GeneratedClassifier(network, "cnn-2layer", NAMES, classifier.preprocessing)
    expected = model.predict_proba(pixels)
    model.train()
    np.testing.assert_array_equal(model.predict_proba(pixels), expected)
    assert network.training


def test_what_cannot_be_saved_is_refused_at_once(classifier: GeneratedClassifier, pixels: np.ndarray) -> None:
    for provenance in ({"a": object()}, {"a": float("nan")}):
        with pytest.raises(ConfigError, match="cannot be stored as JSON"):
            GeneratedClassifier(classifier.network, "cnn-2layer", NAMES, classifier.preprocessing, provenance)
    model = GeneratedClassifier(classifier.network, "cnn-2layer", NAMES[:2], classifier.preprocessing)
    with pytest.raises(ConfigError, match=r"shape \(6, 3\) for 2 class names; give one name for each output"):
        model.predict(pixels)


def test_a_network_made_in_inference_mode_can_be_trained(folder: Path, pixels: np.ndarray) -> None:
    with torch.inference_mode():
        model = GeneratedClassifier.from_pretrained(folder)
    model(model.preprocessing(pixels)).sum().backward()


def test_probabilities_are_float32_whatever_the_default_type(
    classifier: GeneratedClassifier, pixels: np.ndarray
) -> None:
    torch.set_default_dtype(torch.float64)
    try:
        assert classifier.predict_proba(pixels).dtype == np.float32
    finally:
        torch.set_default_dtype(torch.float32)


def test_logits_of_pixels_that_were_brought_to_size(classifier: GeneratedClassifier, pixels: np.ndarray) -> None:
    logits = classifier.logits(classifier.preprocessing.pixels(pixels))
    np.testing.assert_allclose(logits.softmax(dim=1).numpy(), classifier.predict_proba(pixels), atol=1e-6)
    assert classifier.topk_of(logits, 2) == classifier.predict_topk(pixels, 2)
    assert not logits.requires_grad


def test_it_says_what_it_is(classifier: GeneratedClassifier) -> None:
    assert repr(classifier) == (
        "GeneratedClassifier(3 classes: ant, bee, cat;\n"
        "  cnn-2layer, 5,139 parameters (float32 on cpu), pictures of 32 x 32)"
    )
    many = [f"class {k}" for k in range(8)]
    made = GeneratedClassifier(
        classifier.network, "cnn-2layer", many, classifier.preprocessing, {"generator": "toys", "fine_tuning": [{}]}
    )
    assert repr(made).endswith("pictures of 32 x 32, made by toys and fine-tuned)")
    assert "8 classes: class 0, class 1, class 2, class 3, class 4, class 5 and 2 more;" in repr(made)
