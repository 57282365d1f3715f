"""The accuracy that a generator's configuration records, for the classifiers that it tells something about."""

from __future__ import annotations

from collections.abc import Mapping

from tina_framework.generator.config import GeneratorConfig
from tina_framework.prompts.encoded_task import EncodedTask
from tina_framework.prompts.familiarity import WARN_BELOW

__all__ = ["figures_of_known", "recorded_accuracy"]

_UNSEEN = ("unseen-classes", "two-unseen-classes")


def recorded_accuracy(config: GeneratorConfig, encoder: str, task: EncodedTask) -> dict[str, float]:
    """Return split -> mean accuracy of classifiers like the one for this task, as fractions of 1.

    The accuracies were measured on tasks of known classes, whose prompts were their names. So nothing is returned if a class is
    unfamiliar, or if its prompt has pictures or vectors. They are means over tasks: one classifier may be better or worse.

    Args:
        config: of the generator.
        encoder: spec of the encoder that read the task.
        task: the classes of the classifier.
    """
    if task.familiarity is None or float(task.familiarity.min()) < WARN_BELOW:
        return {}
    if any(len(prompt.images) > 0 or len(prompt.vectors) > 0 for prompt in task.prompts):
        return {}
    found = config.accuracy(encoder, len(task))
    return figures_of_known(found) if float(task.familiarity.min()) >= 1.0 else found


def figures_of_known(figures: Mapping[str, float]) -> dict[str, float]:
    """Return the figures that hold for known classes. Those of classes that the generator was not trained on say nothing there."""
    return {split: value for split, value in figures.items() if split not in _UNSEEN}
