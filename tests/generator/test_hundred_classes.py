"""A generator of wide heads for up to a hundred classes: one head, whatever the number of classes."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import torch
from torch import nn

from tests.conftest import ToyEncoder
from tina_framework import GeneratedClassifier, TargetArchitecture
from tina_framework.classifier.abstention import AbstentionThresholds
from tina_framework.denoiser.normalizer import Normalizer
from tina_framework.denoiser.presets import build_config
from tina_framework.denoiser.transformer import Denoiser
from tina_framework.errors import PromptError
from tina_framework.generator.generator import Generator, GeneratorConfig
from tina_framework.interfaces.architecture import FrozenTrunk
from tina_framework.interfaces.spec import ParameterSpec
from tina_framework.plugin.discovery import registries
from tina_framework.prompts.condition_space import ConditionSpace

WIDTH = 1280
KNOWN = tuple(f"thing {number}" for number in range(1000))
NAMES = tuple(f"other {number}" for number in range(100))


class WideEncoder(ToyEncoder):
    """Keeps its vectors, so that generating is measured and not encoding."""

    name, dim, space, templates = "toy-wide", 384, "toy-wide-space", ("{}",)

    def __init__(self) -> None:
        self._known: dict[str, npt.NDArray[np.float32]] = {}

    def encode_text(self, texts: Sequence[str], template: int = 0) -> npt.NDArray[np.float32]:
        for text in texts:
            if text not in self._known:
                self._known[text] = super().encode_text([text], template)[0]
        return np.stack([self._known[text] for text in texts])


def _trunk() -> nn.Module:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return nn.Sequential(nn.Flatten(), nn.Linear(3 * 8 * 8, WIDTH))


@pytest.fixture(scope="module")
def wide() -> Generator:
    """A random generator of linear heads, 1,280 weights and a bias for each class, on a frozen trunk."""
    if "toy-wide" not in registries().encoders:
        registries().encoders.add("toy-wide", WideEncoder)
        trunk = FrozenTrunk("toy-trunk", _trunk, (WIDTH,))
        head = TargetArchitecture("toy-wide-head", lambda count: nn.Linear(WIDTH, count), (3, 8, 8), trunk=trunk)
        registries().architectures.add("toy-wide-head", head)
    encoder = registries().encoders.create("toy-wide")
    spec = ParameterSpec(registries().architectures.create("toy-wide-head"))
    tokenizer = registries().tokenizers.create("class-row")
    layout = tokenizer.layout(spec, 100, 100)
    assert layout.num_tokens == 100
    sizes = build_config("small", condition_dim=encoder.dim, layout=layout, max_classes=100)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        denoiser = Denoiser(sizes)
        with torch.no_grad():
            for parameter in denoiser.parameters():
                parameter.add_(0.02 * torch.randn_like(parameter))
        generic = spec.architecture.build(len(KNOWN)).state_dict()
    space = ConditionSpace.fit(encoder.space, encoder.encode_text(KNOWN))
    config = GeneratorConfig(
        architecture="toy-wide-head",
        tokenizer={"name": "class-row", "config": tokenizer.config},
        scheduler={"name": "ddim", "config": dict(registries().schedulers.create("ddim").config)},
        denoiser=sizes,
        condition={"space": encoder.space, "scale": space.scale, "templates": ["{}"]},
        default_encoder="toy-wide",
        max_classes=100,
        num_inference_steps=4,
        class_names=KNOWN,
        abstention=AbstentionThresholds(0.9, {2: 1.0, 10: 2.0, 100: 3.0}, "toy-wide"),
    )
    return Generator(config, denoiser.eval(), Normalizer.fit(spec, generic), space)


def test_a_hundred_classes_are_one_head(wide: Generator, tmp_path: Path) -> None:
    model = wide(list(NAMES), compose=True)
    assert model.members is None
    assert "composed" not in model.provenance
    assert model.num_parameters == 100 * (WIDTH + 1)
    assert model.network.state_dict()["weight"].shape == (100, WIDTH)
    model.save_pretrained(tmp_path / "classifier")
    loaded = GeneratedClassifier.from_pretrained(tmp_path / "classifier")
    pictures = np.random.default_rng(0).integers(0, 256, (3, 20, 30, 3), dtype=np.uint8)
    assert loaded.class_names == NAMES
    np.testing.assert_array_equal(loaded.predict_proba(pictures), model.predict_proba(pictures))


def test_order_and_batch_change_nothing_and_the_seed_does(wide: Generator) -> None:
    weight = wide(list(NAMES), seed=1).network.state_dict()["weight"]
    backwards, few = wide([list(NAMES[::-1]), list(NAMES[:7])], seed=1)
    torch.testing.assert_close(backwards.network.state_dict()["weight"].flip(0), weight, atol=1e-5, rtol=1e-4)
    alone = wide(list(NAMES[:7]), seed=1).network.state_dict()["weight"]
    torch.testing.assert_close(few.network.state_dict()["weight"], alone, atol=1e-5, rtol=1e-4)
    assert float((wide(list(NAMES), seed=2).network.state_dict()["weight"] - weight).abs().max()) > 1e-3


def test_more_classes_are_refused_or_composed(wide: Generator) -> None:
    names = [*NAMES, *(f"more {number}" for number in range(20))]
    with pytest.raises(
        PromptError, match=r"^120 classes were named, but this generator makes classifiers for at most 100; leave"
    ):
        wide(names)
    ensemble, merged = wide(names, compose=True), wide(names, compose="merge")
    assert ensemble.members is not None
    assert {len(group) for group in ensemble.members} == {100}
    assert merged.members is None
    assert merged.network.state_dict()["weight"].shape == (120, WIDTH)
    assert ensemble.abstention_threshold is None, "no threshold was calibrated for so many classes"


@pytest.mark.parametrize(("count", "threshold"), [(2, 1.0), (10, 2.0), (55, 2.5), (100, 3.0)])
def test_thresholds_are_interpolated_up_to_a_hundred(wide: Generator, count: int, threshold: float) -> None:
    assert wide(list(NAMES[:count])).abstention_threshold == pytest.approx(threshold)


def test_fewer_classes_may_be_allowed_than_the_denoiser_was_built_for(wide: Generator) -> None:
    config = dataclasses.replace(wide.config, max_classes=10, abstention=None)
    narrow = Generator(config, wide.denoiser, wide.normalizer, wide.condition_space)
    with pytest.raises(PromptError, match="11 classes were named"):
        narrow(list(NAMES[:11]))


def test_a_hundred_classes_take_well_under_a_second(wide: Generator) -> None:
    """0.02 s for ten and 0.12 s for a hundred classes on one quiet core, with ten steps. The limit allows for busy machines."""
    seconds = []
    for seed in range(3):
        start = time.process_time()
        wide(list(NAMES), seed=seed, num_inference_steps=10)
        seconds.append(time.process_time() - start)
    assert min(seconds) < 2
