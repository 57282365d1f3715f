"""`tina train-teacher`, and the file it writes in a zoo's build."""

from __future__ import annotations

import json

from typer.testing import CliRunner

from tina_framework.cli.app import build_app
from tina_framework.zoo.store import Zoo
from tina_framework.zoo.teacher import Teacher


def tina(*words):
    return CliRunner().invoke(build_app(), [str(word) for word in words])


def test_a_teacher_is_trained_and_used_by_a_zoo(tmp_path):
    table = tmp_path / "t.safetensors"
    words = ("train-teacher", "--dataset", "shapes:8", "--architecture", "cnn-2layer", "--epochs", 1, "--out", table)
    result = tina(*words, "--json", "--taught-by", "a small network", "--held-out", "outlined red star")
    record = json.loads(result.stdout)
    assert record["teacher"] == str(table)
    teacher = Teacher.load(table)
    assert teacher.taught_by == "a small network"
    assert "outlined red star" not in teacher.class_names

    told = tina(*words[:-1], tmp_path / "all.safetensors", "--split", "train+validation").stdout
    assert "None was held back, so its accuracy was not measured." in " ".join(told.split())

    recipe = tmp_path / "zoo.toml"
    recipe.write_text(
        'num_models = 2\nheld_out_classes = ["outlined red star"]\n[class_counts]\n3 = 1\n'
        "[generic]\nepochs = 1\nteacher_weight = 0.5\n[model]\nepochs = 1\nteacher_weight = 0.9\n"
    )
    build = ("zoo", "build", "--out", tmp_path / "zoo", "--dataset", "shapes:8", "--config", recipe)
    refused = tina(*build)
    assert "no teacher was given" in str(refused.exception)
    unused = tmp_path / "unused.toml"
    unused.write_text("num_models = 2\n[model]\nepochs = 1\n")
    assert "nothing would learn from it" in str(tina(*build, "--config", unused, "--teacher", table).exception)
    for workers in (1, 2):  # in this process, and in processes that map the pictures
        folder = tmp_path / f"zoo{workers}"
        result = tina(*build, "--out", folder, "--workers", workers, "--teacher", table)
        assert result.exit_code == 0, result.output
        zoo = Zoo.open(folder)
        assert zoo.config.teacher == teacher.sha256
        assert "a small network" in (folder / "zoo.json").read_text(encoding="utf-8")
    one, two = Zoo.open(tmp_path / "zoo1"), Zoo.open(tmp_path / "zoo2")
    assert one.flat(1).equal(two.flat(1))


def test_a_teacher_that_saw_held_out_classes_is_refused(tmp_path):
    table = tmp_path / "t.safetensors"
    tina("train-teacher", "--dataset", "shapes:8", "--architecture", "cnn-2layer", "--epochs", 1, "--out", table)
    recipe = tmp_path / "zoo.toml"
    recipe.write_text('num_models = 1\nheld_out_classes = ["outlined red star"]\n[model]\nteacher_weight = 0.9\n')
    result = tina(
        "zoo", "build", "--out", tmp_path / "zoo", "--dataset", "shapes:8", "--config", recipe, "--teacher", table
    )
    assert "which training must not see. Make one without it: tina train-teacher --held-out 'outlined red star'" in str(
        result.exception
    )
    assert not (tmp_path / "zoo").exists()
