"""Turn the folders that the scripts of this folder write into Markdown tables.

    python -m benchmarks.reproduce.tables [outputs/results]                 # print a table for each folder
    python -m benchmarks.reproduce.tables [outputs/results] --into FILE.md  # fill its <!-- NAME --> ... <!-- /NAME -->

A table has the accuracy with its 95 % interval, seconds for each model, parameters, memory, and the command that made
it. It also has the paired difference from `selection`, or from `substitute` where `selection` has no rows. The folder
of a prompt suite (`prompts.sh`) has a finished page, prompts.md, which is inserted unchanged.
"""

from __future__ import annotations

import argparse
import json
import re
from pathlib import Path
from typing import Any

from benchmarks.script import run
from tina_framework.errors import DataError
from tina_framework.evaluation.result_tables import command_block

# Tasks with unseen classes have no `selection`, so `substitute` comes second.
REFERENCES = ("selection", "substitute")


def table(results: dict[str, Any]) -> list[str]:
    """Return the lines of one Markdown table, with its command below."""
    reference = next((r for r in REFERENCES if any(p["against"] == r for p in results["paired"])), REFERENCES[0])
    against = {
        (row["method"], row["split"], row.get("num_classes")): row["difference"]
        for row in results["paired"]
        if row["against"] == reference
    }
    lines = [
        f"| method | tasks | accuracy %, 95 % interval | minus `{reference}`, paired "
        "| s / model, alone | parameters | MB |",
        "|---|---|---|---|---|---|---|",
    ]
    counts = {row["num_classes"] for row in results["rows"] if "num_classes" in row}
    for row in results["rows"]:
        if "num_classes" not in row:
            continue
        of = f", {row['num_classes']} classes" if len(counts) > 1 else ""
        accuracy = row["accuracy"]
        low, high = (100 * value for value in accuracy["ci95"])
        difference = against.get((row["method"], row["split"], row["num_classes"]))
        gain = ""
        if difference is not None:
            a, b = (100 * value for value in difference["ci95"])
            gain = f"{100 * difference['mean']:+.2f} ({a:+.2f} to {b:+.2f})"
        memory = row.get("peak_memory")
        lines.append(
            f"| `{row['method']}`{of} | {row['num_tasks']} | "
            f"{100 * accuracy['mean']:.2f} ({low:.2f} to {high:.2f}) | {gain} | {row['seconds_per_model']:.3f} | "
            f"{row['parameters'] or ''} | {'' if memory is None else round(memory / 1e6)} |"
        )
    return [*lines, "", *command_block(results["setup"]["command"]).splitlines()]


def insert(text: str, root: Path) -> str:
    """Return the text with every marked place filled from the folder of its name under `root`.

    Raises:
        DataError: the folder of a place is missing.
    """

    def filled(found: re.Match[str]) -> str:
        path = root / found[1] / "prompts.md"
        if path.is_file():
            return f"<!-- {found[1]} -->\n{path.read_text(encoding='utf-8').strip()}\n<!-- /{found[1]} -->"
        path = root / found[1] / "results.json"
        if not path.is_file():
            raise DataError(f"'{path}' is missing; run the script that measures this table first.")
        rows = "\n".join(table(json.loads(path.read_text(encoding="utf-8"))))
        return f"<!-- {found[1]} -->\n{rows}\n<!-- /{found[1]} -->"

    return re.sub(r"<!-- ([\w-]+) -->\n.*?<!-- /\1 -->", filled, text, flags=re.DOTALL)


def main(words: list[str]) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("results", nargs="?", type=Path, default=Path("outputs/results"))
    parser.add_argument("--into", type=Path)
    options = parser.parse_args(words)
    if options.into is not None:
        text = options.into.read_text(encoding="utf-8")
        options.into.write_text(insert(text, options.results), encoding="utf-8")
        return
    for path in sorted(options.results.glob("*/results.json")):
        results = json.loads(path.read_text(encoding="utf-8"))
        print(f"### {path.parent.name} ({results['setup']['date'][:10]})\n")
        print("\n".join(table(results)) + "\n")


if __name__ == "__main__":
    run(main)
