"""*chance*: a network of zeros, which gives every image the same class.

Its accuracy is 1 / K if all classes are equally frequent.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch

from tina_framework.interfaces.method import Answer, Method, Network

if TYPE_CHECKING:
    from tina_framework.zoo.tasks import Task

__all__ = ["Chance"]


class Chance(Method):
    """The accuracy of knowing nothing.

    It is measured like that of any method, so that a mistake in measuring would show.
    """

    name = "chance"

    def describe(self) -> str:
        return "all parameters zero: every picture gets the task's first class"

    def parameters(self, tasks: Sequence[Task]) -> list[Answer]:
        spec = self.context.spec
        return [Network(torch.zeros(spec.num_parameters(len(task.classes))), task.classes) for task in tasks]
