"""Find out which part of a generated network falls short of a fine-tuned one.

    python -m benchmarks.choose.parts --dataset arrays:cifar100.npz --encoder embedding-table:cifar100_clip_text.npz

Each validation task gets a generated network, a fine-tuned one (`fine-tune@long`), and mixtures: the generated network
with one tensor, or all shared tensors, or the class rows of the fine-tuned one. Both are differences from one generic
model. Accuracies are those on training and on validation images.
Finished tasks are kept in OUT, so a stopped command goes on; those of other settings are refused. A task takes about half a minute. No test image is used.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path

import torch
from torch import Tensor

from benchmarks.choose.best_of import shown
from benchmarks.script import PRETRAINED, check_kept, run
from tina_framework import Generator
from tina_framework.errors import ConfigError
from tina_framework.evaluation.evaluate import config_sha256
from tina_framework.evaluation.methods.fine_tune import parse_recipe
from tina_framework.evaluation.paths import without_folders
from tina_framework.evaluation.statistics import paired, summarize
from tina_framework.interfaces.spec import ParameterSpec
from tina_framework.plugin.discovery import registries
from tina_framework.prompts.encoded_task import encode_tasks
from tina_framework.storage.files import read_json, write_json
from tina_framework.targets.sgd import SGDRecipe
from tina_framework.zoo.image_bank import ImageBank
from tina_framework.zoo.manifest import manifest_sha256
from tina_framework.zoo.p_models import fine_tune, start_of, task_accuracy
from tina_framework.zoo.splits import sample_split_tasks
from tina_framework.zoo.store import Zoo
from tina_framework.zoo.teacher import Teacher

__all__ = ["main", "mixtures"]


def mixtures(spec: ParameterSpec, generated: Tensor, tuned: Tensor, num_classes: int) -> dict[str, Tensor]:
    """Return name -> network (N,): the two networks, and each with parts of the other."""
    own, other = spec.unflatten(generated, num_classes), spec.unflatten(tuned, num_classes)
    rows = [name for name, axis in spec.class_axes.items() if axis is not None]
    shared = [name for name in spec.class_axes if name not in rows]

    def with_parts(base: Mapping[str, Tensor], source: Mapping[str, Tensor], names: list[str]) -> Tensor:
        return spec.flatten({**base, **{name: source[name] for name in names}}, num_classes)

    found = {"generated": generated, "fine-tuned": tuned}
    if rows and shared:
        found |= {
            "generated, with fine-tuned class rows": with_parts(own, other, rows),
            "generated, with fine-tuned shared tensors": with_parts(own, other, shared),
        }
    if len(shared) > 1:
        found |= {f"generated, with fine-tuned `{name}`": with_parts(own, other, [name]) for name in shared}
    return found


def main(words: list[str]) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dataset", required=True)
    parser.add_argument("--encoder", default=None)
    parser.add_argument("--model", default="cifar100-cnn")
    parser.add_argument("--zoo", type=Path, default=PRETRAINED / "cifar100-zoo")
    parser.add_argument("--teacher", type=Path, help="file of 'tina train-teacher' for the fine-tuned networks")
    parser.add_argument("--recipe", default="long", help="as in fine-tune@RECIPE")
    parser.add_argument("--tasks", type=int, default=20)
    parser.add_argument("--out", type=Path, default=Path("work/parts"))
    given = parser.parse_args(words)
    dataset, zoo = registries().datasets.create(given.dataset), Zoo.open(given.zoo)
    generator = Generator.from_pretrained(given.model, device="cpu", encoder=given.encoder)
    spec, recipe = generator.spec, SGDRecipe(**{**zoo.config.model, **parse_recipe(given.recipe)})
    if given.teacher is not None and not recipe.teacher_weight:
        raise ConfigError(
            "A teacher was given, but the recipe has no teacher_weight; write --recipe long:teacher_weight=0.9."
        )
    teacher = None if given.teacher is None else Teacher.load(given.teacher)
    train = ImageBank(dataset, zoo.config.train_split, spec, teacher=teacher)
    validation = ImageBank(dataset, "validation", spec)
    # `fine_tune` counts classes as the data set's labels do, so the rows are put in that order.
    order = torch.tensor([zoo.class_names.index(name) for name in dataset.class_names])
    generic = spec.select_classes({name: tensor.float() for name, tensor in zoo.generic.items()}, order)
    tasks = [task.classes for task in sample_split_tasks(dataset, "validation", 10, given.tasks, seed=0)]
    flats = generator.generate_parameters(encode_tasks(tasks, generator.encoder))
    assert generator.folder is not None  # it was loaded
    head = {
        "model": config_sha256(generator.folder),
        "zoo": manifest_sha256(zoo.folder),
        "data set": without_folders(given.dataset),
        "encoder": None if given.encoder is None else without_folders(given.encoder),
        "recipe": asdict(recipe),
        "teacher": None if teacher is None else teacher.sha256,
    }
    figures: list[dict[str, list[float]]] = []
    given.out.mkdir(parents=True, exist_ok=True)
    for number, (classes, flat) in enumerate(zip(tasks, flats, strict=True)):
        path = given.out / f"{number:03}.json"
        if not path.is_file():
            start = spec.flatten(start_of(spec, generic, train.labels_of(classes)), len(classes))
            tuned = fine_tune(spec, generic, classes, train, recipe, seed=1)
            networks = {"selection": start, **mixtures(spec, flat.float(), tuned, len(classes))}
            accuracies = {
                name: [100 * task_accuracy(spec, network, classes, bank) for bank in (train, validation)]
                for name, network in networks.items()
            }
            write_json(path, {"head": {**head, "task": classes}, "networks": accuracies})
            print(f"task {number + 1} of {len(tasks)}", flush=True)
        kept = read_json(path)
        check_kept(path, kept, {**head, "task": classes})
        figures.append(kept["networks"])
    print(
        "\n| network | training images % | validation images % | minus generated, validation, paired |\n|---|---|---|---|"
    )
    for name in figures[0]:
        on_train, on_validation = ([task[name][k] for task in figures] for k in (0, 1))
        reference = [task["generated"][1] for task in figures]
        print(
            f"| {name} | {summarize(on_train).mean:.2f} | {summarize(on_validation).mean:.2f} | "
            f"{shown(paired(on_validation, reference))} |"
        )


if __name__ == "__main__":
    run(main)
