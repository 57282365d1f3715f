"""The processes of a run: connect them, and name one that was lost."""

from __future__ import annotations

import contextlib
import itertools
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
from tina_framework.errors import ConfigError, DependencyError, TrainingError, shorten
from tina_framework.training.liveness import Watch, watch_of
from tina_framework.zoo.launch import Launch

__all__ = ["connect", "connected"]

_SILENT_SECONDS = 5.0
_NCCL_SECONDS = 60.0
_LAST_PORT = 65_535
_numbers = itertools.count()
_TIMED_OUT = re.compile(r"[Tt]imed? ?out")
_ENGINES = {
    "ACCELERATE_USE_DEEPSPEED": "DeepSpeed",
    "ACCELERATE_USE_MEGATRON_LM": "Megatron-LM",
    "ACCELERATE_USE_PARALLELISM_CONFIG": "a parallelism configuration",
}
"""Environment variable of `accelerate launch` -> what it asks for, which this package does not do."""

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
    _check_launch(config)
    seconds = config.process_timeout
    address = f"{os.environ.get('MASTER_ADDR', 'this machine')}:{os.environ.get('MASTER_PORT', '?')}"
    several = _is_several()
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
            kwargs_handlers=[InitProcessGroupKwargs(timeout=_limit(seconds))] if several else None,
        )
        if several and accelerator.num_processes > 1:
            accelerator.tina_watch = _watch(accelerator, seconds)
    except (ValueError, RuntimeError, NotImplementedError) as error:
        if several and _is_lost(error):
            raise TrainingError(
                f"Not all processes of this run came: after {seconds:g} s {_others()} did not answer at {address}. "
                "Start all of them, check the address, or raise process_timeout."
            ) from error
        raise ConfigError(
            f"mixed_precision={config.mixed_precision} with report_to={list(config.report_to)} is not possible on this machine: {error}"
        ) from error
    finally:
        waiting.cancel()
    with connected(accelerator):
        _check_machine(config, accelerator)
    return accelerator


def _check_machine(config: TrainingConfig, accelerator: Any) -> None:
    """Check that this machine can do what the settings say, which Accelerate does not.

    Raises:
        ConfigError: the precision needs a GPU.
        DependencyError: the package of an experiment tracker is missing.
    """
    if config.mixed_precision == "fp16" and accelerator.device.type == "cpu":
        # Accelerate would compute in float32 without a word.
        raise ConfigError("mixed_precision is fp16, which needs a GPU. Use bf16 or no on a CPU.")
    ready = {str(getattr(tracker, "value", tracker)) for tracker in accelerator.log_with}
    missing = [name for name in config.report_to if name not in ready and name != "all"]
    if missing:
        raise DependencyError(
            f"report_to names '{missing[0]}', whose package is not installed. Install the package, or remove the name."
        )


def _check_launch(config: TrainingConfig) -> None:
    """Check what the launcher asks Accelerate for by environment variables.

    Raises:
        ConfigError: it asks for something that this package does not do, or that differs from the settings.
    """
    _check_place()
    for name, engine in _ENGINES.items():
        if os.environ.get(name, "").lower() in ("1", "true", "yes", "on"):
            raise ConfigError(
                f"This run was launched with {engine}, which does not work here. Use `accelerate launch --multi_gpu`, or "
                "`accelerate launch --use_fsdp --fsdp_version 2` for a denoiser that is too large for one device."
            )
    precision = os.environ.get("ACCELERATE_MIXED_PRECISION", "no")
    if precision not in ("no", config.mixed_precision):
        raise ConfigError(
            f"The launcher asks for mixed precision {shorten(precision)}, but the setting mixed_precision is "
            f"{config.mixed_precision}. Give both the same value, or give the launcher --mixed_precision no."
        )
    parts = os.environ.get("ACCELERATE_GRADIENT_ACCUMULATION_STEPS", "1")
    if parts != "1":
        # Accelerate would divide the gradient a second time.
        raise ConfigError(
            f"The launcher asks for {shorten(parts)} gradient accumulation steps. Use the setting gradient_accumulation_steps "
            f"instead (now {config.gradient_accumulation_steps}), and leave it out of the launcher's configuration."
        )


