from __future__ import annotations

import getpass
import json
import platform
from datetime import datetime

import torch

from tina_framework.evaluation.environment import describe_machine, now


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
