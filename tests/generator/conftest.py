"""A small random generator that writes networks of three architectures."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from tests.conftest import TOY_CLASSES
from tina_framework.denoiser.normalizer import Normalizer
from tina_framework.denoiser.presets import build_config
from tina_framework.denoiser.row_forecast import RowForecast
from tina_framework.denoiser.transformer import Denoiser
from tina_framework.denoiser.whitening import Whitening, factor_shapes
from tina_framework.generator.generator import Generator, GeneratorConfig
from tina_framework.generator.target import GeneratorTarget
from tina_framework.interfaces.spec import ParameterSpec
from tina_framework.plugin.discovery import registries

ARCHITECTURES = ("cnn-2layer", "cnn-2layer@0.5", "cnn-3layer@0.5")
WHITENED = "cnn-2layer@0.5"
"""The architecture whose first convolution has whitened coordinates."""


def make_target(spec: ParameterSpec, condition_dim: int, draws: torch.Generator) -> GeneratorTarget:
    """Coordinates around a random generic model, and a random row forecast."""
    generic = {info.name: torch.randn(info.shape, generator=draws) for info in spec.parameters(len(TOY_CLASSES))}
    whitening = None
    if spec.architecture.name == WHITENED:
        factors = {}
        for name, shape in factor_shapes(spec, ("conv1.weight",)).items():
            root = torch.randn(shape, generator=draws)
            factors[name] = root @ root.T / shape[0] + torch.eye(shape[0])
        whitening = Whitening(spec, factors)
    width = spec.num_parameters(2) - spec.num_parameters(1)
    weight = torch.randn(width, condition_dim, generator=draws)
    return GeneratorTarget(
        Normalizer.fit(spec, generic, whitening=whitening), RowForecast(weight, torch.randn(width, generator=draws))
    )


@pytest.fixture(scope="session")
def mixed(tiny_generator: Generator) -> Generator:
    """It writes `ARCHITECTURES`, the first by default; the last was not trained."""
    specs = {name: ParameterSpec(registries().architectures.create(name)) for name in ARCHITECTURES}
    tokenizer = registries().tokenizers.create("filter:160")
    layout = tokenizer.layout(specs[ARCHITECTURES[0]], 10, 10)
    old = tiny_generator.config
    dim = old.denoiser.condition_dim
    sizes = build_config(
        "tiny", condition_dim=dim, layout=layout, max_classes=10, pool_rank=4, pool_moments=2, forecast_width=16
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        denoiser = Denoiser(sizes).eval()
        with torch.no_grad():
            for parameter in denoiser.parameters():
                parameter.add_(0.05 * torch.randn_like(parameter))
    draws = torch.Generator().manual_seed(1)
    targets = {name: make_target(spec, dim, draws) for name, spec in specs.items()}
    entries = {
        name: {
            "whitened": ["conv1.weight"] if name == WHITENED else [],
            "trained": name != ARCHITECTURES[-1],
            "validation": {"accuracy": 0.5 + 0.1 * number},
            "metrics": {"toy": {"seen": {"3": 0.25 * number}}},
        }
        for number, name in enumerate(ARCHITECTURES)
    }
    config = GeneratorConfig(
        architecture=ARCHITECTURES[0],
        tokenizer={"name": "filter", "config": tokenizer.config},
        scheduler=old.scheduler,
        denoiser=sizes,
        condition=old.condition,
        default_encoder="toy",
        max_classes=10,
        num_inference_steps=2,
        class_names=TOY_CLASSES,
        training={"recipe": "none"},
        architectures=entries,
    )
    space = tiny_generator.condition_space
    return Generator(config, denoiser, targets[ARCHITECTURES[0]].normalizer, space, None, targets)


@pytest.fixture(scope="session")
def mixed_folder(mixed: Generator, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`mixed`, saved. Copy it before changing it."""
    folder = tmp_path_factory.mktemp("generators") / "mixed"
    mixed.save_pretrained(folder)
    return folder
