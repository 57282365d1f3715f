"""Fitting familiarity (`tina_framework.prompts.familiarity`) for one generator and one encoder.

The fit needs no unseen classes. A prompt of a known class is compared with all known names, and then with all names
but its own, as if the class were unseen.
"""

from __future__ import annotations

from tina_framework.errors import ConfigError
from tina_framework.evaluation.suite.prompt_measurer import PromptMeasurer
from tina_framework.evaluation.suite.prompt_variants import SHOTS, PromptVariant, prompt_variants
from tina_framework.interfaces.encoder import ImageEncoder
from tina_framework.prompts.encoded_task import encode_tasks
from tina_framework.prompts.familiarity import Coefficients, Familiarity

__all__ = ["fit_familiarity"]

_REPEATS = 8
"""How often random variants (typing mistakes, pictures) are drawn."""


def fit_familiarity(measurer: PromptMeasurer) -> dict[str, Coefficients]:
    """Fit one line for texts and one for images, and return them by kind.

    The line for texts is fitted to names and descriptions, or to misspelt names if there are no descriptions.

    Raises:
        ConfigError: the encoder cannot encode the classes that the generator was trained on.
        DataError: there are too few images.
    """
    known_classes = measurer.generator.known_classes()
    if not known_classes.is_readable:
        raise ConfigError(
            f"Encoder '{measurer.encoder.name}' cannot encode the classes that the generator was trained on; "
            "use another encoder."
        )
    variants = {
        variant.label: variant
        for variant in prompt_variants(descriptions=bool(measurer.material.descriptions), pictures=True)
    }
    # A name resembles other names more than a description does. Fitted to both, the line learns the effect of the
    # number of words.
    texts = [variants["names"], variants["descriptions"]] if measurer.material.descriptions else [variants["typos"]]
    lines = {"text": _fit(measurer, texts)}
    if isinstance(measurer.encoder, ImageEncoder):
        shown = [variants["1 picture" if number == 1 else f"{number} pictures"] for number in SHOTS]
        lines["images"] = _fit(measurer, shown)
    return lines


def _fit(measurer: PromptMeasurer, variants: list[PromptVariant]) -> Coefficients:
    known_classes = measurer.generator.known_classes()
    # Misspelt names alone say nothing about the number of words, so it is kept constant then.
    described = any(variant.label == "descriptions" for variant in variants)
    known: list[tuple[float, int]] = []
    strange: list[tuple[float, int]] = []
    for variant in variants:
        for repeat in range(1 if variant.label in ("names", "descriptions") else _REPEATS):
            prompts = [
                variant.prompt(measurer.material, name, repeat, place) for place, name in enumerate(measurer.known)
            ]
            (condition,) = encode_tasks([prompts], measurer.encoder)
            for name, prompt, vector in zip(measurer.known, prompts, condition.vectors, strict=True):
                words_only = prompt.kinds == ("text",)
                cosines = (
                    known_classes.text_cosines(prompt.texts, vector) if words_only else known_classes.cosines(vector)
                )
                number = (prompt.num_words if described else 1) if words_only else len(prompt.images)
                known.append((float(cosines.max()), number))
                cosines[known_classes.names.index(name)] = -1.0  # as if this class were unseen
                strange.append((float(cosines.max()), number))
    return Familiarity.fit(known, strange)
