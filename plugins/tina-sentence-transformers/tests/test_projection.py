"""Test what is refused when a projection is read."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from tina_framework.errors import CheckpointError
from tina_framework.storage.digest import renew_digest
from tina_framework.storage.folders import hashes
from tina_sentence_transformers.encoder import SentenceTransformersEncoder


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"format": "tina-generator"}, "does not belong to a tina-sentence-projection folder"),
        ({"format_version": 2}, "format_version 2"),
        ({"space": None}, "KeyError: 'space'"),
        ({"templates": ["no place", "{}"]}, "do not fit together"),
        ({"templates": ["{}"]}, "do not fit together"),
        ({"gammas": [1.0, 0.0]}, "do not fit together"),
        ({"dim": "8"}, "is not an integer above 0"),
        ({"confidence": [{"slope": 1}, {}]}, "TypeError"),
    ],
)
def test_a_wrong_configuration_is_refused(
    altered: Callable[..., Path], tmp_path: Path, projection_folder: Path, changes: dict[str, Any], says: str
) -> None:
    with pytest.raises(CheckpointError, match=r"fit again|create it again|fit-projection") as caught:
        SentenceTransformersEncoder(altered(projection_folder, tmp_path / "out", **changes))
    assert says in str(caught.value)


def test_a_folder_without_a_projection_is_refused(tmp_path: Path) -> None:
    for folder in (tmp_path, tmp_path / "nowhere"):
        with pytest.raises(CheckpointError, match=r"has no config|no folder"):
            SentenceTransformersEncoder(folder)


@pytest.mark.parametrize("damage", ["exchanged", "cut", "missing", "shape", "nan"])
def test_damaged_weights_are_refused(
    altered: Callable[..., Path], tmp_path: Path, projection_folder: Path, damage: str
) -> None:
    folder = altered(projection_folder, tmp_path / "out")
    path = folder / "projection.safetensors"
    tensors = load_file(path)
    if damage == "exchanged":
        save_file(tensors | {"mean": tensors["mean"] + 1}, path)
    elif damage == "cut":
        path.write_bytes(path.read_bytes()[:-10])
    elif damage == "missing":
        path.unlink()
    else:
        wrong = {"shape": tensors["mean"][:, :-1].copy(), "nan": tensors["mean"] * np.nan}[damage]
        save_file(tensors | {"mean": wrong}, path)
        config = json.loads((folder / "config.json").read_text())
        (folder / "config.json").write_text(json.dumps(config | {"sha256": hashes(path)}))
        renew_digest(folder / "config.json")
    with pytest.raises(CheckpointError):
        SentenceTransformersEncoder(folder).encode_text(["red cat"])
