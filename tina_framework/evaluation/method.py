"""The interface of an evaluation method."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from tina_framework.errors import ConfigError, TinaError
from tina_framework.evaluation.methods.catalogue import METHODS
from tina_framework.evaluation.scoring import Network

if TYPE_CHECKING:
    from tina_framework.evaluation.context import Context
    from tina_framework.zoo.tasks import Task

__all__ = ["Answer", "Method", "MethodUnavailable", "Missing"]


class MethodUnavailable(TinaError):
    """A method lacks what it needs, such as a zoo or an encoder that knows the names. The other methods still run."""


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


class Method:
    """Answers tasks with networks.

    Subclasses set `name`, have an entry in `tina_framework.evaluation.methods.catalogue`, and override `prepare` and
    `parameters`. `prepare` does the work that is done once for all tasks, such as reading the zoo. Its time is not
    counted.

    Args:
        context: images, models and settings of this evaluation.
        argument: the text behind ``@`` in the method's name; None if there is none.
    """

    name: ClassVar[str]
    batch_size: int = 1
    """How many tasks `parameters` is given at a time. If more than 1, the time of a single task is measured too."""

    def __init__(self, context: Context, argument: str | None = None) -> None:
        self.context = context
        self.argument = argument

    @classmethod
    def check_argument(cls, argument: str | None) -> None:
        """Refuse a wrong argument before anything is loaded.

        Raises:
            ConfigError: the argument is malformed, or the method takes none.
        """
        entry = METHODS[cls.name]
        if argument is not None and entry.argument is None:
            raise ConfigError(f"Method '{cls.name}' takes no argument, but got '@{argument}'; write just '{cls.name}'.")
        if argument == "":
            bare = "" if entry.argument_required else f"'{cls.name}' or "
            raise ConfigError(f"Method '{cls.name}@' ends in '@'; write {bare}'{cls.name}@{entry.argument}'.")

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
