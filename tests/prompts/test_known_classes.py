"""Test the projection of prompts onto known classes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from unittest.mock import patch

import numpy as np
import pytest
import torch
from PIL import Image

from tina_framework.errors import PromptError
from tina_framework.prompts import encoded_task
from tina_framework.prompts.class_prompt import ClassPrompt
from tina_framework.prompts.condition_space import ConditionSpace
from tina_framework.prompts.encoded_task import encode_tasks
from tina_framework.prompts.familiarity import Familiarity
from tina_framework.prompts.known_classes import KnownClasses
from tina_framework.prompts.row_retrieval import RowRetrieval

NAMES = ("ant", "bee", "cat", "dog")
RAW = np.eye(4, 6, dtype=np.float32) + 1.0
"""Vectors with a large common part, as in CLIP."""


class Table:
    """Known names have fixed vectors. Other texts state a mixture ("0.9 ant + 0.1 bee"), and pictures a name by their red channel."""

    name, dim, space, templates = "table", 6, "s", ("{}",)

    def encode_text(self, texts: Sequence[str], template: int = 0) -> Any:
        return np.stack([self._one(text) for text in texts])

    def _one(self, text: str) -> Any:
        if text.lower() in NAMES:
            return RAW[NAMES.index(text.lower())]
        shares = [part.split() for part in text.split("+")]
        return sum(float(share) * RAW[NAMES.index(name)] for share, name in shares) + 0.02

    def encode_images(self, images: Sequence[Image.Image]) -> Any:
        # Pictures lie apart: the same shift on all of them.
        return np.stack([RAW[picture.getpixel((0, 0))[0]] for picture in images]) + np.float32([0, 0, 0, 0, 0.3, 0.1])


def picture(number: int) -> Image.Image:
    return Image.new("RGB", (2, 2), (number, 0, 0))


def make(retrieves_rows: bool = False) -> KnownClasses:
    space = ConditionSpace.fit("s", RAW)
    if retrieves_rows:
        space.row_retrieval = RowRetrieval(
            space.apply(RAW), torch.randn(4, 3, generator=torch.Generator().manual_seed(0))
        )
    return KnownClasses(NAMES, Table(), 0, space)


def test_vectors_of_known_names_are_not_changed() -> None:
    (condition,) = encode_tasks([["ant", "DOG"]], Table(), known_classes=make())
    np.testing.assert_array_equal(condition.vectors, RAW[[0, 3]])
    assert condition.familiarity is not None
    np.testing.assert_array_equal(condition.familiarity, [1, 1])
    assert condition.nearest == ("ant", "dog")


def test_other_words_and_pictures_are_projected_onto_known_names() -> None:
    prompts = [ClassPrompt("b", ("0.2 ant + 0.8 bee",)), ClassPrompt("c", images=(picture(2), picture(2)))]
    (raw,) = encode_tasks([prompts], Table())
    (condition,) = encode_tasks([prompts], Table(), known_classes=make())
    space = ConditionSpace.fit("s", RAW)
    unit = RAW / np.linalg.norm(RAW, axis=1, keepdims=True)

    def cosine(vectors: Any, row: int, place: int) -> float:
        a, b = space.apply(vectors)[place], space.apply(RAW)[row]
        return float(torch.nn.functional.cosine_similarity(a, b, dim=0))

    for place, row in ((0, 1), (1, 2)):
        assert cosine(condition.vectors, row, place) > 0.999 > cosine(raw.vectors, row, place)
    np.testing.assert_allclose(condition.vectors[1], unit[2], atol=1e-4)
    assert condition.nearest == ("bee", "cat")


def test_more_pictures_give_sharper_weights() -> None:
    """The mean of several pictures is less noisy, so its nearest class gets more weight."""
    space = make().space
    mixed = (RAW[0] * 0.62 + RAW[1] * 0.38).astype(np.float32)
    shares = []
    for number in (1, 9):
        vector, _ = make().project(ClassPrompt("x", images=(picture(0),) * number), {"images": mixed})
        shares.append(float(space.apply(vector[None])[0] @ space.apply(RAW)[0]))
    assert shares[1] > shares[0]


def test_given_vectors_are_not_changed() -> None:
    own = np.arange(1, 7, dtype=np.float32)
    vector, familiarity = make().project(ClassPrompt("x", vectors=(own,)), {"vector": own})
    np.testing.assert_array_equal(vector, own)
    assert 0 < familiarity < 1


def test_an_unknown_class_keeps_its_vector_only_with_row_retrieval() -> None:
    strange = np.float32([1, 1, 1, 1, 3, -3])
    prompt = ClassPrompt("x", ("?",))
    plain, own = (make(retrieves_rows).project(prompt, {"text": strange})[0] for retrieves_rows in (False, True))
    unit = strange / np.linalg.norm(strange)
    assert np.abs(own - unit).max() < np.abs(plain - unit).max() / 2


def test_nothing_changes_if_the_encoder_lacks_the_known_names() -> None:
    class Lacking(Table):
        def encode_text(self, texts: Sequence[str], template: int = 0) -> Any:
            if "cat" in texts:
                raise PromptError("no cat")
            return super().encode_text(texts)

    known = KnownClasses(NAMES, Lacking(), 0, ConditionSpace.fit("s", RAW))
    text = "0.5 ant + 0.5 bee"
    (condition,) = encode_tasks([[text, "ant"]], Lacking(), known_classes=known)
    np.testing.assert_array_equal(condition.vectors[0], Lacking().encode_text([text])[0])
    assert condition.familiarity is not None
    assert np.isnan(condition.familiarity[0])


@pytest.mark.parametrize("retrieves_rows", [False, True])
def test_a_projection_does_not_depend_on_the_other_classes(retrieves_rows: bool) -> None:
    prompt, other = ClassPrompt("b", ("0.3 ant + 0.7 bee",)), ClassPrompt("c", images=(picture(2),))
    known = make(retrieves_rows)
    (pair,) = encode_tasks([[prompt, other]], Table(), known_classes=known)
    (turned,) = encode_tasks([[other, prompt]], Table(), known_classes=known)
    np.testing.assert_array_equal(pair.vectors, turned.vectors[::-1])


class TableWithMeasure(Table):
    """An encoder whose comparison vectors depend only on the part after the comma."""

    def comparison_vectors(self, texts: Sequence[str], template: int = 0) -> Any:
        return np.eye(4, dtype=np.float32)[[NAMES.index(text.split(",")[-1].strip()) for text in texts]]

    def _one(self, text: str) -> Any:
        return super()._one(text.split(",")[0])


def test_comparison_vectors_of_the_encoder_are_used() -> None:
    prompt, space = ClassPrompt("c", ("0.4 ant + 0.3 bee + 0.3 cat, cat",)), ConditionSpace.fit("s", RAW)
    plain = KnownClasses(NAMES, Table(), 0, space)
    known = KnownClasses(NAMES, TableWithMeasure(), 0, space)
    raw = TableWithMeasure()._one(prompt.texts[0])
    np.testing.assert_allclose(known.text_cosines(prompt.texts, raw), [0, 0, 1, 0], atol=1e-6)
    np.testing.assert_allclose(known.text_cosines(("cat", "dog"), raw), np.float64([0, 0, 1, 1]) / 2**0.5)
    np.testing.assert_array_equal(plain.text_cosines(prompt.texts, raw), plain.cosines(raw))
    vector, familiar = known.project(prompt, {"text": raw})
    assert known.nearest(vector) == "cat"
    assert plain.nearest(raw) == "ant"
    assert familiar == known.familiarity.probability("text", 1.0)
    known.familiarity = Familiarity({"text": (-2.0, 1.0, 0.5, 0.0)})
    words = len(prompt.texts[0].split())
    assert (
        known.project(prompt, {"text": raw})[1]
        == known.familiarity.probability("text", 1.0, words)
        > known.familiarity.probability("text", 1.0)
    )
    pictured, _ = known.project(ClassPrompt("c", images=(picture(1),)), {"images": raw})
    assert known.nearest(pictured) == "ant"


def test_a_known_name_with_pictures_is_familiar() -> None:
    prompt = ClassPrompt("c", ("cat", "an animal"), (picture(0),))
    parts = {"text": RAW[2], "images": RAW[0]}
    assert make().project(prompt, parts)[1] == 1.0


def test_vectors_need_no_known_names() -> None:
    class Lacking(Table):
        def encode_text(self, texts: Sequence[str], template: int = 0) -> Any:
            if any(text in NAMES for text in texts):
                raise PromptError("no such name")
            return super().encode_text(texts)

    known = KnownClasses(NAMES, Lacking(), 0, ConditionSpace.fit("s", RAW))
    [condition] = encode_tasks(
        [[ClassPrompt(label, vectors=(RAW[k],)) for k, label in enumerate("xy")]], Lacking(), 0, known
    )
    assert condition.nearest == ("", "")


def test_a_known_name_among_several_texts_is_the_nearest() -> None:
    both = ClassPrompt("insect", ("0.9 bee + 0.1 dog", "Ant"))
    [condition] = encode_tasks(
        [[both, "cat"]], Table(), 0, KnownClasses(NAMES, Table(), 0, ConditionSpace.fit("s", RAW))
    )
    assert condition.nearest == ("ant", "cat")


def test_the_names_are_looked_up_in_one_table_for_all_calls() -> None:
    known = make()
    assert known.lookup is known.lookup
    assert known.lookup.find("Dogs") == "dog"
    with patch.object(encoded_task, "KnownNames") as built:
        [task] = encode_tasks([["dogs", "bee"]], Table(), known_classes=known)
    assert task.read_as == {"dogs": "dog"}
    assert built.call_count == 0, "with a thousand names, building the table takes longer than generating"
