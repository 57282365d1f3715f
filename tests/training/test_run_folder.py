"""The output folder: one process at a time, no other data in it, no leftovers."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.training.runs import Make, log
from tina_framework.errors import ConfigError, TrainingError
from tina_framework.generator.generator import Generator
from tina_framework.storage.digest import check_digest
from tina_framework.storage.files import read_json, write_json
from tina_framework.storage.temporary import temporary_name
from tina_framework.training import run_folder
from tina_framework.training.loop import Trainer
from tina_framework.training.run_folder import hold


def test_the_second_training_in_a_folder_names_the_first(make_config: Make) -> None:
    config = make_config(max_steps=2)
    first = Trainer(config)
    with pytest.raises(
        ConfigError, match=r"/run' is in use: process \d+ on .* trains a generator since .*\. Wait until"
    ):
        Trainer(make_config(max_steps=2))
    first.train()
    assert [row["step"] for row in log(config)] == [1, 2]
    with pytest.raises(ConfigError, match="already holds a run"):
        Trainer(config)
    Trainer(make_config(max_steps=2, overwrite_output_dir=True)).close()  # a failed start released the folder


def test_a_killed_run_releases_its_folder(make_config: Make, tmp_path: Path) -> None:
    output = tmp_path / "run"
    code = f"""if True:
        import os, pathlib
        from tina_framework.storage.locks import folder_lock
        with folder_lock(pathlib.Path({str(output)!r}), "trains a generator"):
            os.kill(os.getpid(), 9)
    """
    subprocess.run([sys.executable, "-c", code], check=False, timeout=120)
    assert (output / ".lock").exists()
    with hold(make_config()):
        pass


def test_data_of_another_kind_is_left_alone(make_config: Make, world: Path, tmp_path: Path) -> None:
    first = Trainer(make_config(max_steps=1)).train().generator
    before = sorted(path.read_bytes() for path in first.iterdir())
    for output, what in ((first, "holds a generator"), (world / "zoo", "holds a zoo")):
        with pytest.raises(ConfigError, match=f"{what}, and training would write into it. Choose another"):
            Trainer(make_config(output_dir=output))
    assert sorted(path.read_bytes() for path in first.iterdir()) == before
    mine = tmp_path / "mine"
    Generator.from_pretrained(first, device="cpu").save_pretrained(mine / "generator")
    with pytest.raises(ConfigError, match=r"holds 'generator' but no config\.json of a run"):
        Trainer(make_config(output_dir=mine))
    assert (mine / "generator" / "config.json").is_file()
    write_json(tmp_path / "x" / "config.json", {"format": 3})
    with pytest.raises(ConfigError, match=r"holds another config\.json"):
        Trainer(make_config(output_dir=tmp_path / "x"))
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "notes.txt").write_text("mine")
    Trainer(make_config(output_dir=tmp_path / "notes", max_steps=1)).train()
    assert (tmp_path / "notes" / "notes.txt").read_text() == "mine"


def test_a_generator_without_checkpoints_is_not_deleted(make_config: Make) -> None:
    import shutil

    config = make_config(max_steps=1)
    generator = Trainer(config).train().generator
    shutil.rmtree(config.output_dir / "checkpoints")
    with pytest.raises(ConfigError, match="already holds a run"):
        Trainer(config)
    assert generator.is_dir()


def test_leftovers_of_killed_runs_are_removed(make_config: Make) -> None:
    config = make_config(max_steps=1)
    output = config.output_dir
    Trainer(config).train()
    temporary_name(output / "log.jsonl").write_text("half")
    temporary_name(output / "config.json").write_text("half")
    temporary_name(output / "best").mkdir()
    (output / "generator").rename(output / ".generator.0123456789ab.old")
    temporary_name(output / "checkpoints" / "step-00000001").mkdir()
    with hold(config):
        names = sorted(path.name for path in output.iterdir())
    assert names == [".lock", "checkpoints", "config.json", "generator", "log.jsonl"]
    assert [path.name for path in (output / "checkpoints").iterdir()] == ["step-00000001"]


def test_the_recipe_has_a_digest(make_config: Make) -> None:
    config = make_config()
    with hold(config):
        run_folder.describe(config)
    values = read_json(config.output_dir / "config.json")
    check_digest(values, config.output_dir / "config.json")
    assert (values["format"], values["recipe_sha256"]) == ("tina-training-run", config.sha256())


def test_errors_of_the_system_name_the_users_path(tmp_path: Path) -> None:
    with (
        pytest.raises(TrainingError, match=r"x' cannot be written \(No space left\)\. Earlier checkpoints"),
        run_folder.writing(tmp_path / "x"),
    ):
        raise OSError(28, "No space left", str(tmp_path / ".x.0123.partial"))
