"""An evaluation method of a plugin whose answers are checked before they are measured."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch

from tina_framework.errors import PluginError, TinaError, reason_of, shorten
from tina_framework.interfaces.method import Answer, Method, Missing, Network

if TYPE_CHECKING:
    from tina_framework.interfaces.spec import ParameterSpec
    from tina_framework.zoo.tasks import Task

__all__ = ["CheckedMethod", "checked_network"]


class CheckedMethod(Method):
    """A `Method` around one of a plugin.

    Args:
        made: what the plugin made.
        what: its name and package, to begin a message.

    Raises:
        PluginError: it is no method, or its `batch_size` is no whole number above 0.
    """

    def __init__(self, made: Any, what: str) -> None:
        if not isinstance(made, Method):
            raise PluginError(f"{what} is {shorten(made)}; return a tina_framework.interfaces.method.Method.")
        if not hasattr(made, "context"):
            raise PluginError(f"{what} sets no context; call super().__init__(context, argument) in its constructor.")
        self._made, self._what = made, what
        super().__init__(made.context, made.argument)
        # On the instance, because the class attributes of `Method` would hide those of the plugin's method.
        vars(self).update({name: getattr(made, name) for name in ("name", "reads_text", "paper", "differs", "tuning")})
        self._batch_size()

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):  # also while a copy is made, when there is no `_made` yet
            raise AttributeError(name)
        return getattr(self._made, name)

    @property
    def batch_size(self) -> int:  # type: ignore[override]
        """How many tasks `parameters` is given at a time. The method may change it in `prepare`."""
        return self._batch_size()

    def _batch_size(self) -> int:
        try:
            size = self._made.batch_size
        except Exception as error:  # a property of a plugin may raise anything
            raise PluginError(f"{self._what} failed in batch_size: {reason_of(error)}.") from error
        if isinstance(size, bool) or not isinstance(size, int) or size < 1:
            raise PluginError(f"{self._what}: batch_size is {shorten(size)}; it must be a whole number above 0.")
        return size

    def prepare(self, tasks: Sequence[Task]) -> None:
        """Prepare the method. Any error of the plugin becomes one that leaves only this method out."""
        self._call("prepare", tasks)

    def describe(self) -> str:
        """Return what runs, in one line."""
        return " ".join(str(self._call("describe")).split())

    def parameters(self, tasks: Sequence[Task]) -> list[Answer]:
        """Return one checked answer for each task."""
        what = f"{self._what}: parameters()"
        given = self._call("parameters", tasks)
        if not isinstance(given, list | tuple) or len(given) != len(tasks):
            got = f"{len(given)} answers" if isinstance(given, list | tuple) else shorten(given)
            raise PluginError(f"{what} returned {got} for {len(tasks)} tasks; return a list with one answer for each.")
        spec = self.context.spec
        return [checked_network(answer, task.classes, spec, what) for answer, task in zip(given, tasks, strict=True)]

    def _call(self, method: str, *arguments: Any) -> Any:
        try:
            return getattr(self._made, method)(*arguments)
        except (TinaError, MemoryError):
            raise
        except Exception as error:  # code of a plugin may raise anything
            raise PluginError(f"{self._what} failed in {method}(): {reason_of(error)}.") from error


def checked_network(answer: Any, classes: Sequence[str], spec: ParameterSpec, what: str) -> Answer:
    """Return an answer with finite float32 parameters, or refuse it.

    Args:
        answer: what the method gave for one task.
        classes: the classes of the task.
        spec: the parameters of the architecture.
        what: to begin a message.

    Raises:
        PluginError: it is neither a `Network` nor `Missing`, or the network does not fit the task.
    """
    if isinstance(answer, Missing):
        return answer
    task = f"the task {', '.join(classes[:3])}{', ...' if len(classes) > 3 else ''}"
    if not isinstance(answer, Network):
        raise PluginError(f"{what} returned {shorten(answer)} for {task}; return a Network or Missing.")
    if not isinstance(answer.outputs, list | tuple) or not all(isinstance(name, str) for name in answer.outputs):
        raise PluginError(f"{what}: the outputs for {task} are {shorten(answer.outputs)}; give a tuple of class names.")
    if answer.members is not None and not _are_numbers(answer.members):
        raise PluginError(
            f"{what}: the members for {task} are {shorten(answer.members)}; give a tuple of numbers of outputs for each."
        )
    flat, outputs = answer.flat, tuple(answer.outputs)
    if not isinstance(flat, torch.Tensor) or flat.dim() != 1 or not flat.is_floating_point():
        got = f"{tuple(flat.shape)} {flat.dtype}" if isinstance(flat, torch.Tensor) else shorten(flat)
        raise PluginError(f"{what}: the parameters for {task} are {got}; give a float32 tensor (N,).")
    lacking = [name for name in classes if name not in outputs]
    if lacking or len(set(outputs)) != len(outputs):
        fault = f"have no {shorten(lacking[0])}" if lacking else "name a class twice"
        raise PluginError(f"{what}: the outputs for {task} {fault}; give each class one output, or return Missing.")
    if answer.members is not None and {i for group in answer.members for i in group} != set(range(len(outputs))):
        raise PluginError(f"{what}: the members for {task} do not cover its outputs; name every output by its number.")
    sizes = [len(outputs)] if answer.members is None else [len(group) for group in answer.members]
    expected = sum(spec.num_parameters(size) for size in sizes)
    if len(flat) != expected:
        raise PluginError(
            f"{what}: {len(flat):,} parameters for {task}, but '{spec.architecture.name}' has {expected:,} "
            f"for {len(outputs)} outputs; return all of them, in the order of ParameterSpec.flatten."
        )
    plain = flat.detach().float()
    if not bool(plain.isfinite().all()):
        raise PluginError(f"{what}: the network for {task} has parameters that are not finite; mend the method.")
    # The same object where nothing changed: a network that answers many tasks is run on the images only once.
    return (
        answer
        if plain.data_ptr() == flat.data_ptr() and not flat.requires_grad
        else Network(plain, outputs, answer.members)
    )


def _are_numbers(members: Any) -> bool:
    groups = list(members) if isinstance(members, list | tuple) else [None]
    return all(
        isinstance(group, list | tuple | range) and all(isinstance(i, int) and not isinstance(i, bool) for i in group)
        for group in groups
    )
