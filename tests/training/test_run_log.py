from __future__ import annotations

import json
from pathlib import Path

import pytest

from tina_framework.errors import TrainingError
from tina_framework.training.run_log import LOG, RunLog


def rows(folder: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in (folder / LOG).read_text().splitlines()]


def loger(folder: Path, active: bool = True) -> tuple[RunLog, list[tuple[dict[str, float], int]]]:
    tracked: list[tuple[dict[str, float], int]] = []
    return RunLog(folder, 10, active, lambda figures, step: tracked.append((figures, step))), tracked


def test_rows_are_lines_of_json_and_figures_for_trackers(tmp_path: Path) -> None:
    log, tracked = loger(tmp_path)
    log.start(0)
    log.write("train", 1, {"loss": 0.5, "grad_norm": None})
    log.write("validation", 1, {"accuracy": 0.7, "by_count": {"3": {}}})
    assert rows(tmp_path) == [
        {"kind": "train", "step": 1, "loss": 0.5, "grad_norm": None},
        {"kind": "validation", "step": 1, "accuracy": 0.7, "by_count": {"3": {}}},
    ]
    assert tracked == [({"loss": 0.5}, 1), ({"validation/accuracy": 0.7}, 1)]


def test_a_resumed_run_drops_what_it_will_write_again(tmp_path: Path) -> None:
    first, _ = loger(tmp_path)
    first.start(0)
    for step in (1, 2, 3):
        first.write("train", step, {})
    with (tmp_path / LOG).open("a") as handle:
        handle.write('{"kind": "tr')  # killed in mid-line
    again, _ = loger(tmp_path)
    again.lines = 2  # as the checkpoint of step 2 says
    again.start(2)
    again.write("train", 3, {"new": 1})
    assert rows(tmp_path) == [
        {"kind": "train", "step": 1},
        {"kind": "train", "step": 2},
        {"kind": "train", "step": 3, "new": 1},
    ]
    assert again.lines == 3
    again.lines = 0
    again.start(0)
    assert rows(tmp_path) == []


def test_lines_after_the_checkpoint_are_dropped_even_of_its_step(tmp_path: Path) -> None:
    first, _ = loger(tmp_path)
    first.start(0)
    first.write("train", 1, {})
    first.sync()
    first.write("validation", 1, {})
    again, _ = loger(tmp_path)
    again.lines = 1
    again.start(1)
    assert rows(tmp_path) == [{"kind": "train", "step": 1}]


def test_lines_that_were_changed_are_mentioned(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    first, _ = loger(tmp_path)
    first.start(0)
    first.write("train", 1, {"loss": 0.5})
    for text in ((tmp_path / LOG).read_text(), '{"kind": "train", "step": 1, "loss": 0.6}\n', "{}\n"):
        (tmp_path / LOG).write_text(text)
        again, _ = loger(tmp_path)
        again.lines, again.expected = 1, first.sha256
        again.start(1)
        same = again.sha256 == first.sha256
        assert ("was changed or lost lines" in capsys.readouterr().err) is not same


def test_a_log_that_cannot_be_written_is_one_sentence(tmp_path: Path) -> None:
    log, _ = loger(tmp_path)
    (tmp_path / LOG).mkdir()
    with pytest.raises(TrainingError, match=r"log\.jsonl' cannot be written \(.*directory.*\)\. The checkpoints are"):
        log.write("train", 1, {})


def test_other_processes_are_silent(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    log, tracked = loger(tmp_path, active=False)
    log.start(0)
    log.write("train", 1, {"loss": 1.0})
    log.notify("hello")
    log.advance(10, "note", 0.0)
    assert not (tmp_path / LOG).exists()
    assert tracked == []
    assert capsys.readouterr().err == ""


def test_progress_is_a_line_with_the_time_left(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    log, _ = loger(tmp_path)
    log.start(0)
    log.advance(1, "task 0.5", 3700.0)
    log.advance(2, "too soon for another line", 0.0)
    assert capsys.readouterr().err == "step 1/10  task 0.5  1 h 01 min left\n"
