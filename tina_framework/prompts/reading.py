"""Which known names the words of a task are read as."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from tina_framework.interfaces.encoder import Encoder, KnowsWords
from tina_framework.prompts.class_prompt import ClassPrompt
from tina_framework.prompts.names import KnownNames
from tina_framework.prompts.spelling import fold

__all__ = ["read_names"]


def read_names(prompts: Sequence[ClassPrompt], names: KnownNames, encoder: Encoder) -> dict[str, str]:
    """Text -> the known name that is meant: by another spelling, plural or synonym; or misspelt, where the encoder does not know the word.

    A slip is never taken for a class that the task has anyway, nor are two of them for the same one: these stay as they are.
    """
    texts = list(dict.fromkeys(text for prompt in prompts for text in prompt.texts))
    found = {text: meaning for text in texts if (meaning := names.meaning(text)) is not None}
    if not isinstance(encoder, KnowsWords):
        return found
    there = {fold(found.get(text, text)) for text in texts}
    slips = {
        text: name
        for text in texts
        if text not in found and text not in names and (name := names.misspelt(text)) and encoder.unknown_words([text])
    }
    number = Counter(slips.values())
    return found | {text: name for text, name in slips.items() if number[name] == 1 and fold(name) not in there}
