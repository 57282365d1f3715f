"""Model cards: which ones were edited, and that those are kept."""

from __future__ import annotations

from pathlib import Path

import pytest
from huggingface_hub import ModelCard, ModelCardData

from tina_framework.storage.card import CARD, as_code, as_line, block, keep_edited_card, was_edited, write_card

DATA = ModelCardData(license="mit", tags=["a"])


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / CARD).write_text(write_card(DATA, ["# Title", "", "Text."]))
    return tmp_path


def test_a_card_has_metadata_and_text(folder: Path) -> None:
    card = ModelCard.load(folder / CARD)
    assert card.data.to_dict() == {"license": "mit", "tags": ["a"]}
    assert card.text.strip().startswith("# Title\n\nText.\n")


def test_a_card_that_was_written_is_not_an_edited_one(folder: Path, tmp_path: Path) -> None:
    path = folder / CARD
    assert not was_edited(path)
    path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n"))  # as Git on Windows stores it
    assert not was_edited(path)
    path.write_text(path.read_text().rstrip())
    assert not was_edited(path)
    assert not was_edited(tmp_path / "absent" / CARD)


@pytest.mark.parametrize(
    "change",
    [
        lambda text: text.replace("license: mit", "license: apache-2.0"),
        lambda text: text + "\nOne more line.\n",
        lambda text: text.replace("<!--", "<!-- "),
        lambda text: "",
        lambda text: "my own",
        lambda text: text.replace("Text.", "Text. \udcff"),
    ],
)
def test_every_change_is_noticed(folder: Path, change) -> None:  # type: ignore[no-untyped-def]
    path = folder / CARD
    path.write_text(change(path.read_text()), errors="surrogateescape")
    assert was_edited(path)


def test_an_edited_card_is_kept_unless_the_new_one_was_written_by_hand(folder: Path, tmp_path: Path) -> None:
    old, new = tmp_path / "old", tmp_path / "new"
    old.mkdir()
    new.mkdir()
    written = (folder / CARD).read_text()
    (old / CARD).write_text("mine")
    keep_edited_card(old, new)
    assert list(new.iterdir()) == []
    (new / CARD).write_text(written)
    keep_edited_card(old, new)
    assert (new / CARD).read_text() == "mine"
    (new / CARD).write_text("by hand, too")
    keep_edited_card(old, new)
    assert (new / CARD).read_text() == "by hand, too"
    (new / CARD).write_text(written)
    (old / CARD).write_text(written.replace("\n", "\r\n"))
    keep_edited_card(old, new)
    assert (new / CARD).read_text() == written


def test_edited_cards_of_numbered_folders_are_kept(folder: Path, tmp_path: Path) -> None:
    for place, text in (("old", "mine"), ("new", (folder / CARD).read_text())):
        (tmp_path / place / "000").mkdir(parents=True)
        (tmp_path / place / "000" / CARD).write_text(text)
    keep_edited_card(tmp_path / "old", tmp_path / "new")
    assert (tmp_path / "new" / "000" / CARD).read_text() == "mine"


def test_texts_of_strangers_are_not_read_as_markdown() -> None:
    assert as_code("a`b\n|") == "<code>a'b &#124;</code>".replace("'", "'")
    assert as_code("plain") == "`plain`"
    assert "<" not in as_line("<b>[x](y)</b>")
    assert "`" not in block("```")
    assert len(as_code("x" * 1000)) < 600
