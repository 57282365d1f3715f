"""Test how tables are read and split."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tina_framework.errors import DataError
from tina_sentence_transformers.rows import families, read_names, read_rows

NAMES = np.array([f"name {letter}" for letter in "abcdefghijklmnop"])
VECTORS = np.random.default_rng(0).standard_normal((16, 4)).astype(np.float32)


def test_the_other_layouts_of_a_table(tmp_path: Path) -> None:
    wide = np.random.default_rng(0).standard_normal((16, 512)).astype(np.float16)
    np.savez(tmp_path / "one.npz", name=NAMES, emb=wide)
    np.savez(tmp_path / "two.npz", class_names=NAMES, a=wide, this_is_a=wide)
    one, two = read_rows(tmp_path / "one.npz"), read_rows(tmp_path / "two.npz")
    assert (one.templates, two.templates) == (("a {}",), ("a {}", "This is a {}"))
    assert one.space == two.space == "openai/clip-vit-base-patch32"
    np.testing.assert_allclose(np.linalg.norm(two.vectors_TME, axis=2), 1.0)


def test_the_first_of_equal_names_is_used(tmp_path: Path) -> None:
    np.savez(
        tmp_path / "t.npz",
        names=np.array(["a-b", "c", "A B"]),
        vectors=np.eye(3, dtype=np.float32),
        space=np.array("s"),
    )
    rows = read_rows(tmp_path / "t.npz")
    assert rows.names == ("a-b", "c")
    np.testing.assert_array_equal(rows.vectors_TME[0], np.eye(3)[:2])


def test_synonyms_have_the_same_key() -> None:
    keys = families(
        ["Goldfish", "goldfish, Carassius auratus", "Carassius auratus (fish)", "cats", "cat", "bass", "grass"]
    )
    assert len(set(keys[:3])) == 1
    assert keys[3] == keys[4]
    assert len(set(keys)) == 4
    assert families(["cat", "cats"]) == families(["cats", "cat"])


@pytest.mark.parametrize(
    ("arrays", "says"),
    [
        ({"x": VECTORS}, "has the arrays x"),
        ({"names": NAMES[:3], "vectors": VECTORS, "space": np.array("s")}, "3 names, but vectors of shape (1, 16, 4)"),
        ({"names": np.arange(16), "vectors": VECTORS, "space": np.array("s")}, "expected (M,) strings"),
        ({"names": NAMES, "vectors": VECTORS}, "states no 'space'"),
        ({"names": NAMES, "vectors": VECTORS * 0, "space": np.array("s")}, "zero or not finite"),
        ({"names": NAMES, "vectors": VECTORS * np.nan, "space": np.array("s")}, "zero or not finite"),
        (
            {"names": NAMES, "vectors": VECTORS, "space": np.array("s"), "templates": np.array(["a"])},
            "as many templates",
        ),
        ({"names": NAMES.astype(object), "vectors": VECTORS, "space": np.array("s")}, "cannot be read as .npz"),
        (None, "cannot be read as .npz"),
    ],
)
def test_a_bad_table_is_refused(tmp_path: Path, arrays: dict[str, np.ndarray] | None, says: str) -> None:
    path = tmp_path / "bad.npz"
    if arrays is None:
        path.write_text("no archive")
    else:
        np.savez(path, **arrays)
    with pytest.raises(DataError) as caught:
        read_rows(path)
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)


def test_names_with_a_byte_order_mark(tmp_path: Path) -> None:
    (tmp_path / "names.txt").write_bytes(b"\xef\xbb\xbfapple\r\nbear\r\n")
    assert read_names(tmp_path / "names.txt") == ["apple", "bear"]
