"""Standard tests for data sets."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from tina_framework.testing._base import ConformanceTests, conforms, missing_fixture, pytest
from tina_framework.testing.checks import dataset as checks
from tina_framework.testing.checks.dataset import DatasetOrFactory

__all__ = ["DatasetTests"]


class DatasetTests(ConformanceTests, standard=True):
    """Subclass it and define the fixture `dataset`: a `Dataset`, or a function without arguments that makes one.

    If opening the data set twice is cheap, return the function: two data sets are then compared.

    Attributes:
        splits: the splits it has.
        superclasses: True: it has superclasses; False: it has none; None: not stated.
        max_overlap: the share of pictures that two splits may have in common (duplicates in the data itself).
    """

    splits: ClassVar[Sequence[str]] = checks.SPLITS
    superclasses: ClassVar[bool | None] = None
    max_overlap: ClassVar[float] = 0.01

    @pytest.fixture
    def dataset(self) -> DatasetOrFactory:
        """Raise an error; the subclass defines the fixture."""
        raise missing_fixture("dataset", "a Dataset, or a function without arguments that makes one")

    def test_class_names(self, dataset: DatasetOrFactory) -> None:
        """To fix: state a name, and a tuple of distinct class names, lower case with single spaces."""
        conforms(self, checks.check_class_names, dataset)

    def test_superclasses(self, dataset: DatasetOrFactory) -> None:
        """To fix: set a tuple of K indices from 0 up, or None."""
        conforms(self, checks.check_superclasses, dataset)

    def test_splits(self, dataset: DatasetOrFactory) -> None:
        """To fix: let load('train'), load('validation') and load('test') each return at least one image."""
        conforms(self, checks.check_splits, dataset)

    def test_images(self, dataset: DatasetOrFactory) -> None:
        """To fix: return (N, H, W, 3) uint8, the same size in every split."""
        conforms(self, checks.check_images, dataset)

    def test_labels(self, dataset: DatasetOrFactory) -> None:
        """To fix: return (N,) int64 from 0 to K - 1."""
        conforms(self, checks.check_labels, dataset)

    def test_every_class_has_images(self, dataset: DatasetOrFactory) -> None:
        """To fix: remove classes without training images."""
        conforms(self, checks.check_every_class_has_images, dataset)

    def test_splits_are_disjoint(self, dataset: DatasetOrFactory) -> None:
        """To fix: put each picture into one split, and remove duplicates; max_overlap allows a few."""
        conforms(self, checks.check_splits_are_disjoint, dataset)

    def test_deterministic(self, dataset: DatasetOrFactory) -> None:
        """To fix: order and divide pictures by a fixed rule; sort file names, and seed a generator of your own."""
        conforms(self, checks.check_deterministic, dataset)

    def test_scaled(self, dataset: DatasetOrFactory) -> None:
        """To fix: let scaled_to change nothing but the size, or return the data set itself."""
        conforms(self, checks.check_scaled, dataset)

    def test_unknown_split(self, dataset: DatasetOrFactory) -> None:
        """To fix: raise DataError for a split that does not exist."""
        conforms(self, checks.check_unknown_split, dataset)
