"""What each class of a task was said with, for people and for JSON."""

from __future__ import annotations

import math
from typing import Any

from tina_framework.prompts.class_prompt import ClassPrompt
from tina_framework.prompts.encoded_task import EncodedTask

__all__ = ["describe", "summarize_prompts"]

_LONGEST = 60


def summarize_prompts(condition: EncodedTask) -> list[dict[str, Any]]:
    """One entry a class: ``label``; ``texts``, ``images`` (how many), ``vectors`` (how many) where there are any; ``read_as`` where
    words were read as a known name; ``familiarity`` and ``nearest`` where it is no known name."""
    prompts = condition.prompts or tuple(ClassPrompt(name, (name,)) for name in condition.class_names)
    familiarity = [math.nan] * len(prompts) if condition.familiarity is None else condition.familiarity.tolist()
    nearest = condition.nearest or [""] * len(prompts)
    said = []
    for prompt, value, name in zip(prompts, familiarity, nearest, strict=True):
        read_as = {text: condition.read_as[text] for text in prompt.texts if text in condition.read_as}
        known = {} if math.isnan(value) or value == 1.0 else {"familiarity": round(value, 4), "nearest": name}
        said.append(prompt.to_json() | ({"read_as": read_as} if read_as else {}) | known)
    return said


def describe(said: dict[str, Any]) -> str | None:
    """One entry of `summarize_prompts` for people; None for a plain name that was read as it stands."""
    parts = []
    for text in said.get("texts", []):
        shown = "its name" if text.strip() == said["label"] else f"'{_cut(text)}'"
        meaning = said.get("read_as", {}).get(text)
        parts.append(shown if meaning is None else f"{shown}, read as '{meaning}'")
    for key, one in (("images", "picture"), ("vectors", "vector")):
        if count := said.get(key, 0):
            parts.append(f"{count:,} {one}{'' if count == 1 else 's'}")
    told = " + ".join(parts)
    familiarity = said.get("familiarity", 1.0)
    if told == "its name" and familiarity == 1.0:
        return None
    return told if familiarity == 1.0 else f"{told} (familiarity {familiarity:.2f}, most like '{said['nearest']}')"


def _cut(text: str) -> str:
    text = " ".join(text.split())
    return text if len(text) <= _LONGEST else text[: _LONGEST - 3] + "..."
