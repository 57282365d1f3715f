"""Draw `pipeline.svg`, the picture of the README: from class names to a classifier.

``python docs/images/pipeline.py`` writes the file beside this script.
"""

from __future__ import annotations

from html import escape
from pathlib import Path

WIDTH, HEIGHT = 960, 350
INK, FAINT, LINE = "#1f2933", "#52606d", "#7b8794"
TRAINED, INPUT, OUTPUT = "#dbeafe", "#f5f7fa", "#dcfce7"


def text(x: float, y: float, words: str, size: int = 15, colour: str = INK, weight: str = "normal") -> str:
    return (
        f'<text x="{x:g}" y="{y:g}" font-size="{size}" fill="{colour}" font-weight="{weight}" '
        f'text-anchor="middle">{escape(words)}</text>'
    )


def box(x: float, y: float, width: float, height: float, fill: str, title: str, *notes: str) -> str:
    """Draw a rounded box around a title and smaller lines below it."""
    top = y + height / 2 + 5 - 9 * len(notes)
    parts = [
        f'<rect x="{x:g}" y="{y:g}" width="{width:g}" height="{height:g}" rx="8" fill="{fill}" stroke="{LINE}"/>',
        text(x + width / 2, top, title, weight="bold"),
        *(text(x + width / 2, top + 19 * number, note, 13, FAINT) for number, note in enumerate(notes, start=1)),
    ]
    return "\n".join(parts)


def arrow(*points: tuple[float, float]) -> str:
    path = " L ".join(f"{x:g} {y:g}" for x, y in points)
    return f'<path d="M {path}" fill="none" stroke="{INK}" stroke-width="1.5" marker-end="url(#head)"/>'


def draw() -> str:
    """Return the SVG document."""
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{HEIGHT}" viewBox="0 0 {WIDTH} {HEIGHT}" '
        'font-family="Helvetica, Arial, DejaVu Sans, sans-serif" role="img">',
        "<title>From class names to a classifier</title>",
        "<desc>An encoder turns each class name into a vector. A denoiser and a scheduler turn noise and these vectors "
        "into the weights of a small network in two steps. The network labels pictures.</desc>",
        f'<defs><marker id="head" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="8" markerHeight="8" orient="auto">'
        f'<path d="M 0 0 L 8 4 L 0 8 z" fill="{INK}"/></marker></defs>',
        # A ground of its own, as the page may be dark.
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#ffffff"/>',
        box(20, 60, 150, 76, INPUT, "class names", "apple, bear, bus"),
        box(220, 60, 170, 76, TRAINED, "encoder", "one vector per class"),
        box(20, 218, 150, 76, INPUT, "noise", "drawn from a seed"),
        f'<rect x="440" y="44" width="270" height="266" rx="12" fill="none" stroke="{LINE}" stroke-dasharray="5 4"/>',
        text(575, 332, "repeated: 2 steps by default", 13, FAINT),
        box(460, 60, 230, 76, TRAINED, "denoiser", "transformer that predicts", "the clean weights"),
        box(460, 218, 230, 76, INPUT, "scheduler", "moves the noisy weights", "towards the prediction"),
        box(760, 60, 180, 76, OUTPUT, "small network", "3 classes: 5,139 weights"),
        box(760, 218, 180, 76, INPUT, "picture", "32 x 32 pixels"),
        arrow((170, 98), (220, 98)),
        arrow((390, 98), (460, 98)),
        arrow((170, 256), (460, 256)),
        arrow((545, 218), (545, 136)),
        text(503, 172, "noisy", 13, FAINT),
        text(503, 189, "weights", 13, FAINT),
        arrow((605, 136), (605, 218)),
        text(653, 182, "prediction", 13, FAINT),
        arrow((690, 256), (728, 256), (728, 98), (760, 98)),
        text(767, 172, "finished", 13, FAINT),
        text(767, 189, "weights", 13, FAINT),
        arrow((850, 218), (850, 136)),
        arrow((850, 60), (850, 34)),
        text(850, 24, '"bus"'),
        "</svg>",
    ]
    return "\n".join(parts) + "\n"


if __name__ == "__main__":
    Path(__file__).with_suffix(".svg").write_text(draw(), encoding="utf-8")
