"""Settings of the memory allocator: blocks of some megabytes are used again without page faults."""

import ctypes
import subprocess
import sys

import pytest

from tina_framework.targets.allocator import keep_freed_memory

PROGRAM = """
import resource, torch
from tina_framework.targets.allocator import keep_freed_memory
torch.set_num_threads(1)
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


@pytest.mark.skipif(not hasattr(ctypes.CDLL(None), "mallopt"), reason="this system's allocator is not that of glibc")
def test_freed_blocks_cost_no_page_faults():
    done = subprocess.run([sys.executable, "-c", PROGRAM], check=True, capture_output=True, text=True)
    # 80 MB have 19,531 pages of 4 kB. Nearly all of them cost a fault without the settings, and none or those of a block with them.
    assert int(done.stdout) < 4000


def test_other_systems_are_left_alone(monkeypatch):
    monkeypatch.setattr(sys, "platform", "darwin")
    assert keep_freed_memory() is False
