"""Which abilities an encoder has follows from its methods."""

from __future__ import annotations

import pytest

from tina_framework.interfaces.encoder import ComparesTexts, Encoder, ImageEncoder, KnowsWords, StatesConfidence
from tina_framework.plugin.discovery import registries

ABILITIES = {
    Encoder: "encode_text",
    ImageEncoder: "encode_images",
    ComparesTexts: "comparison_vectors",
    KnowsWords: "unknown_words",
    StatesConfidence: "text_confidence",
}


@pytest.mark.parametrize("ability", ABILITIES)
def test_an_ability_is_a_method(ability: type) -> None:
    method = ABILITIES[ability]
    attributes = {"name": "", "dim": 1, "space": "", "templates": ()}
    assert isinstance(type("Able", (), {method: print, **attributes})(), ability)
    assert not isinstance(type("Unable", (), attributes)(), ability)


def test_the_bundled_encoder_has_text_and_pictures() -> None:
    made = registries().encoders.create("clip-lite")
    assert isinstance(made, Encoder)
    assert isinstance(made, ImageEncoder)
