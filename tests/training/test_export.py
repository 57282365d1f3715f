from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from tina_framework.config.training import TrainingConfig
from tina_framework.generator.generator import Generator
from tina_framework.training.components import build_components
from tina_framework.training.export import make_generator, portable, recipe
from tina_framework.training.validation import ValidationResult

Make = Callable[..., TrainingConfig]


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("arrays:/home/me/data.npz", "arrays:data.npz"),
        ("arrays:data/cifar.npz", "arrays:data/cifar.npz"),
        ("embedding-table:/home/me/t.npz: a {}", "embedding-table:t.npz: a {}"),
        ("embedding-table:t.npz: a photo: {}", "embedding-table:t.npz: a photo: {}"),
        ("/home/me/zoo", "zoo"),
        ("zoo/here", "zoo/here"),
        ("cifar100", "cifar100"),
        ("clip-lite", "clip-lite"),
    ],
)
def test_absolute_paths_lose_their_folders(given: str, kept: str) -> None:
    assert portable(given) == kept


def test_the_folder_loads_and_tells_where_it_comes_from(make_config: Make, tmp_path: Path) -> None:
    config = make_config(bundle_zoo_reference=True, default_encoder="clip-lite", scheduler="ddpm")
    components = build_components(config, torch.device("cpu"))
    figures = ValidationResult(0.7, 0.6, 0.1, 0.01, 5, {4: {"accuracy": 0.7}})
    made = make_generator(components, components.denoiser, step=12, seconds=3.25, validation=figures)
    made.save_pretrained(tmp_path / "out")
    loaded = Generator.from_pretrained(tmp_path / "out", device="cpu")
    training = loaded.config.training
    assert training["recipe_sha256"] == config.sha256()
    assert training["recipe"] == recipe(config)
    assert training["step"] == 12
    assert training["validation"]["by_count"] == {"4": {"accuracy": 0.7}}
    assert str(tmp_path.parent) not in (tmp_path / "out" / "config.json").read_text()
    assert loaded.config.class_names == components.seen_classes
    assert loaded.config.default_encoder == "clip-lite"
    assert loaded.config.scheduler["name"] == "ddpm"
    assert loaded.generic is not None
    torch.testing.assert_close(loaded.generic["fc.weight"], components.generic["fc.weight"])


def test_the_generic_model_stays_at_home_by_default(make_config: Make) -> None:
    components = build_components(make_config(), torch.device("cpu"))
    assert make_generator(components, components.denoiser).generic is None


def test_a_whitened_generator_comes_back_with_its_factors(make_config: Make, tmp_path: Path) -> None:
    components = build_components(make_config(whitening=0.1), torch.device("cpu"))
    made = make_generator(components, components.denoiser)
    made.save_pretrained(tmp_path / "out")
    loaded = Generator.from_pretrained(tmp_path / "out", device="cpu")
    assert loaded.config.whitened == made.config.whitened != ()
    whitening, kept = components.context.normalizer.whitening, loaded.normalizer.whitening
    assert whitening is not None
    assert kept is not None
    assert kept.factors.keys() == whitening.factors.keys()
    assert all(torch.equal(kept.factors[name], factor) for name, factor in whitening.factors.items())


def test_without_whitening_the_configuration_does_not_name_it(make_config: Make) -> None:
    components = build_components(make_config(), torch.device("cpu"))
    assert "whitened" not in make_generator(components, components.denoiser).config.to_dict()
