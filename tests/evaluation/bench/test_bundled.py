"""The bundled protocol on CIFAR-100 gives the recorded figures."""

from __future__ import annotations

from pathlib import Path

import pytest

from tina_framework.evaluation.bench.protocol import open_protocol
from tina_framework.evaluation.bench.run import BenchRequest, run_bench
from tina_framework.evaluation.methods import parse_methods
from tina_framework.evaluation.reproduce.records import open_record


@pytest.mark.slow
@pytest.mark.cifar100
def test_a_quick_bench_gives_the_recorded_accuracies(cifar100_path: Path) -> None:
    record = open_record("cifar100")
    (table,) = [table for table in record.tables if table.name == "ten-classes"]
    recorded = {tuple(task["classes"]): task["accuracy"] for task in record.tasks(table)}
    request = BenchRequest(
        open_protocol("cifar100-10way"),
        f"arrays:{cifar100_path}",
        parse_methods("tina,selection"),
        quick=True,
        device="cpu",
    )
    summary = run_bench(request)
    classes = [tuple(task["classes"]) for task in summary["tasks"]]
    assert len(classes) == 20
    for entry in summary["methods"]:
        expected = sum(recorded[names][entry["method"]] for names in classes) / len(classes)
        found = sum(accuracy for accuracy, _ in entry["tasks"]) / len(classes)
        # Other pictures than the recorded ones may be at hand.
        assert found == pytest.approx(expected, abs=0.02), entry["method"]
        assert 0 < entry["novelty"]["errors_nearest"] < 1
    ratio = next(entry for entry in summary["methods"] if entry["method"] == "tina")["sensitivity"]["ratio"]
    assert 0 < ratio < 0.2
