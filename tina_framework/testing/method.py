"""Standard tests for evaluation methods."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

from tina_framework.interfaces.method import Method
from tina_framework.testing._base import ConformanceTests, conforms, missing_fixture, pytest
from tina_framework.testing.checks import method as checks

__all__ = ["MethodTests"]


class MethodTests(ConformanceTests, standard=True):
    """Subclass it and define the fixture `method`, which returns a function without arguments that makes the method.

    Attributes:
        class_count: the number of classes of the tasks that it is given.
    """

    class_count: ClassVar[int] = 10

    @pytest.fixture
    def method(self) -> Callable[[], Method]:
        """Raise an error; the subclass defines the fixture."""
        raise missing_fixture("method", "a function without arguments that makes the method with its context")

    def test_fields(self, method: Callable[[], Method]) -> None:
        """To fix: derive it from Method, and set name, batch_size, reads_text and the texts as its documentation says."""
        conforms(self, checks.check_fields, method)

    def test_answers(self, method: Callable[[], Method]) -> None:
        """To fix: return one Network with all parameters, or Missing, for each task."""
        conforms(self, checks.check_answers, method)

    def test_repeatable(self, method: Callable[[], Method]) -> None:
        """To fix: seed every draw with context.seed and the task."""
        conforms(self, checks.check_repeatable, method)

    def test_batches(self, method: Callable[[], Method]) -> None:
        """To fix: let no task's network depend on the other tasks of its batch."""
        conforms(self, checks.check_batches, method)

    def test_changes_nothing(self, method: Callable[[], Method]) -> None:
        """To fix: copy the tensors of the context before changing them."""
        conforms(self, checks.check_changes_nothing, method)

    def test_reads_text(self, method: Callable[[], Method]) -> None:
        """To fix: encode the task's classes with self.context.encoder in parameters(), or set reads_text to False."""
        conforms(self, checks.check_reads_text, method)
