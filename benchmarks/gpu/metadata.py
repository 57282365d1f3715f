"""Let a checkout be found as the installed package, on a machine that cannot build it: `python -m benchmarks.gpu.metadata FOLDER`.

Built-ins are found through the entry points of the distribution. This writes them into FOLDER, which must be on the search
path, with the standard library alone. It does nothing if the package is installed.
"""

from __future__ import annotations

import importlib.metadata
import sys
import tomllib
from pathlib import Path

__all__ = ["write_metadata"]

_PROJECT = Path(__file__).resolve().parents[2] / "pyproject.toml"


def write_metadata(folder: Path) -> Path:
    """Write the `.dist-info` folder of this project, and return it."""
    project = tomllib.loads(_PROJECT.read_text(encoding="utf-8"))["project"]
    name = project["name"].replace("-", "_")
    info = folder / f"{name}-{project['version']}.dist-info"
    info.mkdir(parents=True, exist_ok=True)
    (info / "METADATA").write_text(
        f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: {project['version']}\n", encoding="utf-8"
    )
    lines = []
    for group, points in project["entry-points"].items():
        lines += [f"[{group}]", *(f"{point} = {target}" for point, target in points.items())]
    (info / "entry_points.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return info


def main(words: list[str]) -> None:
    try:
        importlib.metadata.version("tina-framework")
    except importlib.metadata.PackageNotFoundError:
        write_metadata(Path(words[0]))


if __name__ == "__main__":
    main(sys.argv[1:])
