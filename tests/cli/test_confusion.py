"""Accuracy and confusion, as JSON and in a terminal."""

from __future__ import annotations

import pytest

from tina_framework.cli.confusion import NONE, Confusion

PAIRS = [("ant", "ant"), ("ant", "bee"), ("ant", "bee"), ("ant", NONE), ("bee", "bee"), (NONE, NONE)]


def test_json() -> None:
    assert Confusion(PAIRS, ["ant", "bee", "cat"]).to_json() == {
        "pictures": 6,
        "right": 3,
        "accuracy": 0.5,
        "class_mean": 0.75,
        "classes": {
            "ant": {"pictures": 4, "right": 1, "accuracy": 0.25},
            "bee": {"pictures": 1, "right": 1, "accuracy": 1.0},
            NONE: {"pictures": 1, "right": 1, "accuracy": 1.0},
        },
        "confusion": {"ant": {"ant": 1, "bee": 2, NONE: 1}, "bee": {"bee": 1}, NONE: {NONE: 1}},
    }


def test_a_table_for_few_classes(capsys: pytest.CaptureFixture[str]) -> None:
    Confusion(PAIRS, ["ant", "bee", "cat"]).show()
    lines = [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()]
    assert "Accuracy: 50.0 % (3 of 6 pictures), mean over 3 classes: 75.0 %" in lines
    assert "ant 4 1 25.0 % bee 2, none of these 1" in lines
    assert "1 ant 1 2 1" in lines
    assert "2 bee . 1 ." in lines


def test_twenty_classes_fit_into_eighty_columns(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    names = [f"class {i}" for i in range(20)]
    Confusion([(a, b) for a in names for b in names for _ in range(4)], names).show()
    table = capsys.readouterr().out.split("Rows: true class")[1].splitlines()[2:]
    assert len(table) == 20
    assert all(len(line.split()) == 23 for line in table)


def test_a_list_for_many_classes(capsys: pytest.CaptureFixture[str]) -> None:
    names = [f"class {i}" for i in range(40)]
    Confusion([(name, name) for name in names] + [("class 7", "class 9")] * 3, names).show()
    out = capsys.readouterr().out
    assert "Rows: true class" not in out
    assert "Most frequent confusions" in out
    assert "class 7 class 9 3" in [" ".join(line.split()) for line in out.splitlines()]


def test_nothing_is_listed_where_all_is_right(capsys: pytest.CaptureFixture[str]) -> None:
    Confusion([("ant", "ant")], ["ant", "bee"]).show()
    out = capsys.readouterr().out
    assert out.startswith("Accuracy: 100.0 % (1 of 1 pictures)")
    assert "Rows" not in out
