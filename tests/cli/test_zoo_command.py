"""`tina zoo`: the commands end to end on tiny zoos, and what they say when the call is wrong."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import signal
from pathlib import Path

import pytest
from typer.testing import CliRunner

from tina_framework.cli.__main__ import main
from tina_framework.cli.app import build_app
from tina_framework.errors import ConfigError
from tina_framework.zoo.store import Zoo
from tina_framework.zoo.tasks import load_task_file

RECIPE = """
num_models = 2
held_out_classes = [
    "solid red circle", "dotted blue star", "striped green square", "outlined yellow triangle",
    "solid green star", "dotted red square", "striped blue circle", "outlined red star",
]
[class_counts]
3 = 1
[generic]
epochs = 1
[model]
epochs = 1
"""


def tina(*words):
    return CliRunner().invoke(build_app(), [str(word) for word in words])


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    root = tmp_path_factory.mktemp("zoo")
    (root / "zoo.toml").write_text(RECIPE)
    result = tina(
        "zoo",
        "build",
        "--out",
        root / "zoo",
        "--dataset",
        "shapes:8",
        "--config",
        root / "zoo.toml",
        "--workers",
        1,
        "--json",
    )
    assert json.loads(result.stdout) == {"zoo": str(root / "zoo"), "stage": "all", "shards": 1, "models": 2}
    return root / "zoo"


def test_info_and_export(folder, tmp_path):
    value = json.loads(tina("zoo", "info", folder, "--json").stdout)
    assert (value["models"], value["classes"]) == (2, 56)
    assert "Wrote" in tina("zoo", "export", folder, tmp_path / "small").stdout
    assert len(Zoo.open(tmp_path / "small")) == 2


def test_seen_tasks_are_the_zoos(folder, tmp_path):
    tina("zoo", "tasks", tmp_path / "seen.json", "--split", "seen", "--zoo", folder)
    tasks = load_task_file(tmp_path / "seen.json").tasks
    assert [task.classes for task in tasks] == [entry.classes for entry in Zoo.open(folder).entries]


def test_seen_tasks_of_some_class_counts(folder, tmp_path):
    tina("zoo", "tasks", tmp_path / "seen.json", "--split", "seen", "--zoo", folder, "--classes", 3)
    assert len(load_task_file(tmp_path / "seen.json").tasks) == 2
    result = tina("zoo", "tasks", tmp_path / "none.json", "--split", "seen", "--zoo", folder, "--classes", 9)
    assert isinstance(result.exception, ConfigError)
    assert "has 9 classes" in str(result.exception)
    assert not (tmp_path / "none.json").exists()


@pytest.mark.parametrize(
    ("device", "gpus", "rank", "chosen"),
    [("auto", 0, "0", "cpu"), ("cpu", 2, "1", "cpu"), ("auto", 2, "1", "cuda:1"), ("cuda", 2, "3", "cuda:1")],
)
def test_every_process_takes_its_own_gpu(monkeypatch, device, gpus, rank, chosen):
    import torch

    from tina_framework.cli.zoo_command import training_device

    monkeypatch.setattr(torch.cuda, "is_available", lambda: gpus > 0)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: gpus)
    monkeypatch.setenv("LOCAL_RANK", rank)
    assert str(training_device(device)) == chosen


def test_a_device_that_is_not_there_is_one_sentence(tmp_path):
    result = tina("zoo", "build", "--out", tmp_path / "zoo", "--dataset", "shapes:8", "--device", "abacus")
    assert isinstance(result.exception, ConfigError)
    assert "Device 'abacus' cannot be used" in str(result.exception)
    assert not (tmp_path / "zoo").exists()


@pytest.mark.parametrize(("split", "inside"), [("unseen-classes", True), ("unseen-combination", False)])
def test_held_out_classes_follow_the_zoo(folder, tmp_path, split, inside):
    held = set(Zoo.open(folder).config.held_out_classes)
    arguments = ("--split", split, "--zoo", folder, "--dataset", "shapes:8", "--classes", 2 if inside else 4)
    tina("zoo", "tasks", tmp_path / "t.json", *arguments, "--num-tasks", 1 if inside else 20)
    for task in load_task_file(tmp_path / "t.json").tasks:
        assert task.split == split
        assert set(task.classes) <= held if inside else not set(task.classes) & held


def test_only_the_first_process_speaks(folder, monkeypatch):
    monkeypatch.setenv("RANK", "1")
    monkeypatch.setenv("WORLD_SIZE", "2")
    recipe = folder.parent / "zoo.toml"
    result = tina(
        "zoo", "build", "--out", folder, "--dataset", "shapes:8", "--config", recipe, "--workers", 1, "--json"
    )
    assert result.exit_code == 0
    assert result.stdout == ""


def test_calls_that_lack_something(folder, tmp_path):
    assert isinstance(tina("zoo", "info", folder, "--test").exception, ConfigError)
    assert isinstance(tina("zoo", "tasks", tmp_path / "x.json", "--split", "seen").exception, ConfigError)
    assert isinstance(tina("zoo", "tasks", tmp_path / "x.json").exception, ConfigError)
    assert not (tmp_path / "x.json").exists()


def test_tasks_do_not_replace_other_files(folder):
    before = (folder / "zoo.json").read_bytes()
    result = tina("zoo", "tasks", folder / "zoo.json", "--dataset", "shapes:8", "--classes", 3, "--num-tasks", 2)
    assert isinstance(result.exception, ConfigError)
    assert "is not a task file; nothing was changed" in str(result.exception)
    assert (folder / "zoo.json").read_bytes() == before


STAGES_RECIPE = RECIPE.replace("num_models = 2", "num_models = 3\nshard_size = 1")


def test_stages_print_what_comes_next(tmp_path):
    (tmp_path / "zoo.toml").write_text(STAGES_RECIPE)
    words = ["zoo", "build", "--out", tmp_path / "zoo", "--dataset", "shapes:8", "--config", tmp_path / "zoo.toml"]
    words += ["--workers", 1, "--device", "cpu"]

    def stage(name, *more):
        return tina(*words, "--stage", name, *more)

    early = stage("models", "--shards", "0")
    assert isinstance(early.exception, ConfigError)
    assert "Run `tina zoo build --stage generic` with the same options first." in str(early.exception)
    text = stage("generic").stdout
    assert "The zoo has 3 shards: next, run `tina zoo build --stage models --shards 0:3`" in " ".join(text.split())
    value = json.loads(stage("generic", "--json").stdout)
    assert value == {"zoo": str(tmp_path / "zoo"), "stage": "generic", "shards": 3, "models": 3}
    value = json.loads(stage("models", "--shards", "1:", "--json").stdout)
    assert value == {"zoo": str(tmp_path / "zoo"), "stage": "models", "shards": [1, 2], "models": 2, "trained": 2}
    assert "Shards 1 and 2" in (again := stage("models", "--shards", "1:").stdout)
    assert "of which 0 were trained now" in " ".join(again.split())
    assert "nothing to do" in stage("models", "--shards", "5:9").stdout
    # A variable of a script that was not set must not mean all shards.
    assert "The shards are ''" in str(stage("models", "--shards", "").exception)
    missing = stage("index")
    assert isinstance(missing.exception, ConfigError)
    assert str(missing.exception).startswith("Shard 0 of 3 is missing or damaged in")
    stage("models", "--shards", "0")
    value = json.loads(stage("index", "--json").stdout)
    assert value == {"zoo": str(tmp_path / "zoo"), "stage": "index", "shards": 3, "models": 3}
    assert len(Zoo.open(tmp_path / "zoo")) == 3
    assert json.loads(tina("zoo", "info", tmp_path / "zoo", "--json").stdout)["shards"] == 3


def test_processes_of_a_launch_divide_the_shards_of_a_stage(tmp_path, monkeypatch):
    (tmp_path / "zoo.toml").write_text(STAGES_RECIPE)
    words = ["zoo", "build", "--out", tmp_path / "zoo", "--dataset", "shapes:8", "--config", tmp_path / "zoo.toml"]
    words += ["--workers", 1, "--device", "cpu", "--stage"]
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setenv("RANK", "1")
    assert tina(*words, "generic").exit_code == 0
    assert not (tmp_path / "zoo").exists(), "one process trains the generic model"
    monkeypatch.setenv("RANK", "0")
    tina(*words, "generic")
    assert json.loads(tina(*words, "models", "--json").stdout)["shards"] == [0, 2]
    monkeypatch.setenv("RANK", "1")
    assert tina(*words, "models").stdout == ""
    assert len(list((tmp_path / "zoo" / "shards").iterdir())) == 3
    monkeypatch.setenv("RANK", "0")
    assert json.loads(tina(*words, "index", "--json").stdout)["models"] == 3


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--shards", "3"], r"--shards is for --stage models, but the stage is all"),
        (["--stage", "index", "--shards", "3"], r"--shards is for --stage models, but the stage is index"),
        (["--stage", "models", "--generic", "zoo"], r"--generic is for --stage generic, but the stage is models"),
        (["--stage", "models", "--shards", "x"], r"The shards are 'x'; expected a number or a range"),
        (["--stage", "models", "--shards", "3"], r"There is no shard 3: the zoo has 3 shards, 0 to 2"),
    ],
)
def test_stages_with_options_that_do_not_fit(tmp_path, options, message):
    (tmp_path / "zoo.toml").write_text(STAGES_RECIPE)
    words = ["zoo", "build", "--out", tmp_path / "zoo", "--dataset", "shapes:8", "--config", tmp_path / "zoo.toml"]
    result = tina(*words, *options)
    assert isinstance(result.exception, ConfigError)
    assert re.search(message, str(result.exception))
    assert not (tmp_path / "zoo").exists()


def test_an_unknown_stage_is_a_mistake_of_the_call(tmp_path):
    result = tina("zoo", "build", "--out", tmp_path / "zoo", "--dataset", "shapes:8", "--stage", "shards")
    assert result.exit_code == 2


@pytest.mark.parametrize(
    ("files", "sentence"),
    [
        ([], "Nothing was finished yet, so nothing is kept."),
        (["zoo.json"], "Everything finished is kept. To continue, run: tina zoo build --out 'my zoo' --dataset shapes"),
        (
            ["generic.partial.safetensors"],
            "Everything finished is kept. To continue, run: tina zoo build --out 'my zoo' --dataset shapes",
        ),
    ],
)
def test_an_interrupted_build_says_how_to_go_on(tmp_path, monkeypatch, capsys, files, sentence):
    from tina_framework.zoo import build_plan

    monkeypatch.chdir(tmp_path)

    def interrupted(*given, **options):
        Path("my zoo").mkdir()
        for name in files:
            (Path("my zoo") / name).touch()
        os.kill(os.getpid(), signal.SIGTERM)

    monkeypatch.setattr(build_plan, "plan_by_names", interrupted)
    command = ["zoo", "build", "--out", "my zoo", "--dataset", "shapes"]
    with pytest.raises(SystemExit) as caught:
        main(command)
    assert caught.value.code == 143
    assert capsys.readouterr() == ("", f"Stopped by SIGTERM. {sentence}\n")
    if files:
        monkeypatch.setenv("RANK", "0")
        shutil.rmtree("my zoo")
        with pytest.raises(SystemExit):
            main([*command, "--json"])
        out, err = capsys.readouterr()
        assert err.endswith("Everything finished is kept; run the same command again to continue.\n")
        assert json.loads(out)["error"]["type"] == "Stopped"


def test_generic_models_of_several_widths_are_built_and_shown(tmp_path, monkeypatch):
    labels = []

    @contextlib.contextmanager
    def bar(label, total, *, done=0):
        labels.append(label)
        yield lambda steps: None

    monkeypatch.setattr("tina_framework.cli.zoo_command.progress_bar", bar)
    (tmp_path / "zoo.toml").write_text(f"generic_widths = [0.5]\n{RECIPE}[narrow]\nepochs = 1\n")
    words = ["zoo", "build", "--out", tmp_path / "zoo", "--dataset", "shapes:8", "--config", tmp_path / "zoo.toml"]
    assert tina(*words, "--num-models", 0).exit_code == 0
    assert labels[:2] == ["Generic model of width 1 (epochs)", "Generic model of width 0.5 (epochs)"]
    assert re.search(r"validation_by_width / 0\.5 / accuracy +0\.\d+", tina("zoo", "info", tmp_path / "zoo").stdout)
    assert Zoo.open(tmp_path / "zoo").config.narrow == {"epochs": 1, "lr": 0.05}
