"""The data of one training run: zoo, conditioning vectors, pictures and validation tasks. No test picture is read."""

from __future__ import annotations

import copy
import hashlib
import math
import statistics
from collections.abc import Sequence
from dataclasses import asdict
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from tina_framework import registries
from tina_framework.denoiser.whitening import Whitening
from tina_framework.errors import ConfigError
from tina_framework.interfaces.randomness import generator_at
from tina_framework.interfaces.spec import ParameterSpec
from tina_framework.storage.paths import user_path
from tina_framework.targets.device import resolve_device
from tina_framework.targets.functional import TargetRunner, resolve_precision
from tina_framework.targets.image_shifts import check_shift, shifted
from tina_framework.training.data import ConditionBank, TrainingImages
from tina_framework.training.kronecker import fit_whitening
from tina_framework.zoo.image_bank import ImageBank
from tina_framework.zoo.manifest import manifest_sha256
from tina_framework.zoo.p_models import start_of, task_accuracy
from tina_framework.zoo.store import Zoo
from tina_framework.zoo.task_sampler import TaskSampler
from tina_framework.zoo.tasks import Task
from tina_peers.differences import Differences
from tina_peers.examples import example_pictures
from tina_peers.inputs import TaskInputs, WeightBatch
from tina_peers.p_models import PModels
from tina_peers.peer import Peer
from tina_peers.recipe import PeerSettings, Recipe

__all__ = ["Setup", "mean_and_error"]

WHITENING_TASKS = 40
"""On how many tasks the whitening is computed, as in `tina train`."""
VALIDATION_SEED = 0
"""Seed of the validation tasks, and of the noise and the example pictures with which they are measured. It is that of
`tina evaluate`, and does not depend on the seed of training, so that runs with different seeds can be compared."""


