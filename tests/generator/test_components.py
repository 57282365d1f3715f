"""The architecture, tokenizer and encoder that a configuration names."""

from __future__ import annotations

import numpy as np
import pytest

from tests.generator.comparison import assert_differ
from tina_framework.errors import ConfigError, PluginError, UnknownNameError
from tina_framework.generator.components import make_encoder, make_spec
from tina_framework.generator.generator import Generator
from tina_framework.plugin.discovery import registries

NAMES = ["dog", "ant", "fox", "bee"]


class _Stranger:
    name, dim, space, templates = "stranger", 24, "another-space", ("{}",)


def test_encoders_of_another_space_are_refused(tiny_generator: Generator) -> None:
    with pytest.raises(ConfigError, match=r"'stranger' gives vectors of the space 'another-space'.*reads 'toy-space'"):
        tiny_generator(NAMES, encoder=_Stranger())  # type: ignore[arg-type]
    with pytest.raises(UnknownNameError, match="Unknown encoder 'toi'"):
        tiny_generator(NAMES, encoder="toi")


def test_another_encoder_of_the_same_space_is_used(tiny_generator: Generator) -> None:
    class Upside:
        name, dim, space, templates = "upside", 24, "toy-space", ("{}",)

        def encode_text(self, texts: list[str], template: int = 0) -> np.ndarray:
            return -tiny_generator.encoder.encode_text(texts)

    model = tiny_generator(NAMES, encoder=Upside())
    assert model.provenance["encoder"] == "upside"
    assert_differ(model, tiny_generator(NAMES))
    assert_differ(tiny_generator(NAMES, template=1), tiny_generator(NAMES))


def test_a_plugin_that_makes_something_else_is_named(
    tiny_generator: Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(registries().architectures, "create", lambda name: {})
    with pytest.raises(PluginError, match="Architecture 'cnn-2layer' made a dict, not a TargetArchitecture"):
        make_spec(tiny_generator.config)


def test_an_encoder_is_made_from_its_name_or_taken(tiny_generator: Generator) -> None:
    space = tiny_generator.condition_space
    assert make_encoder("toy", space).name == "toy"
    assert make_encoder(tiny_generator.encoder, space) is tiny_generator.encoder
    with pytest.raises(ConfigError, match="The encoder is 5; give the name of one"):
        make_encoder(5, space)  # type: ignore[arg-type]
