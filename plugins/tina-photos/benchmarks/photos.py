"""Measure the generator `photos`, and all that it is compared with, on photographs.

    python plugins/tina-photos/benchmarks/photos.py --pictures caltech_photos.tar --vectors clip_b32_vocab_a.npz --out results

It writes ``photos.json`` and ``photos.md`` into the folder `--out`. Every other class, in sorted order, is for choosing; only these are
measured without ``--test``. The frozen network's features are kept in the cache folder, so only the first run takes minutes.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from photo_tables import abstaining, few_pictures
from photo_tables.few_pictures import class_means, few_accuracies, logistic_regression, name_and_pictures
from photo_tables.methods import Truth, warned
from photo_tables.names import ClassText, halves, read_names
from photo_tables.photographs import Photographs, features_of, read_classes
from photo_tables.prompt_kinds import TINA, PromptKind, description_prompts, name_prompts, vector_prompts
from photo_tables.report import markdown
from photo_tables.speed import measure_speed
from photo_tables.tasks import accuracies, draw_tasks, summary
from photo_tables.vocabulary import Vocabulary

from tina_framework import Generator
from tina_framework.errors import explain, printable
from tina_framework.evaluation.environment import describe_machine, now
from tina_framework.evaluation.paths import without_folders
from tina_framework.storage.files import write_json
from tina_framework.storage.paths import user_path
from tina_photos.architecture import DEFAULT_SIZE, photo_head
from tina_photos.weights import imagenet_head

SIZE, MANY = 10, 40
"""Classes of a task, and of one with many."""

FEW_TASKS = 60
MIXED = "all classes"


def _arguments(words: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="photos.py", description=__doc__.partition("\n")[0] if __doc__ else None)
    parser.add_argument("--pictures", required=True, help="a folder with one folder a class, or a tar file of it")
    parser.add_argument("--names", default=str(Path(__file__).with_name("caltech.json")), help="JSON: folder -> texts")
    parser.add_argument("--vectors", required=True, help="CLIP's vectors of names (.npz: source, name, emb)")
    parser.add_argument("--out", required=True, help="folder for the results")
    parser.add_argument("--model", default="photos", help="name or folder of the generator")
    parser.add_argument("--baselines-only", action="store_true", help="measure no generator")
    parser.add_argument("--unseen-words", help="folder that fit_words.py --leave-out wrote for these classes")
    parser.add_argument("--test", action="store_true", help="measure the classes for the test, too")
    parser.add_argument("--no-speed", action="store_true", help="measure no times")
    parser.add_argument("--sizes", type=int, nargs="+", default=[128, DEFAULT_SIZE], help="pixels")
    parser.add_argument("--tasks", type=int, default=200, help="random tasks of ten classes")
    parser.add_argument("--seed", type=int, default=0, help="of the tasks and of the divisions of photographs")
    return parser.parse_args(words)


def accuracy_table(
    kind: PromptKind, part: Sequence[int], photographs: Photographs, tasks: int, seed: int
) -> dict[str, Any]:
    """Measure every method for a kind of prompts on the classes `part`, on tasks of ten classes and on all at once."""
    groups: dict[str, Any] = {}
    for name, members in kind.groups.items():
        inside = [label for label in members if label in part]
        # Classes for choosing and of the test are mixed only to have enough of them for tasks of forty.
        sizes = {} if len(part) > MANY else {name: SIZE}
        if members == kind.classes:
            sizes["all at once" if len(inside) <= MANY else f"{MANY} at once"] = min(len(inside), MANY)
        for title, size in sizes.items():
            if len(inside) >= 3:
                groups[title] = _group(kind, draw_tasks(inside, size, tasks, seed), len(inside), photographs)
    return {"reference": TINA, "groups": groups}


def _group(kind: PromptKind, drawn: list[tuple[int, ...]], count: int, photographs: Photographs) -> dict[str, Any]:
    values = {name: accuracies(method, drawn, photographs) for name, method in kind.methods.items()}
    ours = values.get(TINA)
    methods = {}
    for name, found in values.items():
        methods[name] = summary(found, None)
        if ours is not None and name != TINA:
            methods[name]["difference"] = summary(ours, found)["difference"]
    return {"num_classes": count, "num_tasks": len(drawn), "methods": methods}


def few_table(
    kind: PromptKind,
    part: Sequence[int],
    photographs: Photographs,
    generator: Generator | None,
    names: list[str],
    seed: int,
) -> dict[str, Any]:
    """Measure methods that see photographs, and tina on the same photographs."""
    tasks = draw_tasks(part, SIZE, FEW_TASKS, seed)
    rows: dict[str, tuple[Any, Any, int]] = {
        f"class means, {count} photographs": (class_means, None, count) for count in (1, 2, 5, 20)
    }
    for count in (1, 2, 5, 20):
        rows[f"logistic regression, {count} photographs"] = (logistic_regression(0.001), None, count)
    if generator is not None:
        rows["tina, name alone"] = (None, kind.methods[TINA], 0)
        for count in (1, 2, 5, 20):
            rows[f"tina, name and {count} photographs"] = (name_and_pictures(generator, names), None, count)
    values = {
        name: few_accuracies(learner, without, tasks, photographs, count, seed)
        for name, (learner, without, count) in rows.items()
    }
    reference = "tina, name and 5 photographs"
    methods = {}
    for name, found in values.items():
        methods[name] = summary(found, None)
        if reference in values and name != reference:
            methods[name]["difference"] = summary(values[reference], found)["difference"]
    group = {"num_classes": len(part), "num_tasks": len(tasks), "methods": methods}
    return {"reference": reference, "groups": {"photographs that no method learnt from": group}}


def parts_of(count: int, *, test: bool) -> dict[str, list[int]]:
    """Return the parts of the classes that are measured."""
    choosing, held = halves(count)
    parts = {"classes for choosing": choosing}
    if test:
        parts |= {"classes of the test": held, MIXED: sorted(choosing + held)}
    return parts


def measure(options: argparse.Namespace) -> dict[str, Any]:
    """Measure everything that the options ask for."""
    classes = read_classes(user_path(options.pictures))
    texts: list[ClassText] = read_names(user_path(options.names), list(classes))
    names = [text.name for text in texts]
    vocabulary = Vocabulary(user_path(options.vectors))
    truth = Truth(*imagenet_head())
    generator = None if options.baselines_only else Generator.from_pretrained(options.model)
    unseen = None if options.unseen_words is None else user_path(options.unseen_words)
    kinds = [
        vector_prompts(texts, vocabulary, truth, generator, f"embedding-table:{options.vectors}"),
        name_prompts(texts, vocabulary, truth, generator, unseen),
        description_prompts(texts, vocabulary, truth, generator, unseen),
    ]
    by_size = {size: features_of(photo_head(str(size)), classes) for size in options.sizes}
    parts = parts_of(len(classes), test=options.test)
    # First, because a busy machine is slower.
    speed = None
    if generator is not None and not options.no_speed:
        shown = [files[0] for files in classes.values()] * 3
        speed = measure_speed(generator, options.model, vocabulary.names, shown, options.sizes)
    tables = []
    for part, members in parts.items():
        for kind in kinds:
            if part == MIXED and len(kind.classes) <= MANY:
                continue
            for size, photographs in by_size.items():
                table = accuracy_table(kind, members, photographs, options.tasks, options.seed)
                title = f"{kind.title}, {part}, {size} px"
                tables.append({"title": title, "prompts": kind.title, "part": part, "size": size, **table})
    size = options.sizes[-1]
    photographs = by_size[size]
    for part, members in parts.items():
        if part != MIXED:
            table = few_table(kinds[1], members, photographs, generator, names, options.seed)
            tables.append({"title": f"A few photographs, {part}, {size} px", **table})
    refusals: dict[str, Any] = {}
    if generator is not None:
        refusals = _refusals(kinds[1], parts, photographs, options)
    return {
        "tables": tables,
        "abstaining": refusals,
        "speed": speed,
        "warnings": [] if generator is None else warned(generator, names),
    }


def _refusals(
    kind: PromptKind, parts: Mapping[str, list[int]], photographs: Photographs, options: argparse.Namespace
) -> dict[str, Any]:
    """Set the thresholds on the classes for choosing, and measure them on every half."""
    method = kind.methods[TINA]
    choosing = parts["classes for choosing"]
    limits = abstaining.thresholds(method, choosing, photographs, options.tasks, options.seed)
    return {
        part: abstaining.measure(method, limits, members, photographs, options.tasks, options.seed)
        for part, members in parts.items()
        if part != MIXED
    }


def main(words: list[str]) -> None:
    options = _arguments(words)
    torch.manual_seed(options.seed)
    results = measure(options)
    shown = " ".join(without_folders(word) for word in words)
    results |= {
        "command": f"python plugins/tina-photos/benchmarks/photos.py {shown}",
        "seed": options.seed,
        "date": now(),
        "machine": describe_machine(torch.device("cpu")),
        "pool": few_pictures.POOL,
    }
    out = user_path(options.out)
    out.mkdir(parents=True, exist_ok=True)
    write_json(out / "photos.json", results)
    (out / "photos.md").write_text(markdown(results), encoding="utf-8")
    print(markdown(results))


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except (Exception, KeyboardInterrupt) as error:
        sentence, code = explain(error)
        print(printable(sentence), file=sys.stderr)
        sys.exit(code)
