from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tina_framework.classifier.classifier import GeneratedClassifier
from tina_framework.errors import ConfigError, DataError, PromptError
from tina_framework.generator.generator import Generator
from tina_framework.ui import session as session_module
from tina_framework.ui.session import Sample, Session


def picture(seed: int, format: str = "PNG", size: tuple[int, int] = (50, 40)) -> bytes:
    pixels = np.random.default_rng(seed).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, format)
    return file.getvalue()


@pytest.fixture
def session(tiny_generator: Generator) -> Session:
    made = Session(tiny_generator)
    made.generate("ant, bee\ncat")
    return made


def answers(session: Session) -> list[Any]:
    return [row["now"] for row in session.to_json()["photographs"]]


def test_a_new_page_has_nothing(tiny_generator: Generator) -> None:
    state = Session(tiny_generator).to_json()
    assert state == {"words": "", "classifier": None, "notes": [], "photographs": [], "teaching": None}


def test_words_become_the_classifier_that_the_generator_makes(session: Session, tiny_generator: Generator) -> None:
    state = session.to_json()["classifier"]
    assert state["classes"] == ["ant", "bee", "cat"]
    assert state["parameters"] == tiny_generator(["ant", "bee", "cat"]).num_parameters
    assert state["seconds"]["generate"] > 0
    assert not state["fine_tuned"]


def test_unfamiliar_words_are_noted(tiny_generator: Generator) -> None:
    session = Session(tiny_generator)
    session.generate("ant\na mystery")
    assert any("mystery" in note for note in session.to_json()["notes"])
    session.generate("ant, bee")
    assert session.to_json()["notes"] == []


def test_words_that_are_no_task_leave_the_classifier(session: Session) -> None:
    with pytest.raises(PromptError):
        session.generate("ant, ant")
    assert session.to_json()["classifier"]["classes"] == ["ant", "bee", "cat"]


def test_many_classes_become_an_ensemble(tiny_generator: Generator) -> None:
    session = Session(tiny_generator)
    session.generate("ant, bee, cat, dog, eel, fox, gnu, hen, ibis, jay, kite, lion")
    assert session.to_json()["classifier"]["networks"] > 1


def test_answers_are_those_of_the_library(session: Session, tiny_generator: Generator) -> None:
    data = [picture(0), picture(1, "JPEG", (700, 500))]
    for number, each in enumerate(data):
        session.add_photograph(f"{number}.png", each)
    expected = tiny_generator(["ant", "bee", "cat"]).predict_topk(data)
    for row, best in zip(session.to_json()["photographs"], expected, strict=True):
        assert [(entry["class"], entry["probability"]) for entry in row["now"]["top"]] == [
            (name, pytest.approx(p, abs=1e-6)) for name, p in best
        ]
        assert row["before"] is None


def test_a_photograph_may_come_before_the_words(tiny_generator: Generator) -> None:
    session = Session(tiny_generator)
    session.add_photograph("a.png", picture(0))
    assert answers(session) == [None]
    session.generate("ant, bee")
    [first] = answers(session)
    session.generate("ant, dog")
    assert {entry["class"] for entry in first["top"]} == {"ant", "bee"}
    assert {entry["class"] for entry in answers(session)[0]["top"]} == {"ant", "dog"}


def test_an_unsure_answer_is_marked(session: Session) -> None:
    session.add_photograph("a.png", picture(0))
    assert not answers(session)[0]["unsure"]
    session.classifier.abstention_threshold = 1e6
    session.add_photograph("b.png", picture(1))
    assert answers(session)[1]["unsure"]


@pytest.mark.parametrize("data", [b"", b"%PDF-1.4 no picture", b"\x89PNG\r\n\x1a\n"])
def test_what_is_no_picture_is_refused_by_its_name(session: Session, data: bytes) -> None:
    with pytest.raises(DataError, match=r"'me.png' cannot be read"):
        session.add_photograph("me.png", data)
    assert session.to_json()["photographs"] == []


