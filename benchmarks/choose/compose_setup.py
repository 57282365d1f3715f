"""Provide what compose.py measures with: a task, its images, and the networks for groups of its classes.

Shapes: K classes of the task, G groups, M classes a group, I images, N parameters.
"""

from __future__ import annotations

import argparse
import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import combinations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from tina_framework import GeneratedClassifier, Generator
from tina_framework.errors import ConfigError
from tina_framework.generator.batching import ParameterSampler
from tina_framework.generator.compose import (
    average_rows,
    draw_groups,
    ensemble_state,
    select_classes,
    split_rows,
)
from tina_framework.generator.options import ComposeMethod, SamplingOptions
from tina_framework.plugin.discovery import registries
from tina_framework.prompts.encoded_task import encode_tasks
from tina_framework.targets.ensemble import build_network
from tina_framework.targets.functional import TargetRunner
from tina_framework.zoo.image_bank import ImageBank
from tina_framework.zoo.splits import sample_split_tasks
from tina_framework.zoo.task_sampler import TaskSampler
from tina_framework.zoo.tasks import Task

__all__ = ["Case", "Groups", "Setup"]

Groups = list[list[int]]


class Setup:
    """The generator, the images and the tasks that all measurements share."""

    def __init__(self, given: argparse.Namespace) -> None:
        self.given = given
        self.dataset = registries().datasets.create(given.dataset)
        self.generator = Generator.from_pretrained(given.model, device="cpu", encoder=given.encoder)
        self.spec, self.size = self.generator.spec, self.generator.config.max_classes
        if self.generator.generic is None:
            raise ConfigError(
                f"The generator '{given.model}' has no generic model to compare with; name another one with --model."
            )
        self.bank = ImageBank(self.dataset, "test" if given.test else "validation", self.spec)
        self.runner = TargetRunner(self.spec, "fp32")

    def tasks(self, count: int) -> list[Task]:
        split = "unseen-combination" if self.given.test else "validation"
        return sample_split_tasks(self.dataset, split, count, self.given.tasks, seed=self.given.seed)

    @cached_property
    def common(self) -> Tensor:
        """The mean of the shared tensors over 64 training tasks with the generator's maximum of classes."""
        drawn = TaskSampler(self.generator.config.class_names, class_counts={self.size: 1.0}, seed=0).tasks(
            64, allow_fewer=True
        )
        flats = self.generator.generate_parameters(
            encode_tasks([task.classes for task in drawn], self.generator.encoder)
        )
        return torch.stack(flats).mean(dim=0)[self.spec.flat_class(self.size) < 0]

    def join(self, shared: Tensor, rows_KD: Tensor) -> Tensor:
        """Return the flat network (N,) of shared tensors and class rows."""
        places = self.spec.flat_class(len(rows_KD))
        flat = torch.empty(len(places))
        flat[places < 0] = shared
        for k, row in enumerate(rows_KD):
            flat[places == k] = row
        return flat


