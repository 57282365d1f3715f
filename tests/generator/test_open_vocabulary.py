"""Generators that read the vectors of any words: `condition.open_vocabulary`."""

from __future__ import annotations

import dataclasses
import warnings
from collections.abc import Sequence

import numpy as np
import pytest
import torch

from tina_framework.builtins.architectures.cnn_2layer import cnn_2layer
from tina_framework.builtins.tokenizers.class_row import ClassRowTokenizer
from tina_framework.denoiser.kernel_forecast import kernel_ridge
from tina_framework.denoiser.normalizer import Normalizer
from tina_framework.denoiser.presets import build_config
from tina_framework.denoiser.transformer import Denoiser
from tina_framework.errors import ConfigError, PromptWarning
from tina_framework.generator.generator import Generator, GeneratorConfig
from tina_framework.interfaces.spec import ParameterSpec
from tina_framework.plugin.discovery import registries
from tina_framework.prompts.build import text, vector
from tina_framework.prompts.condition_space import ConditionSpace
from tina_framework.prompts.familiarity import Familiarity

E, MAX = 16, 4
NAMES = ("apple", "bear", "bicycle", "bus", "castle")
SPEC = ParameterSpec(cnn_2layer)


class Words:
    """Every text has a vector of its own. It refuses to encode the known names, because that must not be needed."""

    name, dim, space, templates = "words", E, "toy", ("{}",)

    def encode_text(self, texts: Sequence[str], template: int = 0) -> np.ndarray:
        assert len(texts) < len(NAMES)
        return np.stack([of(word) for word in texts])


def of(word: str) -> np.ndarray:
    seed = sum((i + 1) * ord(letter) for i, letter in enumerate(word.lower()))
    return np.random.default_rng(seed).standard_normal(E).astype(np.float32)


def make(**changes) -> Generator:
    layout = ClassRowTokenizer().layout(SPEC, MAX, MAX)
    space = ConditionSpace.fit("toy", np.stack([of(name) for name in NAMES]))
    landmarks = space.apply(np.stack([of(name) for name in NAMES]))
    with torch.random.fork_rng():
        torch.manual_seed(0)
        settings = build_config(
            "tiny", condition_dim=E, layout=layout, max_classes=MAX, skip=False, num_landmarks=len(NAMES)
        )
        denoiser = Denoiser(settings)
        generic = {info.name: torch.randn(info.shape) for info in SPEC.parameters(len(NAMES))}
        rows = torch.randn(len(NAMES), settings.group_widths[settings.class_group])
    denoiser.init_kernel(landmarks, kernel_ridge(landmarks, rows, settings.kernel_sharpness, 1e-6))
    values = {
        "architecture": "cnn-2layer",
        "tokenizer": {"name": "class-row", "config": {}},
        "scheduler": {
            "name": "ddim",
            "config": dict(registries().schedulers.create("ddim", prediction_type="sample").config),
        },
        "denoiser": settings,
        "condition": {"space": "toy", "scale": space.scale, "templates": ["{}"], "open_vocabulary": True},
        "default_encoder": "clip-lite",
        "max_classes": MAX,
        "class_names": NAMES,
        "num_inference_steps": 1,
        "initial_noise": False,
        **changes,
    }
    return Generator(GeneratorConfig(**values), denoiser, Normalizer.fit(SPEC, generic), space, generic)


def weights(model) -> torch.Tensor:
    return torch.cat([tensor.flatten() for tensor in model.state_dict().values()])


def test_words_keep_their_own_vectors_and_known_names_are_not_encoded() -> None:
    generator = make()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", PromptWarning)
        model = generator(["sofa", "bear", "zebra"], encoder=Words())
        same = generator([vector(of(word), label=word) for word in ("sofa", "bear", "zebra")], encoder=Words())
    torch.testing.assert_close(weights(model), weights(same))


def test_no_word_is_read_as_a_known_name() -> None:
    generator = make()
    # "autobus" would be read as "bus" by a generator with a closed vocabulary.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", PromptWarning)
        assert not torch.allclose(
            weights(generator(["coach", "bear"], encoder=Words())), weights(generator(["bus", "bear"], encoder=Words()))
        )


def test_familiarity_compares_with_the_landmarks() -> None:
    fitted = {"clip-lite": Familiarity({"text": (-2.0, 4.0, 0.0, 0.0)})}
    known = make(familiarity=fitted).known_classes(Words())
    assert known.is_open
    assert known.is_readable
    cosine = known.cosines(of("zebra")).max()
    prompt = text("zebra")
    value, familiarity = known.project(prompt, {"text": of("zebra")})
    np.testing.assert_array_equal(value, of("zebra"))
    # The fit for the default encoder serves every encoder.
    assert familiarity == pytest.approx(1 / (1 + np.exp(2 - 4 * cosine)))
    assert known.project(text("Bear"), {"text": of("Bear")})[1] == 1.0
    assert known.nearest(of("bear")) == "bear"


def test_saved_folder_keeps_the_setting(tmp_path) -> None:
    generator = make()
    generator.save_pretrained(tmp_path / "g")
    loaded = Generator.from_pretrained(tmp_path / "g", device="cpu", encoder=Words())
    assert loaded.config.open_vocabulary
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", PromptWarning)
        torch.testing.assert_close(
            weights(loaded(["sofa", "zebra"])), weights(generator(["sofa", "zebra"], encoder=Words()))
        )


def test_landmarks_must_belong_to_the_class_names() -> None:
    config = make().config
    with pytest.raises(ConfigError, match="one landmark for each of the 4 class names"):
        dataclasses.replace(config, class_names=NAMES[:4])
    with pytest.raises(ConfigError, match="must be true or false"):
        dataclasses.replace(config, condition={**config.condition, "open_vocabulary": 1})
