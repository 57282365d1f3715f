"""Hold the common look of all pictures, which is safe for colour-blind readers, and write the files."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tina_framework.errors import ConfigError, DependencyError
from tina_framework.storage.files import replacing

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["COLOURS", "GREY", "LINES", "caption", "end_labels", "halo", "new_figure", "save", "spread"]

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#AA4499", "#8A6D00", "#56B4E9")
"""The palette of Okabe and Ito (https://jfly.uni-koeln.de/color/), with yellow and pink darker for readable text."""

GREY = "#666666"
LINES = ("-", "--", "-.", ":", (0, (5, 1, 1, 1, 1, 1)), (0, (1, 3)))
"""Lines also differ in style, for readers who cannot tell colours apart."""

_INCHES, _DPI = (7.4, 4.5), 150
_SETTINGS: dict[str, Any] = {
    # matplotlib contains this font, so pictures are the same on every machine.
    "font.family": "DejaVu Sans",
    "font.size": 11,
    "axes.titlesize": 12,
    "axes.titlelocation": "left",
    "axes.titlepad": 22,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": "#444444",
    "axes.axisbelow": True,
    "axes.grid": True,
    "grid.color": "#E4E4E4",
    "grid.linewidth": 0.8,
    "lines.linewidth": 1.8,
    "lines.markersize": 6,
    "figure.facecolor": "white",
    "axes.facecolor": "white",
    "savefig.facecolor": "white",
}


@contextmanager
def _look(matplotlib: Any) -> Iterator[None]:
    """Apply the settings of this module for a while, and restore the user's settings afterwards."""
    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(_SETTINGS)
        yield


@contextmanager
def new_figure(title: str, x: str, y: str) -> Iterator[tuple[Figure, Axes]]:
    """Make a figure with one pair of axes in the common style.

    Raises:
        DependencyError: matplotlib is not installed; the message names the extra.
    """
    try:
        # pyplot would keep a global list of figures and might open a window.
        import matplotlib
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ModuleNotFoundError as error:
        raise DependencyError(
            "Pictures need 'matplotlib', which is not installed; run: pip install 'tina-framework[plots]'"
        ) from error
    with _look(matplotlib):
        figure = Figure(figsize=_INCHES, dpi=_DPI, layout="constrained")
        FigureCanvasAgg(figure)  # this canvas can measure text before it draws
        axes = figure.add_subplot()
        axes.set_title(title, fontweight="bold")
        axes.set_xlabel(x)
        axes.set_ylabel(y)
        yield figure, axes


def caption(axes: Axes, text: str) -> None:
    """Write one line below the title that says what the figures were measured on."""
    axes.annotate(
        text,
        (0, 1),
        (0, 6),
        xycoords="axes fraction",
        textcoords="offset points",
        color=GREY,
        fontsize=9.5,
        va="bottom",
    )


def spread(values: Sequence[float], gap: float) -> list[float]:
    """Return places for labels near `values`, at least `gap` apart, in the same order."""
    order = sorted(range(len(values)), key=lambda i: values[i])
    groups: list[tuple[float, list[int]]] = []  # (centre, members), each laid out evenly around its centre
    for i in order:
        group = (values[i], [i])
        while groups and group[0] - gap * (len(group[1]) - 1) / 2 < groups[-1][0] + gap * (len(groups[-1][1]) + 1) / 2:
            centre, members = groups.pop()
            together = members + group[1]
            group = (sum(values[j] for j in together) / len(together), together)
        groups.append(group)
    places = [0.0] * len(values)
    for centre, members in groups:
        for number, i in enumerate(members):
            places[i] = centre + gap * (number - (len(members) - 1) / 2)
    return places


def halo() -> list[Any]:
    """Return a white rim for text, which keeps it readable on lines."""
    from matplotlib.patheffects import withStroke

    return [withStroke(linewidth=3, foreground="white")]


_NEAR_THE_EDGE = 0.85


def end_labels(axes: Axes, ends: Sequence[tuple[str, float, float, str]]) -> None:
    """Write a label where each line ends.

    Labels of lines that end near the right edge are written outside of it and moved apart.

    Args:
        axes: where to write.
        ends: text, x, y and colour of each label.
    """
    figure: Any = axes.figure
    figure.draw_without_rendering()
    places = [axes.transAxes.inverted().transform(axes.transData.transform((x, y))) for _, x, y, _ in ends]
    outside = [i for i, (across, _) in enumerate(places) if across > _NEAR_THE_EDGE]
    gap = 15.0 / (axes.get_window_extent().height * 72 / _DPI)
    heights = spread([float(places[i][1]) for i in outside], gap)
    style: dict[str, Any] = {"va": "center", "fontweight": "bold", "fontsize": 10.5, "annotation_clip": False}
    for i, (text, x, y, colour) in enumerate(ends):
        if i in outside:
            place = (1.0, heights[outside.index(i)])
            axes.annotate(
                text, place, (5, 0), xycoords="axes fraction", textcoords="offset points", color=colour, **style
            )
        else:
            axes.annotate(
                text, (x, y), (9, 0), textcoords="offset points", color=colour, path_effects=halo(), zorder=5, **style
            )


def save(figure: Figure, path: Path) -> None:
    """Write a PNG completely or not at all, without date and program, so that the same figures give the same bytes.

    Raises:
        ConfigError: the place cannot be written.
    """
    import matplotlib

    try:
        with _look(matplotlib), replacing(path) as temporary:
            figure.savefig(temporary, format="png", metadata={"Software": None})
    except OSError as error:
        raise ConfigError(f"The picture '{path}' cannot be written ({error}); choose another place.") from error
