"""The plugin template from nothing to a generated classifier: written, installed, checked, tested, trained."""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
import venv
from collections.abc import Sequence
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parent.parent
RECIPE = "num_models = 2\n[class_counts]\n3 = 1\n[generic]\nepochs = 1\n[model]\nepochs = 1\n"


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An environment of its own, with this project's source and the present environment's libraries on its path."""
    root = tmp_path_factory.mktemp("environment")
    venv.EnvBuilder(with_pip=False, symlinks=os.name != "nt").create(root)
    python = root / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    code = "import sysconfig; print(sysconfig.get_paths()['purelib'])"
    site = subprocess.run([python, "-c", code], capture_output=True, text=True, check=True).stdout.strip()
    (Path(site) / "libraries.pth").write_text(f"{ROOT}\n{sysconfig.get_paths()['purelib']}\n", encoding="utf-8")
    return python


def test_template_install_check_test_train_generate(python: Path, tmp_path: Path) -> None:
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"}
    environment.pop("PYTHONPATH", None)

    def run(words: Sequence[str | Path], folder: Path = tmp_path) -> str:
        done = subprocess.run(
            [str(word) for word in words],
            cwd=folder,
            env=environment,
            capture_output=True,
            text=True,
            timeout=600,
            check=False,
        )
        assert done.returncode == 0, f"{words}\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
        return done.stdout

    def tina(*words: str) -> str:
        return run([python, "-m", "tina_framework.cli", *words])

    tina("plugins", "new", "my-plugin")
    folder = tmp_path / "my-plugin"
    # Without isolation and index: an isolated build would download its backend.
    install = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--python", python, "install"]
    run([*install, "--no-deps", "--no-index", "--no-build-isolation", "-e", folder])
    checked = tina("plugins", "check", "my-plugin")
    assert "passed" in checked
    assert "failed" not in checked.replace("failed\n", "", 1).split("\n\n")[-1]
    assert "Next: tina zoo build --out zoo --dataset shapes --architecture my-plugin-cnn" in checked
    tested = run([python, "-m", "pytest", "-q", "-p", "no:cacheprovider"], folder)
    assert " passed" in tested
    assert "failed" not in tested

    (tmp_path / "zoo.toml").write_text(RECIPE)
    build = ["zoo", "build", "--out", "zoo", "--dataset", "shapes:8", "--architecture", "my-plugin-cnn"]
    tina(*build, "--config", "zoo.toml", "--workers", "1")
    train = ["train", "--output_dir", "run", "--dataset", "shapes:8", "--zoo", "zoo", "--encoders", "clip-lite"]
    tina(*train, "--preset", "tiny", "--max_classes", "3", "--class_counts", "3", "--max_steps", "2", "--images_per_task", "6",
         "--num_validation_tasks", "0")  # fmt: skip
    made = tina("generate", "solid red circle", "striped blue square", "--model", "run/generator")
    assert "without training" in made
    assert (tmp_path / "classifier" / "model.safetensors").is_file()
