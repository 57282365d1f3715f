"""The gains of several training seeds become one table with their mean and range."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks.reproduce.seed_table import table
from tina_framework.errors import DataError


def measured(root: Path, name: str, **gains: float) -> None:
    paired = [{"method": m, "against": "selection", "difference": {"mean": gain / 100}} for m, gain in gains.items()]
    paired.append({"method": "selection", "against": "tina", "difference": {"mean": 0.5}})
    (root / name).mkdir()
    (root / name / "results.json").write_text(json.dumps({"paired": paired}))


def test_each_kind_of_training_has_its_mean_and_range(tmp_path: Path) -> None:
    measured(tmp_path, "tina-0", tina=4.0, common=1.0)
    measured(tmp_path, "tina-1", tina=4.3, common=0.5)
    measured(tmp_path, "tina-10", tina=4.9, common=0.0)
    measured(tmp_path, "regressor-0", tina=3.5, common=1.0)
    (tmp_path / "notes-of-mine").mkdir()
    assert table(tmp_path)[2:] == [
        "| tina | `tina` | 0: +4.00, 1: +4.30, 10: +4.90 | +4.40 | 0.90 |",
        "| tina | `common` | 0: +1.00, 1: +0.50, 10: +0.00 | +0.50 | 1.00 |",
        "| regressor | `tina` | 0: +3.50 | +3.50 | 0.00 |",
        "| regressor | `common` | 0: +1.00 | +1.00 | 0.00 |",
    ]


def test_missing_results_are_told(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no folder such as tina-0"):
        table(tmp_path)
    (tmp_path / "tina-0").mkdir()
    with pytest.raises(DataError, match="is missing"):
        table(tmp_path)
    measured(tmp_path, "tina-1", tina=1.0)
    (tmp_path / "tina-0").rmdir()
    with pytest.raises(DataError, match="no row 'common'"):
        table(tmp_path)
