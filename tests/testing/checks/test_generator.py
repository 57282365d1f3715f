"""The checks of generators reject broken plugins."""

from __future__ import annotations

import dataclasses
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.conftest import ToyEncoder
from tests.testing.checks.rejection import assert_rejected
from tina_framework import registries
from tina_framework.errors import DependencyError
from tina_framework.generator.generator import Generator
from tina_framework.testing import run_checks


class _Undeclared(ToyEncoder):
    self_contained = False


class _Drawing(ToyEncoder):
    def encode_text(self, texts: Sequence[str], template: int = 0) -> np.ndarray:
        vectors = super().encode_text(texts, template)
        return vectors + np.float32(0.1) * np.random.default_rng().normal(size=vectors.shape).astype(np.float32)


class _Failing(ToyEncoder):
    def encode_text(self, texts: Sequence[str], template: int = 0) -> np.ndarray:
        raise ValueError("it fails")


class _Uninstalled(ToyEncoder):
    def __init__(self) -> None:
        raise DependencyError("This needs the module 'ears', which is not installed.")


@pytest.fixture
def reading(tiny_generator: Generator, tmp_path: Path) -> Callable[[type], Path]:
    """Writes a copy of the tiny generator that names an encoder of that class."""

    def write(encoder: type) -> Path:
        name = f"checked{encoder.__name__.lower().replace('_', '-')}"
        if name not in registries().encoders:
            registries().encoders.add(name, encoder)
        made = (tiny_generator.denoiser, tiny_generator.normalizer, tiny_generator.condition_space)
        config = dataclasses.replace(tiny_generator.config, default_encoder=name)
        Generator(config, *made).save_pretrained(tmp_path / "generator")
        return tmp_path / "generator"

    return write


def test_a_sound_one_passes(tiny_folder: Path, generator_plugin: Path) -> None:
    assert [result for result in run_checks("generator", "toys") if not result.passed] == []


def test_an_altered_folder_is_rejected(tiny_folder: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(tiny_folder, tmp_path / "generator"))
    (folder / "generic.safetensors").unlink()
    assert_rejected("generator", folder, "check_folder")
    shutil.rmtree(folder)
    assert_rejected("generator", folder, "check_folder")


@pytest.mark.parametrize(
    ("encoder", "check"),
    [(_Undeclared, "check_encoder"), (_Failing, "check_generates"), (_Drawing, "check_repeatable")],
)
def test_an_encoder_that_cannot_be_used_is_rejected(reading: Callable[[type], Path], encoder: type, check: str) -> None:
    assert_rejected("generator", reading(encoder), check)


def test_an_encoder_that_needs_more_packages_is_no_fault(reading: Callable[[type], Path]) -> None:
    results = {result.name: result for result in run_checks("generator", reading(_Uninstalled))}
    assert not any(result.failed for result in results.values())
    assert results["check_folder"].passed
    for name in ("check_encoder", "check_generates", "check_repeatable"):
        assert "does not work here: This needs the module 'ears'" in results[name].message


def test_parameters_that_are_not_finite_are_rejected(tiny_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from tina_framework.testing.checks import generator as checks

    class Overflowing(Generator):
        def __call__(self, *args: object, **settings: object) -> object:
            model = super().__call__(*args, **settings)  # type: ignore[arg-type]
            with torch.no_grad():
                next(model.network.parameters()).fill_(torch.inf)
            return model

    monkeypatch.setattr(checks, "Generator", Overflowing)
    assert_rejected("generator", tiny_folder, "check_generates")
