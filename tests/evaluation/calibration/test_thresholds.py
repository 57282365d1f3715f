"""Calibrating a generator: tasks, thresholds, and how they get into its folder."""

from __future__ import annotations

import copy
import dataclasses
import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.generator.test_open_vocabulary import Words
from tests.generator.test_open_vocabulary import make as make_open
from tina_framework.builtins.datasets.arrays import arrays
from tina_framework.classifier.abstention import AbstentionThresholds
from tina_framework.errors import CheckpointError, ConfigError, DataError
from tina_framework.evaluation.calibration.thresholds import (
    calibrate,
    calibration_images,
    calibration_tasks,
    class_counts,
    is_new_data,
)
from tina_framework.evaluation.evaluate import config_sha256
from tina_framework.evaluation.model_metadata import record_calibration
from tina_framework.generator.card import model_card
from tina_framework.generator.folder import find_folder, read_folder
from tina_framework.generator.generator import Generator
from tina_framework.interfaces.dataset import ArrayDataset, LabelledImages
from tina_framework.storage.digest import renew_digest
from tina_framework.zoo.reservation import partition_of


@pytest.fixture
def folder(tmp_path: Path, tiny_folder: Path) -> Path:
    shutil.copytree(tiny_folder, tmp_path / "tiny")
    return tmp_path / "tiny"


def test_tasks_are_of_the_validation_partition_and_of_seen_classes(tiny_generator: Generator, dataset: Any) -> None:
    assert class_counts(tiny_generator.config) == [2, 3, 5, 10]
    wider = ArrayDataset("wider", (*dataset.class_names, "moth", "newt"), {"test": dataset.load("test")})
    seen, by_count = calibration_tasks(tiny_generator.config, wider, [2, 3, 12], 4)
    assert seen == list(dataset.class_names)
    assert set(by_count) == {2, 3}  # of 12 classes nothing is outside
    for count, tasks in by_count.items():
        assert 0 < len(tasks) <= 4
        for task in tasks:
            assert len(task.classes) == count
            assert partition_of(task.classes) == "validation"
            assert set(task.classes) <= set(seen)
    other = ArrayDataset("other", tuple("abcdefghijkl"), {"test": dataset.load("test")})
    with pytest.raises(DataError, match="has 0 of the generator's 12 classes"):
        calibration_tasks(tiny_generator.config, other, [2], 4)


def test_all_classes_of_new_data_are_used_by_a_generator_that_reads_any_words(dataset: Any) -> None:
    generator = make_open()
    generator.encoder = Words()
    assert is_new_data(generator.config, dataset)
    assert calibration_images(generator.config, dataset) == "train+validation"
    seen, by_count = calibration_tasks(generator.config, dataset, [2, 4], 3)
    assert seen == list(dataset.class_names)
    assert set(by_count) == {2, 4}
    abstention, rows = calibrate(generator, dataset, num_tasks=1)
    assert abstention.encoder == "words"
    assert [row["num_classes"] for row in rows] == [2, 3, 4]
    few = ArrayDataset("few", ("pin", "pen"), {})
    with pytest.raises(DataError, match="has 2 classes, too few"):
        calibration_tasks(generator.config, few, [2], 3)
    trained = ArrayDataset("trained", generator.config.class_names[:3], {})
    assert not is_new_data(generator.config, trained)
    assert calibration_images(generator.config, trained) == "validation"


def test_thresholds_keep_what_was_asked_for(tiny_generator: Generator, dataset: Any) -> None:
    abstention, rows = calibrate(tiny_generator, dataset, kept=0.5, num_tasks=3)
    assert (abstention.kept, abstention.encoder) == (0.5, "toy")
    assert list(abstention.thresholds) == [row["num_classes"] for row in rows]
    # The rounded threshold may cost the last picture, which counts for much where few answers are right.
    assert all(0.3 <= row["kept"] <= 1 for row in rows)
    again, _ = calibrate(tiny_generator, dataset, kept=0.5, num_tasks=3)
    assert again == abstention
    for wrong in ({"kept": 1.5}, {"num_tasks": 0}):
        with pytest.raises(ConfigError):
            calibrate(tiny_generator, dataset, **wrong)  # type: ignore[arg-type]


def test_few_classes_get_a_threshold_for_every_class_count(tiny_generator: Generator, dataset: Any) -> None:
    few = ArrayDataset("few", dataset.class_names[:6], {"validation": _first_classes(dataset.load("validation"), 6)})
    generator = copy.copy(tiny_generator)
    generator.config = dataclasses.replace(tiny_generator.config, class_names=few.class_names)
    assert class_counts(generator.config, 6) == [2, 3, 4, 5, 6]
    _, by_count = calibration_tasks(generator.config, few, [2, 5, 6], 100)
    assert [task.split for task in by_count[5]] == ["seen"] * 6
    abstention, rows = calibrate(generator, few, kept=0.5, num_tasks=3)
    assert rows[-1]["num_classes"] == 5
    assert abstention.thresholds[6] == abstention.thresholds[5]


def _first_classes(data: LabelledImages, number: int) -> LabelledImages:
    return LabelledImages(data.images[data.labels < number], data.labels[data.labels < number])


def test_recording_changes_the_thresholds_and_the_card_alone(folder: Path) -> None:
    before, identity = json.loads((folder / "config.json").read_text()), config_sha256(folder)
    abstention = AbstentionThresholds(0.9, {2: 1.0, 10: 2.0}, "toy")
    record_calibration(folder, abstention)
    values = json.loads((folder / "config.json").read_text())
    assert values.pop("abstention") == abstention.to_dict()
    for written in (values, before):  # the digest of the settings follows from the rest
        written["sha256"].pop("config.json")
    assert values == before
    assert config_sha256(folder) == identity
    generator = Generator.from_pretrained(folder, device="cpu")
    assert generator.config.abstention == abstention
    assert (folder / "README.md").read_text() == model_card(generator.config)
    assert "unless they may abstain" in (folder / "README.md").read_text()


def test_what_plugins_recorded_stays(folder: Path) -> None:
    values = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(values | {"plugins": ["tina-x"]}))
    renew_digest(folder / "config.json")
    record_calibration(folder, AbstentionThresholds(0.9, {2: 1.0}, "toy"))
    assert json.loads((folder / "config.json").read_text())["plugins"] == ["tina-x"]


@pytest.mark.parametrize(
    ("value", "sentence"),
    [(None, "needs exactly"), ({"score": "energy"}, "needs exactly"), ({"score": "luck"}, "abstention")],
)
def test_altered_calibrations_are_refused(folder: Path, value: object, sentence: str) -> None:
    values = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(values | {"abstention": value}))
    renew_digest(folder / "config.json")
    with pytest.raises(CheckpointError, match=sentence):
        Generator.from_pretrained(folder, device="cpu")


def test_generated_classifiers_carry_the_threshold(folder: Path, data_file: Path) -> None:
    assert Generator.from_pretrained(folder, device="cpu")(["ant", "bee"]).abstention_threshold is None
    record_calibration(folder, AbstentionThresholds(0.9, {2: 1.0, 4: 2.0}, "toy"))
    generator = Generator.from_pretrained(folder, device="cpu")
    found = [generator([*arrays(data_file).class_names[:count]]).abstention_threshold for count in (2, 3, 5)]
    assert found == [1.0, 1.5, None]


def test_the_bundled_generator_has_a_threshold_for_every_class_count() -> None:
    config = read_folder(find_folder("cifar100-cnn")).config
    assert config.abstention is not None
    assert all(
        config.abstention.threshold(count) is not None for count in range(config.min_classes, config.max_classes + 1)
    )
