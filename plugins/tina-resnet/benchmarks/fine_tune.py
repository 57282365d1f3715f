"""Measure what fine-tuning the head for a task gains: thirty settings on 30 validation tasks and validation images.

    python plugins/tina-resnet/benchmarks/fine_tune.py --dataset arrays:DATA --zoo work/resnet20-zoo

Prints, for each learning rate, weight decay and number of epochs, the mean paired difference from the generic head's rows in points, with
its standard error. The recipe of the zoo's p-Models (zoo.toml) was chosen with it.
"""

from __future__ import annotations

import argparse
import statistics
from pathlib import Path

import torch

from tina_framework import registries
from tina_framework.interfaces.spec import ParameterSpec
from tina_framework.targets.sgd import SGDRecipe
from tina_framework.zoo.image_bank import ImageBank
from tina_framework.zoo.p_models import fine_tune, start_of, task_accuracy
from tina_framework.zoo.store import Zoo
from tina_framework.zoo.task_sampler import TaskSampler

LEARNING_RATES = (0.1, 0.03, 0.01, 0.003, 0.001)
WEIGHT_DECAYS = (1e-4, 5e-3, 5e-2)
EPOCHS = (4, 16)
TASKS = 30


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dataset", required=True)
    parser.add_argument("--zoo", type=Path, required=True)
    args = parser.parse_args()

    torch.set_num_threads(1)
    zoo = Zoo.open(args.zoo)
    spec = ParameterSpec(registries().architectures.create(zoo.architecture))
    zoo.check(spec)
    dataset = registries().datasets.create(args.dataset)
    train, validation = ImageBank(dataset, "train", spec), ImageBank(dataset, "validation", spec)
    sampler = TaskSampler(
        dataset.class_names,
        dataset.superclasses,
        partition="validation",
        schemes={"random": 1.0},
        class_counts={10: 1.0},
        seed=0,
    )
    tasks = [task.classes for task in sampler.tasks(TASKS)]
    starts = [spec.flatten(start_of(spec, zoo.generic, train.labels_of(classes)), len(classes)) for classes in tasks]
    before = [task_accuracy(spec, flat, classes, validation) for flat, classes in zip(starts, tasks, strict=True)]
    print(f"selection: {100 * statistics.mean(before):.2f} %")
    for lr in LEARNING_RATES:
        for weight_decay in WEIGHT_DECAYS:
            for epochs in EPOCHS:
                recipe = SGDRecipe(epochs=epochs, lr=lr, weight_decay=weight_decay, batch_size=128)
                gains = [
                    100 * (task_accuracy(spec, fine_tune(spec, zoo.generic, c, train, recipe, 1), c, validation) - b)
                    for c, b in zip(tasks, before, strict=True)
                ]
                error = statistics.stdev(gains) / len(gains) ** 0.5
                print(
                    f"lr {lr}, weight decay {weight_decay}, {epochs} epochs: {statistics.mean(gains):+.2f} ± {error:.2f}",
                    flush=True,
                )


if __name__ == "__main__":
    main()
