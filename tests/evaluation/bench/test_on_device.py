"""A bench on a played GPU: no operation mixes devices."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.playing_device import DEVICE, PlayedDevice
from tina_framework.evaluation.bench.protocol import Protocol
from tina_framework.evaluation.bench.run import BenchRequest, run_bench
from tina_framework.evaluation.methods import parse_methods


@pytest.mark.usefixtures("installed")
def test_a_bench_on_a_gpu(protocol: Protocol, data_file: Path) -> None:
    def measured(device: str) -> dict[str, dict[str, float]]:
        request = BenchRequest(protocol, f"arrays:{data_file}", parse_methods("tina,reader,nearest"), device=device)
        return {entry["method"]: entry for entry in run_bench(request)["methods"]}

    expected = measured("cpu")
    with PlayedDevice() as played:
        found = measured(str(DEVICE))
    assert played.device_operations > 0
    for name, entry in found.items():
        for column in ("sensitivity", "novelty"):
            assert "reason" not in entry[column], entry[column]
            for key, value in entry[column].items():
                if key in ("common", "random_prompt", "errors_nearest"):
                    assert value == pytest.approx(expected[name][column][key], abs=0.1)
