"""Ways of saying classes: what each prompt holds, and that nothing drawn depends on what else is drawn."""

from __future__ import annotations

import random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tina_framework.errors import DataError
from tina_framework.evaluation.suite.prompt_variants import PromptMaterial, misspell, prompt_variants, read_descriptions
from tina_framework.interfaces.dataset import LabelledImages
from tina_framework.storage.files import write_json

CLASSES = ("ant", "bee", "sea cow")
IMAGES = np.random.default_rng(0).integers(0, 256, (90, 4, 4, 3), dtype=np.uint8)
MATERIAL = PromptMaterial(
    CLASSES, LabelledImages(IMAGES, np.arange(90) % 3), {name: f"it is {name}" for name in CLASSES}
)


@given(st.text(alphabet="abcdefgh ", min_size=1, max_size=12), st.integers())
def test_a_typo_changes_one_place_and_never_nothing(name: str, seed: int) -> None:
    slipped = misspell(name, random.Random(seed))
    assert slipped != name
    assert abs(len(slipped) - len(name)) <= 1
    assert slipped[:1] == name[:1]


def test_shown_pictures_are_of_the_class_and_fewer_are_part_of_more() -> None:
    few, many = MATERIAL.shown("bee", 3, 7), MATERIAL.shown("bee", 30, 7)
    assert [np.asarray(p).tolist() for p in few] == [np.asarray(p).tolist() for p in many[:3]]
    own = [IMAGES[i].tolist() for i in range(1, 90, 3)]
    assert sorted(np.asarray(p).tolist() for p in many) == sorted(own)
    assert [np.asarray(p).tolist() for p in MATERIAL.shown("bee", 3, 8)] != [np.asarray(p).tolist() for p in few]
    with pytest.raises(DataError, match="30 pictures of 'bee'"):
        MATERIAL.shown("bee", 31, 7)


def test_all_ways_name_the_class_and_the_first_is_plain() -> None:
    variants = prompt_variants(descriptions=True, pictures=True, synonyms={"sea cow": "manatee"})
    prompts = {
        variant.label: [variant.prompt(MATERIAL, name, 0, i) for i, name in enumerate(CLASSES)] for variant in variants
    }
    assert all(tuple(prompt.label for prompt in made) == CLASSES for made in prompts.values())
    assert variants[0].label == "names"
    assert prompts["names"][2].texts == ("sea cow",)
    assert prompts["UPPER-CASE"][2].texts == ("SEA-COW",)
    assert prompts["synonyms"][2].texts == ("manatee",)
    assert prompts["synonyms"][0].texts == ("ant",)
    assert prompts["descriptions"][0].texts == ("it is ant",)
    assert len(prompts["5 pictures"][0].images) == 5
    assert prompts["name, description and 5 pictures"][1].kinds == ("text", "images")
    assert [p.kinds for p in prompts["names, 5 pictures, descriptions in turn"]] == [("text",), ("images",), ("text",)]
    assert sum(variant.label.startswith("\u201c") for variant in variants) >= 8


def test_without_means_there_are_fewer_ways() -> None:
    assert {variant.group for variant in prompt_variants(descriptions=False, pictures=False)} == {"text"}


def test_descriptions_have_to_be_complete(tmp_path: object) -> None:
    from pathlib import Path

    path = Path(str(tmp_path)) / "prompts.json"
    write_json(path, {"ant": "small", "bee": "flies", "more": "x"})
    assert read_descriptions(path, ["ant", "bee"]) == {"ant": "small", "bee": "flies"}
    with pytest.raises(DataError, match="describes no 'cat'"):
        read_descriptions(path, ["ant", "cat"])
    write_json(path, ["ant"])
    with pytest.raises(DataError, match="no JSON object"):
        read_descriptions(path, ["ant"])


def test_a_typo_of_one_class_is_none_of_another() -> None:
    names = ("bed", "bee", "seal", "sea cow")
    material = PromptMaterial(names, MATERIAL.pictures)
    for task in range(200):
        slips = [material.misspelt(name, task) for name in names]
        assert len({*slips, *names}) == 8 - sum(slip == name for slip, name in zip(slips, names, strict=True))
        assert not {*slips[:1]} & {"bee"}
