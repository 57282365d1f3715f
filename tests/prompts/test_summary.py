from __future__ import annotations

import numpy as np
from PIL import Image

from tina_framework.prompts.class_prompt import ClassPrompt
from tina_framework.prompts.resolve import Condition
from tina_framework.prompts.summary import in_words, said_with


def _condition(*prompts: ClassPrompt, **read_as: str) -> Condition:
    labels = tuple(prompt.label for prompt in prompts)
    return Condition(labels, labels, np.zeros((len(labels), 2), dtype=np.float32), None, prompts, read_as=read_as)


def test_every_kind_is_told() -> None:
    picture = Image.new("RGB", (2, 2))
    said = said_with(
        _condition(
            ClassPrompt("ant", ("ant",)),
            ClassPrompt("sofa", ("sofa",)),
            ClassPrompt("elephant", ("a large grey animal",)),
            ClassPrompt("bus", ("bus",), (picture, picture)),
            ClassPrompt("x", vectors=(np.ones(2, dtype=np.float32),)),
            sofa="couch",
        )
    )
    assert [in_words(one) for one in said] == [
        None,
        "its name, read as 'couch'",
        "'a large grey animal'",
        "its name + 2 pictures",
        "1 vector",
    ]
    assert said[1] == {"label": "sofa", "texts": ["sofa"], "read_as": {"sofa": "couch"}}
    assert said[3] == {"label": "bus", "texts": ["bus"], "images": 2}


def test_plain_names_and_long_descriptions() -> None:
    plain = Condition(("ant", "bee"), ("ant", "bee"), np.zeros((2, 2), dtype=np.float32))
    assert said_with(plain) == [{"label": "ant", "texts": ["ant"]}, {"label": "bee", "texts": ["bee"]}]
    [long, _] = said_with(_condition(ClassPrompt("x", ("word " * 40,)), ClassPrompt("y", ("y",))))
    assert len(in_words(long) or "") == 62
