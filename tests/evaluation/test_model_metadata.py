"""Figures written into a model's folder."""

from __future__ import annotations

import dataclasses
import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from tina_framework.errors import ConfigError
from tina_framework.evaluation.evaluate import config_sha256
from tina_framework.evaluation.model_metadata import check_recordable, merge_metrics, record_accuracy, update_card
from tina_framework.generator.card import model_card
from tina_framework.generator.generator import Generator

SUMMARY: dict[str, Any] = {
    "setup": {"encoder": {"name": "toy:file.npz"}},
    "rows": [
        {"method": "tina", "split": "unseen-combination", "num_classes": 3, "accuracy": {"mean": 0.71234}},
        {"method": "tina", "split": "unseen-combination", "accuracy": {"mean": 0.99}},
        {"method": "selection", "split": "unseen-combination", "num_classes": 3, "accuracy": {"mean": 0.1}},
    ],
}


@pytest.fixture
def folder(tmp_path: Path, tiny_folder: Path) -> Path:
    shutil.copytree(tiny_folder, tmp_path / "tiny")
    return tmp_path / "tiny"


def test_only_tina_by_class_count_is_merged() -> None:
    old = {"toy": {"unseen-combination": {"3": 0.2, "5": 0.4}}, "other": {"seen": {"3": 0.5}}}
    assert merge_metrics(old, SUMMARY) == {
        "toy": {"unseen-combination": {"3": 0.7123, "5": 0.4}},
        "other": {"seen": {"3": 0.5}},
    }
    assert old["toy"]["unseen-combination"]["3"] == 0.2


def test_a_card_made_from_the_configuration_is_made_anew(folder: Path) -> None:
    assert record_accuracy(folder, SUMMARY)
    generator = Generator.from_pretrained(folder, device="cpu")
    assert generator.config.accuracy("toy", 3) == {"seen": 0.5, "unseen-combination": 0.7123}
    assert (folder / "README.md").read_text() == model_card(generator.config)
    assert "71.2 %" in (folder / "README.md").read_text()


def test_of_a_card_written_by_hand_only_the_table_changes(folder: Path) -> None:
    card = "# Mine\n\n## Accuracy of generated models\n\n| old |\n|---|\n| 1 % |\n\nAfter the table.\n\n| kept |\n"
    (folder / "README.md").write_text(card)
    assert record_accuracy(folder, SUMMARY)
    text = (folder / "README.md").read_text()
    assert text.startswith("# Mine\n\n## Accuracy of generated models\n\n| encoder |")
    assert text.endswith("\n\nAfter the table.\n\n| kept |\n")
    assert "71.2 %" in text
    assert "| 1 % |" not in text


def test_a_card_without_a_table_is_left_alone(folder: Path) -> None:
    (folder / "README.md").write_text("# Mine\n")
    assert not record_accuracy(folder, SUMMARY)
    assert (folder / "README.md").read_text() == "# Mine\n"
    assert json.loads((folder / "config.json").read_text())["metrics"]["toy"]["unseen-combination"]["3"] == 0.7123


@pytest.mark.parametrize("body", ["No figure was recorded.", "", "## Next"])
def test_a_heading_without_a_table_gets_one(body: str, tiny_generator: Any) -> None:
    config = tiny_generator.config
    new = dataclasses.replace(config, metrics=merge_metrics({}, SUMMARY))
    text = update_card(f"# Mine\n\n## Accuracy of generated models\n\n{body}\n", config, new)
    assert text is not None
    assert "| `toy` | unseen-combination | 3 | 71.2 % |" in text
    assert "No figure" not in text
    assert ("## Next" in text) == (body == "## Next")


def test_nothing_changes_if_the_card_cannot_be_written(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    write_text = Path.write_text

    def full(self: Path, *args: Any, **kwargs: Any) -> int:
        if "README" in self.name:
            raise OSError("no space left")
        return write_text(self, *args, **kwargs)

    monkeypatch.setattr(Path, "write_text", full)
    with pytest.raises(ConfigError, match="no space left"):
        record_accuracy(folder, SUMMARY)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"model": "cifar100-cnn"}, "is no folder"),
        ({"methods": ["tina@5", "selection"]}, "does not name"),
        ({"image_split": "validation"}, "test images"),
        ({"template": 1}, "first prompt template"),
    ],
)
def test_other_figures_are_not_recorded(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    given: dict[str, Any] = {"model": str(tmp_path), "methods": ["tina"], "image_split": "test", "template": 0}
    check_recordable(**given)
    with pytest.raises(ConfigError, match=message):
        check_recordable(**{**given, **changes})


def test_figures_of_one_of_several_architectures(tmp_path: Path, several_folder: Path) -> None:
    folder = tmp_path / "several"
    shutil.copytree(several_folder, folder)
    before = config_sha256(folder)
    assert record_accuracy(folder, SUMMARY, "cnn-3layer")
    assert record_accuracy(folder, {**SUMMARY, "rows": [{**SUMMARY["rows"][0], "num_classes": 4}]})
    generator = Generator.from_pretrained(folder, device="cpu")
    assert generator.config.metrics == {}
    assert generator.config.accuracy("toy", 3) == {}
    assert generator.config.accuracy("toy", 4) == {"unseen-combination": 0.7123}
    assert generator.for_architecture("cnn-3layer").config.accuracy("toy", 3) == {"unseen-combination": 0.7123}
    card = (folder / "README.md").read_text()
    assert card == model_card(generator.config)
    assert "| `cnn-3layer` | `toy` | unseen-combination | 3 | 71.2 % |" in card
    assert config_sha256(folder) == before
