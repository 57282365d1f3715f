"""*random-prompt*: the generator with random vectors as prompts.

If this is far above chance, the generator ignores its prompts.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from tina_framework.evaluation.methods.tina import Tina
from tina_framework.evaluation.prompt_sensitivity import RandomVectors
from tina_framework.prompts.encoded_task import EncodedTask

if TYPE_CHECKING:
    from tina_framework.zoo.tasks import Task

__all__ = ["RandomPrompt"]


class RandomPrompt(Tina):
    """Every class gets a Gaussian vector with the mean and standard deviation of the encoder's vectors, entry by entry.

    The statistics are those of the unit vectors of all class names of the data set. Keys stay those of the names, and
    so does the noise that sampling starts from: only the prompt differs from *tina*. A task's vectors depend only on
    the seed and its classes.
    """

    name = "random-prompt"
    reads_text = False

    def prepare(self, tasks: Sequence[Task]) -> None:
        super().prepare(tasks)
        self.vectors = RandomVectors.fit(self.encoder, self.context.dataset.class_names, self.context.template)

    def describe(self) -> str:
        return f"random vectors with the mean and spread of the encoder's; {super().describe()}"

    def conditions(self, tasks: Sequence[Task]) -> list[EncodedTask]:
        return [
            dataclasses.replace(condition, vectors=self._draw(condition), confidence=None)
            for condition in super().conditions(tasks)
        ]

    def _draw(self, condition: EncodedTask) -> npt.NDArray[np.float32]:
        """Draw the vectors (K, E) of a task."""
        # A hash of the task is the key, so the vectors do not depend on which other tasks are evaluated.
        return self.vectors.draw([self.context.seed, *condition.keys], len(condition))
