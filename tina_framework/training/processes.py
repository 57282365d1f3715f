"""The processes of a run: connect them, and say that one was lost."""

from __future__ import annotations

import contextlib
import os
import re
import threading
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import torch
from accelerate import Accelerator
from accelerate.utils import InitProcessGroupKwargs

from tina_framework.config.training import TrainingConfig
from tina_framework.errors import ConfigError, DependencyError, TrainingError

__all__ = ["WAIT_VARIABLE", "connect", "connected"]

WAIT_VARIABLE = "TINA_PROCESS_TIMEOUT"
"""Environment variable: how many seconds the processes of a run wait for each other."""

_WAIT_SECONDS = 600.0
_SILENT_SECONDS = 5.0
_LOST = re.compile(
    r"gloo|NCCL|[Cc]onnection (closed|reset|refused)|[Bb]roken pipe|[Tt]imed? ?out|torch\.distributed|socket|client",
)


def connect(config: TrainingConfig, notify: Callable[[str], None]) -> Any:
    """Return Accelerate's object, after all processes of the run have met.

    Args:
        config: the training settings.
        notify: called with a sentence if the other processes do not come at once.

    Raises:
        ConfigError: the settings do not fit this machine.
        DependencyError: the package of an experiment tracker is missing.
        TrainingError: another process did not come in time.
    """
    seconds = _wait_seconds()
    address = f"{os.environ.get('MASTER_ADDR', 'this machine')}:{os.environ.get('MASTER_PORT', '?')}"
    several = os.environ.get("WORLD_SIZE", "1") not in ("", "0", "1")
    # Said late: usually all processes come within seconds, and then there is nothing to say.
    sentence = f"Waiting up to {seconds:g} s for {_others()} at {address}."
    waiting = threading.Timer(_SILENT_SECONDS, notify, [sentence])
    waiting.daemon = True
    if several:
        waiting.start()
    try:
        accelerator = Accelerator(
            # Accelerate connects several CPU processes only if it is told to use the CPU.
            cpu=not torch.accelerator.is_available(),
            mixed_precision=config.mixed_precision,
            log_with=list(config.report_to) or None,
            project_dir=str(config.output_dir),
            kwargs_handlers=[InitProcessGroupKwargs(timeout=timedelta(seconds=seconds))] if several else None,
        )
    except (ValueError, RuntimeError, NotImplementedError) as error:
        if several and _is_lost(error):
            raise TrainingError(
                f"Not all processes of this run came: after {seconds:g} s {_others()} did not answer at {address}. "
                f"Start all of them, check the address, or raise {WAIT_VARIABLE} (seconds)."
            ) from error
        raise ConfigError(
            f"mixed_precision={config.mixed_precision} with report_to={list(config.report_to)} is not possible on this machine: {error}"
        ) from error
    finally:
        waiting.cancel()
    ready = {str(getattr(tracker, "value", tracker)) for tracker in accelerator.log_with}
    missing = [name for name in config.report_to if name not in ready and name != "all"]
    if missing:
        raise DependencyError(
            f"report_to names '{missing[0]}', whose package is not installed. Install the package, or remove the name."
        )
    return accelerator


def _wait_seconds() -> float:
    text = os.environ.get(WAIT_VARIABLE, "")
    try:
        seconds = float(text or _WAIT_SECONDS)
    except ValueError:
        seconds = 0.0
    if not 0 < seconds <= 7 * 24 * 3600:
        raise ConfigError(f"{WAIT_VARIABLE} is '{text[:80]}'; give a number of seconds above 0, at most a week.")
    return seconds


def _others() -> str:
    rank, size = os.environ.get("RANK", "0"), os.environ.get("WORLD_SIZE", "1")
    return f"the other processes of this run (this is process {rank} of {size})"


@contextlib.contextmanager
def connected(accelerator: Any) -> Iterator[None]:
    """Turn a lost connection to another process into one sentence.

    Raises:
        TrainingError: another process ended, or did not answer in time.
    """
    try:
        yield
    except RuntimeError as error:
        if accelerator.num_processes == 1 or not _is_lost(error):
            raise
        raise TrainingError(
            f"Process {accelerator.process_index} of {accelerator.num_processes} lost the connection to another process, which "
            "ended or did not answer. See the messages of the other processes. To continue, use the same settings and "
            "--resume_from_checkpoint latest."
        ) from error


def _is_lost(error: BaseException) -> bool:
    return isinstance(error, torch.distributed.DistError) or bool(_LOST.search(str(error)))
