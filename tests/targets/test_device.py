"""Names of devices."""

from __future__ import annotations

import pytest
import torch

from tina_framework.errors import ConfigError
from tina_framework.targets.device import resolve_device


def test_devices() -> None:
    assert resolve_device("cpu") == torch.device("cpu")
    assert resolve_device("auto").type in ("cpu", "cuda", "mps")
    with pytest.raises(ConfigError, match="Device 'abacus' cannot be used"):
        resolve_device("abacus")
    if not torch.cuda.is_available():
        with pytest.raises(ConfigError, match="Device 'cuda' cannot be used"):
            resolve_device("cuda")
