"""Test the one entrance for prompts, which the command line and `Generator` share."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.conftest import ToyEncoder
from tina_framework import prompt
from tina_framework.errors import PromptError
from tina_framework.prompts.class_prompt import ClassPrompt
from tina_framework.prompts.condition_space import ConditionSpace
from tina_framework.prompts.encoded_task import EncodedTask
from tina_framework.prompts.known_classes import KnownClasses
from tina_framework.prompts.read import encode_prompts, read_tasks

KNOWN = ("ant", "bee", "fox")


def known_classes() -> KnownClasses:
    encoder = ToyEncoder()
    return KnownClasses(KNOWN, encoder, 0, ConditionSpace.fit(encoder.space, encoder.encode_text(KNOWN)))


@pytest.mark.parametrize(
    ("prompts", "tasks", "is_single"),
    [
        ("tell ants from bees", [["ant", "bee"]], True),
        (["ant", "bee"], [["ant", "bee"]], True),
        (("ant", "bee"), [["ant", "bee"]], True),
        ([["ant", "bee"], ("bee", "fox")], [["ant", "bee"], ["bee", "fox"]], False),
        ([["ant", "bee"]], [["ant", "bee"]], False),
        ([], [[]], True),
        (["elephant=a large animal", "ant"], [["elephant=a large animal", "ant"]], True),
    ],
)
def test_tasks_from_python(prompts: Any, tasks: list[list[str]], is_single: bool) -> None:
    assert read_tasks(prompts, KNOWN) == (tasks, is_single)


def test_tasks_from_the_command_line() -> None:
    [[elephant, ant]], is_single = read_tasks(["elephant=a large animal", "ant"], KNOWN, notation=True)
    assert is_single
    assert (elephant.label, elephant.texts, ant) == ("elephant", ("a large animal",), "ant")
    assert read_tasks(["tell ants from bees"], KNOWN, notation=True) == ([["ant", "bee"]], True)
    # A label or one plain word does not make a sentence.
    [[labelled]], _ = read_tasks(["both=ants and bees"], KNOWN, notation=True)
    assert isinstance(labelled, ClassPrompt)
    assert read_tasks(["ant"], KNOWN, notation=True) == ([["ant"]], True)


def test_tasks_from_a_file(tmp_path: Path) -> None:
    file = tmp_path / "tasks.json"
    file.write_text(json.dumps({"tasks": [{"classes": ["ant", "bee"]}]}))
    assert read_tasks(file) == ([["ant", "bee"]], False)


@pytest.mark.parametrize("prompts", [5, None, b"ant"])
def test_other_types_are_refused(prompts: Any) -> None:
    with pytest.raises(PromptError, match=f"The prompt is a single {type(prompts).__name__}; give a list"):
        read_tasks(prompts)


def test_prompts_are_encoded_with_the_known_classes() -> None:
    tasks, is_single, were_encoded = encode_prompts(["ants", prompt.text("an insect", label="bee")], known_classes())
    assert (len(tasks), is_single, were_encoded) == (1, True, False)
    assert tasks[0].read_as == {"ants": "ant"}
    assert tasks[0].familiarity is not None
    assert tasks[0].familiarity[0] == 1.0


def test_encoded_tasks_are_returned_unchanged() -> None:
    task = EncodedTask(("ant", "bee"), ("ant", "bee"), np.ones((2, 3), dtype=np.float32))
    one, two = encode_prompts(task, known_classes()), encode_prompts(iter([task, task]), known_classes())
    assert one.tasks[0] is task
    assert (one.is_single, one.were_encoded) == (True, True)
    assert len(two.tasks) == 2
    assert (two.is_single, two.were_encoded) == (False, True)
