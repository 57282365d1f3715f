"""``tina fine-tune`` from the outside."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tina_framework.classifier.classifier import GeneratedClassifier
from tina_framework.cli.__main__ import main
from tina_framework.generator.generator import Generator

COLOURS = {"ant": 0, "Bee_Hive": 1, "cat": 2}


@pytest.fixture
def tina(
    tiny_generator: Generator, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Any:
    """Runs ``tina fine-tune`` beside a folder ``model`` and coloured pictures ``pictures/CLASS``: (exit code, output, errors)."""
    monkeypatch.chdir(tmp_path)
    tiny_generator(["ant", "bee hive", "cat"]).save_pretrained("model")
    draws = np.random.default_rng(0)
    for name, channel in COLOURS.items():
        (tmp_path / "pictures" / name).mkdir(parents=True)
        for number in range(2):
            pixels = draws.integers(0, 120, (40, 50, 3), dtype=np.uint8)
            pixels[..., channel] += 100
            Image.fromarray(pixels).save(tmp_path / "pictures" / name / f"{number}.png")
    (tmp_path / "pictures" / "ant" / "notes.txt").write_text("not a picture")

    def run(*arguments: str) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as caught:
            main(["fine-tune", *arguments])
        printed = capsys.readouterr()
        return int(caught.value.code or 0), printed.out, printed.err

    return run


def test_a_folder_with_a_sub_folder_a_class(tina: Any) -> None:
    code, out, err = tina("model", "pictures", "--out", "tuned", "--steps", "30", "--lr", "0.1", "--pull", "0")
    assert code == 0, err
    assert "ant 2, bee hive 2, cat 2" in out
    assert "30 steps, learning rate 0.1" in out
    assert "accuracy:      not measured" in out  # six pictures say nothing about it
    tuned = GeneratedClassifier.from_pretrained("tuned")
    assert tuned.predict(["pictures/ant/0.png", "pictures/Bee_Hive/0.png", "pictures/cat/1.png"]) == [
        *tuned.class_names
    ]
    assert tuned.provenance["fine_tuning"][0]["settings"]["pull"] == 0


def test_names_and_folders_that_hold_an_equals_sign(tina: Any, tiny_generator: Generator, tmp_path: Path) -> None:
    tiny_generator(["y=x", "bee hive", "cat"]).save_pretrained("model")
    (tmp_path / "pictures" / "ant").rename(tmp_path / "pictures" / "y=x")
    words = ["y=x=pictures/y=x", "Bee_Hive=pictures/Bee_Hive", "cat=pictures/cat"]
    code, out, err = tina("model", *words, "--out", "a", "--steps", "2")
    assert code == 0, err
    assert "y=x 2, bee hive 2, cat 2" in out
    (tmp_path / "pictures").rename(tmp_path / "a=b")
    code, out, err = tina("model", "a=b", "--out", "b", "--steps", "2")
    assert code == 0, err
    assert (tmp_path / "a" / "model.safetensors").read_bytes() == (tmp_path / "b" / "model.safetensors").read_bytes()


def test_a_tilde_is_the_home_folder(tina: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    for number, words in enumerate(
        (["~/pictures"], ["ant=~/pictures/ant", "bee hive=~/pictures/Bee_Hive", "cat=~/pictures/cat"])
    ):
        code, _, err = tina("~/model", *words, f"--out=~/tuned{number}", "--steps", "2")
        assert code == 0, err
        assert (tmp_path / f"tuned{number}" / "config.json").is_file()


def test_a_folder_for_each_class_gives_the_same(tina: Any) -> None:
    code, out, err = tina("model", "pictures", "--out", "a", "--steps", "2", "--json")
    assert code == 0, err
    assert json.loads(out)["accuracy"] is None
    words = ["ant=pictures/ant/1.png", "cat=pictures/cat", "bee-hive=pictures/Bee_Hive", "Ant=pictures/ant/0.png"]
    code, out, err = tina("model", *words, "--out", "b", "--steps", "2", "--json")
    assert code == 0, err
    assert json.loads(out)["pictures"] == {"ant": 2, "bee hive": 2, "cat": 2}
    code, _, _ = tina(
        "model", "ant=pictures/ant", "bee hive=pictures/Bee_Hive", "cat=pictures/cat", "--out", "c", "--steps", "2"
    )
    assert code == 0
    assert Path("a/model.safetensors").read_bytes() == Path("c/model.safetensors").read_bytes()


def test_the_same_files_and_folders_count_as_in_training(tina: Any) -> None:
    code, out, err = tina("model", "pictures", "--out", "a", "--steps", "2")
    assert code == 0, err
    for folder in ("__MACOSX", "@eaDir", ".git", "$RECYCLE.BIN"):
        Path("pictures", folder, "ant").mkdir(parents=True)
    Path("pictures/ant/crop.png").mkdir()
    for litter in ("Thumbs.db", "._0.png", "notes.pdf", "features.h5"):
        Path("pictures/ant", litter).write_bytes(b"not a picture")
    Path("pictures/cat/0.png").rename("pictures/cat/0.PNG")
    code, out, err = tina("model", "pictures", "--out", "b", "--steps", "2")
    assert code == 0, err
    assert "ant 2, bee hive 2, cat 2" in out
    assert Path("a/model.safetensors").read_bytes() == Path("b/model.safetensors").read_bytes()


def test_folders_that_are_one_class_or_splits_are_named(tina: Any) -> None:
    Path("pictures/Ant").mkdir()
    code, _, err = tina("model", "pictures")
    assert code == 1
    assert "'Ant' and 'ant' in 'pictures' are the same class 'ant'" in err
    Path("splits/Training/ant").mkdir(parents=True)
    code, _, err = tina("model", "splits")
    assert code == 1
    assert "no class 'Training'" in err
    assert "For one split, give 'splits/Training' itself" in err


def test_enough_pictures_are_given_an_accuracy(tina: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tina_framework.cli.fine_tune_command._FEWEST", 6)
    monkeypatch.setattr("tina_framework.cli.fine_tune_command._FEWEST_A_CLASS", 2)
    monkeypatch.setattr("tina_framework.cli.fine_tune_command._FOLDS", 2)
    words = ("model", "pictures", "--steps", "30", "--lr", "0.1")
    code, out, _ = tina(*words, "--json")
    assert code == 0
    accuracy = json.loads(out)["accuracy"]
    assert accuracy["pictures"] == 6
    assert accuracy["after"] - accuracy["before"] == pytest.approx(accuracy["gain"]["mean"])
    code, out, _ = tina(*words)
    assert "% before" in out
    code, out, _ = tina(*words, "--no-cross-validate")
    assert code == 0
    assert "% before" not in out


@pytest.mark.parametrize(
    ("arguments", "code", "sentence"),
    [
        (["nowhere", "pictures"], 1, "'nowhere' is not a folder"),
        (["model", "nowhere"], 1, "'nowhere' is not a folder; give a folder with a sub-folder"),
        (["model", "pictures/ant"], 1, "has no sub-folders"),
        (["model", "ant=pictures/ant", "pictures/cat"], 2, "'pictures/cat' names no class"),
        (["model", "ant=pictures/ant", "dog=pictures/cat"], 1, "no class 'dog'"),
        (["model", "ant=pictures/ant", "cat=nowhere"], 1, "'nowhere' does not exist"),
        (["model", "ant=pictures", "cat=pictures/cat"], 1, "'pictures' has no pictures"),
        (["model", "ant=pictures/ant", "cat=pictures/cat"], 1, "There is no picture of 'bee hive'"),
        (
            ["model", "ant=pictures/ant/notes.txt", "bee hive=pictures/Bee_Hive", "cat=pictures/cat"],
            1,
            "cannot be read",
        ),
        (["model", "pictures", "--out", "pictures"], 2, "is not a classifier folder"),
        (["model", "pictures", "--lr", "0"], 2, "lr is 0.0"),
        (["model", "pictures", "--pull", "-1"], 2, "pull is -1.0"),
        (["model", "pictures", "--device", "tpu"], 2, "Device 'tpu' cannot be used"),
        (["model"], 2, "Missing argument"),
    ],
)
def test_refusals(tina: Any, arguments: list[str], code: int, sentence: str) -> None:
    found, out, err = tina(*arguments)
    assert found == code
    assert sentence in err
    assert not out
    assert not Path("fine-tuned").exists()


def test_half_precision_and_a_trunk_that_is_not_there(tina: Any) -> None:
    assert tina("model", "pictures", "--out", "full", "--steps", "1")[0] == 0
    assert tina("model", "pictures", "--out", "half", "--steps", "1", "--dtype", "float16")[0] == 0
    full, half = (Path(folder, "model.safetensors").stat().st_size for folder in ("full", "half"))
    assert half < 0.55 * full
    code, _, err = tina("model", "pictures", "--out", "trunk", "--include-trunk")
    assert code == 2
    assert "Architecture 'cnn-2layer' has no frozen trunk to include" in err
    assert not Path("trunk").exists()
