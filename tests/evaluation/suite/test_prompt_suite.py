"""The suite on noise: what is measured, on which tasks, and what is written."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.conftest import TOY_CLASSES, ToyEncoder
from tina_framework.cli.__main__ import main
from tina_framework.evaluation.calibration.familiarity_fit import fit_familiarity
from tina_framework.evaluation.suite.prompt_measurer import PromptMeasurer, SuiteRequest
from tina_framework.evaluation.suite.prompt_suite import run_suite
from tina_framework.interfaces.dataset import ArrayDataset, LabelledImages
from tina_framework.plugin.discovery import registries
from tina_framework.zoo.reservation import partition_of

CLASSES = (*TOY_CLASSES, "yak", "zebu")


class SeeingToy(ToyEncoder):
    """A picture's first pixel says which class it shows, roughly."""

    name = "seeing-toy"

    def encode_images(self, images: list[Any]) -> Any:
        names = [CLASSES[np.asarray(image)[0, 0, 0]] for image in images]
        return self.encode_text(names) + np.float32(0.3)


@pytest.fixture(scope="module")
def dataset() -> Any:
    draws = np.random.default_rng(0)
    labels = np.repeat(np.arange(len(CLASSES)), 60)
    images = draws.integers(0, 256, (len(labels), 32, 32, 3), dtype=np.uint8)
    images[:, 0, 0, 0] = labels
    part = LabelledImages(images, labels)
    few = LabelledImages(images[::12], labels[::12])
    groups = tuple(i // 4 for i in range(len(CLASSES)))
    return ArrayDataset("noise", CLASSES, {"train": part, "validation": part, "test": few}, groups)


@pytest.fixture
def request_of(tiny_folder: Path, dataset: Any) -> Any:
    if "seeing-toy" not in registries().encoders:
        registries().encoders.add("seeing-toy", SeeingToy)

    def make(**settings: Any) -> SuiteRequest:
        return SuiteRequest(str(tiny_folder), dataset, "seeing-toy", num_tasks=3, num_classes=5, **settings)

    return make


def test_the_suite_measures_what_it_says(request_of: Any) -> None:
    result = run_suite(request_of())
    names = result["variants"][0]
    assert names["variant"] == "names"
    assert names["minus_names"]["mean"] == 0
    assert {row["group"] for row in result["variants"]} == {"text", "pictures", "mixed"}
    # Known names in capitals are the same prompts; so are the classes in another order.
    assert result["variants"][1]["accuracy"] == names["accuracy"]
    assert result["order"]["same_answers"] == 1.0
    assert [row["num_classes"] for row in result["class_counts"]] == list(range(2, 11))
    assert all("minus_selection" in row for row in result["class_counts"])
    assert {row["variant"] for row in result["familiarity"]} >= {"names", "1 picture", "20 pictures"}
    assert result["familiarity"][0]["auroc"] == 1.0  # known names are known, yak and zebu are not


def test_tasks_are_reserved_and_of_known_classes(request_of: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[tuple[str, ...]] = []
    measure = PromptMeasurer.measure

    def watch(self: PromptMeasurer, tasks: Any, *rest: Any, **more: Any) -> Any:
        seen.extend(tuple(task) for task in tasks)
        return measure(self, tasks, *rest, **more)

    monkeypatch.setattr(PromptMeasurer, "measure", watch)
    run_suite(request_of(image_split="validation"))
    assert seen
    assert {partition_of(task) for task in seen} == {"validation"}
    strange = [set(task) - set(TOY_CLASSES) for task in seen]
    assert {len(classes) for classes in strange} == {0, 2}  # 0, 2, ... strange classes, of the two there are


def test_validation_shows_and_measures_different_images(request_of: Any) -> None:
    world = PromptMeasurer(request_of(image_split="validation"))
    shown = {image.tobytes() for image in world.speaker.pictures.images}
    measured = np.asarray(world.dataset.load("validation").images)
    assert len(shown) == len(measured) // 2
    assert len(world.scorer.bank.images) == len(measured) // 2


def test_familiarity_is_fitted_by_leaving_out(request_of: Any, tmp_path: Path) -> None:
    world = PromptMeasurer(request_of())
    lines = fit_familiarity(world)
    assert lines.keys() == {"text", "images"}
    assert lines["images"][1] > 0  # the more similar, the more familiar
    assert lines["text"][2:] == (0.0, 0.0)  # misspelt names say nothing about the number of words
    described = tmp_path / "said.json"
    described.write_text(json.dumps({name: f"one of the many kinds of {name} there are" for name in CLASSES}))
    by_words = fit_familiarity(PromptMeasurer(request_of(descriptions=described)))["text"]
    assert by_words[2:] != (0.0, 0.0)


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ([], "one of the two"),
        (["--suite", "prompts", "--tasks", "x.json"], "one of the two"),
        (["--suite", "prompts", "--methods", "tina"], "--methods means nothing"),
        (["--tasks", "x.json", "--descriptions", "y.json"], "--descriptions means nothing"),
        (["--tasks", "x.json", "--num-tasks", "5"], "--num-tasks means nothing"),
    ],
)
def test_the_command_refuses(
    words: list[str], sentence: str, tiny_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    base = ["evaluate", "--model", str(tiny_folder), "--dataset", "shapes", "--out", str(tmp_path / "out")]
    with pytest.raises(SystemExit) as end:
        main(base + words)
    assert end.value.code == 2
    assert sentence in " ".join(capsys.readouterr().err.split())
    assert not (tmp_path / "out").exists()


def test_the_recorded_command_is_one_that_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from tina_framework.cli import suite_command
    from tina_framework.evaluation.suite import prompt_suite

    asked = []

    def stop(request: SuiteRequest, advance: Any) -> Any:
        asked.append(request.command)
        raise KeyboardInterrupt

    monkeypatch.setattr(prompt_suite, "run_suite", stop)
    options = {"--model": "m", "--dataset": "shapes", "--encoder": None, "--descriptions": None, "--num-tasks": 2}
    options |= {"--classes": 3, "--split": "test", "--device": "cpu", "--seed": 0}
    with pytest.raises(KeyboardInterrupt):
        suite_command.evaluate_prompts(options, tmp_path / "found", json_=False)
    assert asked[0].endswith("--num-tasks 2 --classes 3 --split test --device cpu --out found")


def test_the_files(request_of: Any, tmp_path: Path) -> None:
    from tina_framework.evaluation.suite.suite_tables import markdown, short_rows, write_suite

    result = run_suite(request_of())
    write_suite(tmp_path, result)
    assert json.loads((tmp_path / "prompts.json").read_text())["variants"] == result["variants"]
    text = (tmp_path / "prompts.md").read_text()
    assert text == markdown(result)
    assert text.count("| names |") >= 2  # in the first table, and in those of familiarity
    assert [row["prompts"] for row in short_rows(result)] == [row["variant"] for row in result["variants"]]