def test_a_picture_of_too_many_pixels_is_refused(session: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    with pytest.raises(DataError, match=r"'me.png' is too large to be opened safely"):
        session.add_photograph("me.png", picture(0))


def test_limits_are_kept(session: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session_module, "MAX_PHOTOGRAPHS", 1)
    monkeypatch.setattr(session_module, "MAX_EXAMPLES", 1)
    session.add_photograph("a.png", picture(0))
    with pytest.raises(DataError, match="which is the limit"):
        session.add_photograph("b.png", picture(1))
    session.add_example(0, "a.png", picture(2))
    with pytest.raises(DataError, match="which is the limit"):
        session.add_example(1, "b.png", picture(3))
    with pytest.raises(DataError, match="which is the limit"):
        session.teach(1, 2)
    monkeypatch.setattr(session_module, "MAX_PICTURE_BYTES", 10)
    session.remove_photographs()
    with pytest.raises(DataError, match=r"'c.png' has more than"):
        session.add_photograph("c.png", picture(4))


def test_photographs_can_be_removed(session: Session) -> None:
    for number in range(3):
        session.add_photograph(f"{number}.png", picture(number))
    session.remove_photographs(2)
    session.remove_photographs(2)
    assert [row["id"] for row in session.to_json()["photographs"]] == [1, 3]
    session.remove_photographs()
    assert session.to_json()["photographs"] == []


def test_fine_tuning_gives_what_the_library_gives(session: Session, tiny_generator: Generator) -> None:
    data = [picture(number) for number in range(6)]
    session.add_photograph("a.png", picture(9))
    [before] = answers(session)
    for number, each in enumerate(data):
        session.add_example(number % 3, f"{number}.png", each)
    assert session.to_json()["teaching"] == {"counts": [2, 2, 2], "needs": ""}
    session.fine_tune()
    tuned = tiny_generator(["ant", "bee", "cat"]).fine_tune(data, ["ant", "bee", "cat"] * 2)
    [row] = session.to_json()["photographs"]
    assert row["before"] == before
    [expected] = tuned.predict_topk([picture(9)])
    assert row["now"]["top"][0] == {"class": expected[0][0], "probability": pytest.approx(expected[0][1], abs=1e-5)}
    assert row["now"] != before
    assert session.to_json()["classifier"]["fine_tuned"]
    session.undo()
    assert answers(session) == [before]
    assert session.to_json()["photographs"][0]["before"] is None


def test_fine_tuning_does_not_crop_twice(session: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    """A classifier that crops sees only the middle of a picture, and must see the same of a picture to teach with."""
    seen: list[Any] = []
    prepare = session_module.FineTuneData.prepare
    cropping = replace(session.classifier.preprocessing, crop_pct=0.5)
    monkeypatch.setattr(session_module.Preprocessing, "of", classmethod(lambda cls, architecture: cropping))
    monkeypatch.setattr(
        session_module.FineTuneData, "prepare", lambda *a, **k: seen.append(prepare(*a, **k)) or seen[-1]
    )
    session.classifier.preprocessing = cropping
    for label in range(3):
        session.add_example(label, "a.png", picture(label))
    session.fine_tune()
    expected = cropping(cropping.pixels([picture(label) for label in range(3)]))
    assert np.array_equal(seen[0].inputs.numpy(), expected.numpy())
    assert session.classifier.preprocessing == cropping


def test_what_is_missing_for_fine_tuning_is_said(session: Session) -> None:
    with pytest.raises(DataError, match="no pictures to teach with"):
        session.fine_tune()
    session.add_example(1, "a.png", picture(0))
    assert session.to_json()["teaching"]["needs"].endswith("Still missing: ant, cat.")
    with pytest.raises(DataError, match="There is no picture of 'ant', 'cat'"):
        session.fine_tune()


def test_a_photograph_can_teach(session: Session) -> None:
    session.add_photograph("a.png", picture(0))
    session.teach(1, 2)
    session.teach(1, 0)
    assert session.to_json()["teaching"]["counts"] == [1, 0, 0]
    assert session.to_json()["photographs"][0]["taught"] == "ant"
    session.remove_photographs(1)
    assert session.to_json()["teaching"]["counts"] == [1, 0, 0]
    session.remove_examples(0)
    assert session.to_json()["teaching"]["counts"] == [0, 0, 0]
    session.add_photograph("b.png", picture(1))
    session.teach(2, 1)
    session.teach(2, None)
    assert session.to_json()["photographs"][0]["taught"] is None


@pytest.mark.parametrize("label", [-1, 3])
def test_unknown_classes_and_photographs_are_refused(session: Session, label: int) -> None:
    with pytest.raises(DataError, match="That class is no longer there"):
        session.add_example(label, "a.png", picture(0))
    with pytest.raises(DataError, match="That photograph is no longer there"):
        session.teach(7, 0)


def test_new_words_keep_the_pictures_of_classes_that_stay(session: Session) -> None:
    session.add_example(0, "a.png", picture(0))
    session.add_example(1, "b.png", picture(1))
    session.generate("ant, dog")
    assert session.to_json()["teaching"]["counts"] == [1, 0]
    assert "removed" in session.to_json()["notes"][-1]


def test_nothing_works_without_a_classifier(tiny_generator: Generator, tmp_path: Path) -> None:
    session = Session(tiny_generator)
    for action in (
        session.fine_tune,
        session.add_samples,
        lambda: session.add_example(0, "a.png", picture(0)),
        lambda: session.download("folder", tmp_path),
    ):
        with pytest.raises(ConfigError, match="no classifier yet"):
            action()


def test_samples_are_added_up_to_the_limit(
    tiny_generator: Generator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(2):
        (tmp_path / f"{number}.png").write_bytes(picture(number))

    def samples(class_names: Sequence[str]) -> list[Sample]:
        return [Sample(tmp_path / f"{number}.png", "ant") for number in range(2)] if "ant" in class_names else []

    session = Session(tiny_generator, samples)
    session.generate("ant, bee")
    assert session.to_json()["classifier"]["samples"] == 2
    monkeypatch.setattr(session_module, "MAX_PHOTOGRAPHS", 1)
    assert [sample.path.name for sample in session.add_samples()] == ["0.png"]
    assert [row["name"] for row in session.to_json()["photographs"]] == ["0.png"]
    session.remove_photographs()
    session.generate("bee, cat")
    with pytest.raises(DataError, match="No sample picture"):
        session.add_samples()


def test_the_fine_tuned_classifier_is_downloaded(session: Session, tmp_path: Path) -> None:
    import zipfile

    for label in range(3):
        session.add_example(label, "a.png", picture(label))
    session.fine_tune()
    made = session.download("folder", tmp_path)
    assert made.name == "ant-bee-cat.zip"
    zipfile.ZipFile(made.path).extractall(tmp_path / "out")
    loaded = GeneratedClassifier.from_pretrained(tmp_path / "out" / "ant-bee-cat")
    assert len(loaded.provenance["fine_tuning"]) == 1
    assert np.array_equal(loaded.predict_proba(picture(5)), session.classifier.predict_proba(picture(5)))


def test_a_format_that_cannot_hold_the_network_says_so_from_then_on(
    session: Session, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*arguments: Any, **settings: Any) -> None:
        raise ConfigError("Format 'tiny' holds no such network.")

    monkeypatch.setattr(session_module, "write_download", refuse)
    name = session.formats()[1]["name"]
    with pytest.raises(ConfigError):
        session.download(name, tmp_path)
    assert session.formats()[1]["problem"] == "Format 'tiny' holds no such network."
    session.generate("ant, bee")
    assert "no such network" not in session.formats()[1]["problem"]
