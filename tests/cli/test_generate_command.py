"""``tina generate`` from the outside: what it prints, writes and refuses."""

from __future__ import annotations

import errno
import json
import os
import shutil
from importlib import resources
from pathlib import Path
from typing import Any

import pytest
import torch

from tina_framework.classifier.classifier import GeneratedClassifier
from tina_framework.cli.__main__ import main
from tina_framework.images import read_picture


@pytest.fixture
def tina(tiny_folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:
    """Runs ``tina generate --model <the tiny one>`` in an empty folder: (exit code, standard output, standard error)."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments: str) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as caught:
            main(["generate", "--model", str(tiny_folder), "--device", "cpu", *arguments])
        printed = capsys.readouterr()
        return int(caught.value.code or 0), printed.out, printed.err

    return run


def test_prints_what_it_made(tina: Any) -> None:
    code, out, err = tina("ant", "bee", "cat")
    assert code == 0, err
    assert "ant, bee, cat" in out
    assert "5,139 (" in out
    assert "kB on disk" in out
    assert "saved in:     classifier" in out
    assert "accuracy:     50.0 %, measured at 3 classes on test images (tasks of the training); 25.0 %," in out
    assert "tina classify classifier" in out
    assert GeneratedClassifier.from_pretrained("classifier").class_names == ("ant", "bee", "cat")


def test_a_missing_record_of_accuracy_is_reported(tina: Any) -> None:
    code, out, _ = tina("ant", "bee")
    assert code == 0
    assert "accuracy:     not measured at 2 classes" in out


def test_edited_model_cards_are_kept(tina: Any, tmp_path: Path) -> None:
    (tmp_path / "t.json").write_text(json.dumps({"tasks": [{"classes": ["ant", "bee"]}]}))
    for arguments, card in (
        (["ant", "bee"], "classifier/README.md"),
        (["--tasks", "t.json", "--out", "many"], "many/000/README.md"),
    ):
        assert tina(*arguments)[0] == 0
        (tmp_path / card).write_text("mine")
        assert tina(*arguments, "--seed", "1")[0] == 0
        assert (tmp_path / card).read_text() == "mine"


def test_json(tina: Any) -> None:
    code, out, _ = tina("ant", "bee", "cat", "--json", "--seed", "3", "--steps", "2", "--out", "a/b")
    assert code == 0
    result = json.loads(out)
    [made] = result["classifiers"]
    assert made["path"] == str(Path("a") / "b")
    assert made["class_names"] == ["ant", "bee", "cat"]
    assert made["parameters"] == 5139
    assert made["bytes"] == sum(file.stat().st_size for file in Path("a/b").iterdir())
    assert made["accuracy"] == {"seen": 0.5, "unseen-combination": 0.25}
    assert result["encoder"] == "toy"
    assert result["seconds"] > 0
    provenance = GeneratedClassifier.from_pretrained("a/b").provenance
    assert provenance["seed"] == 3
    assert provenance["num_inference_steps"] == 2


def test_the_same_seed_writes_the_same_file(tina: Any) -> None:
    for out, seed in (("one", "1"), ("two", "1"), ("three", "2")):
        assert tina("ant", "bee", "--seed", seed, "--out", out)[0] == 0
    one, two, three = (Path(name, "model.safetensors").read_bytes() for name in ("one", "two", "three"))
    assert one == two
    assert one != three


def test_another_scheduler_samples_another_model(tina: Any) -> None:
    for out, scheduler in (("one", []), ("two", ["--scheduler", "ddim"]), ("three", ["--scheduler", "ddpm"])):
        assert tina("ant", "bee", "--steps", "3", "--out", out, *scheduler)[0] == 0
    one, two, three = (Path(name, "model.safetensors").read_bytes() for name in ("one", "two", "three"))
    assert GeneratedClassifier.from_pretrained("one").provenance["scheduler"] == "ddim"
    assert GeneratedClassifier.from_pretrained("three").provenance["scheduler"] == "ddpm"
    assert one == two
    assert one != three


def test_doubtful_words_are_warned_about(tina: Any) -> None:
    code, _, err = tina("ant", "mystery thing")
    assert code == 0
    assert "Warning: toy is unsure what 'mystery thing' means (confidence 0.10 of 1)" in err
    assert "'ant'" not in err
    assert len(json.loads(tina("ant", "mystery thing", "--json")[1])["warnings"]) == 1


def test_task_files(tina: Any) -> None:
    tasks = [["ant", "bee"], ["cat", "dog", "eel"], ["ant", "eel"]]
    Path("tasks.json").write_text(json.dumps({"tasks": [{"classes": classes} for classes in tasks]}))
    code, out, err = tina("--tasks", "tasks.json", "--out", "many")
    assert code == 0, err
    assert "3 classifiers" in out
    assert sorted(path.name for path in Path("many").iterdir()) == ["000", "001", "002"]
    for number, classes in enumerate(tasks):
        assert list(GeneratedClassifier.from_pretrained(f"many/{number:03d}").class_names) == classes
    # Again with fewer tasks: nothing of the old ones stays.
    Path("tasks.json").write_text(json.dumps({"tasks": [{"classes": ["ant", "bee"]}]}))
    code, out, _ = tina("--tasks", "tasks.json", "--out", "many", "--json")
    assert code == 0
    assert [made["path"] for made in json.loads(out)["classifiers"]] == [str(Path("many") / "000")]
    assert [path.name for path in Path("many").iterdir()] == ["000"]


def test_more_classes_than_the_generator_makes(tina: Any) -> None:
    names = [f"class {k}" for k in range(23)]
    code, _, err = tina(*names)
    assert code == 2
    assert "23 classes were named" in err
    assert "--compose" in err
    code, out, err = tina(*names, "--compose")
    assert code == 0, err
    assert "composed:     an ensemble of 12 networks of 10 classes" in out
    loaded = GeneratedClassifier.from_pretrained("classifier")
    assert loaded.class_names == tuple(names)
    assert len(loaded.members or ()) == 12
    [made] = json.loads(tina(*names, "--compose", "--json")[1])["classifiers"]
    assert made["composed"] == {"method": "ensemble", "networks": 12, "classes": 10, "groupings": 4}
    [plain] = json.loads(tina("ant", "bee", "--compose", "--json")[1])["classifiers"]
    assert plain["composed"] is None
    Path("tasks.json").write_text(json.dumps({"tasks": [{"classes": ["ant", "bee"]}, {"classes": names}]}))
    out = tina("--tasks", "tasks.json", "--compose", "--out", "many")[1]
    assert "23 classes: 64,440 parameters, an ensemble of 12 networks of 10 classes; accuracy" in out


@pytest.mark.parametrize("options", [["--merge"], ["--compose", "--merge"]])
def test_more_classes_in_one_network(tina: Any, options: list[str]) -> None:
    names = [f"class {k}" for k in range(23)]
    code, out, err = tina(*names, *options)
    assert code == 0, err
    assert "composed:     of 12 networks of 10 classes, merged into one" in out
    loaded = GeneratedClassifier.from_pretrained("classifier")
    assert loaded.members is None
    [made] = json.loads(tina(*names, *options, "--json")[1])["classifiers"]
    assert made["composed"]["method"] == "merge"
    assert made["parameters"] == loaded.num_parameters == 5799


@pytest.mark.parametrize(
    ("arguments", "code", "sentence"),
    [
        ([], 2, "Name the classes, or give a task file"),
        (["ant", "--tasks", "tasks.json"], 2, "one of the three"),
        (["ant"], 2, "Only one class was named"),
        (["ant", "Ant"], 2, "the same class"),
        (["ant", ""], 2, "is empty"),
        ([f"class {k}" for k in range(11)], 2, "11 classes were named"),
        (["ant", "bee", "--encoder", "toi"], 2, "Unknown encoder 'toi'"),
        (["ant", "bee", "--scheduler", "ddimm"], 2, "Did you mean 'ddim'"),
        (["ant", "bee", "--model", "no-such"], 2, "Unknown generator 'no-such'"),
        (["ant", "bee", "--steps", "5000"], 2, "only 1000 timesteps"),
        (["--tasks", "missing.json"], 1, "missing.json"),
        (["ant", "bee", "--device", "abacus"], 2, "Device 'abacus' cannot be used"),
    ],
)
def test_refusals_leave_nothing_behind(tina: Any, arguments: list[str], code: int, sentence: str) -> None:
    found, out, err = tina(*arguments)
    assert found == code
    assert sentence in err
    assert err.count("\n") == 1
    assert not out
    assert not list(Path().iterdir())


def test_something_else_in_the_way_is_kept(tina: Any) -> None:
    Path("classifier").mkdir()
    Path("classifier/thesis.txt").write_text("precious")
    code, _, err = tina("ant", "bee")
    assert code == 2
    assert "exists and is not a classifier folder" in err
    assert [path.name for path in Path("classifier").iterdir()] == ["thesis.txt"]


def test_a_classifier_in_the_way_is_replaced(tina: Any) -> None:
    assert tina("ant", "bee")[0] == 0
    assert tina("cat", "dog")[0] == 0
    assert GeneratedClassifier.from_pretrained("classifier").class_names == ("cat", "dog")
    assert [path.name for path in Path().iterdir()] == ["classifier"]


def test_half_precision_takes_half_the_space(tina: Any) -> None:
    assert tina("ant", "bee")[0] == 0
    assert tina("ant", "bee", "--dtype", "float16", "--out", "half")[0] == 0
    full, half = (Path(folder, "model.safetensors").stat().st_size for folder in ("classifier", "half"))
    assert half < 0.55 * full
    assert GeneratedClassifier.from_pretrained("half").network.fc.weight.dtype == torch.float32  # type: ignore[union-attr]


def test_a_trunk_that_is_not_there_cannot_be_included(tina: Any) -> None:
    code, out, err = tina("ant", "bee", "--include-trunk")
    assert (code, out) == (2, "")
    assert "Architecture 'cnn-2layer' has no frozen trunk to include" in err
    assert not Path("classifier").exists()


def test_a_failure_while_writing_leaves_nothing_behind(tina: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    Path("tasks.json").write_text(json.dumps({"tasks": [{"classes": ["ant", "bee"]}, {"classes": ["ant", "cat"]}]}))
    save = GeneratedClassifier.save_pretrained

    def fail_at_the_second(self: GeneratedClassifier, folder: Path, **settings: Any) -> None:
        if folder.name == "001":
            raise OSError(28, "No space left on device")
        save(self, folder, **settings)

    monkeypatch.setattr(GeneratedClassifier, "save_pretrained", fail_at_the_second)
    code, _, err = tina("--tasks", "tasks.json", "--out", "many")
    assert code != 0
    assert "No space left" in err
    assert [path.name for path in Path().iterdir()] == ["tasks.json"]


def test_an_altered_checkpoint_is_one_sentence(tina: Any, tiny_folder: Path) -> None:
    spoiled = Path(shutil.copytree(tiny_folder, "spoiled"))
    whole = (spoiled / "model.safetensors").read_bytes()
    (spoiled / "model.safetensors").write_bytes(whole[: len(whole) // 2])
    code, _, err = tina("ant", "bee", "--model", str(spoiled))
    assert code == 1
    assert "truncated or altered" in err
    assert "Traceback" not in err
    assert not Path("classifier").exists()


def test_shipped_pictures_of_the_classes_are_labelled(tina: Any) -> None:
    code, out, _ = tina("Apple", "castle", "ant", "--json")
    assert code == 0
    shown = json.loads(out)["pictures"]
    assert {row["truth"] for row in shown} == {"apple", "castle"}
    assert all(row["answer"] in ("Apple", "castle", "ant") for row in shown)
    assert all(row["kind"] in ("photograph", "drawing") for row in shown)
    assert all(row["right"] == (row["answer"].lower() == row["truth"]) for row in shown)
    out = tina("Apple", "castle", "ant")[1]
    assert f"{sum(row['right'] for row in shown)} of {len(shown)} correct." in out
    assert "correct." not in tina("ant", "bee")[1]


def test_the_contact_sheet_shows_the_shipped_pictures(tina: Any) -> None:
    code, out, err = tina("Apple", "castle", "--contact-sheet", "sheets/a.png")
    assert code == 0, err
    assert f"The pictures with their answers are in {Path('sheets') / 'a.png'}." in out
    assert read_picture("sheets/a.png").width > 400
    code, out, err = tina("ant", "bee", "--contact-sheet", "b.png")
    assert code == 0
    assert "No contact sheet was written, because no shipped picture shows one of the classes." in err
    assert not Path("b.png").exists()


def test_a_contact_sheet_that_cannot_be_written_is_refused_first(tina: Any) -> None:
    code, _, err = tina("Apple", "castle", "--contact-sheet", "a.txt")
    assert code == 2
    assert "'a.txt' has no known format" in err
    Path("tasks.json").write_text("[]")
    code, _, err = tina("--tasks", "tasks.json", "--contact-sheet", "a.png")
    assert code == 2
    assert "leave out --tasks" in err
    assert not Path("classifier").exists()


def test_a_classifier_is_described_before_a_contact_sheet_that_cannot_be_written(
    tina: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_space(path: Path) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("tina_framework.images.contact_sheet.replacing", no_space)
    code, out, err = tina("Apple", "castle", "--contact-sheet", "a.png")
    assert code == 2
    assert "saved in:     classifier" in out
    assert "'a.png' cannot be written (No space left on device)" in err


def test_every_shipped_picture_is_listed_readable_and_credited() -> None:
    demo = Path(str(resources.files("tina_framework"))) / "demo"
    listed = json.loads((demo / "pictures.json").read_text())["pictures"]
    credits = (demo / "CREDITS.md").read_text()
    assert sorted(entry["file"] for entry in listed) == sorted(
        p.name for p in demo.iterdir() if p.suffix in (".png", ".jpg")
    )
    for entry in listed:
        assert set(entry) == {"file", "class", "kind"}
        assert read_picture(demo / entry["file"]).size == (128, 128)
        assert entry["kind"] == ("drawing" if entry["file"].endswith("-drawing.png") else "photograph")
        assert entry["kind"] == "drawing" or f"`{entry['file']}`" in credits
    assert {entry["class"] for entry in listed} == {
        "apple",
        "bear",
        "bicycle",
        "bus",
        "castle",
        "clock",
        "cloud",
        "forest",
        "mountain",
        "train",
    }
