"""Names of devices."""

from __future__ import annotations

import pytest
import torch

from tina_framework.errors import ConfigError
from tina_framework.targets.device import FORCE_BATCHED_VARIABLE, resolve_device, runs_batched


def test_devices() -> None:
    assert resolve_device("cpu") == torch.device("cpu")
    assert resolve_device("auto").type in ("cpu", "cuda", "mps")
    with pytest.raises(ConfigError, match="Device 'abacus' cannot be used"):
        resolve_device("abacus")
    if not torch.cuda.is_available():
        with pytest.raises(ConfigError, match="Device 'cuda' cannot be used"):
            resolve_device("cuda")


@pytest.mark.parametrize(("value", "forced"), [("", False), ("0", False), ("1", True)])
def test_many_networks_run_together_on_a_gpu_or_where_a_test_asks_for_it(
    monkeypatch: pytest.MonkeyPatch, value: str, forced: bool
) -> None:
    monkeypatch.setenv(FORCE_BATCHED_VARIABLE, value)
    assert runs_batched(torch.device("cuda"))
    assert runs_batched(torch.device("cpu")) is forced