class Setup:
    """Everything that training reads, and the accuracy of *selection* on the validation tasks.

    Args:
        peer_class: the peer to train.
        recipe: how it is trained.
        dataset: spec of the data set, such as ``arrays:cifar100.npz``.
        zoo: folder or registered name of the zoo.
        encoder: spec of the text encoder.
        tasks: number of validation tasks.
        classes: their class count.
        threads: how many networks are trained at a time on a CPU.
        device: where everything runs: ``cpu``, ``cuda``, ``mps`` or ``auto``.

    Raises:
        ConfigError: zoo, data set, device or recipe do not suit the peer or one another.
    """

    def __init__(
        self,
        peer_class: type[Peer],
        recipe: Recipe,
        *,
        dataset: str,
        zoo: str,
        encoder: str,
        tasks: int = 100,
        classes: int = 10,
        threads: int = 1,
        device: str = "cpu",
    ) -> None:
        self.recipe, self.device, self.shots = recipe, resolve_device(device), peer_class.shots
        self.classes = classes
        place = registries().zoos.target(zoo) if zoo in registries().zoos else user_path(zoo)
        self.zoo = Zoo.open(place)
        self.spec = ParameterSpec(registries().architectures.create(self.zoo.architecture))
        self.zoo.check(self.spec)
        self._check_pictures(peer_class)
        self.dataset = registries().datasets.create(dataset)
        self.class_names = self.zoo.class_names
        if lacking := [name for name in self.class_names if name not in self.dataset.class_names]:
            raise ConfigError(
                f"The data set lacks the zoo's class '{lacking[0]}'; use the data set that the zoo was built on."
            )
        self.conditions = ConditionBank(self.dataset.class_names, [encoder], self.class_names)
        self.runner = TargetRunner(self.spec, "auto", threads)
        self.validation = ImageBank(self.dataset, "validation", self.spec, self.device)
        self._samplers: dict[int, TaskSampler] = {}
        whitening = self._whitening(peer_class)
        whitened = () if whitening is None else whitening.names
        self.differences = Differences(self.spec, self.conditions.width, whitened)
        self.p_models = PModels(self.zoo, self.differences, self.conditions, recipe.seed)
        groups, generic_conditions = self.p_models.fit_groups(), self.conditions.of(self.class_names)
        self.differences.fit(self.zoo.generic, generic_conditions, groups, whitening=whitening)
        validation = self._sampler(classes, "validation", VALIDATION_SEED)
        self.tasks: list[Task] = validation.tasks(tasks, allow_fewer=True)
        self.examples = self._validation_examples()
        generic = {name: tensor.float() for name, tensor in self.zoo.generic.items()}
        self.selection = []
        for task in self.tasks:
            rows = [self.class_names.index(name) for name in task.classes]
            flat = self.spec.flatten(start_of(self.spec, generic, rows), len(rows))
            self.selection.append(task_accuracy(self.spec, flat, task.classes, self.validation))

    @cached_property
    def images(self) -> TrainingImages:
        """The training pictures. They are read when they are first needed, because training from weights needs none."""
        dtype = torch.bfloat16 if resolve_precision(self.device, "auto") == "bf16" else torch.float32
        return TrainingImages(self.dataset, "train", self.spec, self.device, dtype)

    @cached_property
    def identity(self) -> dict[str, Any]:
        """JSON values on which the result of training depends: a run that is continued must have the same."""
        validation = hashlib.sha256(self.validation.labels.cpu().numpy().tobytes())
        validation.update(self.validation.images.cpu().contiguous().numpy().data)
        found = {
            "recipe": asdict(self.recipe),
            "zoo_sha256": manifest_sha256(self.zoo.folder),
            "conditions_sha256": self.conditions.fingerprint,
            "validation_pictures_sha256": validation.hexdigest(),
            "tasks": len(self.tasks),
            "classes": self.classes,
        }
        if self.recipe.objective == "task" or self.recipe.whitening:
            found["training_pictures_sha256"] = self.images.fingerprint
        return found

    def _check_pictures(self, peer_class: type[Peer]) -> None:
        """Refuse what pictures of this size, or features of a frozen trunk, do not allow."""
        if self.shots and self.spec.architecture.trunk is not None:
            raise ConfigError(
                f"Peer '{peer_class.name}' reads pictures, but '{self.spec.architecture.name}' reads features of a frozen "
                "trunk; choose another peer, or a zoo of another architecture."
            )
        check_shift(self.recipe.image_shift, self.spec.architecture)

    def _validation_examples(self) -> dict[str, Tensor]:
        """Return the example pictures of all classes of the validation tasks, which are those of `tina evaluate`."""
        if not self.shots:
            return {}
        names = sorted({name for task in self.tasks for name in task.classes})
        found = example_pictures(self.dataset, self.spec, names, self.shots, VALIDATION_SEED)
        if lacking := [name for name in names if name not in found]:
            raise ConfigError(f"Class '{lacking[0]}' has fewer than {self.shots} training pictures; add some.")
        return found

    def _whitening(self, peer_class: type[Peer]) -> Whitening | None:
        """Return the whitening of random training tasks, if the recipe wants one."""
        recipe = self.recipe
        if not recipe.whitening:
            return None
        if not peer_class.whitens:
            raise ConfigError(f"Peer '{peer_class.name}' cannot write whitened differences; set whitening to 0.")
        sampler = self._sampler(min(recipe.max_classes, len(self.class_names)), "train")

        def draw(number: int) -> tuple[Tensor, Tensor, Tensor]:
            task = sampler.task(number).classes
            draws = generator_at(recipe.seed, "whitening", number)
            rows, flips, slots = self.images.draw(task, recipe.images_per_task, draws)
            own = torch.tensor([self.class_names.index(name) for name in task])
            return own, self.images.take(rows, flips), slots.to(self.device)

        generic = {name: tensor.float() for name, tensor in self.zoo.generic.items()}
        return fit_whitening(self.spec, generic, draw, WHITENING_TASKS, recipe.whitening)

    def _sampler(self, classes: int, partition: str, seed: int | None = None) -> TaskSampler:
        seed = self.recipe.seed if seed is None else seed
        return TaskSampler(self.class_names, partition=partition, class_counts={classes: 1.0}, seed=seed)

    def peer(self, peer_class: type[Peer], settings: PeerSettings) -> Peer:
        """Return an untrained peer. Its initial weights depend on the seed alone."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self.recipe.seed)
            # A copy, because p-Models are standardised on the CPU wherever the peer is.
            differences = copy.deepcopy(self.differences, {id(self.spec): self.spec})
            return peer_class(settings, differences, self.conditions.space).to(self.device)

    def weight_batch(self, step: int) -> WeightBatch:
        """Return the p-Models of one training step."""
        return self.p_models.batch(step, self.recipe.batch_size, self.recipe.condition_noise).to(self.device)

    def all_p_models(self) -> list[WeightBatch]:
        """Return all p-Models of the zoo, one batch for each class count."""
        return [batch.to(self.device) for batch in self.p_models.all()]

    def task_batch(self, step: int) -> tuple[TaskInputs, Tensor, Tensor]:
        """Draw the training tasks of one step, all with the same class count.

        Returns:
            the tasks, the images (B, M, C, H, W) and their labels (B, M).
        """
        recipe = self.recipe
        draws = generator_at(recipe.seed, "class count", step)
        most, count = min(recipe.max_classes, len(self.class_names)), recipe.max_classes
        if float(torch.rand((), generator=draws)) >= recipe.full_share:
            count = int(torch.randint(2, most + 1, (), generator=draws))
        count = min(count, most)
        if count not in self._samplers:
            self._samplers[count] = self._sampler(count, "train")
        classes, conditions, own, pictures, images, labels = [], [], [], [], [], []
        for place in range(step * recipe.batch_size, (step + 1) * recipe.batch_size):
            task = self._samplers[count].task(place).classes
            draws = generator_at(recipe.seed, "task", place)
            classes.append(task)
            conditions.append(self.conditions.draw(task, draws, mixing=True, noise=recipe.condition_noise))
            rows, flips, slots = self.images.draw(task, recipe.images_per_task, draws)
            images.append(self.images.take(rows, flips))
            labels.append(slots.to(self.device))
            if self.shots:
                pictures.append(self._examples(task, draws))
            own.append(generator_at(recipe.seed, "noise", place))
        inputs = TaskInputs(classes, torch.stack(conditions), own, torch.stack(pictures) if pictures else None)
        batch = torch.stack(images)
        if recipe.image_shift:
            places = range(step * recipe.batch_size, (step + 1) * recipe.batch_size)
            own_shifts = [generator_at(recipe.seed, "image-shift", place) for place in places]
            batch = shifted(batch, recipe.image_shift, own_shifts)
        return inputs.to(self.device), batch, torch.stack(labels)

    def _examples(self, classes: Sequence[str], draws: torch.Generator) -> Tensor:
        """Draw example pictures (K, P, C, H, W) of each class from the training pictures."""
        rows, flips, slots = self.images.draw(classes, self.shots * len(classes), draws)
        order = torch.argsort(slots, stable=True)
        pictures: Tensor = self.images.take(rows[order], flips[order]).float()
        return pictures.view(len(classes), self.shots, *pictures.shape[1:])

    @torch.no_grad()
    def gains(self, peer: Peer) -> list[float]:
        """Return the points over *selection* for each validation task, on validation pictures."""
        found = []
        for task, before in zip(self.tasks, self.selection, strict=True):
            order = tuple(sorted(task.classes))  # as `tina_peers.method` gives them
            draws = [generator_at(VALIDATION_SEED, "/".join(order))]
            pictures = torch.stack([self.examples[name] for name in order])[None] if self.shots else None
            inputs = TaskInputs([order], self.conditions.of(order)[None], draws, pictures)
            flat = peer.networks(inputs.to(self.device))[0]
            found.append(100 * (task_accuracy(self.spec, flat, order, self.validation) - before))
        return found


def mean_and_error(values: Sequence[float]) -> tuple[float, float]:
    """Return the mean and its standard error."""
    return statistics.mean(values), statistics.stdev(values) / math.sqrt(len(values)) if len(values) > 1 else 0.0
