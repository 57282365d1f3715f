"""Compare the networks of one generator: the gain of each over its own selection, and over a generator for it alone.

    python -m benchmarks.reproduce.many_table [outputs/many] [--plot docs/images/networks.png]

The folder is that of `many.sh`: ``many/NAME`` and ``alone/NAME``, as `tina evaluate` writes them.
"""

from __future__ import annotations

import argparse
import json
import tomllib
from pathlib import Path
from typing import Any

from benchmarks.plots.networks import networks
from benchmarks.plots.style import save
from benchmarks.reproduce.paired import difference
from benchmarks.script import run
from tina_framework.errors import DataError
from tina_framework.evaluation.statistics import Summary, paired

__all__ = ["main", "never_trained", "rows", "table"]

FINE_TUNE = "fine-tune"

_RECIPE = Path(__file__).parents[2] / "examples" / "cifar100" / "many.toml"


def rows(root: Path) -> list[dict[str, Any]]:
    """Return one row for each network, the smallest first.

    Each has ``name``, ``parameters``, the accuracies ``selection`` and ``tina`` in percent, and in points with their intervals
    ``gain`` (tina minus selection), ``alone`` (tina minus a generator for this network alone; None if that one was not measured) and
    ``fine_tune`` and ``ahead`` (fine-tuning minus selection, and tina minus fine-tuning, on the tasks that were fine-tuned; None
    without any).

    Raises:
        DataError: there are no results, or a method is missing.
    """
    found = []
    for folder in sorted((root / "many").glob("*")):
        path = folder / "results.json"
        if not path.is_file():
            raise DataError(f"'{path}' is missing; run many.sh until it ends.")
        measured = {row["method"]: row for row in json.loads(path.read_text(encoding="utf-8"))["rows"]}
        if missing := [method for method in ("tina", "selection") if method not in measured]:
            raise DataError(f"'{path}' has no row '{missing[0]}'; run many.sh again.")
        alone = root / "alone" / folder.name
        found.append(
            {
                "name": folder.name,
                "parameters": int(measured["tina"]["parameters"]),
                "selection": 100 * measured["selection"]["accuracy"]["mean"],
                "tina": 100 * measured["tina"]["accuracy"]["mean"],
                "gain": difference(folder, "tina", folder, "selection"),
                "alone": difference(folder, "tina", alone, "tina") if (alone / "tasks.json").is_file() else None,
                "fine_tune": _on_fine_tuned(folder, FINE_TUNE, "selection") if FINE_TUNE in measured else None,
                "ahead": _on_fine_tuned(folder, "tina", FINE_TUNE) if FINE_TUNE in measured else None,
            }
        )
    if not found:
        raise DataError(f"'{root / 'many'}' holds no results; run many.sh first.")
    return sorted(found, key=lambda row: row["parameters"])


def never_trained() -> list[str]:
    """Return the networks that the recipe writes but does not train: those of weight 0."""
    weights = tomllib.loads(_RECIPE.read_text(encoding="utf-8"))["architectures"]
    return [name for name, weight in weights.items() if not weight]


def _on_fine_tuned(folder: Path, method: str, other: str) -> Summary:
    """Return one method minus another on the tasks with a fine-tuned network. It takes long, so there are often few of them."""
    tasks = json.loads((folder / "tasks.json").read_text(encoding="utf-8"))["tasks"]
    measured = [task["accuracy"] for task in tasks if task["accuracy"].get(FINE_TUNE) is not None]
    return paired([100 * task[method] for task in measured], [100 * task[other] for task in measured])


def table(root: Path) -> list[str]:
    """Return the lines of a Markdown table with a row for each network."""
    lines = [
        "| network | parameters | `selection` | `tina` | gain | minus alone | gain of `fine-tune` | `tina` minus `fine-tune` |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for row in rows(root):
        others = ("-" if row[key] is None else _interval(row[key]) for key in ("alone", "fine_tune", "ahead"))
        lines.append(
            f"| `{row['name']}` | {row['parameters']:,} | {row['selection']:.2f} | {row['tina']:.2f} | {_interval(row['gain'])} | "
            f"{' | '.join(others)} |"
        )
    return lines


def _interval(value: Summary) -> str:
    return f"{value.mean:+.2f}" + ("" if value.ci95 is None else f" ({value.ci95[0]:+.2f} to {value.ci95[1]:+.2f})")


def main(words: list[str]) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("results", nargs="?", type=Path, default=Path("outputs/many"))
    parser.add_argument("--plot", type=Path, help="also draw accuracy against size into this PNG file")
    given = parser.parse_args(words)
    print("\n".join(table(given.results)))
    if given.plot is not None:
        found = rows(given.results)
        text = f"cifar100-many, {found[0]['gain'].n} reserved tasks of 10 classes, test images; hollow: never trained"
        save(networks(found, never_trained(), text), given.plot)


if __name__ == "__main__":
    run(main)
