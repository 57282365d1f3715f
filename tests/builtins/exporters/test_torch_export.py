"""Programs of torch.export: metadata, and any number of pictures without this package."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from tina_framework.builtins.exporters.torch_export import TorchExportExporter
from tina_framework.testing.checks.exporter import sample_source


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("torch") / "sample.pt2"
    TorchExportExporter().write(sample_source(), path)
    return path


def test_metadata(path: Path) -> None:
    extra = {"tina.json": ""}
    torch.export.load(path, extra_files=extra)
    assert json.loads(extra["tina.json"]) == dict(sample_source().metadata)


def test_it_runs_without_this_package(path: Path) -> None:
    code = (
        "import sys, torch\n"
        "module = torch.export.load(sys.argv[1]).module()\n"
        "print(*[tuple(module(torch.zeros(n, 12, 12, 3, dtype=torch.uint8)).shape) for n in (1, 2, 5)])\n"
        "assert not any(name.startswith('tina_framework') for name in sys.modules)\n"
    )
    found = subprocess.run([sys.executable, "-c", code, path], capture_output=True, text=True, check=True)
    assert found.stdout.split("\n")[0] == "(1, 3) (2, 3) (5, 3)"


def test_no_paths_of_this_machine(path: Path) -> None:
    import zipfile

    with zipfile.ZipFile(path) as archive:
        texts = b"".join(archive.read(name) for name in archive.namelist())
    assert b"site-packages" not in texts
    assert str(Path(__file__).resolve().parents[3]).encode() not in texts


def test_any_name_and_a_full_disk(path: Path, tmp_path: Path) -> None:
    odd = tmp_path / os.fsdecode(b"odd\xff.pt2")
    odd.write_bytes(path.read_bytes())
    assert TorchExportExporter().load(odd)(np.zeros((1, 12, 12, 3), np.uint8)).shape == (1, 3)
    if Path("/dev/full").exists():
        with pytest.raises(OSError, match="No space left"):
            TorchExportExporter().write(sample_source(), Path("/dev/full"))
