"""Settings of the memory allocator: blocks of some megabytes are used again without page faults."""

import ctypes
import subprocess
import sys

import pytest

from tina_framework.targets.allocator import keep_freed_memory

PROGRAM = """
import resource, sys, torch
from tina_framework.targets.allocator import keep_freed_memory
torch.set_num_threads(1)
if sys.argv[1] == "keep":
    assert keep_freed_memory()
kept = torch.ones(100)  # something above the blocks that are freed
def step():
    held = [torch.ones(1_000_000) for _ in range(20)]  # 80 MB
    return held[0]
for _ in range(2):
    step()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
step()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def faults(mode: str) -> int:
    return int(subprocess.run([sys.executable, "-c", PROGRAM, mode], check=True, capture_output=True, text=True).stdout)


@pytest.mark.skipif(not hasattr(ctypes.CDLL(None), "mallopt"), reason="this system's allocator is not that of glibc")
def test_freed_blocks_cost_no_page_faults():
    assert faults("keep") < 300 < faults("leave")


def test_other_systems_are_left_alone(monkeypatch):
    monkeypatch.setattr(sys, "platform", "darwin")
    assert keep_freed_memory() is False
