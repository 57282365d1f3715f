"""What every encoder promises for texts: one finite vector for each, which depends on that text alone.

Pictures and confidences are checked in `encoder_extras`. Shapes: N texts, E width.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from tina_framework.errors import TinaError
from tina_framework.interfaces.encoder import Encoder
from tina_framework.testing.checks._randomness import seeded
from tina_framework.testing.findings import ConformanceError, guarded, needs, require

__all__ = [
    "TEXTS",
    "check_batch_invariance",
    "check_description",
    "check_deterministic",
    "check_empty_batch",
    "check_inputs_unchanged",
    "check_order",
    "check_templates",
    "check_text_vectors",
    "check_texts_differ",
]

TEXTS = ("apple", "pickup truck", "a rather long description of a class, with many words in it", "bus", "oak tree")
"""The default of the flag `texts`."""


def farthest(a: Any, b: Any) -> float:
    """Return the greatest difference, relative to the greatest entry."""
    return float(np.abs(a - b).max(initial=0.0) / max(float(np.abs(b).max(initial=0.0)), 1e-12))


def check_vectors(vectors: Any, number: int, dim: int, what: str) -> None:
    """Require (number, dim) finite float32 without a zero row."""
    require(
        isinstance(vectors, np.ndarray) and vectors.shape == (number, dim),
        f"{what} gives {getattr(vectors, 'shape', type(vectors).__name__)} for {number} inputs; expected {(number, dim)}.",
        "There is one vector of width `dim` for each input.",
        "Return a NumPy array (N, E), and let `dim` be E.",
    )
    require(
        vectors.dtype == np.float32,
        f"{what} gives {vectors.dtype}.",
        "Vectors are stored and compared as float32.",
        "Convert the result: vectors.astype(numpy.float32).",
    )
    usable = np.isfinite(vectors).all(axis=1) & (np.abs(vectors).max(axis=1, initial=0.0) > 0)
    require(
        bool(usable.all()),
        f"{what} gives a vector that is zero or not finite, for input {int(np.argmin(usable)) if len(usable) else 0}.",
        "Vectors are scaled to unit length.",
        "Look for a division by zero; raise a PromptError for a text that cannot be encoded.",
    )


def check_description(encoder: Encoder) -> None:
    """Name, width, space and templates are stated and well-formed."""
    lacking = [name for name in ("name", "dim", "space", "templates", "encode_text") if not hasattr(encoder, name)]
    require(
        not lacking,
        f"{type(encoder).__name__} lacks {', '.join(lacking)}.",
        "Generators record what their prompts were encoded with.",
        "Write the attributes of tina_framework.interfaces.encoder.Encoder.",
    )
    require(
        isinstance(encoder.dim, int) and encoder.dim > 0,
        f"dim is {encoder.dim!r}.",
        "The denoiser's first layer has that width.",
        "Give the width of the vectors, a positive int.",
    )
    for name in ("name", "space"):
        value = getattr(encoder, name)
        require(
            isinstance(value, str) and bool(value.strip()),
            f"{name} is {value!r}.",
            "A generator records the space, and users name the encoder.",
            f"Set `{name}` to a non-empty string.",
        )
    templates = encoder.templates
    require(
        isinstance(templates, tuple) and bool(templates) and all("{}" in template for template in templates),
        f"templates is {templates!r}.",
        "They are recorded with what is trained on them, and {} is where the class name goes.",
        'Give a tuple of strings with {} in each; ("{}",) if a name alone is encoded.',
    )


@needs(check_description)
def check_text_vectors(encoder: Encoder, *, texts: Sequence[str] = TEXTS) -> None:
    """Every text gets a finite float32 vector of width `dim`."""
    with guarded(
        f"encode_text failed on {list(texts)}",
        "These are ordinary class names.",
        "Encode any text, or say in `texts` which ones this encoder can.",
    ):
        vectors = encoder.encode_text(list(texts))
    check_vectors(vectors, len(texts), encoder.dim, "encode_text")


@needs(check_text_vectors)
def check_empty_batch(encoder: Encoder) -> None:
    """No texts give no vectors: shape (0, E)."""
    with guarded("encode_text([]) failed", "A list of names may be empty.", "Return zeros((0, dim), float32)."):
        vectors = encoder.encode_text([])
    check_vectors(vectors, 0, encoder.dim, "encode_text([])")


@needs(check_text_vectors)
def check_deterministic(encoder: Encoder, *, texts: Sequence[str] = TEXTS) -> None:
    """The same texts get the same vectors, whatever the random state, even if the caller changed earlier results."""
    with seeded(0):
        first = encoder.encode_text(list(texts))
    kept = first.copy()
    if first.flags.writeable:
        first += 1  # the caller may change it, so it must not be an array that the encoder keeps
    with seeded(1):
        second = encoder.encode_text(list(texts))
    difference = farthest(second, kept)
    require(
        difference == 0,
        f"A second call gives other vectors (relative difference {difference:.3g}).",
        "The same prompt must give the same model.",
        "Draw nothing, put networks into eval mode, and return a copy rather than a stored array.",
    )


@needs(check_text_vectors, check_deterministic)
def check_batch_invariance(encoder: Encoder, *, texts: Sequence[str] = TEXTS, tolerance: float = 1e-4) -> None:
    """A text gets the same vector alone and in a batch; `tolerance` is relative to the greatest entry."""
    for text in texts:
        alone = encoder.encode_text([text])[0]
        # The text stays first, so that only the other texts change.
        together = encoder.encode_text([text, *(other for other in texts if other != text)])[0]
        difference = farthest(together, alone)
        require(
            difference <= tolerance,
            f"'{text}' gets another vector in a batch of {len(texts)} than alone (relative difference {difference:.3g}, "
            f"allowed {tolerance}).",
            "The meaning of a class would depend on the other classes.",
            "Mask padding, encode texts one by one, and centre or normalise nothing over the batch.",
        )


@needs(check_text_vectors, check_deterministic)
def check_order(encoder: Encoder, *, texts: Sequence[str] = TEXTS, tolerance: float = 1e-4) -> None:
    """Texts in another order get the same vectors in that order."""
    together = encoder.encode_text(list(texts))
    for order in (np.arange(len(texts))[::-1], np.roll(np.arange(len(texts)), 2)):
        moved = encoder.encode_text([texts[place] for place in order])
        difference = farthest(moved, together[order])
        require(
            difference <= tolerance,
            f"In the order {order.tolist()} the texts get other vectors (relative difference {difference:.3g}, "
            f"allowed {tolerance}).",
            "The same classes in another order must give the same model.",
            "Let row i depend on text i alone; if texts are sorted or grouped inside, put the rows back.",
        )


@needs(check_text_vectors)
def check_texts_differ(encoder: Encoder, *, texts: Sequence[str] = TEXTS) -> None:
    """Different texts get different vectors."""
    vectors = encoder.encode_text(list(texts))
    for i, text in enumerate(texts):
        for j in range(i):
            require(
                not np.array_equal(vectors[i], vectors[j]),
                f"'{texts[j]}' and '{text}' get the same vector.",
                "A generator could not tell these classes apart.",
                "Check that the text reaches the network; list names that mean different things in `texts`.",
            )


@needs(check_text_vectors)
def check_inputs_unchanged(encoder: Encoder, *, texts: Sequence[str] = TEXTS) -> None:
    """The caller's list is not changed, and a tuple is accepted as well."""
    given = list(texts)
    encoder.encode_text(given)
    require(
        given == list(texts),
        f"encode_text turned the list it was given into {given}.",
        "The names are used again, for the classifier.",
        "Work on a copy: [text.strip() for text in texts].",
    )
    with guarded(
        "encode_text failed on a tuple", "Any sequence of texts may be given.", "Use no methods that only lists have."
    ):
        encoder.encode_text(tuple(texts))


@needs(check_text_vectors)
def check_templates(encoder: Encoder, *, texts: Sequence[str] = TEXTS) -> None:
    """Every template works, and a template or text that cannot be used is refused with one of the framework's errors."""
    for number, template in enumerate(encoder.templates):
        with guarded(
            f"Template {number} ('{template}') failed",
            "It is listed in `templates`.",
            "Make it work, or remove it from the list.",
        ):
            vectors = encoder.encode_text(list(texts), template=number)
        check_vectors(vectors, len(texts), encoder.dim, f"encode_text with template {number}")
    for given, number in ((texts[0], len(encoder.templates)), (" ", 0)):
        try:
            encoder.encode_text([given], template=number)
        except TinaError:
            continue
        except Exception as error:
            raise ConformanceError(
                f"encode_text([{given!r}], template={number}) raised {type(error).__name__}: {error}. "
                "The command line prints the framework's own errors as one sentence, and others as a fault of the program. "
                "Raise tina_framework.errors.PromptError, saying what can be encoded."
            ) from error
