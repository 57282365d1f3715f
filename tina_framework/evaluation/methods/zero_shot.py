"""*zero-shot*: text vectors of the class names as a linear head, where trunk and encoder share a space (CLIP).

Radford et al., *Learning Transferable Visual Models From Natural Language Supervision*, 2021 (arXiv 2103.00020),
section 3.1. Shapes: K classes, E width of the features and of the vectors.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor
from torch.func import functional_call
from torch.nn import functional as F

from tina_framework.errors import ConfigError
from tina_framework.evaluation.paths import without_folders
from tina_framework.evaluation.vectors import unit
from tina_framework.interfaces.method import Answer, Method, MethodUnavailable, Network
from tina_framework.prompts.encoded_task import encode_tasks

if TYPE_CHECKING:
    from tina_framework.interfaces.spec import ParameterSpec
    from tina_framework.zoo.tasks import Task

__all__ = ["ZeroShot", "linear_head"]


def linear_head(spec: ParameterSpec) -> tuple[str, str] | None:
    """Return the names of weight (K, E) and bias (K,), if the generated network is a linear map of features; else None.

    A linear map means: features (N, E) -> features weight^T + bias.
    """
    few, shape = 3, spec.architecture.network_input
    if len(shape) != 1:
        return None
    # Three outputs are enough to recognise the tensors by their shapes.
    names = {info.shape: info.name for info in spec.parameters(few)}
    pair = names.get((few, *shape)), names.get((few,))
    if pair[0] is None or pair[1] is None or len(spec.parameters(few)) != 2:
        return None
    # The shapes fit. Whether the network is a linear map is found out by running it.
    draws = torch.Generator().manual_seed(0)
    weight, bias, features = (torch.randn(size, generator=draws) for size in ((few, *shape), (few,), (4, *shape)))
    with torch.device("meta"):
        module = spec.architecture.build(few).eval()
    with torch.no_grad():
        logits: Tensor = functional_call(module, {pair[0]: weight, pair[1]: bias}, (features,))
    return (pair[0], pair[1]) if torch.allclose(logits, F.linear(features, weight, bias), atol=1e-3) else None


class ZeroShot(Method):
    """Row k of the weight is the unit text vector of class k; the bias is zero.

    The vector is the mean over the encoder's templates, or that of the template that the argument names. The logit
    scale of CLIP is left out, because it does not change the order of the logits.
    """

    name = "zero-shot"
    reads_text = True
    batch_size = 64

    @classmethod
    def check_argument(cls, argument: str | None) -> None:
        if argument is not None and not re.fullmatch(r"\d{1,6}", argument):
            raise ConfigError(
                f"'zero-shot@{argument}' has no valid template; write its number, counted from 0: zero-shot@0."
            )

    def prepare(self, tasks: Sequence[Task]) -> None:
        spec, encoder = self.context.spec, self.context.encoder
        what, trunk = f"architecture '{spec.architecture.name}'", spec.architecture.trunk
        if trunk is None or trunk.space is None:
            raise MethodUnavailable(f"{what} has no frozen trunk whose features lie in the space of text vectors")
        found = linear_head(spec)
        if found is None:
            raise MethodUnavailable(f"the network generated for {what} is no linear head with a weight and a bias")
        if (encoder.space, (encoder.dim,)) != (trunk.space, tuple(trunk.feature_shape)):
            raise MethodUnavailable(
                f"encoder '{without_folders(encoder.name)}' gives vectors of the space '{encoder.space}' "
                f"({encoder.dim} wide), but the features of {what} lie in '{trunk.space}' ({trunk.feature_shape[0]} wide)"
            )
        self.weight, self.bias = found
        self.templates = tuple(range(len(encoder.templates))) if self.argument is None else (int(self.argument),)
        if self.templates[-1] >= len(encoder.templates):
            raise MethodUnavailable(
                f"encoder '{without_folders(encoder.name)}' has no template number {self.argument}; "
                f"it has {len(encoder.templates)}, counted from 0"
            )

    def describe(self) -> str:
        encoder = self.context.encoder
        prompts = ", ".join(f"'{encoder.templates[number]}'" for number in self.templates)
        return f"text vectors of encoder '{without_folders(encoder.name)}' as the head, prompts {prompts}"

    def parameters(self, tasks: Sequence[Task]) -> list[Answer]:
        spec, encoder = self.context.spec, self.context.encoder
        names = [task.classes for task in tasks]
        by_template = [encode_tasks(names, encoder, template) for template in self.templates]
        answers: list[Answer] = []
        for task, conditions in zip(tasks, zip(*by_template, strict=True), strict=True):
            rows = unit(np.mean([unit(condition.vectors) for condition in conditions], axis=0, dtype=np.float32))
            state = {self.weight: torch.from_numpy(rows), self.bias: torch.zeros(len(rows))}
            answers.append(Network(spec.flatten(state, len(rows)), task.classes))
        return answers
