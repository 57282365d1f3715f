"""Standard tests for the zoos that a package carries."""

from __future__ import annotations

from pathlib import Path

from tina_framework.testing._base import ConformanceTests, conforms, missing_fixture, pytest
from tina_framework.testing.checks import zoo as checks

__all__ = ["ZooTests"]


class ZooTests(ConformanceTests, standard=True):
    """Subclass it and define the fixture `zoo`, which returns the folder of a zoo."""

    @pytest.fixture
    def zoo(self) -> Path:
        """Raise an error; the subclass defines the fixture."""
        raise missing_fixture("zoo", "the folder of a zoo")

    def test_folder(self, zoo: Path) -> None:
        """To fix: build the zoo again with tina zoo build, and ship every file of the folder."""
        conforms(self, checks.check_folder, zoo)
