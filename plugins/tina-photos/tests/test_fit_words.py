"""Which names are left out of a fit, so that figures for unseen names are not too good; and how WordNet is read."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

FOLDER = Path(__file__).resolve().parent.parent / "pretraining"


@pytest.fixture(scope="module")
def scripts() -> Any:
    """The modules `wordnet` and `fit_words`. They are scripts, so they lie outside of the package."""
    return load("wordnet"), load("fit_words")


def load(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, FOLDER / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


def vocabulary(fit_words: Any, cosines: dict[str, float]) -> Any:
    """Names with the given cosines to the first one, and otherwise at right angles."""
    directions = np.zeros((len(cosines), len(cosines) + 1), dtype=np.float32)
    for row, cosine in enumerate(cosines.values()):
        directions[row, 0] = cosine
        directions[row, row + 1] = np.sqrt(1 - cosine**2)
    return fit_words.Vocabulary(list(cosines), directions, np.zeros(len(cosines) + 1, dtype=np.float32))


def test_synonyms_plurals_and_near_names_are_left_out(scripts: Any) -> None:
    names = {"cell phone": 1.0, "cellular telephone, cell phones": 0.5, "mobile": 0.95, "telephone": 0.85, "box": 0.0}
    found = scripts[1].left_out(vocabulary(scripts[1], names), ["Cell-phones"])
    assert found.tolist() == [True, True, True, False, False]


def test_nothing_is_left_out_for_an_unknown_name(scripts: Any) -> None:
    assert not scripts[1].left_out(vocabulary(scripts[1], {"ant": 1.0, "bee": 0.95}), ["gerenuk"]).any()


def test_synonyms_are_in_one_fold(scripts: Any) -> None:
    names = {"crane": 0.0, "heron, crane": 0.1, "herons": 0.2, **{f"thing{number}": 0.0 for number in range(20)}}
    numbers = scripts[1].folds(vocabulary(scripts[1], names))
    assert len(set(numbers[:3].tolist())) == 1
    assert len(set(numbers.tolist())) > 1


def test_wordnet_is_read(scripts: Any, tmp_path: Path) -> None:
    wordnet = scripts[0]
    head = "  1 This is the licence.\n"
    (tmp_path / "data.noun").write_text(
        head
        + '00000010 05 n 02 crane 0 Grus_bird 0 001 @ 00000030 n 0000 | a tall bird; "a crane flew"\n'
        + "00000020 06 n 01 crane 0 001 @i 00000030 n 0000 | a machine for lifting\n"
        + "00000030 03 n 01 thing 0 000 | anything\n",
        encoding="utf-8",
    )
    (tmp_path / "index.noun").write_text(head + "crane n 2 1 @ 2 1 00000010 00000020\n", encoding="utf-8")
    senses, nouns = wordnet.read_nouns(tmp_path)
    assert senses["00000010"].text == "crane: a tall bird"
    assert senses["00000010"].names == ("crane", "Grus bird")
    assert senses["00000010"].parents == ("00000030",)
    assert (senses["00000010"].instance, senses["00000020"].instance) == (False, True)
    weighed = wordnet.weigh("crane", nouns["crane"], senses)
    assert weighed == [("00000010", 1.0), ("00000020", pytest.approx(0.9 / 1.35 * 0.3))]
