"""Tests that need a GPU of NVIDIA. Without one they are skipped, and tests/playing_device.py plays one elsewhere."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch
from accelerate.state import AcceleratorState

# The small training run of tests/training.
from tests.training.conftest import make_config, settings, world

__all__ = ["make_config", "settings", "world"]


@pytest.fixture(autouse=True)
def _gpu() -> Iterator[None]:
    """Skip without a GPU. Compute in float32 without TF32, as the CPU does, and leave no state of Accelerate behind."""
    if not torch.cuda.is_available():
        pytest.skip("needs a GPU of NVIDIA: torch.cuda.is_available() is false")
    before = torch.get_float32_matmul_precision(), torch.backends.cudnn.allow_tf32
    torch.set_float32_matmul_precision("highest")
    torch.backends.cudnn.allow_tf32 = False
    AcceleratorState._reset_state(reset_partial_state=True)
    yield
    AcceleratorState._reset_state(reset_partial_state=True)
    torch.set_float32_matmul_precision(before[0])
    torch.backends.cudnn.allow_tf32 = before[1]
