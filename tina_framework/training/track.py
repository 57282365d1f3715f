"""The architectures that a run trains: one of them in each step."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from tina_framework.interfaces.randomness import generator_at
from tina_framework.training.objective_context import ObjectiveContext
from tina_framework.training.objectives import Objective

__all__ = ["Track", "track_at"]


@dataclass(frozen=True)
class Track:
    """What the steps of one architecture compute.

    Attributes:
        weight: how often it is drawn, in proportion to the other weights; 0: never.
        context: what its objectives share.
        objectives: the terms of the loss, under the same names in all tracks of a run.
    """

    weight: float
    context: ObjectiveContext
    objectives: list[Objective]


def track_at(tracks: Sequence[Track], seed: int, step: int) -> Track:
    """Draw the track of a step. It follows from the seed and the step alone, so all processes and a resumed run agree."""
    trained = [track for track in tracks if track.weight > 0]
    if len(trained) == 1:
        return trained[0]
    weights = torch.tensor([track.weight for track in trained], dtype=torch.float64)
    return trained[int(torch.multinomial(weights, 1, generator=generator_at(seed, "architecture", step)))]
