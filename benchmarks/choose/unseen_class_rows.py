"""Choose how rows are retrieved for classes that the generic model does not know.

    python -m benchmarks.choose.unseen_class_rows --dataset arrays:DATA --encoder embedding-table:TABLE [--zoo ZOO]

Each class of the generic model is treated as unknown in turn. Its row is interpolated from the rows of similar
classes, with several temperatures and strengths. Prints a Markdown table of accuracies on random tasks and validation
images, beside the row of the most similar other class (outside the task, each used once). The shared tensors have
seen all classes, so the level is too high for new classes. Only the order counts. No test image is used.
"""

from __future__ import annotations

import argparse
import random
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional as F

from benchmarks.script import REPOSITORY, run
from tina_framework.evaluation.methods.substitute import assign
from tina_framework.evaluation.scoring import Scorer
from tina_framework.interfaces.method import Network
from tina_framework.interfaces.spec import ParameterSpec
from tina_framework.plugin.discovery import registries
from tina_framework.prompts.row_retrieval import RowRetrieval
from tina_framework.training.data import ConditionBank
from tina_framework.zoo.image_bank import ImageBank
from tina_framework.zoo.store import Zoo

ZOO = REPOSITORY / "plugins" / "tina-cifar80" / "tina_cifar80" / "pretrained" / "cifar80-zoo"


def main(words: list[str]) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dataset", required=True)
    parser.add_argument("--encoder", required=True)
    parser.add_argument("--zoo", type=Path, default=ZOO)
    parser.add_argument("--tasks", type=int, default=60)
    parser.add_argument("--classes", type=int, default=10)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args(words)
    zoo, dataset = Zoo.open(options.zoo), registries().datasets.create(options.dataset)
    spec = ParameterSpec(registries().architectures.create(zoo.architecture))
    generic = {name: tensor.float() for name, tensor in zoo.generic.items()}
    names = zoo.class_names
    bank = ConditionBank(dataset.class_names, [options.encoder], names)
    keys = torch.stack([bank.of(names, template) for template in range(len(bank.templates))]).mean(dim=0)
    asked = bank.of(names)
    rows_of = {name: axis for name, axis in spec.class_axes.items() if axis is not None}
    flat = torch.cat([generic[n].movedim(a, 0).reshape(len(names), -1) for n, a in rows_of.items()], dim=1)
    scorer = Scorer(spec, ImageBank(dataset, "validation", spec))
    rng = random.Random(options.seed)
    tasks = [rng.sample(range(len(names)), options.classes) for _ in range(options.tasks)]

    def accuracy(rows: Tensor, task: list[int]) -> float:
        """Return the accuracy with the class rows (K, D), which are in the order of the task."""
        state, start = dict(generic), 0
        for name, axis in rows_of.items():
            shape = generic[name].movedim(axis, 0).shape[1:]
            width = shape.numel()
            state[name] = rows[:, start : start + width].reshape(len(task), *shape).movedim(0, axis)
            start += width
        chosen = tuple(names[i] for i in task)
        return scorer.accuracy(Network(spec.flatten(state, len(task)), chosen), chosen)

    def mean(rows: Tensor) -> float:
        return 100 * sum(accuracy(rows[task], task) for task in tasks) / len(tasks)

    unit = F.normalize(asked, dim=1)
    cosine = (unit @ unit.T).numpy()
    substituted = []
    for task in tasks:
        others = [i for i in range(len(names)) if i not in task]
        partners = assign(cosine[task][:, others])
        substituted.append(accuracy(flat[[others[p] for p in partners]], task))
    print("| rows | accuracy % |\n|---|---|")
    print(f"| its own (`selection`) | {mean(flat):.1f} |")
    print(f"| of the most similar other class (`substitute`) | {100 * sum(substituted) / len(tasks):.1f} |")
    left_out = torch.eye(len(names), dtype=torch.bool)
    for temperature in (20.0, 50.0, 100.0):
        for strength in (1.0, 3.0, 10.0):
            rows, _ = RowRetrieval(keys, flat, temperature, strength).retrieve(asked, left_out)
            print(f"| retrieved, temperature {temperature:g}, strength {strength:g} | {mean(rows):.1f} |", flush=True)


if __name__ == "__main__":
    run(main)
