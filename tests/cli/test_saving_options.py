"""The options of commands that save a classifier."""

from __future__ import annotations

from tina_framework.classifier.folder import DTYPES
from tina_framework.cli.saving_options import Dtype


def test_the_choices_are_the_types_that_can_be_stored() -> None:
    assert [choice.value for choice in Dtype] == list(DTYPES)
