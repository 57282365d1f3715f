"""Writes what was measured into the folder of the model it belongs to: its `config.json` and its card."""

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
from tina_framework.storage.files import replacing
from tina_framework.storage.folders import CONFIG, HASHES, read_config

if TYPE_CHECKING:
    from tina_framework.classifier.abstention import AbstentionThresholds
    from tina_framework.prompts.familiarity import Familiarity

__all__ = ["check_recordable", "merge_metrics", "record_accuracy", "record_calibration", "update_card"]

CARD = "README.md"
_HEADING = "## Accuracy of generated models"
_METHOD = "tina"


def check_recordable(model: str, methods: list[str], image_split: str, template: int) -> None:
    """Refuses what would record something else than a card promises, before anything runs.

    Raises:
        ConfigError: the model is no folder, *tina* is not run, or not on test images with the first template.
    """
    if not Path(model).is_dir():
        raise ConfigError(f"--record writes into the model's folder, but '{model}' is no folder here; give its path.")
    if _METHOD not in methods:
        raise ConfigError(f"--record writes the accuracy of '{_METHOD}', which --methods does not name; add it.")
    if image_split != "test" or template != 0:
        raise ConfigError(
            "--record takes figures of test images with the first prompt template only; leave out --split and --template."
        )


def merge_metrics(metrics: Mapping[str, Any], summary: Mapping[str, Any]) -> dict[str, Any]:
    """Metrics (encoder -> split -> class count -> fraction of 1) with those of *tina* in `summary` put in."""
    encoder = summary["setup"]["encoder"]["name"].partition(":")[0]
    merged: dict[str, Any] = json.loads(json.dumps(dict(metrics)))
    for row in summary["rows"]:
        if row["method"] == _METHOD and "num_classes" in row:
            counts = merged.setdefault(encoder, {}).setdefault(row["split"], {})
            counts[str(row["num_classes"])] = round(row["accuracy"]["mean"], 4)
    return merged


def update_card(card: str, old: GeneratorConfig, new: GeneratorConfig) -> str | None:
    """The card with the new figures; None if it has no table of them.

    A card made from the configuration is made anew. In one written by hand, the table under the heading
    ``Accuracy of generated models`` is replaced and nothing else.
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
    """Line numbers of the table (or of the sentence in its place) under the heading: first, one after the last."""
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


def record_accuracy(folder: Path, summary: Mapping[str, Any]) -> bool:
    """Writes the accuracies of *tina* into `config.json` and the card, both or none.

    Returns:
        Whether the card has them too (a card written by hand may have no table for them).
    """
    return _rewrite(folder, lambda old: replace(old, metrics=merge_metrics(old.metrics, summary)))


def record_calibration(
    folder: Path, abstention: AbstentionThresholds | None, familiarity: Mapping[str, Familiarity] | None = None
) -> None:
    """Writes thresholds and familiarities (by encoder) into `config.json`, and into the card if that was made from the configuration.

    Raises:
        CheckpointError: the folder holds no generator.
        ConfigError: it cannot be written.
    """
    new = familiarity or {}
    _rewrite(folder, lambda old: replace(old, abstention=abstention, familiarity={**old.familiarity, **new}))


def _rewrite(folder: Path, change: Callable[[GeneratorConfig], GeneratorConfig]) -> bool:
    """Writes the changed configuration and the card that goes with it, both or none; whether the card has a table of figures."""
    values = read_config(folder, FORMAT, FORMAT_VERSION, "config.json")
    kept = {key: values.pop(key) for key in (TRUNK, PLUGINS, HASHES) if key in values}  # what stays as it is
    old = GeneratorConfig.from_dict(values, f"'{folder / CONFIG}'")
    new = change(old)
    card = (folder / CARD).read_text(encoding="utf-8") if (folder / CARD).is_file() else None
    fresh = update_card(card, old, new) if card is not None else model_card(new)
    text = json.dumps(new.to_dict() | kept, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
    try:
        with contextlib.ExitStack() as stack:
            stack.enter_context(replacing(folder / CONFIG)).write_text(text, encoding="utf-8")
            if fresh is not None:
                stack.enter_context(replacing(folder / CARD)).write_text(fresh, encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"The figures cannot be written into '{folder}' ({error}); is it read-only?") from error
    return fresh is not None
