"""The wheel, installed into an environment of its own and used from another folder: nothing may be missing in it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import sysconfig
import venv
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "tina_framework"
DEMO = ["apple", "bear", "bicycle", "bus", "castle", "clock", "cloud", "forest", "mountain", "train"]
# Left behind by Python or by a training script that was stopped.
LEFTOVERS = ("__pycache__", "*.partial", "*.resume.safetensors")

Run = Callable[[Sequence[str]], str]


def checked(command: Sequence[str | Path], **options: object) -> str:
    done = subprocess.run(
        [str(word) for word in command], capture_output=True, text=True, timeout=600, check=False, **options
    )  # type: ignore[call-overload]
    assert done.returncode == 0, f"{command}\n{done.stdout[-2000:]}\n{done.stderr[-4000:]}"
    return str(done.stdout)


def shipped_files(package: Path) -> set[str]:
    return {path.relative_to(package.parent).as_posix() for path in package.rglob("*") if path.is_file()}


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of what the wheel is built from, so that building leaves nothing in the tree."""
    copy = tmp_path_factory.mktemp("source")
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, copy / name)
    shutil.copytree(PACKAGE, copy / PACKAGE.name, ignore=shutil.ignore_patterns(*LEFTOVERS))
    return copy


@pytest.fixture(scope="module")
def wheel(source: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built without isolation: an isolated build would download its backend."""
    before = shipped_files(source / PACKAGE.name)
    out = tmp_path_factory.mktemp("dist")
    checked([sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", out, source])
    (built,) = out.glob("*.whl")
    shutil.rmtree(source / "build", ignore_errors=True)
    assert shipped_files(source / PACKAGE.name) == before
    return built


@pytest.fixture(scope="module")
def environment(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A fresh environment with the wheel; the libraries are those of the present one, found through a .pth file.

    A .pth file inside a folder that was itself added by one is not read, so an editable install of this project in the
    present environment stays out of sight.
    """
    root = tmp_path_factory.mktemp("environment")
    venv.EnvBuilder(with_pip=False, symlinks=os.name != "nt").create(root)
    python = root / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    install = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--python", python, "install"]
    checked([*install, "--no-deps", "--no-index", wheel])
    site = checked([python, "-c", "import sysconfig; print(sysconfig.get_paths()['purelib'])"]).strip()
    (Path(site) / "libraries.pth").write_text(sysconfig.get_paths()["purelib"] + "\n", encoding="utf-8")
    return root


@pytest.fixture
def run(environment: Path, tmp_path: Path) -> Run:
    """run(["tina", ...]) or run(["python", ...]): from an empty folder, with an environment that says nothing."""
    scripts = environment / ("Scripts" if os.name == "nt" else "bin")
    home = tmp_path / "home"
    elsewhere = tmp_path / "elsewhere"
    home.mkdir()
    elsewhere.mkdir()
    passed = ("SYSTEMROOT", "OMP_NUM_THREADS", "TINA_DISABLE_PLUGINS")
    kept = {name: os.environ[name] for name in passed if name in os.environ}
    # HF_HUB_OFFLINE: what the wheel does here it must do without a network.
    variables = {"PATH": str(scripts), "HOME": str(home), "USERPROFILE": str(home), "HF_HUB_OFFLINE": "1", **kept}

    def call(command: Sequence[str]) -> str:
        return checked([scripts / command[0], *command[1:]], cwd=elsewhere, env=variables)

    return call


def test_the_wheel_holds_every_file_of_the_package(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        inside = {name for name in archive.namelist() if ".dist-info/" not in name}
    copied = {name for name in shipped_files(PACKAGE) if not any(Path(name).match(pattern) for pattern in LEFTOVERS)}
    copied = {name for name in copied if "__pycache__" not in name}
    assert copied - inside == set(), "missing in the wheel"
    assert inside - copied == set(), "not in the tree"


def test_the_wheel_is_small(wheel: Path) -> None:
    assert wheel.stat().st_size <= 36 * 2**20


def test_the_package_is_the_wheels(run: Run, environment: Path) -> None:
    found = Path(run(["python", "-c", "import tina_framework; print(tina_framework.__file__)"]).strip())
    assert found.resolve().is_relative_to(environment.resolve())
    assert not found.resolve().is_relative_to(ROOT)


def test_built_ins_are_found(run: Run) -> None:
    records = {record["name"]: record for record in json.loads(run(["tina", "plugins", "list", "--json"]))}
    built_in = records["builtins"]
    assert built_in["status"] == "ok"
    assert built_in["distribution"] == "tina-framework"
    assert built_in["version"] == run(["tina", "--version"]).split()[-1]
    assert {kind: len(names) > 0 for kind, names in built_in["provides"].items()} == dict.fromkeys(
        (
            "encoders",
            "architectures",
            "tokenizers",
            "schedulers",
            "datasets",
            "exporters",
            "methods",
            "generators",
            "zoos",
        ),
        True,
    )
    assert "clip-lite" in built_in["provides"]["encoders"]


def test_the_shipped_encoder_reads(run: Run) -> None:
    code = (
        "from tina_framework.plugin.discovery import registries\n"
        "encoder = registries().encoders.create('clip-lite')\n"
        "print(*encoder.encode_text(['apple', 'bear']).shape, encoder.dim)"
    )
    rows, width, dim = run(["python", "-c", code]).split()
    assert (rows, width) == ("2", dim)


needs_checkpoint = pytest.mark.skipif(
    not (PACKAGE / "pretrained" / "cifar100-cnn").is_dir(), reason="the bundled checkpoint is not in the tree"
)


@needs_checkpoint
def test_the_demo_runs_from_the_wheel(run: Run, tmp_path: Path) -> None:
    made = json.loads(run(["tina", "generate", *DEMO, "--out", "x", "--json"]))
    folder = tmp_path / "elsewhere" / "x"
    assert {path.name for path in folder.iterdir()} == {"README.md", "config.json", "model.safetensors"}
    assert made["classifiers"][0]["parameters"] == 5370
    assert made["classifiers"][0]["accuracy"], "the card records no accuracy for the default encoder at ten classes"
    assert made["pictures"], "the demo pictures are not in the wheel"
    assert {row["answer"] for row in made["pictures"]} <= set(DEMO)
    shown = json.loads(run(["tina", "classify", "x", str(PACKAGE / "demo" / made["pictures"][0]["picture"]), "--json"]))
    assert shown["pictures"][0]["answers"][0]["class"] == made["pictures"][0]["answer"]


@needs_checkpoint
def test_the_library_from_the_wheel(run: Run, tmp_path: Path) -> None:
    code = (
        "import numpy as np\n"
        "from tina_framework import GeneratedClassifier, Generator\n"
        f"model = Generator.from_pretrained('cifar100-cnn')({DEMO[:4]!r})\n"
        "images = np.random.default_rng(0).integers(0, 256, (3, 40, 50, 3), dtype=np.uint8)\n"
        "model.save_pretrained('saved')\n"
        "again = GeneratedClassifier.from_pretrained('saved').predict(images)\n"
        "assert again == model.predict(images)\n"
        "print(*again, sep='\\n')"
    )
    names = run(["python", "-c", code]).splitlines()
    assert len(names) == 3
    assert set(names) <= set(DEMO[:4])
    assert (tmp_path / "elsewhere" / "saved" / "model.safetensors").is_file()
