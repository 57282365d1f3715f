"""Summarise the prompts of a task, for the record of a classifier, for JSON and for people."""

from __future__ import annotations

from typing import Any

from tina_framework.prompts.class_prompt import ClassPrompt
from tina_framework.prompts.encoded_task import EncodedTask

__all__ = ["describe", "summarize_by_class", "summarize_prompts"]

_MAX_LENGTH = 60


def summarize_prompts(task: EncodedTask) -> dict[str, Any]:
    """Return what a classifier records about its prompts; empty if all of them are known class names.

    The keys are ``prompts`` (one entry a class), ``familiarity`` and ``nearest`` (one value a class), and ``read_as``
    (text -> known name). Each key is left out where it has nothing to tell.
    """
    summary: dict[str, Any] = {}
    if task.prompts:
        summary["prompts"] = [prompt.to_json() for prompt in task.prompts]
    if task.familiarity is not None and float(task.familiarity.min()) < 1.0:
        summary["familiarity"] = [round(float(value), 4) for value in task.familiarity]
        summary["nearest"] = list(task.nearest)
    if task.read_as:
        summary["read_as"] = dict(task.read_as)
    return summary


def summarize_by_class(task: EncodedTask) -> list[dict[str, Any]]:
    """Return the content of `summarize_prompts` as one entry a class.

    Every entry has the ``label``, and what was given: ``texts``, ``images`` (their number), ``vectors`` (their number).
    It has ``read_as`` if a text was read as a known name, and ``familiarity`` and ``nearest`` if the class is not known.
    """
    summary = summarize_prompts(task)
    prompts = summary.get("prompts") or [ClassPrompt(name, (name,)).to_json() for name in task.class_names]
    familiarity = summary.get("familiarity", [1.0] * len(prompts))
    nearest = summary.get("nearest", [""] * len(prompts))
    all_read_as = summary.get("read_as", {})
    entries = []
    for entry, value, name in zip(prompts, familiarity, nearest, strict=True):
        read_as = {text: all_read_as[text] for text in entry.get("texts", []) if text in all_read_as}
        if read_as:
            entry = {**entry, "read_as": read_as}
        if value < 1.0:
            entry = {**entry, "familiarity": value, "nearest": name}
        entries.append(entry)
    return entries


def describe(entry: dict[str, Any]) -> str | None:
    """Return one entry of `summarize_by_class` in words; None for a plain name that was read unchanged."""
    parts = []
    for text in entry.get("texts", []):
        shown = "its name" if text.strip() == entry["label"] else f"'{_shorten(text)}'"
        known_name = entry.get("read_as", {}).get(text)
        parts.append(shown if known_name is None else f"{shown}, read as '{known_name}'")
    for key, noun in (("images", "picture"), ("vectors", "vector")):
        if count := entry.get(key, 0):
            parts.append(f"{count:,} {noun}{'' if count == 1 else 's'}")
    description = " + ".join(parts)
    familiarity = entry.get("familiarity", 1.0)
    if familiarity < 1.0:
        return f"{description} (familiarity {familiarity:.2f}, most like '{entry['nearest']}')"
    return None if description == "its name" else description


def _shorten(text: str) -> str:
    text = " ".join(text.split())
    return text if len(text) <= _MAX_LENGTH else text[: _MAX_LENGTH - 3] + "..."
