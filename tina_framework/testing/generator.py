"""Standard tests for the pretrained generators that a package carries."""

from __future__ import annotations

from tina_framework.testing._base import ConformanceTests, conforms, missing_fixture, pytest
from tina_framework.testing.checks import generator as checks
from tina_framework.testing.checks.generator import NameOrFolder

__all__ = ["GeneratorTests"]


class GeneratorTests(ConformanceTests, standard=True):
    """Subclass it and define the fixture `generator`, which returns the registered name of a generator, or its folder.

    Only under its name may a generator use every encoder of the same plugin.
    """

    @pytest.fixture
    def generator(self) -> NameOrFolder:
        """Raise an error; the subclass defines the fixture."""
        raise missing_fixture("generator", "the registered name of a generator, or its folder")

    def test_folder(self, generator: NameOrFolder) -> None:
        """To fix: write the folder with save_pretrained, and ship every file of it."""
        conforms(self, checks.check_folder, generator)

    def test_encoder(self, generator: NameOrFolder) -> None:
        """To fix: name an encoder of the same plugin, or a self-contained one, of the generator's space."""
        conforms(self, checks.check_encoder, generator)

    def test_generates(self, generator: NameOrFolder) -> None:
        """To fix: export the generator again; its parameters for two of its classes are not finite, or it fails."""
        conforms(self, checks.check_generates, generator)

    def test_repeatable(self, generator: NameOrFolder) -> None:
        """To fix: draw random numbers only from the generator that a scheduler is given, and none in the encoder."""
        conforms(self, checks.check_repeatable, generator)
