"""The head and its trunk on a tiny CLIP: the standard tests, the features of transformers, and what saved heads record."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors import safe_open

from tina_framework import GeneratedClassifier, TargetArchitecture, list_architectures, registries
from tina_framework.errors import CheckpointError, ConfigError
from tina_framework.images import Preprocessing, pictures
from tina_framework.interfaces.spec import ParameterSpec
from tina_framework.testing import ArchitectureTests
from tina_vit_head.architecture import vit_head
from tina_vit_head.tower import load_tower

Use = Callable[[Path | None], None]


class TestOnATinyCLIP(ArchitectureTests):
    @pytest.fixture
    def architecture(self, use: Use, tiny: Path) -> TargetArchitecture:
        use(tiny)
        return vit_head()


@pytest.fixture
def no_hub(monkeypatch: pytest.MonkeyPatch) -> None:
    import huggingface_hub

    def refuse(*args: Any, **options: Any) -> str:
        raise AssertionError("asked the Hub")

    monkeypatch.setattr(huggingface_hub, "snapshot_download", refuse)


def test_it_is_found() -> None:
    assert list_architectures("vit*") == ["vit-head"]


def test_the_real_one_is_described_without_a_download(use: Use, no_hub: None) -> None:
    use(None)
    made = registries().architectures.create("vit-head")
    assert (made.name, made.input_shape, made.network_input) == ("vit-head", (3, 224, 224), (512,))
    assert made.trunk.space == "openai/clip-vit-base-patch32"
    assert ParameterSpec(made).num_parameters(10) == 5130
    assert registries().architectures.create("vit-head") is made


def test_it_speaks_the_space_of_the_encoders_and_looks_as_they_do(use: Use, no_hub: None) -> None:
    from transformers import CLIPImageProcessor

    use(None)
    made = vit_head()
    assert made.trunk is not None
    assert registries().encoders.create("clip-vit-b-32").space == made.trunk.space
    theirs = CLIPImageProcessor()
    assert (list(made.mean), list(made.std)) == (list(theirs.image_mean), list(theirs.image_std))


def test_a_folder_is_named_by_the_environment_not_by_an_argument(use: Use, tiny: Path) -> None:
    use(tiny)
    made = vit_head()
    assert (made.input_shape, made.network_input) == ((3, 32, 32), (24,))
    assert made.trunk is not None
    assert (made.trunk.name, made.trunk.space) == ("local/tiny image tower", "local/tiny")
    with pytest.raises(ConfigError, match="takes no argument"):
        registries().architectures.create(f"vit-head:{tiny}")


def test_features_are_those_of_transformers(tiny: Path) -> None:
    from transformers import CLIPModel

    torch.manual_seed(0)
    images = torch.randn(5, 3, 32, 32)
    with torch.no_grad():
        found = load_tower(tiny)(images)
        theirs = CLIPModel.from_pretrained(tiny).eval().get_image_features(pixel_values=images)
    theirs = getattr(theirs, "pooler_output", theirs)  # transformers 4 gives the tensor itself
    torch.testing.assert_close(found, theirs / theirs.norm(dim=1, keepdim=True) * math.sqrt(24), rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(found.square().mean(dim=1), torch.ones(5))


@pytest.mark.parametrize(("size", "difference"), [((32, 32), 1e-5), ((80, 80), 0.05), ((90, 60), 0.05)])
def test_pictures_are_prepared_as_clip_prepares_them(
    use: Use, tiny: Path, size: tuple[int, int], difference: float
) -> None:
    """The centre, scaled; where something is scaled, libraries differ by rounding."""
    from transformers import AutoImageProcessor

    use(tiny)
    made = vit_head()
    rows, columns = np.mgrid[0 : size[1], 0 : size[0]]
    waves = [np.sin(rows / 7), np.cos(columns / 9), np.sin((rows + columns) / 11)]
    picture = Image.fromarray((127.5 + 127.5 * np.stack(waves, axis=-1)).astype(np.uint8))
    prepare = Preprocessing.of(made)
    theirs = AutoImageProcessor.from_pretrained(tiny)(images=[picture], return_tensors="pt")["pixel_values"]
    assert float((prepare(pictures(picture, prepare.size)) - theirs).abs().max()) < difference


def test_the_trunk_has_the_names_of_the_file_and_no_text_tower(tiny: Path) -> None:
    """Saved heads record a hash over these names; a transformers that calls them otherwise must be noticed."""
    with safe_open(tiny / "model.safetensors", "pt") as file:
        expected = {name for name in file.keys() if name.startswith("vis")}  # noqa: SIM118 - no mapping
    assert set(load_tower(tiny).state_dict()) == expected


def classifier() -> GeneratedClassifier:
    torch.manual_seed(0)
    made = vit_head()
    return GeneratedClassifier.from_state(made, ["a", "b", "c"], made.build(3).state_dict())


def test_a_saved_head_remembers_its_clip(
    use: Use, tiny: Path, other: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    use(tiny)
    made = classifier()
    assert made.num_parameters == 75
    pixels = np.random.default_rng(0).integers(0, 256, (4, 32, 32, 3), dtype=np.uint8)
    expected = made.predict_proba(pixels)
    made.save_pretrained(tmp_path / "c")
    recorded = json.loads((tmp_path / "c" / "config.json").read_text())
    assert recorded["architecture"] == "vit-head"
    assert recorded["trunk"]["name"] == "local/tiny image tower"
    assert str(tiny.parent) not in json.dumps(recorded)
    again = GeneratedClassifier.from_pretrained(tmp_path / "c")
    np.testing.assert_array_equal(again.predict_proba(pixels), expected)
    use(other)
    with pytest.raises(CheckpointError, match=r"was made for trunk 'local/tiny image tower' \(.*\), but the installed"):
        GeneratedClassifier.from_pretrained(tmp_path / "c")


def test_a_copy_of_the_original_in_a_folder_is_the_original(use: Use, tmp_path: Path, no_hub: None) -> None:
    config: dict[str, Any] = {"model_type": "clip", "projection_dim": 512, "text_config": {}, "vision_config": {}}
    use(None)
    real = vit_head()
    assert real.trunk is not None
    look = {"image_mean": real.mean, "image_std": real.std}
    for name, changed in (("copy", {}), ("laion", {"vision_config": {"hidden_act": "gelu"}})):
        (tmp_path / name).mkdir()
        (tmp_path / name / "config.json").write_text(json.dumps(config | changed))
        (tmp_path / name / "preprocessor_config.json").write_text(json.dumps(look))
    use(tmp_path / "copy")
    copy = vit_head()
    assert copy.trunk is not None
    assert (copy.trunk.name, copy.trunk.space) == (real.trunk.name, real.trunk.space)
    assert (copy.input_shape, copy.mean, copy.std) == (real.input_shape, real.mean, real.std)
    use(tmp_path / "laion")
    other = vit_head()
    assert other.trunk is not None
    assert other.trunk.space == "local/laion"


def test_in_bfloat16_the_answer_is_the_same_up_to_rounding(use: Use, tiny: Path) -> None:
    use(tiny)
    torch.manual_seed(0)
    head, features = vit_head().build(5), torch.randn(8, 24)
    with torch.no_grad():
        plain = head(features)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            rounded = head(features)
    assert rounded.dtype == torch.float32
    assert float((rounded - plain).abs().max()) < 0.05
