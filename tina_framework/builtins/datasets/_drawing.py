"""Draw many small pictures at once: one textured, coloured shape on a background with a gradient.

Shapes are drawn from signed distances to their outlines.

Shapes: B pictures, S = 32 pixels.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

__all__ = ["COLOURS", "SHAPES", "SIZE", "TEXTURES", "draw"]

SIZE = 32

Array = npt.NDArray[np.float32]

# Hues as fractions of the colour circle. Their distances exceed the random shift, so that colours stay distinct.
_HUES = {"red": 0.0, "yellow": 0.15, "green": 0.36, "blue": 0.62}
COLOURS = tuple(_HUES)
TEXTURES = ("solid", "striped", "dotted", "outlined")


def _circle(x: Array, y: Array) -> Array:
    return np.asarray(np.hypot(x, y) - 0.95, dtype=np.float32)


def _square(x: Array, y: Array) -> Array:
    return np.asarray(np.maximum(np.abs(x), np.abs(y)) - 0.82, dtype=np.float32)


def _triangle(x: Array, y: Array) -> Array:
    """Equilateral, with one corner at the top. The distance is the largest of those to the three sides."""
    sides = [np.cos(a) * x + np.sin(a) * (y - 0.2) for a in np.deg2rad([90.0, 210.0, 330.0])]
    return np.asarray(np.maximum(np.maximum(sides[0], sides[1]), sides[2]) - 0.62, dtype=np.float32)


def _star(x: Array, y: Array) -> Array:
    """Five points. Each pixel is mirrored into one tenth of the circle, where the outline is a straight line."""
    outer, inner, tenth = 1.15, 0.48, np.pi / 5
    radius, angle = np.hypot(x, y), np.arctan2(x, -y)
    angle = np.abs((angle + tenth) % (2 * tenth) - tenth)  # 0 at a point of the star, `tenth` between two points.
    px, py = radius * np.cos(angle), radius * np.sin(angle)
    dx, dy = inner * np.cos(tenth) - outer, inner * np.sin(tenth)
    return np.asarray(((px - outer) * dy - py * dx) / np.hypot(dx, dy), dtype=np.float32)


_OUTLINES: dict[str, Callable[[Array, Array], Array]] = {
    "circle": _circle,
    "square": _square,
    "triangle": _triangle,
    "star": _star,
}
SHAPES = tuple(_OUTLINES)


def draw(compositions: Sequence[tuple[str, str, str]], rng: np.random.Generator) -> npt.NDArray[np.uint8]:
    """Draw one picture for each (shape, texture, colour).

    Args:
        compositions: B entries of `SHAPES`, `TEXTURES` and `COLOURS`.
        rng: draws position, size, rotation, shade, background and noise.

    Returns:
        (B, 32, 32, 3) uint8.
    """
    batch = len(compositions)

    def between(low: float, high: float) -> Array:
        return rng.uniform(low, high, (batch, 1, 1)).astype(np.float32)

    radius, angle = between(8.0, 12.0), between(-0.35, 0.35)
    centre_x, centre_y = between(-3.5, 3.5), between(-3.5, 3.5)
    grid = np.arange(SIZE, dtype=np.float32) - (SIZE - 1) / 2
    dx, dy = grid[None, None, :] - centre_x, grid[None, :, None] - centre_y
    u, v = (
        np.cos(angle) * dx + np.sin(angle) * dy,
        np.cos(angle) * dy - np.sin(angle) * dx,
    )  # Pixels, in the axes of the shape.

    distance = np.empty((batch, SIZE, SIZE), dtype=np.float32)
    for shape, outline in _OUTLINES.items():
        rows = [i for i, composition in enumerate(compositions) if composition[0] == shape]
        distance[rows] = outline(u[rows] / radius[rows], v[rows] / radius[rows]) * radius[rows]
    inside = _smooth(distance)

    # `coverage` is the share of each pixel that is painted, and `pale` the share of the second tone (stripes and dots).
    slope, period = between(0.0, np.pi), between(4.6, 6.0)
    along = (np.cos(slope) * u + np.sin(slope) * v) / period
    across = (np.cos(slope) * v - np.sin(slope) * u) / period
    stripes = _smooth((np.abs((along + between(0, 1)) % 1 - 0.5) - 0.25) * period)
    dots = _smooth((np.hypot((along + between(0, 1)) % 1 - 0.5, (across + between(0, 1)) % 1 - 0.5) - 0.3) * period)
    border = _smooth(np.abs(distance + 1.2) - 1.2)
    textures = np.asarray([TEXTURES.index(texture) for _, texture, _ in compositions])[:, None, None]
    pale = inside * np.select([textures == 1, textures == 2], [stripes, dots], np.float32(0))
    coverage = np.where(textures == 3, border, inside)

    hue = np.asarray([_HUES[colour] for _, _, colour in compositions], dtype=np.float32)[:, None, None]
    colour = _rgb(hue + between(-0.03, 0.03), between(0.75, 1.0), between(0.65, 1.0))
    second = 0.85 + 0.15 * colour
    paint = colour + pale[..., None] * (second - colour)
    background = _background(rng, batch, grid)
    picture = background + coverage[..., None] * (paint - background)
    picture += rng.normal(0.0, 0.035, picture.shape).astype(np.float32)
    return np.asarray(np.rint(np.clip(picture, 0.0, 1.0) * 255.0), dtype=np.uint8)


def _smooth(distance: npt.NDArray[np.floating]) -> Array:
    """Return the covered share of a pixel, from its centre's signed distance to an edge (in pixels, negative inside)."""
    return np.asarray(np.clip(0.5 - distance, 0.0, 1.0), dtype=np.float32)


def _rgb(hue: Array, saturation: Array, value: Array) -> Array:
    """Return RGB values (B, 1, 1, 3) for HSV values (B, 1, 1), all from 0 to 1."""
    place = (hue[..., None] * 6.0 + np.asarray([5.0, 3.0, 1.0], dtype=np.float32)) % 6.0
    chroma = np.clip(np.minimum(place, 4.0 - place), 0.0, 1.0)
    return np.asarray(value[..., None] * (1.0 - saturation[..., None] * chroma), dtype=np.float32)


def _background(rng: np.random.Generator, batch: int, grid: Array) -> Array:
    """Return backgrounds (B, S, S, 3): a greyish tone with a gradient in a random direction."""
    base = rng.uniform(0.15, 0.7, (batch, 1, 1, 1)) + rng.normal(0.0, 0.04, (batch, 1, 1, 3))
    slopes = rng.uniform(-0.15, 0.15, (batch, 2, 1, 1, 1)) / (SIZE / 2)
    gradient = slopes[:, 0] * grid[None, None, :, None] + slopes[:, 1] * grid[None, :, None, None]
    return np.asarray(base + gradient, dtype=np.float32)
