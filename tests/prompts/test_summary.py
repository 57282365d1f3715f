"""Test how prompts are summarised for records, JSON and people."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from PIL import Image

from tina_framework.prompts.class_prompt import ClassPrompt
from tina_framework.prompts.encoded_task import EncodedTask
from tina_framework.prompts.summary import describe, summarize_by_class, summarize_prompts


def _condition(*prompts: ClassPrompt, **read_as: str) -> EncodedTask:
    labels = tuple(prompt.label for prompt in prompts)
    return EncodedTask(labels, labels, np.zeros((len(labels), 2), dtype=np.float32), None, prompts, read_as=read_as)


def test_every_kind_is_described() -> None:
    picture = Image.new("RGB", (2, 2))
    said = summarize_by_class(
        _condition(
            ClassPrompt("ant", ("ant",)),
            ClassPrompt("sofa", ("sofa",)),
            ClassPrompt("elephant", ("a large grey animal",)),
            ClassPrompt("bus", ("bus",), (picture, picture)),
            ClassPrompt("x", vectors=(np.ones(2, dtype=np.float32),)),
            sofa="couch",
        )
    )
    assert [describe(one) for one in said] == [
        None,
        "its name, read as 'couch'",
        "'a large grey animal'",
        "its name + 2 pictures",
        "1 vector",
    ]
    assert said[1] == {"label": "sofa", "texts": ["sofa"], "read_as": {"sofa": "couch"}}
    assert said[3] == {"label": "bus", "texts": ["bus"], "images": 2}


def test_plain_names_and_long_descriptions() -> None:
    plain = EncodedTask(("ant", "bee"), ("ant", "bee"), np.zeros((2, 2), dtype=np.float32))
    assert summarize_by_class(plain) == [{"label": "ant", "texts": ["ant"]}, {"label": "bee", "texts": ["bee"]}]
    [long, _] = summarize_by_class(_condition(ClassPrompt("x", ("word " * 40,)), ClassPrompt("y", ("y",))))
    assert len(describe(long) or "") == 62


def test_the_record_of_a_classifier_holds_one_value_for_each_class() -> None:
    task = EncodedTask(
        ("ant", "yak"),
        ("ant", "yak"),
        np.zeros((2, 2), dtype=np.float32),
        familiarity=np.float32([1, 0.25]),
        nearest=("ant", "cow"),
        read_as={"ants": "ant"},
    )
    assert summarize_prompts(task) == {
        "familiarity": [1.0, 0.25],
        "nearest": ["ant", "cow"],
        "read_as": {"ants": "ant"},
    }
    assert summarize_by_class(task) == [
        {"label": "ant", "texts": ["ant"]},
        {"label": "yak", "texts": ["yak"], "familiarity": 0.25, "nearest": "cow"},
    ]
    assert describe(summarize_by_class(task)[1]) == "its name (familiarity 0.25, most like 'cow')"


@pytest.mark.parametrize("familiarity", [None, np.float32([1, 1]), np.float32([1, np.nan])])
def test_known_names_and_unknown_familiarity_leave_no_record(familiarity: Any) -> None:
    task = EncodedTask(("ant", "bee"), ("ant", "bee"), np.zeros((2, 2), dtype=np.float32), familiarity=familiarity)
    assert summarize_prompts(task) == {}
