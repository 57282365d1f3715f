"""Fitting familiarity (`tina_framework.prompts.familiarity`) for one generator and one encoder.

The fit needs no unseen classes. A prompt of a known class is compared with all known names, and then with all names
but its own, as if the class were unseen.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from tina_framework.errors import ConfigError
from tina_framework.evaluation.suite.prompt_measurer import PromptMeasurer
from tina_framework.evaluation.suite.prompt_variants import SHOTS, PromptMaterial, PromptVariant, prompt_variants
from tina_framework.interfaces.encoder import ImageEncoder
from tina_framework.prompts.encoded_task import encode_tasks
from tina_framework.prompts.familiarity import Coefficients, Familiarity

__all__ = ["fit_familiarity"]

_REPEATS = 8
"""How often random variants (typing mistakes, pictures) are drawn."""


def fit_familiarity(
    measurer: PromptMeasurer, notify: Callable[[str], object] = lambda sentence: None
) -> dict[str, Coefficients]:
    """Fit one line for texts and one for images, and return them by kind.

    The line for texts is fitted to names and descriptions, or to misspelt names if there are no descriptions. The line for
    images is fitted to prompts of as many pictures as each class has. Without any, there is no such line.

    Args:
        measurer: has the generator, the encoder and the images.
        notify: called with a sentence if there are too few pictures for some prompts.

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
        material = measurer.material
        if material.fewest(measurer.known) < max(SHOTS):
            # Nothing is measured on the other half of the images here, so small data sets show them, too.
            material = replace(material, pictures=measurer.load_images("validation"))
        fewest = material.fewest(measurer.known)
        shots = [number for number in SHOTS if number <= fewest]
        if len(shots) < len(SHOTS):
            notify(_few_pictures(fewest, shots))
        if shots:
            shown = [variants["1 picture" if number == 1 else f"{number} pictures"] for number in shots]
            lines["images"] = _fit(measurer, shown, material)
    return lines


def _few_pictures(fewest: int, shots: Sequence[int]) -> str:
    pictures = "picture" if fewest == 1 else "pictures"
    found = f"The smallest class has {fewest} validation {pictures}"
    if not shots:
        return f"{found}, so familiarity is fitted to texts alone. For prompts of pictures, add some."
    numbers = " and ".join(map(str, shots))
    return f"{found}, so the familiarity of pictures is fitted to prompts of {numbers}. With {max(SHOTS)} it is surer."


def _fit(
    measurer: PromptMeasurer, variants: list[PromptVariant], material: PromptMaterial | None = None
) -> Coefficients:
    known_classes = measurer.generator.known_classes()
    material = measurer.material if material is None else material
    # Misspelt names alone say nothing about the number of words, so it is kept constant then.
    described = any(variant.label == "descriptions" for variant in variants)
    known: list[tuple[float, int]] = []
    strange: list[tuple[float, int]] = []
    for variant in variants:
        for repeat in range(1 if variant.label in ("names", "descriptions") else _REPEATS):
            prompts = [variant.prompt(material, name, repeat, place) for place, name in enumerate(measurer.known)]
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
