"""Pictures are PNG files with all expected parts, and the same figures give the same bytes."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from benchmarks.plots import curves, frontier, pairs
from benchmarks.plots.reading import Point, read_log
from benchmarks.plots.series import Cost, Pairs
from benchmarks.plots.style import new_figure, save, spread
from tina_framework.errors import ConfigError, DataError, DependencyError

POINTS = [Point(1, 0.01, 0.005, 0.015), Point(10, 0.02, 0.015, 0.025)]


def texts(figure: Any) -> str:
    """Return all text in the figure."""
    from matplotlib.text import Text

    return "\n".join(text.get_text() for text in figure.findobj(Text))


def test_a_png_without_a_date_and_the_same_bytes_again(tmp_path: Path) -> None:
    for name in ("a", "b"):
        save(curves.steps({"ddim": POINTS, "ddpm": POINTS[1:]}, "a note"), tmp_path / f"{name}.png")
    written = (tmp_path / "a.png").read_bytes()
    assert written == (tmp_path / "b.png").read_bytes()
    assert len(written) < 100_000
    with Image.open(tmp_path / "a.png") as image:
        assert image.format == "PNG"
        assert min(image.size) > 600
        assert not {"Software", "Creation Time", "date"} & image.info.keys()
        assert image.convert("L").getpixel((1, 1)) == 255


def test_steps_draws_a_curve_a_scheduler() -> None:
    figure = curves.steps({"ddim": POINTS, "ddpm": POINTS[1:]}, "a note")
    (axes,) = figure.axes
    assert len(axes.containers) == 2
    assert axes.get_xscale() == "log"
    for part in ("tina, ddim", "tina, ddpm", "selection", "a note"):
        assert part in texts(figure)


def test_training_overlays_runs(log: Path) -> None:
    runs = {"one": read_log(log), "two": read_log(log)[:2]}
    by_step, by_time = curves.training(runs, "n"), curves.training(runs, "n", against="seconds")
    for figure, end in ((by_step, 200), (by_time, 2)):
        (axes,) = figure.axes
        assert len(axes.collections) == 2  # bands
        assert axes.lines[0].get_xdata()[-1] == end
        assert "one" in texts(figure)
    assert "minutes of training" in texts(by_time)


def test_class_counts_and_usefulness() -> None:
    counts = curves.class_counts({"tina": POINTS, "common": POINTS}, "n")
    assert len(counts.axes[0].containers) == 2
    shots = [Point(s, 0.6, 0.59, 0.61) for s in (0, 1, 100)]
    useful = curves.usefulness({"tina": shots, "generic": shots[1:]}, "n")
    (axes,) = useful.axes
    assert [label.get_text() for label in axes.get_xticklabels()] == ["0", "1", "100"]
    assert [len(container.lines[0].get_xdata()) for container in axes.containers] == [3, 2]


def test_abstaining() -> None:
    points = [Point(1.0, 0.0, 0.0, 0.0), Point(0.5, 0.9, 0.8, 0.95)]
    figure = curves.abstaining(
        {"3 classes": points, "5 classes": points}, {"3 classes": Point(0.9, 0.5, 0.4, 0.6)}, "n"
    )
    (axes,) = figure.axes
    assert axes.get_xlim() == (100, 50)
    assert [list(line.get_xdata()) for line in axes.lines[:3]] == [[100, 50], [100, 50], [90]]
    for part in ("3 classes", "5 classes", "at random"):
        assert part in texts(figure)


def test_nothing_to_draw_is_told() -> None:
    with pytest.raises(DataError, match="nothing to draw"):
        curves.steps({}, "n")
    with pytest.raises(DataError, match="nothing to draw"):
        frontier.frontier([], 0.6, "n")
    with pytest.raises(DataError, match="two are needed"):
        pairs.scatter(Pairs("tina", "fine-tune", (0.1,), (0.1,)), "n")


def cost(method: str, seconds: float, gain: float, tasks: int = 100) -> Cost:
    return Cost(method, seconds, Point(seconds, gain, gain - 0.002, gain + 0.002), tasks)


COSTS = [
    cost("generic", 1e-6, -0.35),
    cost("selection", 1e-4, 0.0),
    cost("tina@1", 0.01, 0.018),
    cost("tina", 0.02, 0.02),
    cost("slow", 0.5, 0.01),
    cost("fine-tune", 30.0, 0.04, 20),
]


def test_the_frontier_is_what_no_other_matches_in_as_little_time() -> None:
    best = frontier.best_for_time(COSTS[1:])
    assert [c.method for c in best] == ["selection", "tina@1", "tina", "fine-tune"]
    kept = frontier.shown([*COSTS, cost("tina@4", 0.02, 0.02), cost("tina@ddpm:1000", 1.0, 0.02)])
    assert {c.method for c in kept} == {c.method for c in COSTS} | {"tina@ddpm:1000"}


def test_labels_of_the_frontier_touch_no_other() -> None:
    figure = frontier.frontier(COSTS, 0.686, "a note")
    written = texts(figure)
    for part in ("selection", "tina@1", "slow", "fine-tune, 20 tasks", "generic −35.0", "68.6 %"):
        assert part in written
    (axes,) = figure.axes
    assert len(axes.containers) == 5
    figure.draw_without_rendering()
    boxes = [
        text.get_window_extent()
        for text in axes.texts
        if text.get_text().partition(",")[0] in {c.method for c in COSTS}
    ]
    assert len(boxes) == 5
    assert not any(one.overlaps(other) for i, one in enumerate(boxes) for other in boxes[:i])


def test_scatter_has_a_dot_a_task_and_the_ratio() -> None:
    pair = Pairs("tina", "fine-tune", (0.02, 0.04, 0.03), (0.01, 0.02, 0.015))
    figure = pairs.scatter(pair, "n")
    dots = next(line for line in figure.axes[0].lines if line.get_marker() == "o")
    assert len(dots.get_xdata()) == 3
    assert "ratio 0.50 (0.50 to 0.50)" in texts(figure)
    assert "0 of 3 above the line" in texts(figure)


def test_a_ratio_to_nothing_is_none() -> None:
    assert pairs.ratio(Pairs("tina", "fine-tune", (0.02, -0.02, 0.01), (0.01, 0.02, 0.015))) is None
    low, middle, high = sorted(pairs.ratio(Pairs("a", "b", (1.0, 2.0, 3.0), (2.0, 3.0, 4.0))) or ())
    assert low < middle == 1.5 < high


def test_labels_are_moved_apart_and_keep_their_order() -> None:
    assert spread([0.0, 10.0], 2.0) == [0.0, 10.0]
    places = spread([1.0, 1.0, 0.5, 9.0], 2.0)
    assert sorted(places) == pytest.approx([-1.166667, 0.833333, 2.833333, 9.0])
    assert places[2] == min(places)


def test_a_place_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with new_figure("t", "x", "y") as (figure, _), pytest.raises(ConfigError, match="cannot be written"):
        save(figure, tmp_path / "file" / "a.png")


def test_without_matplotlib_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.partition(".")[0] == "matplotlib"]:
        monkeypatch.delitem(sys.modules, name)
    # Found by no finder: as if it were not installed.
    monkeypatch.setattr(sys, "meta_path", [_Without(), *sys.meta_path])
    with pytest.raises(DependencyError, match=r"'matplotlib'.*pip install 'tina-framework\[plots\]'"):
        curves.steps({"ddim": POINTS}, "n")


class _Without:
    def find_spec(self, name: str, path: object = None, target: object = None) -> None:
        if name.partition(".")[0] == "matplotlib":
            raise ModuleNotFoundError(f"No module named '{name}'", name=name)


def test_reading_needs_no_matplotlib() -> None:
    modules = ", ".join(f"benchmarks.plots.{name}" for name in ("frontier", "curves", "pairs"))
    code = f"import sys, {modules}; print('matplotlib' in sys.modules, 'torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "False"]
