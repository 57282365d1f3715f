from __future__ import annotations

import getpass
import json
import platform
from datetime import datetime

import pytest
import torch

from tina_framework.evaluation import environment
from tina_framework.evaluation.environment import busy_warning, describe_machine, now


def test_the_machine_is_described_without_its_name() -> None:
    machine = describe_machine(torch.device("cpu"))
    assert machine["processor"]
    assert machine["cores"] >= 1
    assert machine["torch"] == torch.__version__
    assert machine["accelerator"] is None
    values = set(json.loads(json.dumps(machine)).values())
    assert not values & {platform.node(), getpass.getuser()}


def test_the_time_says_its_zone() -> None:
    assert datetime.fromisoformat(now()).utcoffset() is not None


def test_a_busy_machine_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(environment, "_cores", lambda: 4)
    monkeypatch.setattr(environment.os, "getloadavg", lambda: (1.9, 9.0, 9.0), raising=False)
    assert busy_warning() is None
    monkeypatch.setattr(environment.os, "getloadavg", lambda: (6.0, 0.0, 0.0), raising=False)
    assert "load of 6.0 on 4 cores" in str(busy_warning())
