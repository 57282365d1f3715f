"""Test the notation of a class."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tina_framework.errors import DataError, PromptError
from tina_framework.prompts.class_prompt import ClassPrompt
from tina_framework.prompts.notation import Notation, after_known_name, parse_notation, read_class


@pytest.mark.parametrize(
    ("written", "parsed"),
    [
        ("apple", Notation("", "apple")),
        ("a large, grey animal", Notation("", "a large, grey animal")),
        ("elephant=a large, grey animal", Notation("elephant", "a large, grey animal")),
        ("logo=C++, with a + on it", Notation("logo", "C++, with a + on it")),
        ("a plot of y = x + 1", Notation("", "a plot of y = x + 1")),
        ("plot=y=x", Notation("plot", "y=x")),
        ("=y=x", Notation("", "y=x")),
        ("@pictures/bus", Notation("", "", ("pictures/bus",))),
        ("@a=b.png", Notation("", "", ("a=b.png",))),
        ("cat=@a.png,@b.png", Notation("cat", "", ("a.png", "b.png"))),
        ("cat = @a.png , @b.png", Notation("cat", "", ("a.png", "b.png"))),
        ("cat=@a,b.png", Notation("cat", "", ("a,b.png",))),
        ("bus=bus+@pictures/bus", Notation("bus", "bus", ("pictures/bus",))),
        ("bus + @x=y/bus + @z", Notation("", "bus", ("x=y/bus", "z"))),
        ("mail me@home", Notation("", "mail me@home")),
        ("", Notation("", "")),
    ],
)
def test_examples(written: str, parsed: Notation) -> None:
    assert parse_notation(written) == parsed


@pytest.mark.parametrize(
    ("written", "parsed"),
    [
        ("y=x", Notation("", "y=x")),
        ("Y=X", Notation("", "Y=X")),
        ("y=x=a rising line", Notation("y=x", "a rising line")),
        ("y=x=@lines", Notation("y=x", "", ("lines",))),
        ("y=x=y=x+@lines", Notation("y=x", "y=x", ("lines",))),
        ("y=x=z=words", Notation("y=x=z", "words")),
        ("y=z", Notation("y", "z")),
        ("bus=y=x", Notation("bus", "y=x")),
        ("@y=x", Notation("", "", ("y=x",))),
    ],
)
def test_known_names_that_hold_an_equals_sign_are_matched_first(written: str, parsed: Notation) -> None:
    assert parse_notation(written, ("bus", "y", "y=x", "y=x=z")) == parsed


def test_a_known_name_needs_something_after_it() -> None:
    with pytest.raises(PromptError, match="has nothing after its '='"):
        parse_notation("y=x=", ("y=x",))


def test_the_longest_known_name_counts() -> None:
    assert after_known_name("y=x=a", ("y", "y=x")) == ("y=x", "a")
    assert after_known_name("Y=a=b", ("y", "y=x")) == ("y", "a=b")
    assert after_known_name("z=a", ("y",)) is None
    assert after_known_name("y", ("y",)) is None
    assert after_known_name("=" * 1_000_000, ("y", "=")) == ("=", "=" * 999_998)


@pytest.mark.parametrize(
    ("written", "sentence"),
    [
        ("elephant=", "has nothing after its '='"),
        ("elephant=  ", "has nothing after its '='"),
        ("cat=@", "'@' without a path"),
        ("cat=@a.png,@", "'@' without a path"),
    ],
)
def test_refusals(written: str, sentence: str) -> None:
    with pytest.raises(PromptError, match=sentence):
        parse_notation(written)


LETTERS = "ab =+,@"


def pieces(alphabet: str, last: str) -> st.SearchStrategy[str]:
    """Stripped texts, not empty, that end with one of `last`. They are built rather than filtered, which is faster."""
    return st.builds(lambda body, end: (body + end).strip(), st.text(alphabet, max_size=11), st.sampled_from(last))


LABELS = pieces("ab +,", "ab+,")
WORDS = pieces("ab =+,", "ab=")
PATHS = pieces("ab =+,", "ab=")


@given(LABELS, st.none() | WORDS, st.lists(PATHS, max_size=3))
def test_label_words_and_files_are_found_again(label: str, words: str | None, paths: list[str]) -> None:
    said = "+".join(
        [*([] if words is None else [words]), *(",".join(f"@{path}" for path in paths),)][: 2 if paths else 1]
    )
    if not said:
        return
    assert parse_notation(f"{label}={said}") == Notation(label, words or "", tuple(paths))


@given(st.text(max_size=40))
def test_words_without_special_characters_are_not_changed(text: str) -> None:
    if "@" not in text and "=" not in text:
        assert parse_notation(text) == Notation("", text)
        assert read_class(text) == text


@given(st.text(alphabet=LETTERS, max_size=20))
def test_any_text_is_read_or_refused_with_one_sentence(text: str) -> None:
    try:
        parsed = parse_notation(text)
    except PromptError:
        return
    assert bool(parsed.words) or bool(parsed.files) or not text.strip()


def test_pictures_are_read_and_their_name_is_the_label(picture_folder: Path) -> None:
    folder = read_class("@bus", picture_folder)
    assert isinstance(folder, ClassPrompt)
    assert (folder.label, folder.texts, len(folder.images)) == ("bus", (), 3)
    one = read_class(f"@{picture_folder / 'a.png'}")
    assert isinstance(one, ClassPrompt)
    assert (one.label, len(one.images)) == ("a", 1)
    both = read_class("autobus=a bus+@bus,@a.png", picture_folder)
    assert isinstance(both, ClassPrompt)
    assert (both.label, both.texts, len(both.images)) == ("autobus", ("a bus",), 4)
    unlabelled = read_class("omnibus+@bus", picture_folder)
    assert isinstance(unlabelled, ClassPrompt)
    assert unlabelled.label == "omnibus"


def test_a_trailing_slash_or_a_dot_still_has_a_name(picture_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(picture_folder / "bus")
    for written in ("@.", f"@{picture_folder}/bus/"):
        read = read_class(written)
        assert isinstance(read, ClassPrompt)
        assert read.label == "bus"


@pytest.mark.parametrize(
    ("written", "error", "sentence"),
    [
        ("@a.png,@b.png", PromptError, "several pictures but no label; write LABEL=@a.png,@b.png"),
        ("cat=@c.png", DataError, "does not exist; check the path[.]"),
        ("bus=@bus+bus", DataError, "write words before the pictures"),
        ("cat=@a.png,b.png", DataError, "write @ before every file"),
        ("all=@.", PromptError, "has no picture .*; give one of its folders, such as '.*bus'"),
    ],
)
def test_missing_pictures_are_refused(
    picture_folder: Path, written: str, error: type[Exception], sentence: str
) -> None:
    (picture_folder / "only").mkdir()
    (picture_folder / "bus").rename(picture_folder / "only" / "bus")
    folder = picture_folder / "only" if "@." in written else picture_folder
    with pytest.raises(error, match=sentence):
        read_class(written, folder)


@pytest.mark.parametrize(("path", "sentence"), [("~no-such-user/x", "does not exist"), ("y" * 5000, "cannot be read")])
def test_impossible_paths_are_refused(path: str, sentence: str) -> None:
    with pytest.raises(DataError, match=sentence):
        read_class(f"cat=@{path}")
