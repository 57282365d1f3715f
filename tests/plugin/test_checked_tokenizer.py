"""Tokenizers of plugins: a description or layout that breaks the contract is refused with a sentence that names the package."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from tina_framework.builtins.architectures.cnn_2layer import cnn_2layer
from tina_framework.builtins.tokenizers.chunk import ChunkTokenizer
from tina_framework.errors import PluginError
from tina_framework.interfaces.spec import ParameterSpec
from tina_framework.plugin.checked_tokenizer import CheckedTokenizer

WHAT = "Tokenizer 'own' of 'tina-own'"
SPEC = ParameterSpec(cnn_2layer)
GOOD = ChunkTokenizer().layout(SPEC, 3, 10)


class Own:
    name = "own"

    def __init__(self, layout: Any = GOOD, config: Any = None) -> None:
        self.made, self.config = layout, {} if config is None else config

    def layout(self, spec: ParameterSpec, num_classes: int, max_classes: int) -> Any:
        if isinstance(self.made, Exception):
            raise self.made
        return self.made


def test_a_good_layout_passes() -> None:
    tokenizer = CheckedTokenizer(Own(config={"width": 4}), WHAT)
    assert tokenizer.layout(SPEC, 3, 10) is GOOD
    assert (tokenizer.name, tokenizer.config) == ("own", {"width": 4})


@pytest.mark.parametrize(
    ("made", "sentence"),
    [
        (None, "is None, which has no name"),
        (Own, "which has no"),
        (Own(config=[1]), r"config is \[1\]; it must be a dict"),
        (Own(config={"width": {1, 2}}), "config is"),
        (Own(config={1: 2}), "config is"),
        (Own(config={"width": float("nan")}), "config is"),
    ],
)
def test_a_malformed_description_is_refused(made: Any, sentence: str) -> None:
    with pytest.raises(PluginError, match=sentence) as caught:
        CheckedTokenizer(made, WHAT)
    assert str(caught.value).startswith(WHAT)


@pytest.mark.parametrize(
    ("layout", "sentence"),
    [
        (None, r"layout\(\) for 3 classes returned None; return a TokenLayout"),
        ((1, 2), "returned"),
        (ValueError("every parameter must have exactly one place."), "failed: ValueError: every parameter must have"),
        (dataclasses.replace(GOOD, group=GOOD.group[:-1]), "group has the shape"),
        (dataclasses.replace(GOOD, position=GOOD.position.float()), "position has .* the type torch.float32"),
        (ChunkTokenizer().layout(SPEC, 4, 10), "is for .* parameters and 4 classes; it must be for"),
    ],
)
def test_a_wrong_layout_is_refused(layout: Any, sentence: str) -> None:
    with pytest.raises(PluginError, match=sentence) as caught:
        CheckedTokenizer(Own(layout), WHAT).layout(SPEC, 3, 10)
    assert str(caught.value).startswith(WHAT)
