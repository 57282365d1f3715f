"""Writing measured figures into the folder of the model they belong to: its `config.json` and its model card."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tina_framework.errors import ConfigError
from tina_framework.generator.card import model_card
from tina_framework.generator.config import FORMAT, FORMAT_VERSION, GeneratorConfig
from tina_framework.generator.folder import TRUNK
from tina_framework.plugin.required import PLUGINS
from tina_framework.storage.digest import HASHES, with_digest
from tina_framework.storage.files import replacing, to_json
from tina_framework.storage.folders import CONFIG, read_config
from tina_framework.storage.paths import user_path

if TYPE_CHECKING:
    from tina_framework.classifier.abstention import AbstentionThresholds
    from tina_framework.prompts.familiarity import Familiarity

__all__ = ["check_recordable", "merge_metrics", "record_accuracy", "record_calibration", "update_card"]

CARD = "README.md"
_HEADING = "## Accuracy of generated models"
_METHOD = "tina"


def check_recordable(model: str, methods: list[str], image_split: str, template: int) -> None:
    """Refuse to record figures other than those a model card promises, before anything runs.

    Raises:
        ConfigError: the model is no folder, *tina* is not run, or other images or another template than for cards are
            used.
    """
    if not user_path(model).is_dir():
        raise ConfigError(f"--record writes into the model's folder, but there is no folder '{model}'; give its path.")
    if _METHOD not in methods:
        raise ConfigError(f"--record writes the accuracy of '{_METHOD}', which --methods does not name; add it.")
    if image_split != "test" or template != 0:
        raise ConfigError(
            "--record writes figures of test images with the first prompt template only; "
            "leave out --split and --template."
        )


def merge_metrics(
    metrics: Mapping[str, Any], summary: Mapping[str, Any], trained_on: str | None = None
) -> dict[str, Any]:
    """Return the metrics updated with those of *tina* in `summary`.

    Metrics are nested dictionaries: encoder -> split -> class count -> fraction of 1. If the data set is not the one in
    `trained_on`, the split also names the data set.
    """
    measured_on = summary["setup"].get("dataset")
    other = f" of {measured_on}" if trained_on is not None and measured_on not in (None, trained_on) else ""
    encoder = summary["setup"]["encoder"]["name"].partition(":")[0]
    merged: dict[str, Any] = json.loads(json.dumps(dict(metrics)))
    for row in summary["rows"]:
        if row["method"] == _METHOD and "num_classes" in row:
            counts = merged.setdefault(encoder, {}).setdefault(row["split"] + other, {})
            counts[str(row["num_classes"])] = round(row["accuracy"]["mean"], 4)
    return merged


def update_card(card: str, old: GeneratorConfig, new: GeneratorConfig) -> str | None:
    """Return the card with the new figures; None if it has no table for them.

    A card that equals the generated one is generated again. In a card written by hand, only the table under the
    heading ``Accuracy of generated models`` is replaced.
    """
    if card == model_card(old):
        return model_card(new)
    start, stop = _table(card)
    if start is None:
        return None
    lines, fresh = card.splitlines(), model_card(new)
    first, last = _table(fresh)
    lines[start:stop] = fresh.splitlines()[first:last]
    return "\n".join(lines) + "\n"


def _table(card: str) -> tuple[int | None, int]:
    """Return the first line number of the table under the heading, and the one after its last.

    A sentence in place of a table counts as the table.
    """
    lines = card.splitlines()
    if _HEADING not in lines:
        return None, 0
    start = lines.index(_HEADING) + 1
    while start < len(lines) and not lines[start].strip():
        start += 1
    stop = start
    if stop < len(lines) and not lines[stop].startswith("|"):
        return (start, stop + 1) if not lines[stop].startswith("#") else (start, start)
    while stop < len(lines) and lines[stop].startswith("|"):
        stop += 1
    return start, stop


def record_accuracy(folder: Path, summary: Mapping[str, Any], architecture: str | None = None) -> bool:
    """Write the accuracies of *tina* into `config.json` and the card, or into neither of them.

    Args:
        folder: of the generator.
        summary: the contents of ``results.json``.
        architecture: the one that was measured, if the generator writes several; None: the default one.

    Returns:
        Whether the card has them too. A card written by hand may have no table for them.
    """

    def change(old: GeneratorConfig) -> GeneratorConfig:
        dataset = old.training.get("dataset")
        trained_on = dataset if isinstance(dataset, str) else None
        if not old.architectures:
            return replace(old, metrics=merge_metrics(old.metrics, summary, trained_on))
        name = old.architecture if architecture is None else architecture
        entry = old.architectures[name]
        merged = merge_metrics(entry.get("metrics", {}), summary, trained_on)
        return replace(old, architectures={**old.architectures, name: {**entry, "metrics": merged}})

    return _rewrite(folder, change)


def record_calibration(
    folder: Path, abstention: AbstentionThresholds | None, familiarity: Mapping[str, Familiarity] | None = None
) -> None:
    """Write abstention thresholds, and familiarities by encoder, into `config.json`.

    The card gets them too if it is a generated one.

    Raises:
        CheckpointError: the folder holds no generator.
        ConfigError: the folder cannot be written.
    """
    new = familiarity or {}
    _rewrite(folder, lambda old: replace(old, abstention=abstention, familiarity={**old.familiarity, **new}))


def _rewrite(folder: Path, change: Callable[[GeneratorConfig], GeneratorConfig]) -> bool:
    """Write the changed configuration and the card that goes with it, or neither.

    Return whether the card has the figures.
    """
    values = read_config(folder, FORMAT, FORMAT_VERSION, "config.json")
    kept = {
        key: values.pop(key) for key in (TRUNK, PLUGINS, HASHES) if key in values
    }  # not part of GeneratorConfig, so put back unchanged
    old = GeneratorConfig.from_dict(values, f"'{folder / CONFIG}'")
    new = change(old)
    card = (folder / CARD).read_text(encoding="utf-8") if (folder / CARD).is_file() else None
    fresh = update_card(card, old, new) if card is not None else model_card(new)
    text = to_json(with_digest(new.to_dict() | kept, CONFIG))
    try:
        with contextlib.ExitStack() as stack:
            stack.enter_context(replacing(folder / CONFIG)).write_text(text, encoding="utf-8")
            if fresh is not None:
                stack.enter_context(replacing(folder / CARD)).write_text(
                    fresh, encoding="utf-8", errors="backslashreplace"
                )
    except OSError as error:
        raise ConfigError(
            f"The figures cannot be written into '{folder}' ({error.strerror or error}); is it read-only?"
        ) from error
    return fresh is not None
