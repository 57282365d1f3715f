"""Project prompts onto the classes that a generator was trained on.

A denoiser that was trained on the vectors of a hundred names reads other vectors badly. In addition, vectors of pictures lie
apart from those of texts (the modality gap). So the vector of a prompt that is no known name is replaced by a weighted mean of
the vectors of known names. The weights are a softmax over the cosines with them, as in DeCap (Li et al., ICLR 2023, section 3.2).

If the generator retrieves rows (`prompts/row_retrieval.py`), it can use vectors of unknown classes. A class that resembles no
known one then keeps its own vector.

A generator with an open vocabulary interpolates between its known classes, so it can use any vector. Every prompt then keeps its
own vector, and the known names only serve to say how familiar it is.

Shapes: S known classes, E condition width.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from functools import cached_property

import numpy as np
import numpy.typing as npt

from tina_framework.errors import PromptError
from tina_framework.interfaces.class_names import fold
from tina_framework.interfaces.encoder import ComparesTexts, Encoder
from tina_framework.prompts.class_prompt import ClassPrompt
from tina_framework.prompts.condition_space import ConditionSpace
from tina_framework.prompts.familiarity import MIN_CONFIDENCE, Familiarity
from tina_framework.prompts.known_names import KnownNames

__all__ = ["IMAGE_TEMPERATURE", "TEXT_TEMPERATURE", "KnownClasses"]

Rows = npt.NDArray[np.float32]
Doubles = npt.NDArray[np.float64]

IMAGE_TEMPERATURE = 20.0
"""Factor on the cosines of one picture before the softmax. For n pictures, whose mean is less noisy, it is sqrt(n) times as much."""

TEXT_TEMPERATURE = 50.0
"""Factor on the cosines of a text. Both factors were chosen on validation tasks and images (`docs/experiments/prompts.md`)."""

_SAME_VECTOR = 0.999
"""Cosine above which a vector counts as that of a known name."""


def _unit(rows_ND: Rows) -> Doubles:
    rows: Doubles = np.asarray(rows_ND, dtype=np.float64)
    unit: Doubles = rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12)
    return unit


class KnownClasses:
    """The classes that a generator was trained on, with their vectors from one encoder. They are encoded when first needed.

    Args:
        names: S class names that the generator was trained on.
        encoder: encodes the names and the prompts.
        template: index of the encoder's prompt template.
        space: condition space of the generator.
        familiarity: turns cosines into probabilities; default: the built-in estimate.
        landmarks_SE: conditions of the known classes, if the vocabulary is open. They are compared with the prompts, so the
            known names are never encoded. Default: the vocabulary is closed.
    """

    def __init__(
        self,
        names: Sequence[str],
        encoder: Encoder,
        template: int,
        space: ConditionSpace,
        familiarity: Familiarity | None = None,
        landmarks_SE: Rows | None = None,
    ) -> None:
        self.names = tuple(names)
        self.landmarks_SE = landmarks_SE
        self.encoder, self.template, self.space = encoder, template, space
        self.familiarity = familiarity or Familiarity.default()
        self._index = {fold(name): index for index, name in enumerate(self.names)}
        self._last: tuple[bytes, Doubles] | None = None

    @cached_property
    def vectors_SE(self) -> Rows:
        """Unit vectors (S, E) of the known names."""
        raw = np.asarray(self.encoder.encode_text(list(self.names), template=self.template), dtype=np.float32)
        unit: Rows = raw / np.linalg.norm(raw, axis=1, keepdims=True)
        return unit

    @cached_property
    def _vectors_SE(self) -> Doubles:
        # Kept in double precision as well: converting a thousand names takes longer than comparing with them.
        return self.vectors_SE.astype(np.float64)

    @property
    def is_open(self) -> bool:
        """Whether the generator reads the vectors of any words as they are."""
        return self.landmarks_SE is not None

    @property
    def least_confidence(self) -> float:
        """The encoder's confidence below which it is unsure what a text means; see `StatesConfidence`."""
        return float(getattr(self.encoder, "warn_below", MIN_CONFIDENCE))

    @cached_property
    def _directions_SE(self) -> Doubles:
        if self.landmarks_SE is not None:
            return _unit(self.landmarks_SE)
        return self._directions(self.vectors_SE).astype(np.float64)

    @cached_property
    def lookup(self) -> KnownNames:
        """The known names by spelling, plural and synonym. With an open vocabulary no word is replaced, so there are none."""
        return KnownNames(() if self.is_open else self.names)

    def _directions(self, raw_NE: Rows) -> Rows:
        """Return unit vectors of the conditions: without the mean, which all names share, cosines tell classes apart."""
        shifted = self.space.apply(raw_NE).numpy()
        directions: Rows = shifted / np.maximum(np.linalg.norm(shifted, axis=1, keepdims=True), 1e-12)
        return directions

    @cached_property
    def is_readable(self) -> bool:
        """Whether the encoder can encode the known names. A table of vectors may lack some."""
        try:
            return len(self._directions_SE) > 0
        except PromptError:
            return False

    def knows(self, text: str) -> bool:
        """Whether a text is a known name, apart from case, hyphens and underscores."""
        return fold(text) in self._index

    def canonical_name(self, text: str) -> str:
        """Return the known name that a text equals, in the spelling of training; or the text itself."""
        index = self._index.get(fold(text))
        return text if index is None else self.names[index]

    def cosines(self, vector_E: Rows) -> Doubles:
        """Return the cosines (S,) of a raw vector with the known names, after subtracting the mean of the space."""
        # The same vector is compared several times in a row, and with a thousand names each time is noticeable.
        key, last = vector_E.tobytes(), self._last
        if last is None or last[0] != key:
            # Read and replaced as a whole, so that threads cannot mix the vector of one with the cosines of another.
            last = self._last = (key, self._directions_SE @ self._directions(vector_E[None])[0])
        return last[1]

    @cached_property
    def _comparison_SD(self) -> Doubles:
        assert isinstance(self.encoder, ComparesTexts)
        return _unit(self.encoder.comparison_vectors(list(self.names), template=self.template))

    def text_cosines(self, texts: Sequence[str], vector_E: Rows) -> Doubles:
        """Return the similarities (S,) of the texts of one class with the known names.

        An encoder may have its own vectors for comparing texts (`ComparesTexts`). Otherwise these are the `cosines`.

        Args:
            texts: one or several texts.
            vector_E: their raw vector, the mean over the texts.
        """
        if not isinstance(self.encoder, ComparesTexts):
            return self.cosines(vector_E)
        compared_D = _unit(self.encoder.comparison_vectors(list(texts), template=self.template)).mean(axis=0)
        cosines: Doubles = self._comparison_SD @ _unit(compared_D[None])[0]
        return cosines

    def nearest(self, vector_E: Rows) -> str:
        """Return the known name with the greatest cosine to a raw vector."""
        return self.names[int(self.cosines(vector_E).argmax())]

    def project(self, prompt: ClassPrompt, parts: Mapping[str, Rows]) -> tuple[Rows, float]:
        """Return the vector that the generator reads for a class, and the familiarity of the class.

        Known names, and vectors that the user gives, are not changed.

        Args:
            prompt: the class.
            parts: kind (``text``, ``images``, ``vector``) -> raw vector (E,), the mean over everything of that kind.

        Returns:
            The vector (E,) in float32, and the probability that the class is known. The probability is NaN if the encoder
            cannot encode the known names.
        """
        if self.is_open:
            return self._as_given(prompt, parts)
        is_one_text = parts.keys() == {"text"} and len(prompt.texts) == 1
        if is_one_text and self.knows(prompt.texts[0]):
            return parts["text"], 1.0
        mean = np.mean([vector / np.linalg.norm(vector) for vector in parts.values()], axis=0).astype(np.float32)
        own = next(iter(parts.values())) if len(parts) == 1 else mean
        if not self.is_readable:
            return own, math.nan
        cosines = {kind: self.cosines(vector) for kind, vector in parts.items()}
        similarities = dict(cosines)
        if "text" in parts and isinstance(self.encoder, ComparesTexts):
            similarities["text"] = self.text_cosines(prompt.texts, parts["text"])
        has_known_name = any(self.knows(text) for text in prompt.texts)
        numbers = {"text": prompt.num_words, "images": len(prompt.images), "vector": 1}
        probabilities = [
            self.familiarity.probability(kind, float(values.max()), numbers[kind])
            for kind, values in similarities.items()
        ]
        familiarity = 1.0 if has_known_name else max(probabilities)
        if "vector" in parts or (is_one_text and cosines["text"].max() > _SAME_VECTOR):
            return own, familiarity
        temperatures = {"text": TEXT_TEMPERATURE, "images": IMAGE_TEMPERATURE * math.sqrt(max(1, len(prompt.images)))}
        # If an encoder has two similarities, their mean was better for descriptions than either one (on validation tasks).
        evidence = np.sum([temperatures[kind] * (cosines[kind] + similarities[kind]) / 2 for kind in parts], axis=0)
        weights = np.exp(evidence - evidence.max())
        projected = (weights / weights.sum()) @ self._vectors_SE
        # Without row retrieval the denoiser cannot use a vector of an unknown class, so all of the weight is on the projection.
        share = 1.0 if self.space.row_retrieval is None else familiarity
        mixed: Rows = (share * projected + (1.0 - share) * mean).astype(np.float32)
        return mixed, familiarity

    def _as_given(self, prompt: ClassPrompt, parts: Mapping[str, Rows]) -> tuple[Rows, float]:
        """Return the mean direction of all parts, and the familiarity of the class."""
        vectors = list(parts.values())
        mean: Rows = np.mean([vector / np.linalg.norm(vector) for vector in vectors], axis=0).astype(np.float32)
        vector = vectors[0] if len(vectors) == 1 else mean
        if any(self.knows(text) for text in prompt.texts):
            return vector, 1.0
        numbers = {"text": prompt.num_words, "images": len(prompt.images), "vector": 1}
        nearest = {kind: float(self.cosines(part).max()) for kind, part in parts.items()}
        return vector, max(self.familiarity.probability(kind, nearest[kind], numbers[kind]) for kind in parts)
