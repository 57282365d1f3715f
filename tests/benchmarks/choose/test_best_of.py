"""Every way of choosing among candidates has a row, and the labels choose best."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks.choose.best_of import main
from tests.conftest import TOY_CLASSES


def test_labels_choose_best(
    tiny_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[Any]
) -> None:
    labels = np.repeat(np.arange(12), 20)
    images = np.random.default_rng(0).integers(0, 256, (240, 32, 32, 3), dtype=np.uint8)
    arrays = {"train_images": images, "train_labels": labels, "test_images": images, "test_labels": labels}
    np.savez(tmp_path / "noise.npz", class_names=np.array(TOY_CLASSES), **arrays)
    monkeypatch.chdir(tmp_path)
    words = ["--dataset", "arrays:noise.npz", "--model", str(tiny_folder), "--tasks", "2", "--number", "3"]
    main([*words, "--noise", "2"])
    rows = re.findall(r"\| 3 by (\w+) \| ([^|]+) \| [\d.]+ \| ([+-][\d.]+) ", capsys.readouterr().out)
    gains = {(kind, chosen): float(gain) for kind, chosen, gain in rows}
    assert {kind for kind, _ in gains} == {"seeds", "noise", "templates"}
    for kind in ("seeds", "noise", "templates"):
        mine = {chosen: gain for (other, chosen), gain in gains.items() if other == kind}
        assert mine["the first"] == 0
        assert mine["the best, by labels"] >= max(0, mine["the surest"])
