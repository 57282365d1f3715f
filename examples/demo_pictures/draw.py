"""Draw the demo pictures for which no freely licensed photograph was found: seven simple objects, 128 x 128 pixels.

    python examples/demo_pictures/draw.py tina_framework/demo

The package calls them drawings wherever it shows them. The result is always the same.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable
from pathlib import Path

from PIL import Image, ImageDraw, ImageFilter

SIZE = 128
SCALE = 8  # pictures are drawn larger and then reduced, for smooth edges
Colour = tuple[int, int, int]


class Canvas:
    """A picture whose origin is at the top left and whose sides are 100 units long."""

    def __init__(self, top: Colour, bottom: Colour) -> None:
        side = SIZE * SCALE
        column = Image.new("RGB", (1, side))
        for y in range(side):
            share = y / (side - 1)
            column.putpixel(
                (0, y), (_mix(top[0], bottom[0], share), _mix(top[1], bottom[1], share), _mix(top[2], bottom[2], share))
            )
        self.image = column.resize((side, side))
        self.draw = ImageDraw.Draw(self.image)
        self.unit = side / 100

    def points(self, *values: float) -> list[float]:
        return [value * self.unit for value in values]

    def box(self, x0: float, y0: float, x1: float, y1: float, colour: Colour, round_by: float = 0) -> None:
        self.draw.rounded_rectangle(self.points(x0, y0, x1, y1), radius=round_by * self.unit, fill=colour)

    def disc(self, x: float, y: float, rx: float, ry: float, colour: Colour) -> None:
        self.draw.ellipse(self.points(x - rx, y - ry, x + rx, y + ry), fill=colour)

    def ring(self, x: float, y: float, radius: float, width: float, colour: Colour) -> None:
        self.draw.ellipse(
            self.points(x - radius, y - radius, x + radius, y + radius), outline=colour, width=round(width * self.unit)
        )

    def shape(self, colour: Colour, *corners: float) -> None:
        self.draw.polygon(self.points(*corners), fill=colour)

    def line(self, colour: Colour, width: float, *corners: float) -> None:
        self.draw.line(self.points(*corners), fill=colour, width=round(width * self.unit), joint="curve")

    def shade(self, x: float, y: float, rx: float, ry: float, light: Colour, strength: float = 0.6) -> None:
        """Draw a soft spot of light or shadow."""
        mask = Image.new("L", (100, 100))
        ImageDraw.Draw(mask).ellipse((x - rx, y - ry, x + rx, y + ry), fill=round(255 * strength))
        mask = mask.filter(ImageFilter.GaussianBlur(min(rx, ry) / 2)).resize(self.image.size)
        self.image.paste(Image.new("RGB", self.image.size, light), mask=mask)

    def finished(self) -> Image.Image:
        return self.image.resize((SIZE, SIZE), Image.Resampling.LANCZOS)


def _mix(a: int, b: int, share: float) -> int:
    return round(a + (b - a) * share)


def apple() -> Canvas:
    c = Canvas((252, 252, 252), (236, 236, 236))
    c.shade(50, 88, 32, 6, (150, 150, 150))
    red = (190, 24, 32)
    c.disc(36, 54, 25, 31, red)
    c.disc(64, 54, 25, 31, red)
    c.disc(50, 62, 32, 25, red)
    c.shade(70, 66, 16, 20, (120, 8, 20), 0.5)
    c.shade(33, 42, 9, 11, (255, 170, 150), 0.7)
    c.shade(50, 28, 14, 4, (110, 20, 20), 0.7)
    c.line((92, 62, 32), 3.5, 50, 30, 51, 20, 56, 11)
    c.shape((84, 150, 50), 54, 22, 62, 12, 76, 10, 84, 14, 76, 22, 64, 26)
    return c


def bear() -> Canvas:
    c = Canvas((146, 176, 120), (86, 124, 66))
    c.shade(50, 92, 46, 7, (40, 66, 34))
    fur, dark, light = (104, 68, 40), (74, 46, 26), (140, 100, 66)
    c.disc(58, 60, 36, 23, fur)
    for x in (32, 46, 72, 84):
        c.box(x - 6, 66, x + 6, 92, dark if x in (46, 84) else fur, 4)
    c.shade(60, 46, 26, 8, light, 0.6)
    c.disc(20, 27, 7, 7, dark)
    c.disc(40, 27, 7, 7, dark)
    c.disc(30, 42, 20, 18, fur)
    c.disc(25, 50, 11, 9, light)
    c.disc(20, 46, 4.5, 3.2, (26, 20, 18))
    c.disc(25, 37, 2.2, 2.4, (18, 14, 12))
    c.disc(39, 37, 2.2, 2.4, (18, 14, 12))
    return c


def bicycle() -> Canvas:
    c = Canvas((250, 250, 250), (238, 238, 238))
    c.shade(50, 86, 42, 4, (170, 170, 170))
    black, frame = (34, 34, 36), (176, 30, 36)
    for x in (24, 76):
        c.ring(x, 64, 21, 3, black)
        c.ring(x, 64, 17.5, 0.8, (130, 130, 130))
        for k in range(8):
            angle = math.pi * k / 8
            dx, dy = 18 * math.cos(angle), 18 * math.sin(angle)
            c.line((150, 150, 150), 0.5, x - dx, 64 - dy, x + dx, 64 + dy)
        c.disc(x, 64, 2.5, 2.5, black)
    c.line(frame, 3, 24, 64, 46, 64, 66, 36, 38, 36, 24, 64)
    c.line(frame, 3, 38, 36, 46, 64)
    c.line(frame, 3, 66, 36, 76, 64)
    c.line(frame, 3, 38, 36, 36, 28)
    c.line(frame, 3, 66, 36, 63, 24)
    c.line(black, 3, 63, 24, 72, 22, 75, 27)
    c.box(28, 24, 44, 28, black, 2)
    c.disc(46, 64, 5, 5, (90, 90, 92))
    c.line(black, 2.4, 46, 64, 50, 74)
    c.box(46, 73, 55, 76, black, 1)
    return c


def bus() -> Canvas:
    c = Canvas((196, 214, 232), (224, 230, 232))
    c.box(0, 76, 100, 100, (112, 112, 114))
    c.shade(50, 82, 46, 4, (60, 60, 62))
    body, glass = (228, 168, 22), (58, 76, 92)
    c.box(6, 24, 94, 76, body, 6)
    c.box(6, 24, 94, 30, (244, 236, 214), 4)
    for x in (10, 26, 42, 58):
        c.box(x, 34, x + 13, 52, glass, 2)
    c.box(74, 34, 92, 54, glass, 2)
    c.shade(50, 38, 44, 4, (150, 176, 196), 0.5)
    c.box(6, 58, 94, 61, (40, 40, 42))
    c.box(90, 64, 95, 69, (255, 246, 200), 1)
    for x in (24, 74):
        c.disc(x, 77, 10, 10, (28, 28, 30))
        c.disc(x, 77, 5, 5, (170, 170, 172))
    return c


def castle() -> Canvas:
    c = Canvas((112, 164, 220), (206, 226, 240))
    c.shade(22, 16, 16, 5, (255, 255, 255), 0.8)
    c.disc(50, 104, 75, 26, (86, 130, 62))
    stone, dark, roof = (186, 172, 150), (146, 132, 112), (120, 60, 48)
    c.box(20, 48, 80, 86, stone)
    for x in range(20, 80, 8):
        c.box(x, 43, x + 4.5, 50, stone)
    for x, top in ((10, 32), (74, 32), (40, 22)):
        width = 16 if x != 40 else 20
        c.box(x, top, x + width, 86, stone if x != 40 else (198, 184, 162))
        c.box(x + width * 0.62, top, x + width, 86, dark)
        c.shape(roof, x - 3, top, x + width / 2, top - 20, x + width + 3, top)
        c.box(x + width / 2 - 2, top + 8, x + width / 2 + 2, top + 16, (50, 44, 40), 2)
    c.box(43, 66, 57, 87, (62, 46, 34), 6)
    return c


def clock() -> Canvas:
    c = Canvas((222, 212, 196), (204, 192, 174))
    c.shade(53, 55, 42, 42, (130, 118, 100), 0.7)
    c.disc(50, 50, 42, 42, (52, 38, 30))
    c.disc(50, 50, 36, 36, (250, 248, 242))
    ink = (24, 24, 26)
    for hour in range(12):
        angle = math.pi * hour / 6
        inner = 27 if hour % 3 else 24
        sine, cosine = math.sin(angle), math.cos(angle)
        c.line(ink, 2.4 if hour % 3 else 3.6, 50 + inner * sine, 50 - inner * cosine, 50 + 32 * sine, 50 - 32 * cosine)
    c.line(ink, 4, 50, 50, 36, 39)
    c.line(ink, 3, 50, 50, 68, 32)
    c.disc(50, 50, 3, 3, (160, 30, 30))
    c.shade(38, 30, 14, 9, (255, 255, 255), 0.5)
    return c


def train() -> Canvas:
    c = Canvas((176, 204, 228), (222, 230, 228))
    c.shape((104, 140, 78), 0, 60, 100, 52, 100, 100, 0, 100)
    c.shape((128, 118, 108), 20, 100, 62, 62, 74, 62, 100, 88, 100, 100)
    c.line((74, 68, 64), 2, 36, 100, 64, 66)
    c.line((74, 68, 64), 2, 84, 100, 73, 66)
    body, dark = (40, 84, 150), (28, 58, 108)
    c.shape(dark, 56, 24, 98, 40, 98, 66, 56, 82)
    for x in (64, 76, 88):
        share = (x - 56) / 42
        c.shape((196, 214, 224), x, 38 + 6 * share, x + 8, 40 + 6 * share, x + 8, 55, x, 57)
    c.line((230, 190, 40), 2.5, 56, 66, 98, 58)
    c.box(16, 22, 58, 82, body, 8)
    c.box(21, 30, 53, 50, (38, 50, 60), 4)
    c.shade(32, 36, 9, 4, (150, 176, 196), 0.6)
    c.box(16, 64, 58, 72, (230, 190, 40))
    c.disc(23, 60, 3.2, 3.2, (255, 250, 214))
    c.disc(51, 60, 3.2, 3.2, (255, 250, 214))
    c.box(20, 80, 54, 88, (40, 40, 44), 2)
    return c


DRAWINGS: dict[str, Callable[[], Canvas]] = {
    "apple": apple,
    "bear": bear,
    "bicycle": bicycle,
    "bus": bus,
    "castle": castle,
    "clock": clock,
    "train": train,
}


def main() -> None:
    folder = Path(sys.argv[1] if len(sys.argv) > 1 else ".")
    for name, draw in DRAWINGS.items():
        draw().finished().save(folder / f"{name}-drawing.png", optimize=True)


if __name__ == "__main__":
    main()
