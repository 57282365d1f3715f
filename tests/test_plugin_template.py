"""The plugin template from nothing to a generated classifier: written, installed, checked, tested, trained."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from conftest import Environment

pytestmark = pytest.mark.slow

RECIPE = "num_models = 2\n[class_counts]\n3 = 1\n[generic]\nepochs = 1\n[model]\nepochs = 1\n"


def test_template_install_check_test_train_generate(new_environment: Callable[[], Environment], tmp_path: Path) -> None:
    environment = new_environment()
    tina = partial(environment.tina, folder=tmp_path)

    tina(["plugins", "new", "my-plugin"])
    folder = tmp_path / "my-plugin"
    environment.install("-e", folder)
    checked = tina(["plugins", "check", "my-plugin"])
    assert "passed" in checked
    assert "failed" not in checked.replace("failed\n", "", 1).split("\n\n")[-1]
    assert " zoo build --out zoo --dataset shapes --architecture my-plugin-cnn" in checked
    tested = environment.run([environment.python, "-m", "pytest", "-q", "-p", "no:cacheprovider"], folder)
    assert " passed" in tested
    assert "failed" not in tested

    (tmp_path / "zoo.toml").write_text(RECIPE)
    build = ["zoo", "build", "--out", "zoo", "--dataset", "shapes:8", "--architecture", "my-plugin-cnn"]
    tina([*build, "--config", "zoo.toml", "--workers", "1"])
    train = ["train", "--output_dir", "run", "--dataset", "shapes:8", "--zoo", "zoo", "--encoders", "clip-lite"]
    tina([*train, "--preset", "tiny", "--max_classes", "3", "--class_counts", "3", "--max_steps", "2", "--images_per_task", "6",
          "--num_validation_tasks", "0"])  # fmt: skip
    made = tina(["generate", "solid red circle", "striped blue square", "--model", "run/generator"])
    assert "without training" in made
    assert (tmp_path / "classifier" / "model.safetensors").is_file()
