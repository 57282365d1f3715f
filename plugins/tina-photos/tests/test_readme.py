"""The Python example on the first screen of the project's README."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
DEMO = Path(__file__).resolve().parents[1] / "tina_photos" / "demo"


def test_the_first_example_runs(tmp_path: Path) -> None:
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(encoding="utf-8"), re.DOTALL)
    (example,) = (block for block in blocks if 'from_pretrained("photos")' in block)
    (tmp_path / "holiday").mkdir()
    shutil.copy(DEMO / "giraffe.jpg", tmp_path / "holiday" / "1.jpg")
    ran = subprocess.run(
        [sys.executable, "-c", example], cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False
    )
    assert ran.returncode == 0, ran.stderr
    assert "elephant" in ran.stdout
    assert (tmp_path / "my-classifier" / "model.safetensors").is_file()
