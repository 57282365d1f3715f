"""The standard tests of tokenizers hold for the built-in ones, on usual networks and on unusual ones."""

from __future__ import annotations

import pytest

from tests.testing.unusual_networks import COLUMNS, GREY
from tina_framework.builtins.architectures.cnn_2layer import cnn_2layer
from tina_framework.builtins.architectures.cnn_3layer import cnn_3layer
from tina_framework.builtins.tokenizers.class_row import ClassRowTokenizer
from tina_framework.plugin.discovery import registries
from tina_framework.testing import (
    TokenizerTests,
)


class TestClassRow(TokenizerTests):
    @pytest.fixture
    def tokenizer(self):
        return registries().tokenizers.create("class-row", chunk_size=100)


class TestChunk(TokenizerTests):
    @pytest.fixture
    def tokenizer(self):
        return registries().tokenizers.create("chunk", chunk_size=100)


class TestTokensOfUnusualNetworks(TokenizerTests):
    architectures = (GREY, COLUMNS)
    max_classes = 5

    @pytest.fixture
    def tokenizer(self) -> ClassRowTokenizer:
        return ClassRowTokenizer(chunk_size=30)


class TestFilter(TokenizerTests):
    """Its layers need descriptions, so networks with tensors of their own are not among the samples."""

    architectures = (cnn_2layer.at_width(0.5), cnn_3layer.at_width(0.25))

    @pytest.fixture
    def tokenizer(self):
        return registries().tokenizers.create("filter", token_width=50)
