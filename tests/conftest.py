"""Fixtures for all tests. Nothing heavy is imported here: light tests stay light."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
import venv
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, settings

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    from PIL import Image

    from tina_framework.generator.generator import Generator

# The machine that runs the tests may be busy, so that limits on time would make correct code fail.
settings.register_profile("tina", deadline=None, max_examples=50, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("tina")


FIRST_PARTY = ",".join(
    sorted(path.parent.name for path in Path(__file__).parent.parent.glob("plugins/*/pyproject.toml"))
)
"""The plugins of this repository. ``make demo`` installs one of them, and the tests of the package must not see it."""


def pytest_configure() -> None:
    # Not in a fixture, because some test modules list the registries while they are collected.
    os.environ["TINA_DISABLE_PLUGINS"] = FIRST_PARTY
    # As in an active environment, where commands in messages begin with `tina`.
    os.environ["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}"


@pytest.fixture(autouse=True)
def _plain_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the caller has set for plugins or the terminal must not change what tests see."""
    for name in ("TINA_ALLOW_PLUGINS", "TINA_FORCE_BATCHED", "TINA_STRICT_PLUGINS", "FORCE_COLOR", "NO_COLOR"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(scope="session")
def cifar100_path() -> Path:
    """CIFAR-100 as one .npz file; skips where it is not at hand."""
    value = os.environ.get("TINA_TEST_CIFAR100", "")
    if not value:
        pytest.skip("needs CIFAR-100: set TINA_TEST_CIFAR100 to the .npz file")
    path = Path(value)
    assert path.is_file(), f"TINA_TEST_CIFAR100 is set to '{value}', which is no file"
    return path


@dataclass(frozen=True)
class Environment:
    """A Python environment of its own, with this project's source and the present environment's libraries on its path.

    Editable installs of the present environment are out of sight: a .pth file in a folder that was itself added by one is
    not read.
    """

    python: Path

    def run(self, words: Sequence[str | Path], folder: Path, **variables: str) -> str:
        """What a command prints that has to succeed, run in `folder`, offline; `variables` of the environment besides."""
        environment = {**os.environ, "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1", **variables}
        environment.pop("PYTHONPATH", None)
        command = [str(word) for word in words]
        done = subprocess.run(
            command, cwd=folder, env=environment, capture_output=True, text=True, timeout=900, check=False
        )
        assert done.returncode == 0, f"{command}\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
        return done.stdout

    def tina(self, words: Sequence[str | Path], folder: Path, **variables: str) -> str:
        return self.run([self.python, "-m", "tina_framework.cli", *words], folder, **variables)

    def install(self, *what: str | Path) -> None:
        """Without isolation and index: an isolated build would download its backend."""
        pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--python", self.python, "install"]
        self.run([*pip, "--no-deps", "--no-index", "--no-build-isolation", *what], self.python.parent)


@pytest.fixture(scope="session")
def new_environment(tmp_path_factory: pytest.TempPathFactory) -> Callable[[], Environment]:
    """Makes an environment of its own."""

    def make() -> Environment:
        root = tmp_path_factory.mktemp("environment")
        venv.EnvBuilder(with_pip=False, symlinks=os.name != "nt").create(root)
        python = root / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
        code = "import sysconfig; print(sysconfig.get_paths()['purelib'])"
        site = subprocess.run([python, "-c", code], capture_output=True, text=True, check=True).stdout.strip()
        paths = f"{Path(__file__).resolve().parent.parent}\n{sysconfig.get_paths()['purelib']}\n"
        (Path(site) / "libraries.pth").write_text(paths, encoding="utf-8")
        return Environment(python)

    return make


class ToyEncoder:
    """Every text its own fixed random vector, so that nothing has to be trained or downloaded."""

    name, dim, space, templates = "toy", 24, "toy-space", ("{}", "a {}")
    self_contained = True

    def encode_text(self, texts: Sequence[str], template: int = 0) -> npt.NDArray[np.float32]:
        import numpy as np

        seeds = [zlib.crc32(f"{template} {text.lower()}".encode()) for text in texts]
        return np.stack([np.random.default_rng(seed).normal(size=self.dim) for seed in seeds]).astype(np.float32)

    def text_confidence(self, texts: Sequence[str]) -> npt.NDArray[np.float32]:
        import numpy as np

        return np.array([0.1 if "mystery" in text else 0.9 for text in texts], dtype=np.float32)


class SeeingToyEncoder(ToyEncoder):
    """With an image tower: a fixed random map of sixteen pixels."""

    name = "toy-seeing"

    def encode_images(self, images: Sequence[Image.Image]) -> npt.NDArray[np.float32]:
        import numpy as np

        assert all(image.mode == "RGB" for image in images)
        pixels = np.stack([np.asarray(image.resize((4, 4)), dtype=np.float32).ravel() / 255 for image in images])
        return (pixels @ np.random.default_rng(0).normal(size=(48, self.dim))).astype(np.float32)


@pytest.fixture(scope="session")
def seeing() -> ToyEncoder:
    """An encoder of the toy space that reads pictures too, registered under its name."""
    from tina_framework.plugin.discovery import registries

    if SeeingToyEncoder.name not in registries().encoders:
        registries().encoders.add(SeeingToyEncoder.name, SeeingToyEncoder)
    return SeeingToyEncoder()


@pytest.fixture
def picture_folder(tmp_path: Path) -> Path:
    """``pictures/bus`` with three pictures of random pixels, and ``a.png`` and ``b.png`` beside it."""
    import numpy as np
    from PIL import Image

    folder = tmp_path / "pictures"
    (folder / "bus").mkdir(parents=True)
    for number, name in enumerate(("bus/1.png", "bus/2.jpg", "bus/3.png", "a.png", "b.png")):
        pixels = np.random.default_rng(number).integers(0, 256, (8, 6, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / name)
    return folder


TOY_CLASSES = ("ant", "bee", "cat", "dog", "eel", "fox", "gnu", "hen", "ibis", "jay", "kite", "lion")


@pytest.fixture(scope="session")
def tiny_generator() -> Generator:
    """A small random generator of `cnn-2layer` for up to 10 of `TOY_CLASSES`; its networks depend on their classes."""
    import torch

    from tina_framework.denoiser.normalizer import Normalizer
    from tina_framework.denoiser.presets import build_config
    from tina_framework.denoiser.transformer import Denoiser
    from tina_framework.generator.generator import Generator, GeneratorConfig
    from tina_framework.interfaces.spec import ParameterSpec
    from tina_framework.plugin.discovery import registries
    from tina_framework.prompts.condition_space import ConditionSpace

    if "toy" not in registries().encoders:
        registries().encoders.add("toy", ToyEncoder)
    encoder = ToyEncoder()
    spec = ParameterSpec(registries().architectures.create("cnn-2layer"))
    tokenizer = registries().tokenizers.create("class-row")
    sizes = build_config("tiny", condition_dim=encoder.dim, layout=tokenizer.layout(spec, 10, 10), max_classes=10)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        denoiser = Denoiser(sizes)
        with torch.no_grad():
            for parameter in denoiser.parameters():
                parameter.add_(0.05 * torch.randn_like(parameter))
        generic = spec.architecture.build(len(TOY_CLASSES)).state_dict()
    space = ConditionSpace.fit(encoder.space, encoder.encode_text(TOY_CLASSES))
    scheduler = registries().schedulers.create("ddim")
    config = GeneratorConfig(
        architecture="cnn-2layer",
        tokenizer={"name": "class-row", "config": tokenizer.config},
        scheduler={"name": "ddim", "config": dict(scheduler.config)},
        denoiser=sizes,
        condition={"space": encoder.space, "scale": space.scale, "templates": list(encoder.templates)},
        default_encoder="toy",
        max_classes=10,
        num_inference_steps=4,
        class_names=TOY_CLASSES,
        training={"recipe": "none"},
        metrics={"toy": {"seen": {"3": 0.5}, "unseen-combination": {"3": 0.25}}},
    )
    return Generator(config, denoiser, Normalizer.fit(spec, generic), space, generic)


@pytest.fixture(scope="session")
def tiny_folder(tiny_generator: Generator, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`tiny_generator`, saved. Copy it before changing it."""
    folder = tmp_path_factory.mktemp("generators") / "tiny"
    tiny_generator.save_pretrained(folder)
    return folder


SEVERAL = {"cnn-2layer@0.5": 0.3, "cnn-2layer": 0.5, "cnn-2layer@0.75": None, "cnn-3layer": 0.4}
"""Architecture of `several_generator` -> its accuracy on validation tasks. The one without was not trained."""


@pytest.fixture(scope="session")
def several_generator() -> Generator:
    """A small random generator of the architectures `SEVERAL` for up to 10 of `TOY_CLASSES`; the first is the default one."""
    import torch

    from tina_framework.denoiser.normalizer import Normalizer
    from tina_framework.denoiser.presets import build_config
    from tina_framework.denoiser.row_forecast import RowForecast
    from tina_framework.denoiser.transformer import Denoiser
    from tina_framework.generator.generator import Generator, GeneratorConfig
    from tina_framework.generator.target import GeneratorTarget
    from tina_framework.interfaces.spec import ParameterSpec
    from tina_framework.plugin.discovery import registries
    from tina_framework.prompts.condition_space import ConditionSpace

    if "toy" not in registries().encoders:
        registries().encoders.add("toy", ToyEncoder)
    encoder, default = ToyEncoder(), next(iter(SEVERAL))
    specs = {name: ParameterSpec(registries().architectures.create(name)) for name in SEVERAL}
    tokenizer = registries().tokenizers.create("filter", token_width=288)
    layout = tokenizer.layout(specs[default], 10, 10)
    sizes = build_config("tiny", condition_dim=encoder.dim, layout=layout, max_classes=10)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        denoiser = Denoiser(sizes)
        with torch.no_grad():
            for parameter in denoiser.parameters():
                parameter.add_(0.05 * torch.randn_like(parameter))
        targets = {}
        for name, spec in specs.items():
            generic = spec.architecture.build(len(TOY_CLASSES)).state_dict()
            width = spec.num_parameters(2) - spec.num_parameters(1)
            rows = RowForecast(torch.randn(width, encoder.dim), torch.randn(width))
            targets[name] = GeneratorTarget(Normalizer.fit(spec, generic), rows)
    space = ConditionSpace.fit(encoder.space, encoder.encode_text(TOY_CLASSES))
    scheduler = registries().schedulers.create("ddim")
    figures = {"selection": 0.2, "difference": 0.1, "standard_error": 0.01, "num_tasks": 6}
    config = GeneratorConfig(
        architecture=default,
        tokenizer={"name": "filter", "config": tokenizer.config},
        scheduler={"name": "ddim", "config": dict(scheduler.config)},
        denoiser=sizes,
        condition={"space": encoder.space, "scale": space.scale, "templates": list(encoder.templates)},
        default_encoder="toy",
        max_classes=10,
        num_inference_steps=4,
        class_names=TOY_CLASSES,
        training={"recipe": "none"},
        architectures={
            name: {"whitened": [], "trained": accuracy is not None}
            | ({} if accuracy is None else {"validation": {"accuracy": accuracy, **figures}})
            for name, accuracy in SEVERAL.items()
        },
    )
    return Generator(config, denoiser, targets[default].normalizer, space, None, targets)


@pytest.fixture(scope="session")
def several_folder(several_generator: Generator, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`several_generator`, saved. Copy it before changing it."""
    folder = tmp_path_factory.mktemp("generators") / "several"
    several_generator.save_pretrained(folder)
    return folder


GENERATOR_PLUGIN = """
from tina_framework import hookimpl

TINA_API = "2.1"

@hookimpl
def tina_register(registry):
    registry.encoders.add("toy", "fake_toys.encoder:Undeclared")
    registry.generators.add("toys", "fake_toys:pretrained/toys")
    registry.generators.add("absent", "fake_toys:pretrained/absent")
"""


@pytest.fixture
def generator_plugin(tiny_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The package of an installed plugin ``fake-toys`` with the generator ``toys`` and its encoder ``toy``, which states nothing.

    Another generator, ``absent``, is registered without a folder.
    """
    from tina_framework.plugin import discovery

    monkeypatch.setattr(discovery, "_host", None)
    site = tmp_path / "site"
    package = site / "fake_toys"
    (package / "pretrained").mkdir(parents=True)
    (package / "__init__.py").write_text("")
    (package / "plugin.py").write_text(GENERATOR_PLUGIN)
    (package / "encoder.py").write_text(
        "from tests.conftest import ToyEncoder\n\nclass Undeclared(ToyEncoder):\n    self_contained = False\n"
    )
    shutil.copytree(tiny_folder, package / "pretrained" / "toys")
    info = site / "fake_toys-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: fake-toys\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[tina_framework]\ntoys = fake_toys.plugin\n")
    monkeypatch.syspath_prepend(site)
    monkeypatch.setenv("TINA_ALLOW_PLUGINS", "fake-toys")
    monkeypatch.chdir(tmp_path)
    yield package
    for name in [name for name in sys.modules if name.partition(".")[0] == "fake_toys"]:
        del sys.modules[name]
