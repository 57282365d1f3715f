"""The names of the plugin are found, its network and data set conform, and its command draws."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import typer
from PIL import Image
from tina_framework import TargetArchitecture, list_architectures, list_datasets
from tina_framework.errors import ConfigError
from tina_framework.interfaces.dataset import Dataset
from tina_framework.testing import ArchitectureTests, DatasetTests
from typer.testing import CliRunner

from tina_oscilloscope.dataset import oscilloscope
from tina_oscilloscope.network import scope_cnn
from tina_oscilloscope.plugin import tina_commands
from tina_oscilloscope.waves import CLASS_NAMES, draw


class TestScopeCNN(ArchitectureTests):
    @pytest.fixture
    def architecture(self) -> TargetArchitecture:
        return scope_cnn


class TestOscilloscope(DatasetTests):
    superclasses = False

    @pytest.fixture
    def dataset(self) -> Callable[[], Dataset]:
        # A function, so that two data sets are made and compared.
        return lambda: oscilloscope("5")


def test_both_names_are_found() -> None:
    assert "scope-cnn" in list_architectures()
    assert "oscilloscope" in list_datasets()


def test_loading_the_plugin_imports_nothing_heavy() -> None:
    code = "import sys, tina_oscilloscope.plugin; print(*({'torch', 'numpy', 'PIL', 'typer'} & sys.modules.keys()))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""


@pytest.mark.parametrize("argument", ["0", "-3", "many", ""])
def test_an_argument_that_is_no_number_is_refused(argument: str) -> None:
    with pytest.raises(ConfigError, match="write a whole number from 1 up"):
        oscilloscope(argument)


def test_more_pictures_under_a_name_of_their_own() -> None:
    assert oscilloscope().name == "oscilloscope"
    assert oscilloscope("7").name == "oscilloscope:7"
    assert len(oscilloscope("7").load("train")) == 7 * len(CLASS_NAMES)


def test_pictures_are_grey_and_show_what_their_names_say() -> None:
    """A wave crosses its middle twice a period, so a short one lights up more of the rows there."""
    assert len(CLASS_NAMES) == 16
    rng = np.random.default_rng(0)
    pictures = {name: draw([index] * 50, rng)[..., 0] / 255 for index, name in enumerate(CLASS_NAMES)}
    coloured = draw([3], rng)
    assert (coloured == coloured[..., :1]).all()
    for form in ("sine", "square", "triangle", "sawtooth"):
        long, short = (pictures[f"clean {length} {form} wave"][:, 15:17].mean() for length in ("long", "short"))
        assert short > 1.3 * long


@pytest.fixture
def app() -> typer.Typer:
    """The command by itself, as the hook adds it."""
    app = typer.Typer()
    tina_commands(app)
    return app


def test_the_command_draws_a_picture(app: typer.Typer, tmp_path: Path) -> None:
    files = [tmp_path / f"{number}.png" for number in range(3)]
    for file, seed in zip(files, ("0", "0", "1"), strict=True):
        done = CliRunner().invoke(app, ["Noisy  short square wave", "--out", str(file), "--seed", seed])
        assert done.exit_code == 0, done.output
        assert Image.open(file).size == (32, 32)
    assert files[0].read_bytes() == files[1].read_bytes() != files[2].read_bytes()


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["noisy short squares"], "There is no wave 'noisy short squares'. Did you mean 'noisy short square wave'?"),
        (["clean long sine wave", "--out", "wave.doc"], "'wave.doc' is not a picture file; end its name in .png."),
    ],
)
def test_mistakes_are_explained(app: typer.Typer, arguments: list[str], sentence: str) -> None:
    done = CliRunner().invoke(app, arguments)
    assert isinstance(done.exception, ConfigError)
    assert str(done.exception) == sentence
