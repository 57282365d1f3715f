"""How much of a method's accuracy comes from reading the prompt.

A method that reads text is run in two more ways. *Random prompt*: the encoder gives random vectors. *Common*: each network
keeps its class rows, but its shared tensors are averaged over networks for training tasks. The prompt sensitivity is
(method - common) / (method - random prompt): the part of what text brings that lies in tensors which all classes share.

Shapes: E width of an encoder's vectors, N parameters of a network.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from tina_framework.evaluation.harness import ask_all
from tina_framework.evaluation.statistics import paired, summarize
from tina_framework.evaluation.vectors import encode_known, unit
from tina_framework.interfaces.class_names import fold
from tina_framework.interfaces.method import Answer, Context, Method, MethodUnavailable, Network
from tina_framework.zoo.task_sampler import TaskSampler
from tina_framework.zoo.tasks import Task

if TYPE_CHECKING:
    from tina_framework.evaluation.scoring import Scorer
    from tina_framework.interfaces.encoder import Encoder
    from tina_framework.interfaces.spec import ParameterSpec

__all__ = ["RandomEncoder", "RandomVectors", "mean_shared", "measure_sensitivity", "training_tasks", "with_shared"]

Vectors = npt.NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class RandomVectors:
    """Gaussian vectors with the mean and standard deviation of an encoder's unit vectors, entry by entry.

    Attributes:
        mean, std: (E,) over the class names of a data set.
    """

    mean: Vectors
    std: Vectors

    @classmethod
    def fit(cls, encoder: Encoder, names: Sequence[str], template: int) -> RandomVectors:
        """Measure mean and standard deviation over the names that the encoder knows.

        Raises:
            MethodUnavailable: it knows fewer than two of them.
        """
        known, vectors = encode_known(encoder, names, template)
        if len(known) < 2:
            raise MethodUnavailable(f"encoder '{encoder.name}' knows fewer than two of the class names")
        return cls(unit(vectors).mean(axis=0), unit(vectors).std(axis=0))

    def draw(self, key: Sequence[int | str], count: int) -> Vectors:
        """Draw vectors (count, E). They follow from `key` alone."""
        text = json.dumps(list(key))
        draws = np.random.default_rng(int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big"))
        noise = draws.standard_normal((count, len(self.mean)))
        vectors: Vectors = (self.mean + self.std * noise).astype(np.float32)
        return vectors


class RandomEncoder:
    """An encoder that gives random vectors once `random` is set, and those of another encoder before.

    The vector of a text depends on the seed and on the text alone. The other encoder's confidence and pictures are left out.

    Args:
        encoder: the other encoder.
        vectors: what is drawn.
        seed: any integer.
    """

    def __init__(self, encoder: Encoder, vectors: RandomVectors, seed: int) -> None:
        self.name, self.dim, self.space, self.templates = encoder.name, encoder.dim, encoder.space, encoder.templates
        self.random = False
        self._encoder, self._vectors, self._seed = encoder, vectors, seed

    def encode_text(self, texts: Sequence[str], template: int = 0) -> Vectors:
        """Return (N, E) for N texts."""
        if not self.random:
            return self._encoder.encode_text(texts, template=template)
        rows = [self._vectors.draw([self._seed, fold(text)], 1) for text in texts]
        return np.concatenate(rows) if rows else np.zeros((0, self.dim), dtype=np.float32)


def training_tasks(context: Context, count: int, number: int) -> list[Task]:
    """Draw tasks of `count` classes from the training partition of the classes that the generator was trained on."""
    names = context.generator.config.class_names
    sampler = TaskSampler(names, class_counts={count: 1.0}, seed=context.seed)
    return sampler.tasks(number, allow_fewer=True)


def mean_shared(spec: ParameterSpec, answers: Iterable[Answer], count: int) -> dict[str, Tensor]:
    """Return the mean of the shared tensors over networks with `count` outputs. Other answers do not count.

    Raises:
        MethodUnavailable: there is no such network.
    """
    flats = [a.flat for a in answers if isinstance(a, Network) and a.members is None and len(a.outputs) == count]
    if not flats:
        raise MethodUnavailable(f"it gives no single network with {count} outputs for training tasks")
    mean = spec.unflatten(torch.stack(flats).mean(dim=0), count)
    return {name: mean[name] for name, axis in spec.class_axes.items() if axis is None}


def with_shared(spec: ParameterSpec, network: Network, shared: Mapping[str, Tensor]) -> Network:
    """Return the network with other shared tensors and its own class rows."""
    count = len(network.outputs)
    return Network(spec.flatten(spec.unflatten(network.flat, count) | dict(shared), count), network.outputs)


def measure_sensitivity(
    create: Callable[[Context], Method],
    context: Context,
    tasks: Sequence[Task],
    networks: Mapping[int, Network],
    scorer: Scorer,
    number: int,
    advance: Callable[[int], None] = lambda count: None,
) -> dict[str, Any]:
    """Measure what a method that reads text owes to its prompt.

    Args:
        create: makes the method.
        context: of the evaluation.
        tasks: the tasks.
        networks: number of a task -> the method's network.
        scorer: measures accuracies.
        number: over how many training tasks shared tensors are averaged.
        advance: called with the number of networks just made.

    Returns:
        JSON values: ``num_tasks``, the accuracies ``method``, ``common`` and ``random_prompt``, the paired differences
        ``minus_common`` and ``minus_random_prompt``, and the ``ratio`` of their means (null if random prompts do as well).

    Raises:
        MethodUnavailable: the method's networks do not depend on the encoder, or cannot be averaged.
        TinaError: the method cannot run.
    """
    common = _common(create(context), context, tasks, networks, number, advance)
    vectors = RandomVectors.fit(context.encoder, context.dataset.class_names, context.template)
    encoder = RandomEncoder(context.encoder, vectors, context.seed)
    method = create(replace(context, replaced_encoder=encoder))
    method.prepare(tasks)
    encoder.random = True
    random = {i: a for i, a in enumerate(ask_all(method, tasks, context.device, advance)) if isinstance(a, Network)}
    both = [i for i in networks if i in common and i in random]
    if not both:
        raise MethodUnavailable("it gives no network for random prompts")
    if all(torch.equal(networks[i].flat.cpu(), random[i].flat.cpu()) for i in both):
        raise MethodUnavailable(
            "its networks are the same for random prompts; encode the task's classes in parameters(), not in prepare()"
        )
    found = [networks[i] for i in both], [common[i] for i in both], [random[i] for i in both]
    own, shared, drawn = (
        [scorer.accuracy(network, tasks[i].classes) for network, i in zip(part, both, strict=True)] for part in found
    )
    minus_common, minus_random = paired(own, shared), paired(own, drawn)
    return {
        "num_tasks": len(both),
        "training_tasks": number,
        "method": summarize(own).mean,
        "common": summarize(shared).mean,
        "random_prompt": summarize(drawn).mean,
        "minus_common": minus_common.to_json(),
        "minus_random_prompt": minus_random.to_json(),
        "ratio": minus_common.mean / minus_random.mean if minus_random.mean > 0 else None,
    }


def _common(
    method: Method,
    context: Context,
    tasks: Sequence[Task],
    networks: Mapping[int, Network],
    number: int,
    advance: Callable[[int], None],
) -> dict[int, Network]:
    """Return the networks with shared tensors that do not depend on the task."""
    single = {i: network for i, network in networks.items() if network.members is None}
    counts = sorted({len(network.outputs) for network in single.values()})
    drawn = {count: training_tasks(context, count, number) for count in counts}
    method.prepare([task for part in drawn.values() for task in part])
    shared = {
        count: mean_shared(context.spec, ask_all(method, part, context.device, advance), count)
        for count, part in drawn.items()
    }
    return {i: with_shared(context.spec, network, shared[len(network.outputs)]) for i, network in single.items()}
