"""The attack with altered inputs finds readers that load, crash, hang or exhaust the memory."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform != "linux", reason="the attack forks, and reads /proc"),
]

CARELESS = """
import hashlib, json, os, sys, time
from pathlib import Path
from tests.attack import altered, mutations
from tests.attack.kinds import Kind
from tina_framework.errors import CheckpointError

root = Path(sys.argv[1])
(root / "intact").mkdir()
text = b"x" * 100
(root / "intact" / "file").write_bytes(text)

def careful(folder):
    if (folder / "file").read_bytes() != text:
        raise CheckpointError("It was altered.")
    return "x"

def careless(folder):
    return (folder / "file").read_bytes().decode("latin-1")

def crashing(folder):
    return careful(folder) if (folder / "file").read_bytes() == text else {}["key"]

def dying(folder):
    return careful(folder) if (folder / "file").read_bytes() == text else os._exit(3)

def shouting(folder):
    if (folder / "file").read_bytes() != text:
        raise CheckpointError("It was altered.\\n\\x1b[31m")
    return "x"

readers = (careful, careless, crashing, dying, shouting)
table = [Kind(r.__name__, root / "intact", root / "intact", r, True, mutations.BYTES, 4) for r in readers]
results = altered.attack_by_alteration(table, root, seed=0, jobs=1, total=20)
print(json.dumps([[one.kind, one.outcome] for one in results]))
"""


def test_careless_readers_are_found(tmp_path: Path) -> None:
    command = [sys.executable, "-c", CARELESS, str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True, timeout=300)
    results = json.loads(done.stdout.splitlines()[-1])
    outcomes = {kind: {outcome for other, outcome in results if other == kind} for kind, _ in results}
    assert outcomes["careful"] <= {"refused", "identical"}
    assert "loaded silently" in outcomes["careless"]
    assert "traceback" in outcomes["crashing"]
    assert "ends the process (3)" in outcomes["dying"]
    assert "bad sentence" in outcomes["shouting"]
    assert len(results) == 20
