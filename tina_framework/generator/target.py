"""What a generator needs to write networks of one of its architectures."""

from __future__ import annotations

from dataclasses import dataclass

from tina_framework.denoiser.normalizer import Normalizer
from tina_framework.denoiser.row_forecast import RowForecast

__all__ = ["GeneratorTarget", "whitened_weights"]


@dataclass(frozen=True)
class GeneratorTarget:
    """The parts of a generator that belong to one architecture.

    Attributes:
        normalizer: converts between its parameters and the standardised differences that the denoiser predicts.
        rows: the fixed forecast of its class rows; None if the denoiser has one architecture only, whose rows its skip forecasts.
    """

    normalizer: Normalizer
    rows: RowForecast | None = None


def whitened_weights(normalizer: Normalizer) -> tuple[str, ...]:
    """Return the weights whose differences a normalizer whitens."""
    return () if normalizer.whitening is None else normalizer.whitening.names
