"""The share of fine-tuning's gain is a ratio of means over the same tasks."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.plots.series import Pairs
from benchmarks.reproduce.shares import main, table
from tina_framework.errors import DataError


def test_the_share_is_the_ratio_of_the_mean_gains() -> None:
    half = Pairs("tina", "fine-tune@long", (0.02, 0.04) * 10, (0.01, 0.02) * 10)
    lost = Pairs("tina", "fine-tune", (-0.02, -0.01), (0.01, 0.02))
    assert table([half, lost])[2:] == [
        "| `fine-tune@long` | 20 | +3.00 | +1.50 | 0.50 (0.50 to 0.50) |",
        "| `fine-tune` | 2 | -1.50 | +1.50 | none: fine-tuning does not gain |",
    ]


def test_a_folder_without_results_is_told(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="has no tasks with selection, tina and fine-tune"):
        main([str(tmp_path)])
