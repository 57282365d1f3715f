"""``tina classify`` from the outside."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, JpegImagePlugin

from tina_framework.cli.__main__ import main
from tina_framework.generator.generator import Generator


@pytest.fixture
def tina(
    tiny_generator: Generator, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Any:
    """Runs ``tina classify`` beside a classifier folder ``model`` and two pictures: (exit code, output, errors)."""
    monkeypatch.chdir(tmp_path)
    tiny_generator(["ant", "bee", "cat"]).save_pretrained("model")
    draws = np.random.default_rng(0)
    for name, mode in (("a.png", "RGB"), ("b.jpg", "L")):
        Image.fromarray(draws.integers(0, 256, (50, 70, 3), dtype=np.uint8)).convert(mode).save(name)
    Path("broken.png").write_bytes(b"not a picture")

    def run(*arguments: str) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as caught:
            main(["classify", *arguments])
        printed = capsys.readouterr()
        return int(caught.value.code or 0), printed.out, printed.err

    return run


def test_answers(tina: Any) -> None:
    code, out, err = tina("model", "a.png", "b.jpg")
    assert code == 0, err
    assert not err
    lines = out.splitlines()
    assert lines[0].split() == ["picture", "answer", "probability", "then"]
    assert lines[1].startswith("a.png")
    assert lines[2].startswith("b.jpg")
    assert all(name in lines[1] for name in ("ant", "bee", "cat"))


def test_json_agrees_with_the_library(tina: Any) -> None:
    from tina_framework.classifier.classifier import GeneratedClassifier

    code, out, _ = tina("model", "a.png", "b.jpg", "--top-k", "2", "--json")
    assert code == 0
    rows = json.loads(out)["pictures"]
    assert [row["picture"] for row in rows] == ["a.png", "b.jpg"]
    expected = GeneratedClassifier.from_pretrained("model").predict_topk(["a.png", "b.jpg"], k=2)
    for row, best in zip(rows, expected, strict=True):
        assert [answer["class"] for answer in row["answers"]] == [name for name, _ in best]
        assert [answer["probability"] for answer in row["answers"]] == pytest.approx([p for _, p in best], abs=1e-5)


def test_top_1(tina: Any) -> None:
    code, out, _ = tina("model", "a.png", "--top-k", "1")
    assert code == 0
    assert "then" not in out


def test_unreadable_pictures_are_named_and_the_rest_is_answered(tina: Any) -> None:
    code, out, err = tina("model", "broken.png", "a.png", "missing.png")
    assert code == 1
    assert "a.png" in out
    assert "broken.png" not in out
    assert err.splitlines() == [
        "Error: Picture 'broken.png' cannot be read (unknown picture format); give a complete picture file.",
        "Error: Picture 'missing.png' does not exist; check the path.",
    ]
    code, out, _ = tina("model", "broken.png", "a.png", "--json")
    assert code == 1
    rows = json.loads(out)["pictures"]
    assert "cannot be read" in rows[0]["error"]
    assert rows[1]["answers"]


def test_any_failure_of_a_decoder_keeps_the_other_answers(tina: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    os.mkfifo("pipe.png")
    original = JpegImagePlugin.JpegImageFile.load

    def broken(self: Any) -> Any:
        if self.filename.endswith("b.jpg"):
            raise RuntimeError("Failed to decode frame 0: BMFF parsing failed")
        return original(self)

    monkeypatch.setattr(JpegImagePlugin.JpegImageFile, "load", broken)
    code, out, err = tina("model", "b.jpg", "a.png", "pipe.png", ".")
    assert code == 1
    assert out.splitlines()[1].startswith("a.png")
    assert err.splitlines() == [
        "Error: Picture 'b.jpg' cannot be read (Failed to decode frame 0: BMFF parsing failed); give a complete picture file.",
        "Error: Picture 'pipe.png' cannot be read (it is a pipe, socket or device); give a regular file.",
        "Error: Picture '.' cannot be read (it is a folder); give picture files.",
    ]


def test_a_picture_that_is_too_large_is_one_sentence(tina: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 3000)  # the pictures have 3,500
    code, out, err = tina("model", "a.png")
    assert code == 1
    assert not out
    assert [line.split(" (")[0] for line in err.splitlines()] == [
        "Error: Picture 'a.png' is too large to be opened safely"
    ]


def test_none_of_these(tina: Any) -> None:
    code, out, err = tina("model", "a.png", "b.jpg", "--abstain", "--threshold", "1e9")
    assert code == 0, err
    assert out.count("none of these") == 2
    assert "score" in out.splitlines()[0]
    code, out, _ = tina("model", "a.png", "--abstain", "--threshold", "-1e9", "--json")
    [row] = json.loads(out)["pictures"]
    assert row["answer"] == row["answers"][0]["class"]
    code, out, _ = tina("model", "a.png", "--abstain", "--threshold", str(row["score"] + 0.01), "--json")
    [again] = json.loads(out)["pictures"]
    assert again["answer"] is None
    assert (again["score"], again["answers"]) == (row["score"], row["answers"])


@pytest.mark.parametrize(
    ("arguments", "code", "sentence"),
    [
        (["nowhere", "a.png"], 1, "'nowhere' is not a folder"),
        ([".", "a.png"], 1, "has no config.json"),
        (["model"], 2, "Missing argument"),
        (["model", "a.png", "--top-k", "0"], 2, "Invalid value"),
        (["model", "a.png", "--abstain"], 2, "no threshold to abstain by (its generator was not calibrated)"),
        (["model", "a.png", "--threshold", "1"], 2, "give --abstain too"),
        (["model", "a.png", "--abstain", "--threshold", "nan"], 2, "must be a finite number"),
    ],
)
def test_refusals(tina: Any, arguments: list[str], code: int, sentence: str) -> None:
    found, out, err = tina(*arguments)
    assert found == code
    assert sentence in err
    assert not out