def _check_place() -> None:
    """Check the variables that tell a process its number and where to meet the others.

    Raises:
        ConfigError: they do not fit together.
    """
    if not _is_several():
        return  # one process, or several that MPI started
    Launch.from_environment()
    given = {name: os.environ.get(name, "") for name in ("MASTER_ADDR", "MASTER_PORT", "LOCAL_RANK")}
    # Without LOCAL_RANK, Accelerate takes the process for the first one of its machine.
    given["LOCAL_RANK"] = given["LOCAL_RANK"] or "0"
    fits = {
        "MASTER_ADDR": bool(given["MASTER_ADDR"]),
        "MASTER_PORT": _is_number(given["MASTER_PORT"]) and 0 < int(given["MASTER_PORT"]) <= _LAST_PORT,
        "LOCAL_RANK": _is_number(given["LOCAL_RANK"]),
    }
    for name, is_fit in fits.items():
        if not is_fit:
            raise ConfigError(
                f"WORLD_SIZE={shorten(os.environ['WORLD_SIZE'])} asks for several processes, but the variable {name} is "
                f"{shorten(given[name])}. Start them with `accelerate launch` or torchrun, which set it."
            )


def _is_several() -> bool:
    """Return whether the launcher started several processes and told each its number."""
    return os.environ.get("WORLD_SIZE", "1") not in ("", "0", "1")


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) < 9


def _watch(accelerator: Any, seconds: float) -> Watch | None:
    """Start to watch the processes through the store by which they found each other. Return None under MPI, which has no store."""
    if "MASTER_PORT" not in os.environ:
        return None
    # Launchers restart a run with the same store, and one process may make several runs.
    name = f"{os.environ.get('TORCHELASTIC_RESTART_COUNT', '0')}/{next(_numbers)}"
    watch = Watch(accelerator.process_index, accelerator.num_processes, seconds, name)
    watch.start(os.environ.get("MASTER_ADDR", "127.0.0.1"), int(os.environ["MASTER_PORT"]))
    return watch


def _limit(seconds: float) -> timedelta:
    # NCCL ends a process without naming the lost one. Its limit is longer, so that `Watch` reports first.
    return timedelta(seconds=seconds + (_NCCL_SECONDS if torch.accelerator.is_available() else 0.0))


def _others() -> str:
    rank, size = os.environ.get("RANK", "0"), os.environ.get("WORLD_SIZE", "1")
    return f"the other processes of this run (this is process {rank} of {size})"


@contextlib.contextmanager
def connected(accelerator: Any) -> Iterator[None]:
    """Turn a lost connection to another process into one sentence.

    Raises:
        TrainingError: another process ended, or did not answer in time.
    """
    watch = watch_of(accelerator)
    try:
        yield
    except RuntimeError as error:
        if accelerator.num_processes == 1 or not _is_lost(error):
            _leave(watch)
            raise
        named = ""
        if watch is not None:
            named = watch.name_lost(bool(_TIMED_OUT.search(str(error))))
            watch.close("lost")
        raise TrainingError(
            f"{named or _unnamed(accelerator)} To continue, use the same settings and --resume_from_checkpoint latest."
        ) from error
    except BaseException:
        _leave(watch)
        raise


def _leave(watch: Watch | None) -> None:
    """Tell the others that this process ends with an error, so that they need not wait for it."""
    if watch is not None:
        watch.close("failed")


def _unnamed(accelerator: Any) -> str:
    return (
        f"Process {accelerator.process_index} of {accelerator.num_processes} lost the connection to another process, which "
        "ended or did not answer. See the messages of the other processes."
    )


def _is_lost(error: BaseException) -> bool:
    return isinstance(error, torch.distributed.DistError) or bool(_LOST.search(str(error)))
