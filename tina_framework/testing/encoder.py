"""Standard tests for encoders."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from tina_framework.interfaces.encoder import Encoder
from tina_framework.testing._base import ConformanceTests, conforms, for_examples, missing_fixture, pytest, st
from tina_framework.testing.checks import encoder as checks
from tina_framework.testing.checks import encoder_extras as extras

__all__ = ["EncoderTests"]


class EncoderTests(ConformanceTests, standard=True):
    """Subclass it and define the fixture `encoder`, which returns an `Encoder`.

    Attributes:
        texts: class names it can encode, at least three that mean different things.
        images: True: it has an image tower; False: it has none; None: not stated.
        confidence: True: it states a confidence; False: it states none; None: not stated.
        tolerance: how much a row may change with the other texts of the batch, relative to its greatest entry (rounding).
    """

    texts: ClassVar[Sequence[str]] = checks.TEXTS
    images: ClassVar[bool | None] = None
    confidence: ClassVar[bool | None] = None
    tolerance: ClassVar[float] = 1e-4

    @pytest.fixture
    def encoder(self) -> Encoder:
        """Raise an error; the subclass defines the fixture."""
        raise missing_fixture("encoder", "an Encoder")

    def test_description(self, encoder: Encoder) -> None:
        """To fix: state name, dim, space and templates (a tuple of strings with {})."""
        conforms(self, checks.check_description, encoder)

    def test_text_vectors(self, encoder: Encoder) -> None:
        """To fix: return a NumPy array (N, dim) of finite float32, no row all zero."""
        conforms(self, checks.check_text_vectors, encoder)

    def test_empty_batch(self, encoder: Encoder) -> None:
        """To fix: return zeros((0, dim), float32) for no texts."""
        conforms(self, checks.check_empty_batch, encoder)

    def test_deterministic(self, encoder: Encoder) -> None:
        """To fix: put networks into eval mode, draw nothing, return copies of stored arrays."""
        conforms(self, checks.check_deterministic, encoder)

    def test_batch_invariance(self, encoder: Encoder) -> None:
        """To fix: mask padding or encode texts one by one; centre or normalise nothing over the batch."""
        conforms(self, checks.check_batch_invariance, encoder)

        @for_examples(chosen=st.lists(st.sampled_from(list(type(self).texts)), min_size=1, max_size=6))
        def holds(chosen: list[str]) -> None:  # with repetitions
            conforms(self, checks.check_batch_invariance, encoder, texts=chosen)

        holds()

    def test_order(self, encoder: Encoder) -> None:
        """To fix: let row i depend on text i alone; if texts are sorted inside, put the rows back."""

        @for_examples(chosen=st.permutations(list(type(self).texts)))
        def holds(chosen: list[str]) -> None:
            conforms(self, checks.check_order, encoder, texts=chosen)

        holds()

    def test_texts_differ(self, encoder: Encoder) -> None:
        """To fix: check that the text reaches the network; choose `texts` that mean different things."""
        conforms(self, checks.check_texts_differ, encoder)

    def test_inputs_unchanged(self, encoder: Encoder) -> None:
        """To fix: work on a copy of the list of texts, and take any sequence."""
        conforms(self, checks.check_inputs_unchanged, encoder)

    def test_templates(self, encoder: Encoder) -> None:
        """To fix: make every listed template work; refuse what cannot be encoded with PromptError."""
        conforms(self, checks.check_templates, encoder)

    def test_confidence(self, encoder: Encoder) -> None:
        """To fix: return one number in [0, 1] for each text, which depends on that text alone."""
        conforms(self, extras.check_confidence, encoder)

    def test_comparison(self, encoder: Encoder) -> None:
        """To fix: return (N, D) finite rows, each of which depends on its own text alone."""
        conforms(self, extras.check_comparison, encoder)

    def test_image_vectors(self, encoder: Encoder) -> None:
        """To fix: return (N, dim) finite float32 for pictures of any size, and change no picture."""
        conforms(self, extras.check_image_vectors, encoder)

    def test_image_batch_invariance(self, encoder: Encoder) -> None:
        """To fix: put the image tower into eval mode, and normalise nothing over the batch."""
        conforms(self, extras.check_image_batch_invariance, encoder)
