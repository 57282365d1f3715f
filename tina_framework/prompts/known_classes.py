"""What a generator makes of prompts that are not the names it was trained with: pictures, descriptions, other words.

A denoiser that has met exact vectors of a hundred names reads anything else badly, and vectors of pictures lie apart from those of texts
(the modality gap). So such a vector is replaced by a mean of the vectors of known names, weighted by a softmax over its cosines
with them, as in DeCap (Li et al., ICLR 2023, section 3.2): what is left is a statement in the words that the generator knows. A class that resembles none
of them keeps its own vector where the generator can do something with it, that is where it recalls rows (`prompts/row_retrieval.py`).

Shapes: S known classes, E condition width.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from functools import cached_property

import numpy as np
import numpy.typing as npt

from tina_framework.errors import PromptError
from tina_framework.interfaces.encoder import ComparesTexts, Encoder
from tina_framework.prompts.class_prompt import ClassPrompt
from tina_framework.prompts.condition_space import ConditionSpace
from tina_framework.prompts.familiarity import Familiarity
from tina_framework.prompts.spelling import fold

__all__ = ["IMAGE_TEMPERATURE", "TEXT_TEMPERATURE", "KnownClasses"]

Rows = npt.NDArray[np.float32]

IMAGE_TEMPERATURE = 20.0
"""Factor on the cosines of one picture; of n pictures, whose mean is less noisy, sqrt(n) times as much."""

TEXT_TEMPERATURE = 50.0
"""The same of a text. Both were chosen on validation tasks and images (`docs/experiments/prompts.md`)."""

_EXACT = 0.999


def _unit(rows_ND: Rows) -> npt.NDArray[np.float64]:
    rows: npt.NDArray[np.float64] = np.asarray(rows_ND, dtype=np.float64)
    unit: npt.NDArray[np.float64] = rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12)
    return unit


class KnownClasses:
    """The known classes of a generator, as one encoder sees them. Encodes them when first needed.

    Args:
        names: S class names that the generator was trained on.
        encoder: reads them and the prompts.
        template: which of its templates.
        space: of the generator.
        familiarity: how cosines are to be read; None: the built-in line.
    """

    def __init__(
        self,
        names: Sequence[str],
        encoder: Encoder,
        template: int,
        space: ConditionSpace,
        familiarity: Familiarity | None = None,
    ) -> None:
        self.names = tuple(names)
        self.encoder, self.template, self.space = encoder, template, space
        self.familiarity = familiarity or Familiarity.default()
        self._index = {fold(name): index for index, name in enumerate(self.names)}

    @cached_property
    def vectors_SE(self) -> Rows:
        """(S, E) unit vectors of the known names."""
        raw = np.asarray(self.encoder.encode_text(list(self.names), template=self.template), dtype=np.float32)
        unit: Rows = raw / np.linalg.norm(raw, axis=1, keepdims=True)
        return unit

    @cached_property
    def _directions_SE(self) -> Rows:
        return self._directions(self.vectors_SE)

    def _directions(self, raw_NE: Rows) -> Rows:
        """Unit vectors less the space's mean, as conditions are compared."""
        shifted = self.space.apply(raw_NE).numpy()
        directions: Rows = shifted / np.maximum(np.linalg.norm(shifted, axis=1, keepdims=True), 1e-12)
        return directions

    @cached_property
    def is_readable(self) -> bool:
        """Whether the encoder can read the known names (a table may lack them)."""
        try:
            return len(self._directions_SE) > 0
        except PromptError:
            return False

    def knows(self, text: str) -> bool:
        """Whether a text is one of the names, but for spelling."""
        return fold(text) in self._index

    def canonical_name(self, text: str) -> str:
        """The known name that a text is, as training had it; the text itself where it is none."""
        index = self._index.get(fold(text))
        return text if index is None else self.names[index]

    def cosines(self, vector_E: Rows) -> npt.NDArray[np.float64]:
        """(S,) of a raw vector with the known names, the mean taken off both."""
        cosines: npt.NDArray[np.float64] = self._directions_SE.astype(np.float64) @ self._directions(vector_E[None])[0]
        return cosines

    @cached_property
    def _comparison_SD(self) -> npt.NDArray[np.float64]:
        assert isinstance(self.encoder, ComparesTexts)
        return _unit(self.encoder.comparison_vectors(list(self.names), template=self.template))

    def text_cosines(self, texts: Sequence[str], vector_E: Rows) -> npt.NDArray[np.float64]:
        """(S,) of what the words of one class mean with the known names: by the encoder's own measure if it has one, else `cosines`.

        Args:
            texts: the words, one text or several.
            vector_E: their raw vector, the mean over the texts.
        """
        if not isinstance(self.encoder, ComparesTexts):
            return self.cosines(vector_E)
        said_D = _unit(self.encoder.comparison_vectors(list(texts), template=self.template)).mean(axis=0)
        cosines: npt.NDArray[np.float64] = self._comparison_SD @ _unit(said_D[None])[0]
        return cosines

    def nearest(self, vector_E: Rows) -> str:
        """The known name that a raw vector is most similar to."""
        return self.names[int(self.cosines(vector_E).argmax())]

    def project(self, prompt: ClassPrompt, parts: Mapping[str, Rows]) -> tuple[Rows, float]:
        """What is read of a class, and how familiar it is.

        Args:
            prompt: the class.
            parts: kind (``text``, ``images``, ``vector``) -> raw vector (E,), the mean over what was given of that kind.

        Returns:
            (E,) float32, and the probability that the class is one of the known ones (NaN if the encoder cannot tell).
        """
        plain = parts.keys() == {"text"} and len(prompt.texts) == 1
        if plain and self.knows(prompt.texts[0]):
            return parts["text"], 1.0
        mean = np.mean([vector / np.linalg.norm(vector) for vector in parts.values()], axis=0).astype(np.float32)
        own = next(iter(parts.values())) if len(parts) == 1 else mean
        if not self.is_readable:
            return own, math.nan
        cosines = {kind: self.cosines(vector) for kind, vector in parts.items()}
        likeness = dict(cosines)
        if "text" in parts:
            likeness["text"] = self.text_cosines(prompt.texts, parts["text"])
        named = any(self.knows(text) for text in prompt.texts)
        numbers = {"text": prompt.num_words, "images": len(prompt.images), "vector": 1}
        probabilities = [
            self.familiarity.probability(kind, float(values.max()), numbers[kind]) for kind, values in likeness.items()
        ]
        familiar = 1.0 if named else max(probabilities)
        if "vector" in parts or (plain and cosines["text"].max() > _EXACT):
            return own, familiar  # whoever hands in vectors means them
        temperatures = {"text": TEXT_TEMPERATURE, "images": IMAGE_TEMPERATURE * math.sqrt(max(1, len(prompt.images)))}
        # Both measures of an encoder that has two: on validation tasks their mean served descriptions better than either.
        evidence = np.sum([temperatures[kind] * (cosines[kind] + likeness[kind]) / 2 for kind in parts], axis=0)
        weights = np.exp(evidence - evidence.max())
        known = (weights / weights.sum()) @ self.vectors_SE.astype(np.float64)
        share = 1.0 if self.space.row_retrieval is None else familiar
        mixed: Rows = (share * known + (1.0 - share) * mean).astype(np.float32)
        return mixed, familiar
