"""Part `curve`: the shipped recipe with 256 tasks a step for the time that is left, with its validation curve."""

from __future__ import annotations

import json
import threading
from pathlib import Path
from typing import Any

from accelerate.state import AcceleratorState

from benchmarks.gpu.device import opened, peak_gb, recipe, repeat
from benchmarks.gpu.part import Setup
from benchmarks.gpu.record import Record
from tina_framework.training.loop import Trainer
from tina_framework.training.run_log import LOG

_SETTINGS = {"tf32": True, "mixed_precision": "no", "target_precision": "auto"}
_SHARE = 0.7
"""Of the time, for steps. The rest is for opening, validations and the export."""


def run(record: Record, setup: Setup) -> None:
    record.attempt("curve", lambda: _run(record, setup), needs=3)


def _run(record: Record, setup: Setup) -> None:
    sizes = setup.sizes
    common: dict[str, Any] = {**_SETTINGS, "task_batch_size": sizes.curve_batch, "checkpointing_steps": None}
    trial = recipe(setup, setup.work / "curve-trial", **common, num_validation_tasks=0, validation_steps=None)
    with opened(trial) as trainer:
        repeat(lambda: trainer.stepper.train_step(), 0, most=2)
        steps, seconds = repeat(lambda: trainer.stepper.train_step(), 2.0, most=10)
    available = min(sizes.curve_seconds, record.remaining - 10)
    # The learning rate falls to zero at the last step, so the number of steps has to fit the time.
    total = max(4, int(_SHARE * available * steps / seconds))
    record.set("plan", {"seconds": round(available, 1), "steps": total, "tasks": sizes.curve_batch})
    folder = setup.work / "curve"
    config = recipe(
        setup,
        folder,
        **common,
        max_steps=total,
        max_seconds=max(available, 1),
        lr_warmup_steps=max(1, total // 20),
        # The average must forget the start in a short run, too.
        ema_decay=0.99 if total < 2000 else 0.998,
        logging_steps=max(1, total // 20),
        validation_steps=max(1, total // sizes.curve_points),
        num_validation_tasks=sizes.curve_tasks,
    )
    AcceleratorState._reset_state(reset_partial_state=True)
    ended = threading.Event()
    # Reads the log while the run lasts, so that a run that is cut short has a curve, too.
    reader = threading.Thread(target=_follow, args=(record, folder / LOG, ended), daemon=True)
    reader.start()
    try:
        outcome = Trainer(config).train()
    finally:
        ended.set()
        reader.join()
    record.set(
        "end",
        {
            "step": outcome.step,
            "finished": outcome.finished,
            "validation": None if outcome.validation is None else outcome.validation.to_json(),
            "peak memory GB": peak_gb(),
        },
    )


def _follow(record: Record, log: Path, ended: threading.Event) -> None:
    """Store the lines of the log until the run has ended."""
    while True:
        last = ended.wait(2.0)
        rows = _rows(log)
        record.figures["validation"] = [row for row in rows if row["kind"] == "validation"]
        record.figures["training"] = [
            {name: row[name] for name in ("step", "loss", "task_loss", "seconds")}
            for row in rows
            if row["kind"] == "train"
        ]
        record.write()
        if last:
            return


def _rows(log: Path) -> list[dict[str, Any]]:
    try:
        text = log.read_text(encoding="utf-8")
    except OSError:
        return []
    # The last line may not be whole yet.
    return [json.loads(line) for line in text.split("\n")[:-1]]
