"""Standard tests for parameter tokenizers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, ClassVar

from tina_framework.interfaces.architecture import TargetArchitecture
from tina_framework.interfaces.tokenizer import ParameterTokenizer
from tina_framework.testing._base import ConformanceTests, conforms, for_examples, missing_fixture, pytest, st
from tina_framework.testing.checks import tokenizer as checks
from tina_framework.testing.checks import tokenizer_constancy as constancy

__all__ = ["TokenizerTests"]


class TokenizerTests(ConformanceTests, standard=True):
    """Subclass it and define the fixture `tokenizer`, which returns a `ParameterTokenizer`.

    Attributes:
        architectures: each `TargetArchitecture` that it is tried on. None: small ones that the kit brings.
        max_classes: the greatest class count it is tried on, at least 3.
        create: makes it from its `config`; None: its class.
    """

    architectures: ClassVar[Sequence[TargetArchitecture] | None] = None
    max_classes: ClassVar[int] = 10
    create: ClassVar[Callable[..., Any] | None] = None

    @pytest.fixture
    def tokenizer(self) -> ParameterTokenizer:
        """Raise an error; the subclass defines the fixture."""
        raise missing_fixture("tokenizer", "a ParameterTokenizer")

    def test_description(self, tokenizer: ParameterTokenizer) -> None:
        """To fix: set `name`, and make `config` a dict that JSON gives back unchanged."""
        conforms(self, constancy.check_description, tokenizer)

    def test_bijection(self, tokenizer: ParameterTokenizer) -> None:
        """To fix: put each flat index from 0 to N - 1 into exactly one place of `source`, and -1 into padding."""
        conforms(self, checks.check_bijection, tokenizer)

    def test_layout_shapes(self, tokenizer: ParameterTokenizer) -> None:
        """To fix: use int64 tensors, (P, D) for `source` and `element_class`, (P,) for the others."""
        conforms(self, checks.check_layout_shapes, tokenizer)

    def test_element_class(self, tokenizer: ParameterTokenizer) -> None:
        """To fix: set element_class to spec.flat_class(K)[source], and to -1 in padding."""
        conforms(self, checks.check_element_class, tokenizer)

    def test_token_class(self, tokenizer: ParameterTokenizer) -> None:
        """To fix: set token_class to k only if all elements of the token belong to class k, else to -1."""
        conforms(self, checks.check_token_class, tokenizer)

    def test_groups(self, tokenizer: ParameterTokenizer) -> None:
        """To fix: count groups and positions from 0, put elements before padding, and give no two tokens the same three numbers."""
        conforms(self, checks.check_groups, tokenizer)

    def test_equivariance(self, tokenizer: ParameterTokenizer) -> None:
        """To fix: give each class its own tokens with the same group and position, or set equivariant=False."""

        @for_examples(seed=st.integers(0, 2**16))
        def holds(seed: int) -> None:
            conforms(self, checks.check_equivariance, tokenizer, seed=seed)

        holds()

    def test_round_trip(self, tokenizer: ParameterTokenizer) -> None:
        """To fix: leave gather and scatter to TokenLayout, or make them exact inverses."""

        @for_examples(num_classes=st.integers(2, type(self).max_classes), seed=st.integers(0, 2**16))
        def holds(num_classes: int, seed: int) -> None:
            conforms(self, checks.check_round_trip, tokenizer, num_classes=num_classes, seed=seed)

        holds()

    def test_repeatable(self, tokenizer: ParameterTokenizer) -> None:
        """To fix: let layout() depend on its arguments and the tokenizer's settings only."""
        conforms(self, constancy.check_repeatable, tokenizer)

    def test_key_order(self, tokenizer: ParameterTokenizer) -> None:
        """To fix: go through spec.parameters(K) in its order; never through a set of names or spec.class_axes."""
        conforms(self, constancy.check_key_order, tokenizer)

    def test_fixed_groups(self, tokenizer: ParameterTokenizer) -> None:
        """To fix: compute group_widths and group_sizes from spec.parameters(max_classes)."""
        conforms(self, constancy.check_fixed_groups, tokenizer)

    def test_config_rebuilds(self, tokenizer: ParameterTokenizer) -> None:
        """To fix: put every setting that changes the layout into `config`, under the name of its keyword argument."""
        conforms(self, constancy.check_config_rebuilds, tokenizer)
