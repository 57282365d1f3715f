"""``tina classify`` from the outside."""

from __future__ import annotations

import errno
import json
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, JpegImagePlugin

from tina_framework.classifier.classifier import GeneratedClassifier
from tina_framework.cli import classify_command
from tina_framework.cli.__main__ import main
from tina_framework.generator.generator import Generator
from tina_framework.images import read_picture


@pytest.fixture
def tina(
    tiny_generator: Generator, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Any:
    """Runs ``tina classify`` beside a classifier folder ``model`` and two pictures: (exit code, output, errors)."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(classify_command, "output_is_terminal", lambda: True)
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


@pytest.fixture
def piped(monkeypatch: pytest.MonkeyPatch, tina: Any) -> Any:
    """Runs ``tina classify`` with its output in a pipe."""
    monkeypatch.setattr(classify_command, "output_is_terminal", lambda: False)
    return tina


def test_in_a_pipe_each_picture_is_one_line_with_tabs(piped: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "20")
    folder_of("a folder", 51)
    Path("b.jpg").rename("b\tc.jpg")
    code, out, err = piped("model", "a.png", "b\tc.jpg", "a folder", "--top-k", "2")
    assert (code, err.replace("Pictures", "")) == (0, err)
    rows = [line.split("\t") for line in out.splitlines()]
    assert [row[0] for row in rows][:3] == ["a.png", "b\\tc.jpg", "a folder/0.png"]
    assert len(rows) == 53, "no picture of a large folder is left out"
    for _, answer, probability, second, other in rows:
        assert {answer, second} < {"ant", "bee", "cat"}
        assert 1 >= float(probability) >= float(other) >= 0


def test_in_a_pipe_abstaining_has_no_probability(piped: Any) -> None:
    _, out, _ = piped("model", "a.png", "--abstain", "--threshold", "1e9", "--top-k", "1")
    name, answer, probability, best, other = out.rstrip("\n").split("\t")
    assert (name, answer, probability) == ("a.png", "none of these", "")
    assert best in ("ant", "bee", "cat")
    assert float(other) > 0


def test_in_a_pipe_the_accuracy_follows_the_lines(piped: Any) -> None:
    folder_of("known/ant", 2)
    _, out, _ = piped("model", "known", "--lines")
    first, second, accuracy = out.splitlines()[:3]
    assert [line.split("\t")[0] for line in (first, second)] == ["known/ant/0.png", "known/ant/1.png"]
    assert accuracy.startswith("Accuracy:")
    _, out, _ = piped("model", "known")
    assert out.startswith("Accuracy:")


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
    code, out, err = tina("model", "b.jpg", "a.png", "pipe.png")
    assert code == 1
    assert out.splitlines()[1].startswith("a.png")
    assert err.splitlines() == [
        "Error: Picture 'b.jpg' cannot be read (Failed to decode frame 0: BMFF parsing failed); give a complete picture file.",
        "Error: Picture 'pipe.png' cannot be read (it is a pipe, socket or device); give a regular file.",
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


def folder_of(path: str, number: int) -> None:
    Path(path).mkdir(parents=True)
    for i in range(number):
        Image.new("RGB", (40, 40), (i, 200 - i, 90)).save(f"{path}/{i}.png")


def test_pictures_of_a_folder_get_a_line_each(tina: Any) -> None:
    folder_of("holiday", 3)
    code, out, err = tina("model", "holiday", "a.png")
    assert (code, err) == (0, "")
    assert [line.split()[0] for line in out.splitlines()[1:]] == [*(f"holiday/{i}.png" for i in range(3)), "a.png"]


def test_many_pictures_of_a_folder_are_counted(tina: Any) -> None:
    folder_of("holiday", 130)
    code, out, err = tina("model", "holiday", "a.png")
    assert (code, err) == (0, "")
    assert "a.png" in out
    assert "holiday/" not in out
    assert "130 pictures (--lines shows each):" in out
    assert tina("model", "holiday", "--lines")[1].count("holiday/") == 130
    rows = json.loads(tina("model", "holiday", "--json")[1])["pictures"]
    assert len(rows) == 130
    assert len(rows[129]["answers"]) == 3


def test_class_folders_give_accuracy_and_confusion(tina: Any) -> None:
    for name, number in (("ANT", 3), ("bee", 2), ("cat", 2), ("zebra", 4)):
        folder_of(f"test/{name}", number)
    code, out, err = tina("model", "test")
    assert code == 0
    assert err.splitlines() == [
        "Left out: 4 pictures in folders not named after a class: 'zebra'. The classes are 'ant', 'bee', 'cat'."
    ]
    assert out.startswith("Accuracy: ")
    assert ".png" not in out
    value = json.loads(tina("model", "test", "--json")[1])
    assert value["left_out"] == {"zebra": 4}
    assert [row["class"] for row in value["pictures"]] == ["ant"] * 3 + ["bee"] * 2 + ["cat"] * 2
    right = sum(row["class"] == row["answers"][0]["class"] for row in value["pictures"])
    figures = value["accuracy"]
    assert (figures["pictures"], figures["right"]) == (7, right)
    assert f"Accuracy: {100 * right / 7:.1f} % ({right} of 7 pictures)" in out
    assert {name: entry["pictures"] for name, entry in figures["classes"].items()} == {"ant": 3, "bee": 2, "cat": 2}
    assert sum(sum(row.values()) for row in figures["confusion"].values()) == 7
    assert tina("model", "test", "--lines")[1].count(".png") == 7


def test_abstaining_is_right_for_other_classes(tina: Any) -> None:
    folder_of("test/ant", 2)
    folder_of("test/zebra", 4)
    code, out, err = tina("model", "test", "--abstain", "--threshold", "1e9")
    assert code == 0
    assert "For pictures in folders not named after a class, 'none of these' is right: 'zebra'." in err
    assert "(4 of 6 pictures)" in out
    figures = json.loads(tina("model", "test", "--abstain", "--threshold", "1e9", "--json")[1])["accuracy"]
    assert figures["confusion"] == {"ant": {"none of these": 2}, "none of these": {"none of these": 4}}


def test_a_damaged_picture_of_a_class_folder_is_named_and_not_counted(tina: Any) -> None:
    folder_of("test/ant", 2)
    Path("test/ant/broken.jpg").write_bytes(b"not a picture")
    code, out, err = tina("model", "test")
    assert code == 1
    assert "of 2 pictures)" in out
    assert err.startswith("Error: Picture 'test/ant/broken.jpg' cannot be read")


def test_folders_that_cannot_be_used(tina: Any) -> None:
    Path("empty").mkdir()
    code, out, err = tina("model", "empty", "a.png")
    assert code == 1
    assert "a.png" in out
    assert err == (
        "Error: The folder 'empty' and its sub-folders have no pictures (files ending in .jpg, .png, ...). Add some; "
        "deeper folders are not read.\n"
    )
    folder_of("data/test/ant", 1)
    code, out, err = tina("model", "data")
    assert (code, out) == (1, "")
    assert "'data/test' holds the classes of a data set's split; give 'data/test' itself." in err
    folder_of("zoo/zebra", 2)
    code, out, err = tina("model", "zoo")
    assert (code, out) == (1, "")
    assert err.startswith("Error: Left out: 2 pictures in folders not named after a class")


@pytest.mark.parametrize(
    ("arguments", "code", "sentence"),
    [
        (["nowhere", "a.png"], 1, "'nowhere' is not a folder"),
        ([".", "a.png"], 1, "has no config.json"),
        (["model"], 2, "Missing argument"),
        (["model", "a.png", "--top-k", "0"], 2, "Invalid value"),
        (
            ["model", "a.png", "--abstain"],
            2,
            "no threshold to abstain by (its generator was not calibrated, or only for another architecture)",
        ),
        (["model", "a.png", "--threshold", "1"], 2, "give --abstain too"),
        (["model", "a.png", "--abstain", "--threshold", "nan"], 2, "must be a finite number"),
    ],
)
def test_refusals(tina: Any, arguments: list[str], code: int, sentence: str) -> None:
    found, out, err = tina(*arguments)
    assert found == code
    assert sentence in err
    assert not out


def test_pictures_are_cropped_once(tina: Any) -> None:
    model = GeneratedClassifier.from_pretrained("model")
    model.preprocessing = replace(model.preprocessing, crop_pct=0.5)
    model.save_pretrained("model")
    [(name, probability)] = model.predict_topk("a.png", k=1)[0]
    code, out, err = tina("model", "a.png", "--json")
    assert code == 0, err
    [row] = json.loads(out)["pictures"]
    assert row["answers"][0] == {"class": name, "probability": round(probability, 6)}


def test_contact_sheet(tina: Any) -> None:
    code, out, err = tina("model", "a.png", "b.jpg", "--contact-sheet", "sheet.png")
    assert code == 0, err
    assert "The contact sheet sheet.png shows the 2 pictures with their answers." in out
    assert read_picture("sheet.png").width > 400
    code, out, _ = tina("model", "a.png", "broken.png", "--contact-sheet", "other.jpg", "--json")
    assert code == 1
    assert json.loads(out)["contact_sheet"] == "other.jpg"
    assert read_picture("other.jpg").width < 300, "without the broken picture"
    assert "contact_sheet" not in json.loads(tina("model", "a.png", "--json")[1])


def test_contact_sheet_of_class_folders(tina: Any) -> None:
    for name in ("ant", "zebra"):
        (Path("given") / name).mkdir(parents=True)
    Path("a.png").rename(Path("given") / "ant" / "a.png")
    Path("b.jpg").rename(Path("given") / "zebra" / "b.jpg")
    widths = []
    for options in ([], ["--abstain", "--threshold", "1e9"]):
        code, _, err = tina("model", "given", "--contact-sheet", "sheet.png", *options)
        assert code == 0, err
        widths.append(read_picture("sheet.png").width)
    assert widths[0] < widths[1], "pictures of other classes are left out, unless the classifier may abstain"


def test_contact_sheet_never_replaces_a_picture(tina: Any) -> None:
    before = Path("a.png").read_bytes()
    code, _, err = tina("model", "a.png", "b.jpg", "--contact-sheet", "a.png")
    assert code == 2
    assert "would replace one of the pictures" in err
    assert Path("a.png").read_bytes() == before


def test_answers_are_printed_before_a_contact_sheet_that_cannot_be_written(
    tina: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tina_framework.images.contact_sheet.replacing", no_space)
    code, out, err = tina("model", "a.png", "b.jpg", "--contact-sheet", "sheet.png")
    assert code == 2, err
    assert "a.png" in out
    assert "'sheet.png' cannot be written (No space left on device)" in err
    assert not Path("sheet.png").exists()


def no_space(path: Path) -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_contact_sheet_says_how_many_it_shows(tina: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tina_framework.images.contact_sheet.MOST_CELLS", 1)
    assert "shows the first 1 of the 2 pictures" in tina("model", "a.png", "b.jpg", "--contact-sheet", "sheet.png")[1]
