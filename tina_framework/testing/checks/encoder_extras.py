"""What only some encoders have: an image tower, a confidence for each text, and vectors to compare texts by.

Shapes: N texts or pictures, E width.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from PIL import Image

from tina_framework.interfaces.encoder import ComparesTexts, Encoder, ImageEncoder, StatesConfidence
from tina_framework.testing.checks.encoder import (
    TEXTS,
    check_description,
    check_text_vectors,
    check_vectors,
    farthest,
)
from tina_framework.testing.findings import CheckSkipped, guarded, needs, require

__all__ = ["check_comparison", "check_confidence", "check_image_batch_invariance", "check_image_vectors"]


def _pictures() -> list[Image.Image]:
    rng = np.random.default_rng(0)
    sizes = ((32, 32), (17, 40), (64, 48))
    return [Image.fromarray(rng.integers(0, 256, (*size, 3), dtype=np.uint8)) for size in sizes]


@needs(check_text_vectors)
def check_confidence(encoder: Encoder, *, texts: Sequence[str] = TEXTS, confidence: bool | None = None) -> None:
    """A stated confidence is one number in [0, 1] for each text, which depends on that text alone.

    `confidence`: True: it must state one; False: it must not; None: either.
    """
    states = isinstance(encoder, StatesConfidence)
    require(
        confidence is None or states == confidence,
        f"confidence is {confidence}, but the encoder has {'a' if states else 'no'} method text_confidence.",
        "The framework warns of unknown words only if the encoder has the method.",
        "Add or remove the method, or correct the flag.",
    )
    if not isinstance(encoder, StatesConfidence):
        raise CheckSkipped("The encoder states no confidence.")
    with guarded(
        "text_confidence failed",
        "It is called for every prompt.",
        "Return a number for every text that can be encoded.",
    ):
        values = np.asarray(encoder.text_confidence(list(texts)))
        turned = np.asarray(encoder.text_confidence(list(texts)[::-1]))[::-1]
    require(
        values.shape == (len(texts),),
        f"text_confidence gives the shape {values.shape} for {len(texts)} texts.",
        "There is one number for each text.",
        "Return (N,).",
    )
    require(
        bool(((values >= 0) & (values <= 1)).all()),
        f"text_confidence gives {values.tolist()}.",
        "It is an expected cosine; below a limit users are warned.",
        "Return numbers in [0, 1]: numpy.clip(values, 0, 1), and no nan.",
    )
    require(
        np.allclose(turned, values, atol=1e-5),
        "text_confidence gives other numbers when the texts come in another order.",
        "Whether a user is warned would depend on the other classes.",
        "Let entry i depend on text i alone.",
    )


@needs(check_text_vectors)
def check_comparison(encoder: Encoder, *, texts: Sequence[str] = TEXTS) -> None:
    """Vectors to compare texts by are finite, one row for each text, which depends on that text alone."""
    if not isinstance(encoder, ComparesTexts):
        raise CheckSkipped("The encoder has no method comparison_vectors.")
    with guarded(
        "comparison_vectors failed",
        "It is called for every prompt that is not a known name.",
        "Accept every text that encode_text accepts.",
    ):
        rows = np.asarray(encoder.comparison_vectors(list(texts)))
        turned = np.asarray(encoder.comparison_vectors(list(texts)[::-1]))[::-1]
    require(
        rows.ndim == 2 and len(rows) == len(texts) and bool(np.isfinite(rows).all()),
        f"comparison_vectors gives the shape {rows.shape} for {len(texts)} texts, or numbers that are not finite.",
        "Each text is compared with the known names by the cosine of its row with theirs.",
        "Return (N, D), float32 and finite.",
    )
    difference = max(farthest(mine, other) for mine, other in zip(rows, turned, strict=True))
    require(
        difference <= 1e-4,
        f"comparison_vectors gives other rows when the texts come in another order (relative difference {difference:.3g}).",
        "How familiar a class is would depend on the other classes.",
        "Let row i depend on text i alone.",
    )


@needs(check_description)
def check_image_vectors(encoder: Encoder, *, images: bool | None = None) -> None:
    """Pictures of any size get finite float32 vectors of width `dim`, and are not changed.

    `images`: True: it must have an image tower; False: it must not; None: either.
    """
    has = isinstance(encoder, ImageEncoder)
    require(
        images is None or has == images,
        f"images is {images}, but the encoder has {'a' if has else 'no'} method encode_images.",
        "The framework accepts pictures as prompts only if the encoder has the method.",
        "Add or remove the method, or correct the flag.",
    )
    if not isinstance(encoder, ImageEncoder):
        raise CheckSkipped("The encoder has no image tower.")
    given = _pictures()
    with guarded("encode_images failed", "These are RGB pictures of various sizes.", "Scale pictures inside."):
        vectors = encoder.encode_images(given)
        none = encoder.encode_images([])
    check_vectors(vectors, len(given), encoder.dim, "encode_images")
    check_vectors(none, 0, encoder.dim, "encode_images([])")
    require(
        all(a.size == b.size and a.tobytes() == b.tobytes() for a, b in zip(given, _pictures(), strict=True)),
        "encode_images changed the pictures it was given.",
        "They belong to the caller.",
        "Work on copies (thumbnail and paste change a picture in place; resize does not).",
    )


@needs(check_image_vectors)
def check_image_batch_invariance(encoder: Encoder, *, tolerance: float = 1e-4) -> None:
    """A picture gets the same vector alone, in a batch and in another order."""
    if not isinstance(encoder, ImageEncoder):
        raise CheckSkipped("The encoder has no image tower.")
    given = _pictures()
    together = encoder.encode_images(given)
    turned = encoder.encode_images(given[::-1])[::-1]
    for row, picture in enumerate(given):
        difference = max(
            farthest(encoder.encode_images([picture])[0], together[row]), farthest(turned[row], together[row])
        )
        require(
            difference <= tolerance,
            f"Picture {row} gets another vector alone or in another order (relative difference {difference:.3g}, "
            f"allowed {tolerance}).",
            "The meaning of a picture would depend on the other pictures.",
            "Put networks into eval mode, and normalise nothing over the batch.",
        )
