"""Accuracy and confusion of answers with known classes: as JSON, and as tables for a terminal."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

from rich.table import Table

from tina_framework.cli.output import print_line, print_table
from tina_framework.errors import printable
from tina_framework.terminal.console import print_rendered

__all__ = ["NONE", "Confusion"]

NONE = "none of these"

_LARGEST_TABLE = 20
_MOST_CONFUSIONS = 15


class Confusion:
    """How often each true class got each answer.

    Args:
        pairs: (true class, answer) of each picture; `NONE` stands for pictures of other classes, and for abstaining.
        class_names: the order of the classes.
    """

    def __init__(self, pairs: Sequence[tuple[str, str]], class_names: Sequence[str]) -> None:
        self.counts = Counter(pairs)
        self._order = [*class_names, *([] if NONE in class_names else [NONE])]
        self.truths = [name for name in self._order if any(truth == name for truth, _ in self.counts)]

    @property
    def pictures(self) -> int:
        return self.counts.total()

    @property
    def right(self) -> int:
        return sum(number for (truth, answer), number in self.counts.items() if truth == answer)

    def to_json(self) -> dict[str, Any]:
        """Return the figures as JSON values. Accuracies are fractions of 1."""
        return {
            "pictures": self.pictures,
            "right": self.right,
            "accuracy": round(self.right / self.pictures, 6),
            "class_mean": round(self._class_mean(), 6),
            "classes": {
                truth: {"pictures": total, "right": right, "accuracy": round(right / total, 6)}
                for truth, total, right in self._by_class()
            },
            "confusion": {
                truth: {answer: number for answer in self._order if (number := self.counts[truth, answer])}
                for truth in self.truths
            },
        }

    def show(self) -> None:
        """Print the accuracy, a line for each class, and which classes were taken for which."""
        print_line(
            f"Accuracy: {_percent(self.right / self.pictures)} ({self.right} of {self.pictures} pictures), "
            f"mean over {len(self.truths)} classes: {_percent(self._class_mean())}"
        )
        print_line()
        print_table(
            [
                {
                    "class": truth,
                    "pictures": total,
                    "right": right,
                    "accuracy": _percent(right / total).rjust(7),
                    "mistaken for": ", ".join(f"{answer} {number}" for answer, number in self._mistakes(truth)[:3]),
                }
                for truth, total, right in self._by_class()
            ],
            ["class", "pictures", "right", "accuracy", "mistaken for"],
        )
        answers = {answer for _, answer in self.counts}
        shown = [name for name in self._order if name in answers or name in self.truths]
        if self.right == self.pictures:
            return
        print_line()
        if len(shown) <= _LARGEST_TABLE:
            self._print_table(shown)
        else:
            self._print_most_frequent()

    def _print_table(self, shown: Sequence[str]) -> None:
        # Numbers as headings, because twenty names do not fit into the width of a terminal.
        print_line("Rows: true class; columns: answer")
        table = Table(box=None, padding=(0, 0, 0, 1))
        table.add_column("", justify="right")
        table.add_column("class", no_wrap=True, overflow="ellipsis", max_width=24)
        # All columns of numbers have one width, so that the eye can follow the diagonal.
        width = max(len(str(number)) for number in (len(shown), *self.counts.values()))
        for number in range(1, len(shown) + 1):
            table.add_column(str(number), justify="right", no_wrap=True, min_width=width)
        for number, truth in enumerate(shown, start=1):
            cells = [str(self.counts[truth, answer] or ".") for answer in shown]
            table.add_row(str(number), printable(truth), *(cells if truth in self.truths else [""] * len(shown)))
        print_rendered(table)

    def _print_most_frequent(self) -> None:
        wrong = [(number, truth, answer) for (truth, answer), number in self.counts.items() if truth != answer]
        wrong.sort(key=lambda entry: (-entry[0], entry[1:]))
        rows = [
            {"class": truth, "taken for": answer, "pictures": number}
            for number, truth, answer in wrong[:_MOST_CONFUSIONS]
        ]
        print_line("Most frequent confusions")
        print_table(rows, ["class", "taken for", "pictures"])

    def _by_class(self) -> list[tuple[str, int, int]]:
        """Return (class, pictures, right) in the order of the classes."""
        return [
            (name, sum(n for (truth, _), n in self.counts.items() if truth == name), self.counts[name, name])
            for name in self.truths
        ]

    def _class_mean(self) -> float:
        return sum(right / total for _, total, right in self._by_class()) / len(self.truths)

    def _mistakes(self, name: str) -> list[tuple[str, int]]:
        """Return the wrong answers for a class with their numbers, the most frequent first."""
        wrong = [(answer, n) for (truth, answer), n in self.counts.items() if truth == name != answer]
        return sorted(wrong, key=lambda entry: (-entry[1], self._order.index(entry[0])))


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %"
