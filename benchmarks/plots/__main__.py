"""Draw the pictures of the documents from the folders that evaluations and trainings wrote.

    python -m benchmarks.plots [OUTPUTS] [OUTDIR] [--run LABEL=RUN/log.jsonl ...]

OUTPUTS is outputs/results by default, OUTDIR docs/images. A picture without figures is skipped with a message. Needs
the extra `plots`.

    picture                               shows                                         needs
    steps.png                             tina minus selection by sampling steps        tina@N among the methods
    class-counts.png                      gain over selection by number of classes      two class counts or more
    frontier.png                          gain over selection by seconds for each model any evaluation
    scatter-METHOD.png                    tina against METHOD, task by task             fine-tune among the methods
    training-steps.png, training-time.png validation during training                    --run, or OUTPUTS/*/log.jsonl
    abstaining.png                        foreign pictures refused                      abstain.json below OUTPUTS
    usefulness.png                        accuracy after fine-tuning on a few pictures  usefulness.json below OUTPUTS
    prompts-FOLDER.png                    accuracy by kind of prompt                    prompts.json below OUTPUTS
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.plots import curves, frontier, pairs, series
from benchmarks.plots.prompts import by_prompt
from benchmarks.plots.reading import Results, find_results, one_model, read_abstaining, read_log, read_usefulness
from benchmarks.plots.style import save
from benchmarks.script import run
from tina_framework.errors import DataError
from tina_framework.storage.files import read_json

Picture = tuple[str, Callable[[], Any]]


def note(kept: list[Results], arguments: argparse.Namespace, *, counts: bool = False) -> str:
    """Return the caption: model, number and split of the tasks, classes and images."""
    rows = [r for results in kept for r in results.summary["rows"] if r["split"] == arguments.split]
    tasks = max(r["num_tasks"] for r in rows if r.get("num_classes") == arguments.classes)
    of = "" if counts else f" of {arguments.classes} classes"
    return (
        f"{arguments.model}; {tasks} {arguments.split} tasks{of}, {arguments.images} images; 95 % intervals over tasks"
    )


def pictures(arguments: argparse.Namespace) -> Iterator[Picture]:
    """Yield the name of each picture and the function that draws it."""
    found = find_results(arguments.results)
    kept, left = one_model(found, arguments.model, arguments.images, arguments.encoder)
    if left:
        print(f"Skipped (another model, weights, images or encoder): {', '.join(r.folder.name for r in left)}.")
    at = (arguments.split, arguments.classes)
    if any(r["split"] == at[0] and r.get("num_classes") == at[1] for k in kept for r in k.summary["rows"]):
        text = note(kept, arguments)
        yield "steps", lambda: curves.steps(series.by_steps(kept, *at), text)
        yield (
            "class-counts",
            lambda: curves.class_counts(series.by_class_count(kept, at[0]), note(kept, arguments, counts=True)),
        )
        costs, accuracy = series.costs(kept, *at)
        yield "frontier", lambda: frontier.frontier(frontier.shown(costs), accuracy, text)
        for pair in series.task_pairs(kept, *at):
            few = f"{len(pair.x)} {arguments.split} tasks of {arguments.classes} classes, {arguments.images} images"
            yield "scatter-" + re.sub(r"[^\w-]+", "-", pair.other), partial(pairs.scatter, pair, few)
    else:
        print(f"No evaluation of '{arguments.model}' on {at[0]} tasks of {at[1]} classes in '{arguments.results}'.")
    runs = dict(arguments.run) or {path.parent.name: path for path in sorted(arguments.results.glob("*/log.jsonl"))}
    if runs:
        logs = {label: read_log(path) for label, path in runs.items()}
        text = "validation tasks and validation images; bands: 95 % intervals over tasks"
        yield "training-steps", lambda: curves.training(logs, text)
        yield "training-time", lambda: curves.training(logs, text, against="seconds")
    shots = sorted(arguments.results.glob("**/usefulness.json"))
    if shots:
        few_text = "accuracy on test images after fine-tuning; 95 % intervals over tasks"
        yield "usefulness", lambda: curves.usefulness(read_usefulness(shots[0]), few_text)
    for path in sorted(arguments.results.glob("**/prompts.json")):
        suite = read_json(path)
        setup, rows = suite["setup"], suite["variants"]
        text = f"{setup['model']} with {setup['encoder']}; {rows[0]['num_tasks']} tasks, {setup['image_split']} images"
        yield f"prompts-{path.parent.name}", partial(by_prompt, rows, text)
    refusals = sorted(arguments.results.glob("**/abstain.json"))
    if refusals:
        text = "reserved tasks, test images; dots: the generator's own thresholds; bands: 95 % intervals over tasks"
        yield "abstaining", lambda: curves.abstaining(*read_abstaining(refusals[0]), text)


def labelled(text: str) -> tuple[str, Path]:
    """Parse ``LABEL=FILE``."""
    label, equals, path = text.partition("=")
    if not (label and equals and path):
        raise argparse.ArgumentTypeError(f"'{text}' is not LABEL=FILE")
    return label, Path(path)


def main(words: list[str]) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "results", nargs="?", type=Path, default=Path("outputs/results"), metavar="OUTPUTS", help="folder of results"
    )
    parser.add_argument(
        "out", nargs="?", type=Path, default=Path("docs/images"), metavar="OUTDIR", help="folder of pictures"
    )
    parser.add_argument("--run", type=labelled, action="append", default=[], metavar="LABEL=FILE")
    parser.add_argument("--model", default="cifar100-cnn", help="name of the generator in the results")
    parser.add_argument("--split", default="unseen-combination")
    parser.add_argument("--classes", type=int, default=10)
    parser.add_argument("--images", default="test", choices=("test", "validation"))
    parser.add_argument("--encoder", default=None, help="encoder of the results; default: the one of most results")
    arguments = parser.parse_args(words)
    for name, draw in pictures(arguments):
        path = arguments.out / f"{name}.png"
        try:
            save(draw(), path)
        except DataError as error:
            print(f"Not drawn: {name}: {error}")
            continue
        print(f"Wrote {path}, {path.stat().st_size / 1000:.0f} kB.")


if __name__ == "__main__":
    run(main)
