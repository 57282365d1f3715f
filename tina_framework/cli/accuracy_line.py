"""The accuracy that is recorded with a generator: what it was measured on, and whether it holds for the classes of a classifier."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tina_framework.generator.config import GeneratorConfig

__all__ = ["accuracy_line", "recorded_accuracy"]

_TASKS = {
    "seen": "tasks of the training",
    "unseen-combination": "tasks that training never drew",
    "two-superclasses": "tasks of classes of two groups that training never drew",
    "ten-superclasses": "tasks of classes of ten groups that training never drew",
    "unseen-classes": "tasks of classes that it was not trained on",
    "two-unseen-classes": "tasks with two classes that it was not trained on",
}
"""Split -> the tasks in words. The accuracy of another split is that on something with its name."""


def recorded_accuracy(
    config: GeneratorConfig, encoder: str, prompts: Sequence[Mapping[str, Any]], warnings: Sequence[str]
) -> dict[str, Any]:
    """Return the figures of a generator that hold for a classifier, as JSON values.

    Args:
        config: of the generator.
        encoder: the encoder that read the classes.
        prompts: one entry for each class, from `tina_framework.prompts.summary.summarize_by_class`.
        warnings: of the prompts. After a warning no figure holds, because it was measured on classes that are understood.

    Returns:
        ``accuracy`` (split -> fraction of 1) and ``accuracy_of`` (split -> what it was measured on, in words).
    """
    from tina_framework.generator.recorded_accuracy import figures_of_known

    figures = {} if warnings else config.accuracy(encoder, len(prompts))
    is_open = bool(config.condition.get("open_vocabulary"))
    known = all(entry.get("familiarity", 1.0) >= 1.0 for entry in prompts)
    # A record of classes that the generator was not trained on says nothing about those that it was.
    if known:
        figures = figures_of_known(figures)
    names = "" if is_open or known else ", with names that it was trained on"
    plain = all(entry.get("texts") == [entry["label"]] and "images" not in entry for entry in prompts)
    names = names or ("" if plain else ", with names")
    return {"accuracy": figures, "accuracy_of": {split: _measured_on(config, split) + names for split in figures}}


def _measured_on(config: GeneratorConfig, split: str) -> str:
    if split not in _TASKS:
        return split
    name, _, argument = str(config.training.get("dataset") or "").partition(":")
    data = argument or name
    return f"test images{f' of {data}' if data else ''} ({_TASKS[split]})"


def accuracy_line(classifier: Mapping[str, Any], warnings: Sequence[str]) -> str:
    """Return what is printed of `recorded_accuracy`.

    Args:
        classifier: what `recorded_accuracy` returned, and the ``class_names``.
        warnings: as for `recorded_accuracy`.
    """
    count = len(classifier["class_names"])
    if warnings:
        return "unknown for these classes, see the warnings"
    if not classifier["accuracy"]:
        return f"not measured at {count} classes"
    figures = [
        f"{100 * value:.1f} %, measured at {count} classes on {classifier['accuracy_of'][split]}"
        for split, value in classifier["accuracy"].items()
    ]
    return "; ".join(figures)