@dataclass
class Case:
    """One task: its condition, its images, and the networks of groups of its classes, each generated once."""

    setup: Setup
    task: Task

    def __post_init__(self) -> None:
        self.count = len(self.task.classes)
        [self.condition] = encode_tasks([self.task.classes], self.setup.generator.encoder)
        rows, slots = self.setup.bank.rows(self.task.classes)
        most = self.setup.given.images or len(rows)
        kept = torch.cat([torch.nonzero(slots == k).squeeze(1)[:most] for k in range(self.count)])
        self.images, self.slots = self.setup.bank.images[rows[kept]], slots[kept]
        self.made: dict[tuple[int, ...], Tensor] = {}
        unit = F.normalize(self.setup.generator.condition_space.apply(self.condition.vectors), dim=1)
        self.cosine = unit @ unit.T

    def networks(self, groups: Groups) -> list[Tensor]:
        """Return the G flat networks of these groups."""
        new = [group for group in groups if tuple(group) not in self.made]
        if new:
            flats = self.setup.generator.generate_parameters([select_classes(self.condition, group) for group in new])
            self.made |= {tuple(group): flat for group, flat in zip(new, flats, strict=True)}
        return [self.made[tuple(group)] for group in groups]

    @torch.no_grad()
    def logits(self, flat: Tensor, count: int | None = None) -> Tensor:
        """Return the logits (I, K) of a flat network."""
        found = [self.setup.runner.logits(flat, count or self.count, images) for images in self.images.split(500)]
        return torch.cat(found)

    def shipped(self, how: ComposeMethod) -> GeneratedClassifier:
        """Return what the generator composes for this task."""
        made: GeneratedClassifier = self.setup.generator(
            list(self.task.classes), compose=how, seed=self.setup.given.seed
        )
        return made

    @torch.no_grad()
    def answers(self, network: nn.Module) -> Tensor:
        """Return the logits (I, K) of a module."""
        return torch.cat([network(images) for images in self.images.split(500)])

    def random(self, groupings: int, size: int = 0) -> Groups:
        return draw_groups(self.condition.keys, size or self.setup.size, groupings, self.setup.given.seed)

    def similar(self, groupings: int) -> Groups:
        """Return groups of a class and the most similar ones of those left over. Others fill up the last group."""
        found: Groups = []
        for number in range(groupings):
            draws = torch.Generator().manual_seed(number)
            left = torch.randperm(self.count, generator=draws).tolist()
            while left:
                near = sorted(left, key=lambda k: -float(self.cosine[left[0], k]))[: self.setup.size]
                others = [k for k in range(self.count) if k not in near]
                found.append(near + others[: self.setup.size - len(near)])
                left = [k for k in left if k not in near]
        return found

    def neighbours(self) -> Groups:
        """Return a group for each class: the class first, then the classes most similar to it."""
        return [
            [k, *[int(j) for j in self.cosine[k].argsort(descending=True) if j != k][: self.setup.size - 1]]
            for k in range(self.count)
        ]

    def pairs(self) -> Groups:
        """Divide the classes into blocks of half a group, and return the union of every two blocks.

        Blocks overlap if the classes do not divide evenly.
        """
        blocks = self.random(1, self.setup.size // 2)
        return [[*one, *[k for k in two if k not in one]] for one, two in combinations(blocks, 2)]

    # Ways that give one network

    def merged(self, groups: Groups, *, rows: Callable[[Groups, list[Tensor]], Tensor] | None = None) -> Tensor:
        """Return one network (N,): the mean of the shared tensors, and rows from the groups."""
        flats = self.networks(groups)
        shared = torch.stack([f[self.setup.spec.flat_class(len(g)) < 0] for f, g in zip(flats, groups, strict=True)])
        split = [split_rows(self.setup.spec, flat, len(group)) for flat, group in zip(flats, groups, strict=True)]
        found = average_rows(groups, split, self.count) if rows is None else rows(groups, split)
        return self.setup.join(shared.mean(dim=0), found)

    def selected(self) -> Tensor:
        """Return the generic model (N,) with the rows of this task only."""
        generator = self.setup.generator
        assert generator.generic is not None
        numbers = torch.tensor([generator.config.class_names.index(name) for name in self.task.classes])
        return self.setup.spec.flatten(self.setup.spec.select_classes(generator.generic, numbers), self.count)

    def on_common(self, flat: Tensor) -> Tensor:
        return self.setup.join(self.setup.common, split_rows(self.setup.spec, flat, self.count))

    def direct(self) -> Tensor:
        """Return a network (N,) for all classes at once, many more than the denoiser was trained for."""
        generator, config = self.setup.generator, self.setup.generator.config
        own = generator.denoiser.config
        try:
            generator.denoiser.config = dataclasses.replace(own, max_classes=self.count)
            sampler = ParameterSampler(
                dataclasses.replace(config, denoiser=generator.denoiser.config, max_classes=self.count),
                generator.denoiser, generator.normalizer, generator.condition_space,
                lambda count: generator.tokenizer.layout(generator.spec, count, self.count),
            )  # fmt: skip
            [flat] = sampler.sample([self.condition], SamplingOptions())
        finally:
            generator.denoiser.config = own
        return flat

    # Ways that keep several networks

    def ensemble(self, groups: Groups) -> nn.Module:
        """Return a module that answers with the mean of the networks' logits."""
        state = ensemble_state(self.setup.spec, groups, self.networks(groups))
        return build_network(self.setup.spec.architecture, self.count, state, groups)

    def ensemble_logits(self, groups: Groups) -> Tensor:
        """Return the logits (I, K) of the ensemble."""
        return self.answers(self.ensemble(groups))

    def votes(self, groups: Groups) -> list[Tensor]:
        """Return the logits (I, M) of each of the G networks."""
        return [self.logits(flat, len(group)) for flat, group in zip(self.networks(groups), groups, strict=True)]

    def mean_vote(self, groups: Groups, votes: Sequence[Tensor], score: Callable[[Tensor], Tensor]) -> Tensor:
        """Return (I, K): for each class the mean score over the networks that know it."""
        total, number = torch.zeros(len(self.images), self.count), torch.zeros(self.count)
        for group, vote in zip(groups, votes, strict=True):
            total[:, group] += score(vote)
            number[group] += 1
        return total / number

    def coupled(self, groups: Groups, votes: Sequence[Tensor], rounds: int = 30) -> Tensor:
        """Return the log probabilities (I, K) that agree best with those of all pairs of classes.

        Follows section 3 of Hastie and Tibshirani, *Classification by Pairwise Coupling*, 1998.
        """
        won = torch.zeros(len(self.images), self.count, self.count)
        number = torch.zeros(self.count, self.count)
        for group, vote in zip(groups, votes, strict=True):
            at = torch.tensor(group)
            won[:, at[:, None], at] += torch.sigmoid(vote[:, :, None] - vote[:, None, :])
            number[at[:, None], at] += 1
        number.fill_diagonal_(0)
        wins = (won * (number > 0)).sum(dim=2)  # without the diagonal, which is no pair
        p = torch.softmax(self.mean_vote(groups, votes, lambda vote: vote.log_softmax(dim=1)), dim=1)
        for _ in range(rounds):
            expected = (number * (p[:, :, None] / (p[:, :, None] + p[:, None, :]).clamp_min(1e-12))).sum(dim=2)
            p = p * wins / expected.clamp_min(1e-12)
            p = p / p.sum(dim=1, keepdim=True)
        return p.clamp_min(1e-12).log()
