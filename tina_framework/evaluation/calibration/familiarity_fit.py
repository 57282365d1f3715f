"""Fitting what familiarity means (`tina_framework.prompts.familiarity`) for one generator and one encoder.

Nothing strange is needed for it: a prompt of a known class is compared with all known names, and then with all but its own, as
if nobody had ever met the class.
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
"""How often what is drawn (typos, pictures) is drawn."""


def fit_familiarity(world: PromptMeasurer) -> dict[str, Coefficients]:
    """A line for texts (names and descriptions, or misspelt names where there are none) and one for pictures, by kind.

    Raises:
        ConfigError: the encoder cannot read the names of the classes that the generator was trained on.
        DataError: there are too few images.
    """
    known_classes = world.generator.known_classes()
    if not known_classes.is_readable:
        raise ConfigError(
            f"Encoder '{world.encoder.name}' cannot read the classes that the generator was trained on; use another encoder."
        )
    ways = {way.label: way for way in prompt_variants(descriptions=bool(world.speaker.descriptions), pictures=True)}
    # Other names resemble a name more than its description does: both together teach the line what to make of the number of words.
    texts = [ways["names"], ways["descriptions"]] if world.speaker.descriptions else [ways["typos"]]
    lines = {"text": _fit(world, texts)}
    if isinstance(world.encoder, ImageEncoder):
        shown = [ways["1 picture" if number == 1 else f"{number} pictures"] for number in SHOTS]
        lines["images"] = _fit(world, shown)
    return lines


def _fit(world: PromptMeasurer, ways: list[PromptVariant]) -> Coefficients:
    known_classes = world.generator.known_classes()
    # Misspelt names alone say nothing about sentences.
    described = any(way.label == "descriptions" for way in ways)
    known: list[tuple[float, int]] = []
    strange: list[tuple[float, int]] = []
    for way in ways:
        for repeat in range(1 if way.label in ("names", "descriptions") else _REPEATS):
            said = [way.say(world.speaker, name, repeat, place) for place, name in enumerate(world.known)]
            (condition,) = encode_tasks([said], world.encoder)
            for name, prompt, vector in zip(world.known, said, condition.vectors, strict=True):
                words_only = prompt.kinds == ("text",)
                cosines = (
                    known_classes.text_cosines(prompt.texts, vector) if words_only else known_classes.cosines(vector)
                )
                number = (prompt.num_words if described else 1) if words_only else len(prompt.images)
                known.append((float(cosines.max()), number))
                cosines[known_classes.names.index(name)] = -1.0
                strange.append((float(cosines.max()), number))
    return Familiarity.fit(known, strange)
