"""Run notebooks and write their outputs into them: ``python tests/notebook.py docs/tutorials/*.ipynb``.

What differs from machine to machine is left out: times, counters of executions and versions.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

import nbformat
from nbclient import NotebookClient

TIMEOUT = 120
"""Seconds for one cell."""


def run(path: Path, folder: Path) -> Any:
    """Return the notebook with new outputs, run in `folder` by the interpreter that runs this.

    Raises:
        nbclient.exceptions.CellExecutionError: a cell fails.
    """
    notebook = nbformat.read(path, as_version=4)
    resources = {"metadata": {"path": str(folder)}}
    NotebookClient(notebook, timeout=TIMEOUT, kernel_name="python3", record_timing=False, resources=resources).execute()
    notebook.metadata["language_info"] = {"name": "python"}
    for number, cell in enumerate(cell for cell in notebook.cells if cell.cell_type == "code"):
        cell.execution_count = number + 1
        for output in cell.outputs:
            if output.output_type == "execute_result":
                output.execution_count = number + 1
    return notebook


def texts(notebook: Any) -> list[str]:
    """Return what each cell of code printed or returned as text. Pictures count with their size in inches alone."""
    return [
        "".join(
            output.get("text", "") if output.output_type == "stream" else output.data.get("text/plain", "")
            for output in cell.outputs
        )
        for cell in notebook.cells
        if cell.cell_type == "code"
    ]


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(description="Run notebooks, and write their outputs into them.")
    parser.add_argument("notebooks", nargs="+", type=Path, metavar="FILE.ipynb")
    for path in parser.parse_args(arguments).notebooks:
        nbformat.write(run(path, path.parent), path)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
