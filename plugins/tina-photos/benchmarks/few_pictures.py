"""Measure names together with 0, 1, 2, 5, 10 and 20 photographs a class, against methods that see the same photographs alone.

    python plugins/tina-photos/benchmarks/few_pictures.py --pictures caltech_photos.tar --out results

It writes ``few_pictures.json``, ``few_pictures.md`` and ``few_pictures.png`` into the folder `--out`. Every other class, in sorted
order, was for choosing the settings. ``--test`` measures the others. The frozen network's features are kept in the cache folder.

Shapes: S photographs to learn from, D = 1,280 features.
"""

from __future__ import annotations

import argparse
import sys
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from photo_tables.few_pictures import POOL, Learner, class_means, few_accuracies, logistic_regression, name_and_pictures
from photo_tables.methods import by_generator
from photo_tables.names import halves, read_names
from photo_tables.photographs import features_of, read_classes
from photo_tables.tasks import Task, draw_tasks, summary
from torch import Tensor

from tina_framework import Generator, prompt
from tina_framework.errors import DependencyError, PromptWarning, explain, printable
from tina_framework.evaluation.environment import describe_machine, now
from tina_framework.evaluation.paths import without_folders
from tina_framework.storage.files import write_json
from tina_framework.storage.paths import user_path
from tina_photos.architecture import DEFAULT_SIZE, photo_head
from tina_photos.pictures import read_map

if TYPE_CHECKING:
    from matplotlib.axes import Axes

COUNTS = (0, 1, 2, 5, 10, 20)
OURS = "name and photographs"
_PENALTY = 0.001
_LINES = ("-", "--", "-.", ":")
_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#AA4499")


def pictures_in_place_of_names(generator: Generator) -> Learner:
    """Return the generator with photographs as prompts. Nothing is trained."""

    def learn(task: Task, features_SD: Tensor, slots_S: Tensor) -> Callable[[Tensor], Tensor]:
        fitted = read_map()
        # The framework, too, averages the vectors of a class's pictures.
        vectors = [fitted(features_SD[slots_S == slot].numpy()).mean(axis=0) for slot in range(len(task))]
        prompts = [prompt.vector(vector, label=f"class {slot}") for slot, vector in enumerate(vectors)]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", PromptWarning)
            network = generator(prompts).network
        return lambda features: network(features).detach()

    return learn


def measure(options: argparse.Namespace) -> dict[str, Any]:
    """Measure all methods on the same tasks and the same photographs."""
    classes = read_classes(user_path(options.pictures))
    names = [text.name for text in read_names(user_path(options.names), list(classes))]
    photographs = features_of(photo_head(str(options.size)), classes)
    part = halves(len(classes))[1 if options.test else 0]
    generator = Generator.from_pretrained(options.model)
    tasks = draw_tasks(part, options.classes, options.tasks, options.seed)
    learners: dict[str, Learner] = {
        OURS: name_and_pictures(generator, names),
        "logistic regression": logistic_regression(_PENALTY),
        "class means": class_means,
        "photographs in place of names": pictures_in_place_of_names(generator),
    }
    values: dict[str, dict[int, list[float]]] = {name: {} for name in learners}
    values[OURS][0] = few_accuracies(None, by_generator(generator, names), tasks, photographs, 0, options.seed)
    for count in COUNTS[1:]:
        for name, learner in learners.items():
            values[name][count] = few_accuracies(learner, None, tasks, photographs, count, options.seed)
    methods: dict[str, dict[str, Any]] = {name: {} for name in learners}
    for name, by_count in values.items():
        for count, found in by_count.items():
            entry = summary(found, None)
            if name != OURS:
                entry["difference"] = summary(values[OURS][count], found)["difference"]
            methods[name][str(count)] = entry
    return {
        "reference": OURS,
        "part": "test" if options.test else "choosing",
        "num_classes": len(part),
        "classes_per_task": options.classes,
        "num_tasks": len(tasks),
        "size": options.size,
        "pool": POOL,
        "methods": methods,
    }


