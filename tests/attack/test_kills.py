"""The attack by kills holds for folders, and finds writers that keep no promise."""

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
import json, sys
from pathlib import Path
from tests.attack import kills
from tests.attack.writers import ABSENT, Writer
from tina_framework.errors import CheckpointError

def write_in_place(box):
    with (box / "a.json").open("w") as file:
        file.write("[1, 2, 3]")

def write_beside(box):  # atomic, but what a kill leaves stays there
    import os
    name = box / f"a.{os.getpid()}.tmp"
    name.write_text("[1, 2, 3]")
    name.rename(box / "a.json")

def careful(box):
    (box / "new").write_text("[1, 2, 3]")
    (box / "new").rename(box / "a.json")

def read(box):
    try:
        return str(json.loads((box / "a.json").read_text()))
    except FileNotFoundError:
        return ABSENT
    except ValueError as error:
        raise CheckpointError(str(error))

table = [Writer(write.__name__, "toy", write, read) for write in (write_in_place, write_beside, careful)]
results, numbers = kills.attack_by_kills(table, Path(sys.argv[1]), seed=0, jobs=1)
print(json.dumps([[result.writer, result.where.split()[0], result.problems] for result in results]))
"""


def test_careless_writers_are_found(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", CARELESS, str(tmp_path)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
        timeout=300,
    )
    results = json.loads(done.stdout.splitlines()[-1])
    bad = {(writer, phase): problems for writer, phase, problems in results if problems}
    assert "a reader fails" in bad["write_in_place", "half"][0]
    assert any("left over" in problem for problem in bad["write_beside", "half"])
    assert not any(writer == "careful" for writer, _ in bad)
    assert len([1 for writer, *_ in results if writer == "careful"]) == 5  # open, write, half of it, rename, the end
