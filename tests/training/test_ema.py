from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from tina_framework.training.ema import EMA, decay_at


def test_decay_warms_up() -> None:
    assert decay_at(0, 0.999) == pytest.approx(1 / 10)
    assert decay_at(8, 0.999) == pytest.approx(9 / 18)
    assert decay_at(10**6, 0.999) == 0.999
    assert decay_at(5, 0.0) == 0.0


def test_average_follows_the_formula() -> None:
    module: Any = nn.Linear(3, 2)
    ema = EMA(module, 0.5)
    expected = module.weight.detach().clone()
    for update in range(20):
        with torch.no_grad():
            module.weight.add_(torch.randn(2, 3))
        ema.update(module)
        d = decay_at(update, 0.5)
        expected = d * expected + (1 - d) * module.weight.detach()
    torch.testing.assert_close(ema.state_dict()["weight"], expected)
    assert ema.updates == 20
    assert not any(p.requires_grad for p in ema.denoiser().parameters())


def test_load_restores_average_and_count() -> None:
    module: Any = nn.Linear(3, 2)
    ema, other = EMA(module, 0.9), EMA(nn.Linear(3, 2), 0.9)  # type: ignore[arg-type]
    ema.update(module)
    other.load(ema.state_dict(), ema.updates)
    assert other.updates == 1
    assert all(torch.equal(a, b) for a, b in zip(ema.state_dict().values(), other.state_dict().values(), strict=True))
