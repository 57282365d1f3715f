"""Field types of the training settings."""

from __future__ import annotations

import json
from typing import ClassVar

import numpy as np
import pytest
from pydantic import Field, ValidationError

from tina_framework.config.fields import MAY_CHANGE, CountOrNone, Fraction, Section, TextList, may_change


class Example(Section):
    title: ClassVar[str] = "Example"

    names: TextList = Field([], json_schema_extra=MAY_CHANGE)
    count: CountOrNone = Field(None)
    share: Fraction = Field(0.5)


def test_lists_and_none_can_be_written_as_text() -> None:
    example = Example(names="a, b", count="none")
    assert (example.names, example.count) == (["a", "b"], None)


@pytest.mark.parametrize("changes", [{"count": 0}, {"share": 1.5}, {"count": 10**7}, {"count": True}, {"share": True}])
def test_values_out_of_range_are_refused(changes: dict[str, float]) -> None:
    with pytest.raises(ValidationError):
        Example(**changes)  # type: ignore[arg-type]


def test_scalars_of_numpy_become_plain() -> None:
    example = Example(count=np.int64(3), share=np.float32(0.5))  # type: ignore[arg-type]
    assert (type(example.count), type(example.share)) == (int, float)
    json.dumps(example.model_dump())


def test_only_marked_fields_may_change_on_resume() -> None:
    assert may_change(Example) == {"names"}
