"""Evaluation methods: how a task's class names become a network that `tina evaluate` and `tina bench` measure.

Shapes: K classes of a task, N parameters of a network for K classes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import torch
from torch import Tensor

from tina_framework.errors import TinaError
from tina_framework.interfaces.spec import ParameterSpec

if TYPE_CHECKING:
    from tina_framework.evaluation.generic_model import GenericModel
    from tina_framework.generator.generator import Generator
    from tina_framework.interfaces.dataset import Dataset
    from tina_framework.interfaces.encoder import Encoder
    from tina_framework.zoo.store import Zoo
    from tina_framework.zoo.tasks import Task
    from tina_framework.zoo.teacher import Teacher

__all__ = ["Answer", "Context", "Method", "MethodUnavailable", "Missing", "Network"]


class MethodUnavailable(TinaError):
    """A method lacks what it needs, such as a zoo or an encoder that knows the names. The other methods still run."""


@dataclass(frozen=True, eq=False)
class Network:
    """A network, the answer of a method to a task.

    Attributes:
        flat: (N,) float32 parameters, in the order of `ParameterSpec.flatten`.
        outputs: the class of each output. There may be more outputs than the task has classes; then an answer outside
            the task is a mistake.
        members: for an ensemble, the outputs of each of its networks. Their parameters follow each other in `flat`.
    """

    flat: Tensor
    outputs: tuple[str, ...]
    members: Sequence[Sequence[int]] | None = None

    @property
    def num_parameters(self) -> int:
        return int(self.flat.numel())


@dataclass(frozen=True)
class Missing:
    """The answer of a method that has no network for a task.

    Attributes:
        reason: a clause, for the report.
        intended: the user asked to leave the task out, so the report does not mention it.
    """

    reason: str
    intended: bool = False


Answer = Network | Missing
"""What a method gives for one task."""


@dataclass
class Context:
    """What the methods of one evaluation share. A method reads it and changes nothing in it.

    Attributes:
        generator: the model under evaluation. Other methods read its architecture (`spec`), its `condition_space`, its
            `normalizer` and the classes that it was trained on (``config.class_names``).
        dataset: where images come from. A method may read the splits ``train`` and ``validation``, never ``test``.
        seed: seed of generation.
        template: number of the encoder's prompt template.
        generic: the generic model, trained to the end of its learning rate schedule. None: there is none;
            `no_generic` says why.
        zoo: the p-Models (the generic model fine-tuned on single tasks). None: there are none; `no_zoo` says why.
        fine_tune_tasks: how many tasks of each split *fine-tune* trains on; None: all.
        replaced_encoder: an encoder in place of the generator's. `tina bench` gives random vectors in this way.
        teacher: logits of a teacher for the zoo's training pictures, for rows with a `teacher_weight`; None: there is none.
    """

    generator: Generator
    dataset: Dataset
    seed: int = 0
    template: int = 0
    generic: GenericModel | None = None
    zoo: Zoo | None = None
    fine_tune_tasks: int | None = None
    no_generic: str = "there is no generic model"
    no_zoo: str = "there is no zoo"
    replaced_encoder: Encoder | None = None
    teacher: Teacher | None = None

    @property
    def spec(self) -> ParameterSpec:
        """The parameters of the target architecture."""
        return self.generator.spec

    @property
    def device(self) -> torch.device:
        """Where networks are generated, trained and measured."""
        return self.generator.device

    @property
    def encoder(self) -> Encoder:
        """The encoder that turns class names into vectors; loaded when first needed."""
        return self.generator.encoder if self.replaced_encoder is None else self.replaced_encoder

    def need_generic(self) -> GenericModel:
        """Return the generic model.

        Raises:
            MethodUnavailable: there is no generic model.
        """
        if self.generic is None:
            raise MethodUnavailable(self.no_generic)
        return self.generic

    def need_zoo(self) -> Zoo:
        """Return a zoo with at least one p-Model.

        Raises:
            MethodUnavailable: there is no such zoo.
        """
        if self.zoo is None:
            raise MethodUnavailable(self.no_zoo)
        if not self.zoo.entries:
            raise MethodUnavailable(f"the zoo '{self.zoo.folder.name}' holds no p-Model")
        return self.zoo


class Method:
    """Answers tasks with networks.

    Subclasses set `name` to the registered name, and override `prepare` and `parameters`. `prepare` does the work that
    is done once for all tasks, such as reading weights. Its time is not counted.

    Args:
        context: images, models and settings of this evaluation.
        argument: the text behind ``@`` in the method's name; None if there is none.
    """

    name: ClassVar[str]
    batch_size: int = 1
    """How many tasks `parameters` is given at a time. If more than 1, the time of a single task is measured too."""

    reads_text: ClassVar[bool] = False
    """Whether the networks depend on vectors of ``context.encoder``. `tina bench` then measures how much they do. It
    replaces the encoder after `prepare`, so the classes of a task must be encoded in `parameters`."""

    paper: ClassVar[str] = ""
    """The published method, for the report: authors, title, year."""

    differs: ClassVar[str] = ""
    """What is simplified or different from the paper, for the report."""

    tuning: ClassVar[str] = ""
    """Which settings were tried, and on which tasks and images one was chosen, for the report."""

    def __init__(self, context: Context, argument: str | None = None) -> None:
        self.context = context
        self.argument = argument

    @classmethod
    def check_argument(cls, argument: str | None) -> None:
        """Refuse a malformed argument before anything is loaded.

        The framework has already refused an argument of a method that takes none, and an empty one.

        Raises:
            ConfigError: the argument is malformed, or is missing where the method needs one.
        """

    def prepare(self, tasks: Sequence[Task]) -> None:
        """Prepare the method, once, before the first task. `tasks` are all tasks that will come.

        Raises:
            MethodUnavailable: what the method needs is not there.
        """

    def describe(self) -> str:
        """Return in a few words what exactly runs, for the report. Called after `prepare`."""
        return ""

    def parameters(self, tasks: Sequence[Task]) -> list[Answer]:
        """Return one answer for each task, in order. All tasks have the same class count.

        Raises:
            TinaError: none of these tasks can be answered.
        """
        raise NotImplementedError
