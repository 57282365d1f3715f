"""Which tables can be measured again."""

from __future__ import annotations

from tina_framework.evaluation.reproduce.records import Table
from tina_framework.evaluation.reproduce.remeasure import runnable


def test_what_cannot_be_run_is_left_out() -> None:
    here = Table("a", "A", "cifar100-cnn", "tasks.json", "tina", quick_tasks=None)
    elsewhere = Table("b", "B", "no-such", "tasks.json", "tina")
    assert runnable([here, elsewhere], recording=True)[0] == [here]
    chosen, reasons = runnable([here, elsewhere], recording=False)
    assert not chosen
    assert "nothing is recorded" in reasons[0]
    assert "is not installed" in reasons[1]
