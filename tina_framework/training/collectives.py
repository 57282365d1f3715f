"""What the processes of a run tell each other: results of the main process, errors, tensors, and whether all agree.

Every function here must be called by all processes. With one process, nothing is sent.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import torch
from accelerate.utils import broadcast_object_list, gather_object
from torch import Tensor

from tina_framework import errors
from tina_framework.errors import ConfigError, TinaError, TrainingError, reason_of, shorten
from tina_framework.training.liveness import watch_of

__all__ = ["check_alike", "on_all", "on_main", "tensors_of_main"]

T = TypeVar("T")


def on_main(accelerator: Any, action: Callable[[], T]) -> T:
    """Call `action` in the main process while the others wait, and return its result in all processes.

    Args:
        accelerator: the `accelerate.Accelerator` of the run.
        action: returns JSON values.

    Raises:
        TinaError: the action failed. The error is raised in all processes, so that none of them waits forever.
    """
    if accelerator.num_processes == 1:
        return action()
    answer: dict[str, Any] = {}
    error: Exception | None = None
    watch = watch_of(accelerator)
    if accelerator.is_main_process:
        try:
            with contextlib.nullcontext() if watch is None else watch.busy():
                answer = {"result": action()}
        except Exception as found:
            error, answer = found, {"error": _describe(found)}
    # JSON and not a pickled object, so that all processes get plain values of the same types.
    text = json.dumps(answer)
    if watch is None:
        text = broadcast_object_list([text])[0]
    else:
        text = watch.from_main(text if accelerator.is_main_process else None)
    answer = json.loads(text)
    if error is not None:
        raise error
    if "error" in answer:
        raise _error(answer["error"])
    result: T = answer["result"]
    return result


def on_all(accelerator: Any, action: Callable[[], T]) -> T:
    """Call `action` in every process, and return its result there.

    Raises:
        TinaError: the action failed in some process. All processes end, and the message names that process.
    """
    if accelerator.num_processes == 1:
        return action()
    error: Exception | None = None
    try:
        result = action()
    except Exception as found:
        error = found
    told = gather_object([json.dumps(None if error is None else _describe(error))])
    if error is not None:
        raise error
    for process, text in enumerate(told):
        if text != "null":
            raise _error(json.loads(text), f"Process {process} of {accelerator.num_processes} failed. ")
    return result


def tensors_of_main(accelerator: Any, action: Callable[[], Mapping[str, Tensor]]) -> dict[str, Tensor]:
    """Call `action` in the main process, and return its tensors in all processes, on the CPU.

    They are broadcast one by one, so a process needs memory for them once.

    Raises:
        TinaError: as for `on_main`.
    """
    if accelerator.num_processes == 1:
        return dict(action())
    found: dict[str, Tensor] = {}

    def describe() -> list[tuple[str, list[int], str]]:
        found.update(action())
        return [(name, list(t.shape), str(t.dtype).removeprefix("torch.")) for name, t in found.items()]

    tensors = {}
    for name, shape, dtype in on_main(accelerator, describe):
        # NCCL sends only what is on the GPU.
        if accelerator.is_main_process:
            tensor = found.pop(name).contiguous().to(accelerator.device)
        else:
            tensor = torch.empty(shape, dtype=getattr(torch, dtype), device=accelerator.device)
        # Sent as bytes: not every backend knows every type.
        torch.distributed.broadcast(tensor.view(-1).view(torch.uint8), 0)
        tensors[name] = tensor.cpu()
    return tensors


def check_alike(accelerator: Any, values: Mapping[str, Any]) -> None:
    """Check that all processes have the same values.

    Args:
        accelerator: the `accelerate.Accelerator` of the run.
        values: what a message calls a value -> the value, as JSON.

    Raises:
        ConfigError: a value differs. The message, which is the same in all processes, names it and the process.
    """
    if accelerator.num_processes == 1:
        return
    rows = [json.loads(text) for text in gather_object([json.dumps(dict(values))])]
    for process, row in enumerate(rows):
        for name in sorted(rows[0].keys() | row.keys()):
            if rows[0].get(name) != row.get(name):
                raise ConfigError(
                    f"Process {process} of {len(rows)} has {name}={shorten(row.get(name))}, but process 0 has "
                    f"{shorten(rows[0].get(name))}. Start all processes with the same settings, data and versions."
                )


def _describe(error: Exception) -> list[str]:
    """Return the class and the message of an error, as JSON values."""
    if isinstance(error, TinaError):
        return [type(error).__name__, str(error)]
    return [TrainingError.__name__, f"{reason_of(error)}."]


def _error(described: list[str], prefix: str = "") -> TinaError:
    kind, text = described
    found = getattr(errors, kind, TrainingError)  # a plugin may have errors of its own
    return found(f"{prefix}{text}") if issubclass(found, TinaError) else TrainingError(f"{prefix}{text}")