def markdown(results: dict[str, Any]) -> str:
    """Return the accuracies, and below them how much names and photographs together are above each other method."""
    counts = [str(count) for count in COUNTS]
    lines = ["| photographs a class | " + " | ".join(counts) + " |", "|---" * (len(counts) + 1) + "|"]
    for name, found in results["methods"].items():
        lines.append(f"| {name} | " + " | ".join(_cell(found.get(count)) for count in counts) + " |")
    for name, found in results["methods"].items():
        if name != results["reference"]:
            cells = [_cell((found.get(count) or {}).get("difference"), "+") for count in counts]
            lines.append(f"| {results['reference']} minus {name} | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def _cell(entry: dict[str, Any] | None, sign: str = "") -> str:
    if entry is None:
        return ""
    half = "" if entry["ci95"] is None else f" ± {(entry['ci95'][1] - entry['ci95'][0]) / 2:.1f}"
    return f"{entry['mean']:{sign}.1f}{half}"


def draw(results: dict[str, Any], path: Path) -> None:
    """Draw the curves.

    Raises:
        DependencyError: matplotlib is not installed.
    """
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ModuleNotFoundError as error:
        raise DependencyError(
            "The picture needs 'matplotlib', which is not installed; run: pip install 'tina-framework[plots]'"
        ) from error
    figure = Figure(figsize=(7.4, 4.5), dpi=150, layout="constrained")
    FigureCanvasAgg(figure)
    axes: Axes = figure.add_subplot()
    for (name, found), line, colour in zip(results["methods"].items(), _LINES, _COLOURS, strict=True):
        places = [COUNTS.index(int(count)) for count in found]
        means = [entry["mean"] for entry in found.values()]
        axes.plot(places, means, line, marker="o", color=colour, label=name)
        if all(entry["ci95"] for entry in found.values()):
            low, high = zip(*(entry["ci95"] for entry in found.values()), strict=True)
            axes.fill_between(places, low, high, color=colour, alpha=0.12, linewidth=0)
    axes.set_xticks(range(len(COUNTS)), [str(count) for count in COUNTS])
    axes.set_xlabel("photographs a class")
    axes.set_ylabel("accuracy, %")
    axes.set_title(
        f"{results['classes_per_task']} classes, {results['num_tasks']} tasks, {results['size']} px; bands: 95 % intervals",
        fontsize=10,
        loc="left",
    )
    axes.grid(color="#E4E4E4")
    axes.legend(loc="lower right", frameon=False)
    figure.savefig(path, format="png", metadata={"Software": None})


def main(words: Sequence[str]) -> None:
    parser = argparse.ArgumentParser(
        prog="few_pictures.py", description=__doc__.partition("\n")[0] if __doc__ else None
    )
    parser.add_argument("--pictures", required=True, help="a folder with one folder a class, or a tar file of it")
    parser.add_argument("--names", default=str(Path(__file__).with_name("caltech.json")), help="JSON: folder -> texts")
    parser.add_argument("--out", required=True, help="folder for the results")
    parser.add_argument("--model", default="photos", help="name or folder of the generator")
    parser.add_argument("--test", action="store_true", help="measure the classes for the test")
    parser.add_argument("--size", type=int, default=DEFAULT_SIZE, help="pixels")
    parser.add_argument("--tasks", type=int, default=100, help="random tasks")
    parser.add_argument("--classes", type=int, default=10, help="classes of a task")
    parser.add_argument("--seed", type=int, default=0, help="of the tasks and of the divisions of photographs")
    options = parser.parse_args(words)
    torch.manual_seed(options.seed)
    results = measure(options)
    shown = " ".join(without_folders(word) for word in words)
    results |= {
        "command": f"python plugins/tina-photos/benchmarks/few_pictures.py {shown}",
        "seed": options.seed,
        "date": now(),
        "machine": describe_machine(torch.device("cpu")),
    }
    out = user_path(options.out)
    out.mkdir(parents=True, exist_ok=True)
    write_json(out / "few_pictures.json", results)
    (out / "few_pictures.md").write_text(markdown(results), encoding="utf-8")
    draw(results, out / "few_pictures.png")
    print(markdown(results))


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except (Exception, KeyboardInterrupt) as error:
        sentence, code = explain(error)
        print(printable(sentence), file=sys.stderr)
        sys.exit(code)
