"""Thresholds for "none of these"."""

from __future__ import annotations

import torch
from photo_tables.abstaining import COUNTS, measure, thresholds
from photo_tables.photographs import Photographs


def test_thresholds_keep_ninety_percent_and_refuse_others() -> None:
    draws = torch.Generator().manual_seed(0)
    labels = torch.arange(24).repeat_interleave(20)
    features = torch.eye(24)[labels] + 0.1 * torch.randn(len(labels), 24, generator=draws)
    photographs = Photographs(tuple("abcdefghijklmnopqrstuvwx"), features, labels)

    def method(task: tuple[int, ...], shown: torch.Tensor) -> torch.Tensor:
        return shown[:, list(task)]

    limits = thresholds(method, range(24), photographs, 10, 0)
    assert tuple(limits) == COUNTS
    for row in measure(method, limits, range(24), photographs, 10, 0):
        assert 0.88 < row["kept"] < 0.92
        assert row["refused"]["mean"] > 0.95
        assert row["auroc"] > 0.95
