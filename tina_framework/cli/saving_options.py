"""The options of commands that save a classifier."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer

__all__ = ["INCLUDE_TRUNK", "Dtype", "DtypeOption"]


class Dtype(StrEnum):
    """How numbers are stored. The names are torch's, which is not imported here: help pages must be fast."""

    float32 = "float32"
    float16 = "float16"


INCLUDE_TRUNK = "Save the weights of the frozen network too, so that the folder needs no package with weights."

DtypeOption = Annotated[
    Dtype,
    typer.Option("--dtype", help="How weights are stored. float16 takes half the space, and answers hardly change."),
]
