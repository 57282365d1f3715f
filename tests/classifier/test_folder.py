"""The folder of a classifier: round trips, and everything that may be wrong with one."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from tina_framework.builtins.architectures.cnn_2layer import CNN2Layer, cnn_2layer
from tina_framework.classifier.classifier import GeneratedClassifier, replaceable
from tina_framework.errors import CheckpointError, ConfigError, DependencyError
from tina_framework.interfaces.architecture import FrozenTrunk, TargetArchitecture
from tina_framework.plugin.discovery import registries
from tina_framework.storage.digest import renew_digest
from tina_framework.targets.trunk import load_trunk, trunk_record, trunk_state

NAMES = ("ant", "bee", "cat")
LOOK = {"input_shape": [3, 32, 32], "mean": [0, 0, 0], "std": [1, 1, 1], "fit": "crop-centre"}


def test_folder_round_trip(classifier: GeneratedClassifier, folder: Path, pixels: np.ndarray) -> None:
    loaded = GeneratedClassifier.from_pretrained(folder)
    np.testing.assert_array_equal(loaded.predict_proba(pixels), classifier.predict_proba(pixels))
    assert loaded.class_names == NAMES
    assert loaded.provenance["seed"] == 5
    assert loaded.provenance["package_version"]
    assert loaded.preprocessing == classifier.preprocessing
    assert json.loads((folder / "config.json").read_text())["preprocessing"]["fit"] == "crop-centre"
    assert not loaded.training
    assert {path.name for path in folder.iterdir()} == {"README.md", "config.json", "model.safetensors"}
    assert (folder / "model.safetensors").stat().st_mode & 0o044


def test_labels_are_also_written_as_other_libraries_read_them(folder: Path) -> None:
    values = json.loads((folder / "config.json").read_text())
    assert values["id2label"] == {"0": "ant", "1": "bee", "2": "cat"}
    assert values["label2id"] == {"ant": 0, "bee": 1, "cat": 2}
    _edit(folder, id2label=None, label2id=None)  # as in folders from before
    assert GeneratedClassifier.from_pretrained(folder).class_names == NAMES


def test_a_card_is_written_and_an_edited_one_is_kept(classifier: GeneratedClassifier, folder: Path) -> None:
    card = folder / "README.md"
    assert "ant, bee, cat" in card.read_text()
    (folder / ".gitattributes").write_text("as the Hub adds it")
    two = GeneratedClassifier.from_state(cnn_2layer, ["sun", "moon"], CNN2Layer(2).state_dict())
    two.save_pretrained(folder)
    assert "sun, moon" in card.read_text()
    card.write_text("mine")
    classifier.save_pretrained(folder)
    assert card.read_text() == "mine"
    assert GeneratedClassifier.from_pretrained(folder).class_names == NAMES
    card.unlink()
    classifier.save_pretrained(folder)
    assert "ant, bee, cat" in card.read_text()
    (folder / "notes.txt").write_text("mine, too")
    with pytest.raises(ConfigError, match="nothing was changed"):
        classifier.save_pretrained(folder)


def test_weights_load_into_the_plain_module(classifier: GeneratedClassifier, folder: Path) -> None:
    module = CNN2Layer(3)
    assert set(load_file(folder / "model.safetensors")) == {"conv1.weight", "conv2.weight", "fc.weight", "fc.bias"}
    module.load_state_dict(load_file(folder / "model.safetensors"))
    inputs = torch.randn(2, 3, 32, 32)
    torch.testing.assert_close(module(inputs), classifier(inputs))


PICTURES = np.random.default_rng(0).integers(0, 256, (6, 8, 8, 3), dtype=np.uint8)
BUILT: list[str] = []


class Trunk(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 64, 5)

    def forward(self, pictures: Tensor) -> Tensor:
        return self.conv(pictures).relu().mean(dim=(2, 3))


def _trunk() -> nn.Module:
    BUILT.append("trunk")
    torch.manual_seed(0)
    return Trunk()


def _skeleton() -> nn.Module:
    BUILT.append("skeleton")
    with torch.device("meta"):
        return Trunk()


BEHIND = TargetArchitecture(
    "folder-head",
    lambda count: nn.Linear(64, count),
    (3, 8, 8),
    trunk=FrozenTrunk("folder-trunk", _trunk, (64,), skeleton=_skeleton),
)


@pytest.fixture
def behind(monkeypatch: pytest.MonkeyPatch) -> GeneratedClassifier:
    """A classifier on a frozen trunk."""
    if BEHIND.name not in registries().architectures:
        registries().architectures.add(BEHIND.name, lambda: BEHIND)
    BUILT.clear()
    torch.manual_seed(1)
    return GeneratedClassifier.from_state(BEHIND, NAMES, nn.Linear(64, 3).state_dict())


def test_a_folder_with_its_trunk_needs_no_other_weights(behind: GeneratedClassifier, tmp_path: Path) -> None:
    behind.save_pretrained(tmp_path / "c", include_trunk=True)
    assert {path.name for path in (tmp_path / "c").iterdir()} == {
        "README.md",
        "config.json",
        "model.safetensors",
        "trunk.safetensors",
    }
    load_trunk.cache_clear()
    BUILT.clear()
    loaded = GeneratedClassifier.from_pretrained(tmp_path / "c")
    np.testing.assert_array_equal(loaded.predict_proba(PICTURES), behind.predict_proba(PICTURES))
    assert BUILT == ["skeleton", "trunk"]  # the trunk for `behind`, whose network was dropped above


def test_half_precision_halves_the_files_and_is_computed_in_full(behind: GeneratedClassifier, tmp_path: Path) -> None:
    behind.save_pretrained(tmp_path / "full", include_trunk=True)
    behind.save_pretrained(tmp_path / "half", include_trunk=True, dtype="float16")
    for file in ("model.safetensors", "trunk.safetensors"):
        full, half = (load_file(tmp_path / folder / file) for folder in ("full", "half"))
        assert {tensor.dtype for tensor in half.values()} == {torch.float16}
        assert all(torch.equal(tensor.half(), half[name]) for name, tensor in full.items())
    loaded = GeneratedClassifier.from_pretrained(tmp_path / "half")
    assert loaded.trunk is not None
    assert {t.dtype for t in [*loaded.network.parameters(), *trunk_state(loaded.trunk).values()]} == {torch.float32}
    np.testing.assert_allclose(loaded.predict_proba(PICTURES), behind.predict_proba(PICTURES), atol=1e-3)
    with pytest.raises(ConfigError, match="dtype is 'int8'; weights can be stored as float32 or float16"):
        behind.save_pretrained(tmp_path / "half", dtype="int8")
    with torch.no_grad():
        next(behind.network.parameters()).fill_(1e6)
    with pytest.raises(CheckpointError, match="a number that is too large for float16; save it in float32"):
        behind.save_pretrained(tmp_path / "half", dtype=torch.float16)


def test_a_loaded_trunk_is_saved_again_and_keeps_its_record(behind: GeneratedClassifier, tmp_path: Path) -> None:
    behind.save_pretrained(tmp_path / "c", include_trunk=True, dtype="float16")
    tuned = GeneratedClassifier.from_pretrained(tmp_path / "c").fine_tune(PICTURES[:3], list(NAMES))
    tuned.save_pretrained(tmp_path / "again")
    records = [json.loads((tmp_path / f / "config.json").read_text())["trunk"] for f in ("c", "again")]
    assert records == [trunk_record(BEHIND)] * 2
    assert (tmp_path / "again" / "trunk.safetensors").is_file()
    tuned.save_pretrained(tmp_path / "again", include_trunk=False)
    assert not (tmp_path / "again" / "trunk.safetensors").exists()
    GeneratedClassifier.from_pretrained(tmp_path / "again")


def test_the_file_of_a_trunk_is_checked(
    behind: GeneratedClassifier, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "c"
    behind.save_pretrained(folder, include_trunk=True)
    content = (folder / "trunk.safetensors").read_bytes()
    (folder / "trunk.safetensors").unlink()
    with pytest.raises(CheckpointError, match=r"trunk\.safetensors' does not exist"):
        GeneratedClassifier.from_pretrained(folder)
    (folder / "trunk.safetensors").write_bytes(content[:-4] + b"\0\0\0\1")
    with pytest.raises(CheckpointError, match=r"trunk\.safetensors' was altered"):
        GeneratedClassifier.from_pretrained(folder)
    behind.save_pretrained(folder)
    (folder / "trunk.safetensors").write_bytes(content)
    with pytest.raises(CheckpointError, match=r"records no SHA-256 of trunk\.safetensors"):
        GeneratedClassifier.from_pretrained(folder)


def test_a_trunk_is_refused_by_another_architecture(behind: GeneratedClassifier, tmp_path: Path) -> None:
    folder = tmp_path / "c"
    behind.save_pretrained(folder, include_trunk=True)
    for recorded, theirs in (({"name": "b", "sha256": "0" * 64}, "trunk 'b'"), (None, "no trunk")):
        _edit(folder, trunk=recorded)
        with pytest.raises(CheckpointError, match=f"the weights of {theirs}, but .* has trunk 'folder-trunk'; install"):
            GeneratedClassifier.from_pretrained(folder)


def test_only_a_trunk_that_is_there_can_be_included(classifier: GeneratedClassifier, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="'cnn-2layer' has no frozen trunk to include"):
        classifier.save_pretrained(tmp_path / "c", include_trunk=True)
    assert not (tmp_path / "c").exists()


def _edit(folder: Path, **changes: object) -> None:
    values = json.loads((folder / "config.json").read_text())
    values.update(changes)
    (folder / "config.json").write_text(json.dumps({k: v for k, v in values.items() if v is not None}))
    renew_digest(folder / "config.json")


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"format": "tina-generator"}, "its format is 'tina-generator'"),
        ({"format": None}, "it states no format"),
        ({"format_version": 2}, "format_version 2, but this program reads version 1"),
        ({"extra": 1}, "has unknown extra"),
        ({"class_names": None}, "lacks .*class_names"),
        ({"sha256": None}, "records no SHA-256"),
        ({"class_names": ["ant", "bee"]}, "id2label does not fit class_names. Change both alike, or remove"),
        ({"label2id": {"ant": 0, "bee": 2, "cat": 1}}, "label2id does not fit class_names"),
        ({"id2label": ["ant", "bee", "cat"]}, "id2label does not fit class_names"),
        (
            {"class_names": ["ant", "bee"], "id2label": None, "label2id": None},
            r"'fc.weight' has shape \(3, 32\), expected \(2, 32\)",
        ),
        ({"class_names": ["ant", "bee", "bee"]}, "has the name 'bee' twice"),
        ({"class_names": "ant"}, "not a list of names"),
        ({"class_names": []}, "not a list of names"),
        ({"architecture": "cnn-2layers"}, "Did you mean 'cnn-2layer'"),
        ({"architecture": "os:system"}, "cannot be made"),
        ({"architecture": 3}, "architecture must be a name"),
        ({"provenance": 3}, "provenance a table"),
        (
            {"abstention": {"score": "luck", "threshold": 1}},
            "score of abstention is 'luck', but this program reads thresholds of 'max-logit' alone; remove the key",
        ),
        ({"abstention": {"threshold": 1}}, "needs exactly score, threshold"),
        ({"abstention": 3}, "needs exactly score, threshold"),
        ({"preprocessing": {}}, "expected input_shape"),
        ({"preprocessing": {**LOOK, "std": [1, 0, 1]}}, "expected input_shape"),
        ({"preprocessing": {**LOOK, "more": 1}}, "expected input_shape"),
        (
            {"preprocessing": {key: LOOK[key] for key in ("input_shape", "mean", "std")}},
            "fit 'crop-centre', and perhaps crop_pct",
        ),
        ({"preprocessing": {**LOOK, "crop_pct": 1.5}}, "crop_pct is 1.5; give a number above 0 and at most 1"),
        ({"preprocessing": {**LOOK, "input_shape": [3, 64, 64]}}, "input_shape is"),
        (
            {"preprocessing": {**LOOK, "fit": "stretch"}},
            "fit of pictures is 'stretch', but this program knows only 'crop-centre'",
        ),
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


@pytest.fixture
def wide() -> GeneratedClassifier:
    """A classifier 1.5 times as wide, of random weights."""
    torch.manual_seed(0)
    architecture = registries().architectures.create("cnn-2layer@1.5")
    return GeneratedClassifier.from_state(architecture, ("ant", "bee", "cat"), architecture.build(3).state_dict())


def test_a_classifier_of_another_width_is_saved_and_loaded(
    wide: GeneratedClassifier, tmp_path: Path, pixels: np.ndarray
) -> None:
    wide.save_pretrained(tmp_path / "wide")
    config = json.loads((tmp_path / "wide" / "config.json").read_text())
    assert config["architecture"] == "cnn-2layer@1.5"
    assert "plugins" not in config
    loaded = GeneratedClassifier.from_pretrained(tmp_path / "wide")
    assert loaded.architecture == "cnn-2layer@1.5"
    assert loaded.num_parameters == 24 * 27 + 48 * 24 * 9 + 3 * 49
    assert loaded.class_tensors == {"fc.weight", "fc.bias"}
    assert np.array_equal(loaded.predict_proba(pixels), wide.predict_proba(pixels))


def test_the_width_of_a_folder_is_checked(wide: GeneratedClassifier, tmp_path: Path) -> None:
    wide.save_pretrained(tmp_path / "wide")
    _edit(tmp_path / "wide", architecture="cnn-2layer@2")
    with pytest.raises(CheckpointError, match=r"'conv1.weight' has shape \(24, 3, 3, 3\), expected \(32, 3, 3, 3\)"):
        GeneratedClassifier.from_pretrained(tmp_path / "wide")
    _edit(tmp_path / "wide", architecture="cnn-2layer@wide")
    with pytest.raises(CheckpointError, match="which is no number"):
        GeneratedClassifier.from_pretrained(tmp_path / "wide")


@pytest.mark.parametrize("name", ["c", "onnx"])
def test_a_classifier_of_another_width_is_exported(
    wide: GeneratedClassifier, tmp_path: Path, pixels: np.ndarray, name: str
) -> None:
    exporter = registries().exporters.create(name)
    try:
        report = wide.export(
            tmp_path / f"wide{exporter.suffix}", name, int8=pixels if exporter.int8 == "always" else None
        )
    except DependencyError as error:  # no C compiler, or no onnx
        pytest.skip(str(error))
    assert report.comparison.pictures > 0
    assert report.path.exists()
