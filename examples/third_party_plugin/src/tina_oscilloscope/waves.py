"""Draw the screen of an oscilloscope: a bright trace on a dark background.

Shapes: B pictures, S = 32 pixels, F = 8 points of the trace in a column of pixels.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import product

import numpy as np
import numpy.typing as npt

__all__ = ["CLASS_NAMES", "SIZE", "draw"]

SIZE = 32
_FINE = 8

Array = npt.NDArray[np.float64]

_FORMS: dict[str, Callable[[Array], Array]] = {
    "sine": lambda phase: np.sin(2 * np.pi * phase),
    "square": lambda phase: np.where(phase % 1 < 0.5, 1.0, -1.0),
    "triangle": lambda phase: 4 * np.abs((phase + 0.25) % 1 - 0.5) - 1,
    "sawtooth": lambda phase: 2 * (phase % 1) - 1,
}
"""Phase in periods -> -1 to 1."""

_PERIODS = {"long": (1.2, 1.8), "short": (3.4, 4.4)}
"""How many periods the screen shows, from and to."""

_NOISE = {"clean": 0.0, "noisy": 0.22}
"""Standard deviation of the noise that is added to the wave, which reaches from -1 to 1."""

_WAVES = tuple(product(_NOISE, _PERIODS, _FORMS))

CLASS_NAMES = tuple(f"{noise} {length} {form} wave" for noise, length, form in _WAVES)
"""2 kinds of signal x 2 lengths x 4 forms: ``noisy short square wave``."""


def draw(labels: Sequence[int], rng: np.random.Generator) -> npt.NDArray[np.uint8]:
    """Draw one picture for each label, with random phase, height, place and brightness.

    Args:
        labels: B indices into `CLASS_NAMES`.
        rng: source of the random numbers.

    Returns:
        (B, 32, 32, 3) uint8, grey: the three channels are the same.
    """
    waves = [_WAVES[label] for label in labels]
    periods = np.array([rng.uniform(*_PERIODS[length]) for _, length, _ in waves])[:, None]
    phase = periods * np.linspace(0, 1, SIZE * _FINE) + rng.uniform(0, 1, (len(waves), 1))  # (B, S * F)
    signal = np.stack([_FORMS[form](row) for (_, _, form), row in zip(waves, phase, strict=True)])
    # One number for each column, because noise finer than a pixel would only make the trace thick.
    noise = np.array([_NOISE[noise] for noise, _, _ in waves])[:, None] * rng.normal(size=(len(waves), SIZE))
    signal = signal.reshape(-1, SIZE, _FINE) + noise[:, :, None]
    height, middle = rng.uniform(8, 11, (len(waves), 1, 1)), (SIZE - 1) / 2 + rng.uniform(-2, 2, (len(waves), 1, 1))
    points = middle - height * signal  # rows count downwards

    # A column is bright from its lowest to its highest point, so that the steps of a square wave are drawn, too.
    rows = np.arange(SIZE)[None, :, None]
    low, high = points.min(axis=2)[:, None, :], points.max(axis=2)[:, None, :]
    distance = np.maximum(0, np.maximum(low - rows, rows - high))
    trace = np.clip(1.3 - distance, 0, 1) * rng.uniform(0.6, 1, (len(waves), 1, 1))
    screen = 0.08 + 0.9 * trace + rng.normal(0, 0.02, trace.shape)
    grey = np.rint(255 * np.clip(screen, 0, 1)).astype(np.uint8)
    return np.repeat(grey[..., None], 3, axis=3)
