"""Test the warnings about prompts."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tina_framework import prompt
from tina_framework.prompts.encoded_task import EncodedTask, encode_tasks
from tina_framework.prompts.warnings import prompt_warnings


class Plain:
    name, dim, space, templates = "plain", 1, "s", ("{}",)

    def encode_text(self, texts: Sequence[str], template: int = 0) -> np.ndarray:
        return np.ones((len(texts), 1), dtype=np.float32)


class Unsure(Plain):
    name = "unsure"

    def text_confidence(self, texts: Sequence[str]) -> np.ndarray:
        return np.array([1 / len(text) for text in texts], dtype=np.float32)


class Exacting(Unsure):
    warn_below = 0.9

    def unknown_words(self, texts: Sequence[str]) -> list[str]:
        return [text for text in texts if len(text) > 3]


def test_each_name_below_the_limit_gets_one_warning() -> None:
    conditions = encode_tasks([["a", "bee"], ["bee", "b"]], Unsure())
    assert prompt_warnings(conditions, Unsure()) == [
        "unsure is unsure what 'bee' means (confidence 0.33 of 1), so the classifier may miss this class. "
        "Use another word, another encoder, or another generator (`tina list generators`)."
    ]


def test_names_that_the_generator_was_trained_on_need_no_confidence() -> None:
    named = [prompt.text("bee", "a small bee", label="bee"), "long", "Longer"]
    tasks = encode_tasks([named], Unsure())
    found = prompt_warnings(tasks, Unsure(), trained_names=["bee", "longer"])
    # The class "bee" also has words that the generator was not trained on.
    assert [sentence.split("'")[1] for sentence in found] == ["bee", "long"]
    assert len(prompt_warnings(tasks, Unsure())) == 3


def test_an_encoder_may_state_its_limit_and_unknown_words() -> None:
    found = prompt_warnings(encode_tasks([["a", "be", "long"]], Exacting()), Exacting())
    assert [sentence.split("'")[1] for sentence in found] == ["be", "long"]
    assert "(confidence 0.25 of 1; it does not know 'long')" in found[1]


def test_an_encoder_without_confidence_gives_no_warning() -> None:
    assert prompt_warnings(encode_tasks([["a", "bee"]], Plain()), Plain()) == []


def test_misspelt_names_get_a_warning_and_synonyms_do_not() -> None:
    from tests.conftest import ToyEncoder

    class Spelling(ToyEncoder):
        def unknown_words(self, texts: list[str]) -> list[str]:
            return [text for text in texts if text == "leopart"]

    conditions = encode_tasks([["leopart", "sofa", "buses"]], Spelling(), known_names=["leopard", "couch", "bus"])
    assert conditions[0].read_as == {"leopart": "leopard", "sofa": "couch", "buses": "bus"}
    assert prompt_warnings(conditions, Spelling()) == [
        "'leopart' was read as 'leopard'. If it is something else, use other words or pictures."
    ]


def test_unknown_classes_get_a_warning_with_the_nearest_class() -> None:
    import numpy as np

    from tests.conftest import ToyEncoder

    vectors = np.eye(2, 24, dtype=np.float32)
    condition = EncodedTask(
        ("ant", "yak"), ("ant", "yak"), vectors, familiarity=np.float32([1, 0.25]), nearest=("ant", "cow")
    )
    (sentence,) = prompt_warnings([condition], ToyEncoder())
    assert "'yak' resembles no class" in sentence
    assert "0.25 of 1, nearest: 'cow'" in sentence


def test_the_warning_about_a_description_is_about_its_words() -> None:
    described = prompt.text("long words", label="be")
    [sentence] = prompt_warnings(encode_tasks([["a", described]], Exacting()), Exacting())
    assert "unsure what the words for 'be' mean (confidence 0.10 of 1; it does not know 'long words')" in sentence


class Letters(Plain):
    """The vector of a text is that of its last letter."""

    name, dim = "letters", 2

    def encode_text(self, texts: Sequence[str], template: int = 0) -> np.ndarray:
        angles = np.array([ord(text[-1]) for text in texts], dtype=np.float32)
        return np.stack([np.cos(angles), np.sin(angles)], axis=1) * angles[:, None]


def test_classes_that_cannot_be_told_apart_are_named() -> None:
    tasks = encode_tasks([["dog", "the dog", "cat"], ["dog", "cat"]], Letters())
    assert prompt_warnings(tasks, Letters()) == [
        "'dog' and 'the dog' mean the same to letters, so the classifier cannot tell them apart. Remove one of them, or use other "
        "words."
    ]


def test_the_lowest_confidence_of_a_label_counts() -> None:
    tasks = [["a", prompt.text("gibberish", label="x")], ["a", "x"], ["a", prompt.vector([1], "x")]]
    for order in (tasks, tasks[::-1]):
        assert len(prompt_warnings(encode_tasks(order, Unsure()), Unsure())) == 1


def test_many_classes_with_one_problem_share_a_sentence() -> None:
    names = tuple(f"yak {number:02}" for number in range(40))
    familiarity = np.linspace(0.4, 0.01, 40, dtype=np.float32)
    task = EncodedTask(names, names, np.ones((40, 1), dtype=np.float32), familiarity=familiarity, nearest=("cow",) * 40)
    [sentence] = prompt_warnings([task], Plain())
    assert sentence.startswith(
        "40 of the classes resemble no class that the generator was trained on, so the classifier may miss them: "
        "'yak 39', 'yak 38', 'yak 37', 'yak 36', 'yak 35' and 35 more. Use other words"
    )
    [sentence] = prompt_warnings(encode_tasks([names], Unsure()), Unsure())
    assert sentence.startswith(
        "unsure is unsure what 40 of the classes mean, so the classifier may miss them: 'yak 00',"
    )
