from __future__ import annotations

import numpy as np
from PIL import Image

from tina_framework.prompts.class_prompt import ClassPrompt
from tina_framework.prompts.encoded_task import EncodedTask
from tina_framework.prompts.summary import describe, summarize_prompts


def _condition(*prompts: ClassPrompt, **read_as: str) -> EncodedTask:
    labels = tuple(prompt.label for prompt in prompts)
    return EncodedTask(labels, labels, np.zeros((len(labels), 2), dtype=np.float32), None, prompts, read_as=read_as)


def test_every_kind_is_told() -> None:
    picture = Image.new("RGB", (2, 2))
    said = summarize_prompts(
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
    assert summarize_prompts(plain) == [{"label": "ant", "texts": ["ant"]}, {"label": "bee", "texts": ["bee"]}]
    [long, _] = summarize_prompts(_condition(ClassPrompt("x", ("word " * 40,)), ClassPrompt("y", ("y",))))
    assert len(describe(long) or "") == 62
