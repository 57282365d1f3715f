"""`GeneratedClassifier`: predictions, its folder, and everything that may be wrong with one."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file

from tina_framework.builtins.architectures.cnn_2layer import CNN2Layer, cnn_2layer
from tina_framework.classifier.classifier import NONE_OF_THESE, GeneratedClassifier, replaceable
from tina_framework.errors import CheckpointError, ConfigError, DataError

NAMES = ("ant", "bee", "cat")


@pytest.fixture(scope="module")
def classifier() -> GeneratedClassifier:
    torch.manual_seed(0)
    network = CNN2Layer(3)
    with torch.no_grad():
        network.fc.weight.mul_(20)  # so that probabilities differ between pictures
    return GeneratedClassifier.from_state(cnn_2layer, NAMES, network.state_dict(), {"seed": 5})


@pytest.fixture(scope="module")
def pixels() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (6, 32, 32, 3), dtype=np.uint8)


@pytest.fixture
def folder(classifier: GeneratedClassifier, tmp_path: Path) -> Path:
    classifier.save_pretrained(tmp_path / "model")
    return tmp_path / "model"


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
    with pytest.raises(ConfigError, match=r"no threshold to abstain by \(its generator was not calibrated\)"):
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


def test_folder_round_trip(classifier: GeneratedClassifier, folder: Path, pixels: np.ndarray) -> None:
    loaded = GeneratedClassifier.from_pretrained(folder)
    np.testing.assert_array_equal(loaded.predict_proba(pixels), classifier.predict_proba(pixels))
    assert loaded.class_names == NAMES
    assert loaded.provenance["seed"] == 5
    assert loaded.provenance["package_version"]
    assert loaded.preprocessing == classifier.preprocessing
    assert not loaded.training
    assert {path.name for path in folder.iterdir()} == {"config.json", "model.safetensors"}
    assert (folder / "model.safetensors").stat().st_mode & 0o044


def test_weights_load_into_the_plain_module(classifier: GeneratedClassifier, folder: Path) -> None:
    module = CNN2Layer(3)
    assert set(load_file(folder / "model.safetensors")) == {"conv1.weight", "conv2.weight", "fc.weight", "fc.bias"}
    module.load_state_dict(load_file(folder / "model.safetensors"))
    inputs = torch.randn(2, 3, 32, 32)
    torch.testing.assert_close(module(inputs), classifier(inputs))


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


def _edit(folder: Path, **changes: object) -> None:
    values = json.loads((folder / "config.json").read_text())
    values.update(changes)
    (folder / "config.json").write_text(json.dumps({k: v for k, v in values.items() if v is not None}))


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"format": "tina-generator"}, "its format is 'tina-generator'"),
        ({"format": None}, "it states no format"),
        ({"format_version": 2}, "format_version 2, but this program reads version 1"),
        ({"extra": 1}, "has unknown extra"),
        ({"class_names": None}, "lacks class_names"),
        ({"sha256": None}, "records no SHA-256"),
        ({"class_names": ["ant", "bee"]}, r"'fc.weight' has shape \(3, 32\), expected \(2, 32\)"),
        ({"class_names": ["ant", "bee", "bee"]}, "a name twice"),
        ({"class_names": "ant"}, "not a list of names"),
        ({"class_names": []}, "not a list of names"),
        ({"architecture": "cnn-3layer"}, "Did you mean 'cnn-2layer'"),
        ({"architecture": "os:system"}, "cannot be made"),
        ({"architecture": 3}, "architecture must be a name"),
        ({"provenance": 3}, "provenance a table"),
        (
            {"abstention": {"score": "luck", "threshold": 1}},
            "score of abstention is 'luck', but this program reads thresholds of 'max-logit' alone; calibrate",
        ),
        ({"abstention": {"threshold": 1}}, "needs exactly score, threshold"),
        ({"abstention": 3}, "needs exactly score, threshold"),
        ({"preprocessing": {}}, "expected input_shape"),
        ({"preprocessing": {"input_shape": [3, 32, 32], "mean": [0, 0, 0], "std": [1, 0, 1]}}, "expected input_shape"),
        ({"preprocessing": {"input_shape": [3, 64, 64], "mean": [0, 0, 0], "std": [1, 1, 1]}}, "input_shape is"),
    ],
)
def test_altered_configs_are_refused(folder: Path, changes: dict[str, object], sentence: str) -> None:
    _edit(folder, **changes)
    with pytest.raises(CheckpointError, match=sentence):
        GeneratedClassifier.from_pretrained(folder)


def test_altered_weights_are_refused(folder: Path) -> None:
    path = folder / "model.safetensors"
    whole, tensors = path.read_bytes(), {name: tensor.clone() for name, tensor in load_file(path).items()}
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(CheckpointError, match="truncated or altered"):
        GeneratedClassifier.from_pretrained(folder)
    save_file({**tensors, "fc.bias": torch.full((3,), torch.nan)}, path)
    with pytest.raises(CheckpointError, match=r"'fc\.bias' holds values that are not finite"):
        GeneratedClassifier.from_pretrained(folder)
    save_file({**tensors, "conv1.weight": torch.zeros(16, 3, 5, 5)}, path)
    with pytest.raises(CheckpointError, match=r"'conv1\.weight' has shape"):
        GeneratedClassifier.from_pretrained(folder)
    save_file({name: tensor for name, tensor in tensors.items() if name != "fc.bias"}, path)
    with pytest.raises(CheckpointError, match=r"lacks fc\.bias"):
        GeneratedClassifier.from_pretrained(folder)
    path.write_bytes(bytes([*whole[:-1], whole[-1] ^ 1]))  # a number a little larger
    with pytest.raises(CheckpointError, match="was altered"):
        GeneratedClassifier.from_pretrained(folder)
    path.unlink()
    with pytest.raises(CheckpointError, match="does not exist"):
        GeneratedClassifier.from_pretrained(folder)


def test_folders_of_something_else_are_refused(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"has no config\.json"):
        GeneratedClassifier.from_pretrained(tmp_path)
    with pytest.raises(CheckpointError, match="is not a folder"):
        GeneratedClassifier.from_pretrained(tmp_path / "nowhere")


def test_saving_replaces_a_classifier_and_nothing_else(classifier: GeneratedClassifier, folder: Path) -> None:
    classifier.save_pretrained(folder)
    (folder.parent / "empty").mkdir()
    classifier.save_pretrained(folder.parent / "empty")
    assert replaceable(folder.parent / "empty")
    precious = folder / "notes.txt"
    precious.write_text("precious")
    before = (folder / "model.safetensors").read_bytes()
    with pytest.raises(ConfigError, match="holds other files besides"):
        classifier.save_pretrained(folder)
    assert precious.read_text() == "precious"
    assert (folder / "model.safetensors").read_bytes() == before
    with pytest.raises(ConfigError, match="is not a folder"):
        classifier.save_pretrained(precious)
    assert sorted(path.name for path in folder.parent.iterdir()) == ["empty", "model"]


def test_a_failed_save_leaves_the_old_folder(
    classifier: GeneratedClassifier, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = {path.name: path.read_bytes() for path in folder.iterdir()}

    def full_disk(*arguments: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("tina_framework.classifier.folder.write_safetensors", full_disk)
    with pytest.raises(ConfigError, match="No space left"):
        classifier.save_pretrained(folder)
    with pytest.raises(ConfigError, match="No space left"):
        classifier.save_pretrained(folder.parent / "new")
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
    assert [path.name for path in folder.parent.iterdir()] == ["model"]


def test_parameters_that_are_not_finite_are_not_saved(tmp_path: Path) -> None:
    state = {name: tensor.clone() for name, tensor in CNN2Layer(2).state_dict().items()}
    state["fc.bias"][0] = torch.inf
    with pytest.raises(CheckpointError, match="not finite"):
        GeneratedClassifier.from_state(cnn_2layer, ["a", "b"], state).save_pretrained(tmp_path / "x")
    assert not list(tmp_path.iterdir())


def test_a_copied_folder_works(folder: Path, tmp_path: Path, pixels: np.ndarray) -> None:
    shutil.move(folder, tmp_path / "elsewhere")
    assert len(GeneratedClassifier.from_pretrained(tmp_path / "elsewhere").predict(pixels)) == 6
