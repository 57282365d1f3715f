"""The benchmarks are scripts and no part of the package, so their folder has to be found first."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "benchmarks"))
