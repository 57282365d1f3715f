"""Peaks are seen, kept, and not made up where the system does not tell them."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import torch

from tina_framework.evaluation import peak_memory
from tina_framework.evaluation.peak_memory import PeakMemory

CPU = torch.device("cpu")
MIB = 1 << 20


def take(mib: int) -> None:
    """Far above the size from which the allocator asks the system, and gives back at once."""
    bytearray(b"x" * (mib * MIB))


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only Linux tells the peak")
def test_a_peak_is_seen_and_the_greatest_kept() -> None:
    meter = PeakMemory(CPU)
    assert meter.peak is None
    with meter:
        take(1)
    small = meter.peak
    if small is None:
        pytest.skip("this system does not let a process reset its peak")
    with meter:
        take(96)  # twice: the bytes and the copy
    assert meter.peak is not None
    assert 180 * MIB < meter.peak < 260 * MIB
    with meter:
        take(1)
    assert meter.peak > 180 * MIB
    with PeakMemory(CPU) as other:
        take(1)
    assert other.peak is not None
    assert other.peak < 60 * MIB


def test_where_nothing_is_told_nothing_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(peak_memory, "_PROCESS", tmp_path / "none")
    with PeakMemory(CPU) as meter:
        take(1)
    assert meter.peak is None
    with PeakMemory(torch.device("meta")) as meter:
        take(1)
    assert meter.peak is None
