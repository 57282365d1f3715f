"""*fine-tune*: training on the task's own images. This is an upper bound, and costs a training run for each task."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from tina_framework.errors import ConfigError
from tina_framework.evaluation.generic_model import GenericModel
from tina_framework.interfaces.method import Answer, Method, MethodUnavailable, Missing, Network
from tina_framework.plugin.suggest import did_you_mean
from tina_framework.targets.image_shifts import check_shift
from tina_framework.targets.sgd import SGDRecipe, needs_teacher
from tina_framework.zoo.image_bank import ImageBank
from tina_framework.zoo.p_models import fine_tune

if TYPE_CHECKING:
    from tina_framework.zoo.tasks import Task

__all__ = ["NAMED", "FineTune", "parse_recipe", "subset"]

NAMED: dict[str, dict[str, Any]] = {
    "short": {},
    "long": {"epochs": 60.0, "lr": 0.1, "batch_size": 128, "flip": True},
}
"""Name -> fields of `SGDRecipe` that differ from the zoo's recipe; ``long`` trains as long as a generic model."""

_KINDS = {field.name: field.type for field in dataclasses.fields(SGDRecipe)}


def parse_recipe(text: str) -> dict[str, Any]:
    """Parse ``long`` or ``epochs=60:lr=0.1:flip=true`` into fields of `SGDRecipe`.

    ``long:lr=0.05`` changes a field of a named recipe.

    Raises:
        ConfigError: a recipe or field does not exist, a field is named twice, or a value has the wrong type or range.
    """
    found: dict[str, Any] = {}
    first, *rest = parts = text.split(":")
    if "=" not in first:
        if first not in NAMED:
            raise ConfigError(
                f"'fine-tune@{text}' names no recipe; write {', '.join(NAMED)}, or fields such as epochs=60:lr=0.1."
            )
        found, parts = dict(NAMED[first]), rest
    given: set[str] = set()
    for part in parts:
        name, equals, value = part.partition("=")
        if name not in _KINDS or not equals:
            hint = did_you_mean(name, _KINDS)
            raise ConfigError(
                f"'fine-tune@{text}': '{part}' sets no field of a recipe.{hint} Fields: {', '.join(_KINDS)}."
            )
        if name in given:
            raise ConfigError(f"'fine-tune@{text}' sets {name} twice; drop one.")
        given.add(name)
        found[name] = _value(text, name, value)
    try:
        SGDRecipe(**found)
    except ConfigError as error:
        raise ConfigError(f"'fine-tune@{text}': {error}") from error
    return found


def _value(text: str, name: str, value: str) -> Any:
    kind = str(_KINDS[name])
    if kind == "str":
        return value
    if kind == "bool":
        if value in ("true", "false"):
            return value == "true"
        raise ConfigError(f"'fine-tune@{text}': {name} is '{value}'; write true or false.")
    try:
        number = int(value) if kind == "int" else float(value)
    except ValueError:
        number = -1.0
    if not 0 <= number < float("inf"):
        what = "whole number" if kind == "int" else "number"
        raise ConfigError(f"'fine-tune@{text}': {name} is '{value}'; write a {what} of at least 0.")
    return number


def subset(tasks: Sequence[Task], number: int | None) -> frozenset[Task]:
    """Return `number` tasks of each split, evenly spaced in the file; None: all tasks."""
    groups: dict[str | None, list[Task]] = {}
    for task in tasks:
        groups.setdefault(task.split, []).append(task)
    chosen: set[Task] = set()
    for group in groups.values():
        count = len(group) if number is None else min(number, len(group))
        chosen.update(group[i * len(group) // count] for i in range(count))
    return frozenset(chosen)


class FineTune(Method):
    """Continues the training of the zoo's generic model on the task's images.

    The images are those that the zoo was trained on. The recipe is that of the zoo's p-Models, with the changes that
    the argument names. With ``teacher_weight=0.9``, say, networks also learn from the evaluation's teacher.
    """

    name = "fine-tune"

    @classmethod
    def check_argument(cls, argument: str | None) -> None:
        if argument is not None:
            parse_recipe(argument)

    def prepare(self, tasks: Sequence[Task]) -> None:
        zoo = self.context.zoo
        if zoo is None:
            raise MethodUnavailable(f"{self.context.no_zoo}, and the recipe is the zoo's")
        self.zoo = zoo
        self.chosen = subset(tasks, self.context.fine_tune_tasks)
        self.base = GenericModel(zoo.generic, zoo.class_names, f"zoo '{zoo.folder.name}'")
        # The zoo's rows in the order of this data set's labels. Classes that the zoo lacks get an arbitrary row, because
        # tasks with such a class are refused.
        names = [name if name in zoo.class_names else zoo.class_names[0] for name in self.context.dataset.class_names]
        self.start = self.context.spec.select_classes(zoo.generic, self.base.rows(names))
        changes = {} if self.argument is None else parse_recipe(self.argument)
        self.recipe = SGDRecipe(**{**zoo.config.model, **changes})
        check_shift(self.recipe.image_shift, self.context.spec.architecture)
        self.teacher = self.context.teacher if self.recipe.teacher_weight else None
        if self.recipe.teacher_weight and self.teacher is None:
            raise MethodUnavailable(needs_teacher(self.recipe))
        self.bank = ImageBank(
            self.context.dataset,
            zoo.config.train_split,
            self.context.spec,
            self.context.device,
            teacher=self.teacher,
            unseen=[name for name in self.context.dataset.class_names if name not in zoo.class_names],
        )

    def describe(self) -> str:
        recipe = self.recipe
        averaged = f", last {recipe.average_last:g} of the epochs averaged" if recipe.average_last else ""
        shifted = f", image shift {recipe.image_shift}" if recipe.image_shift else ""
        taught = ""
        if self.teacher is not None:
            taught = (
                f", taught by {self.teacher.taught_by} (weight {recipe.teacher_weight:g}, temperature "
                f"{recipe.teacher_temperature:g})"
            )
        return (
            f"{recipe.epochs:g} epochs, lr {recipe.lr:g}, batch {recipe.batch_size}, weight decay "
            f"{recipe.weight_decay:g}{averaged}{shifted}, '{self.zoo.config.train_split}' images, "
            f"from the generic model of zoo '{self.zoo.folder.name}'{taught}"
        )

    def parameters(self, tasks: Sequence[Task]) -> list[Answer]:
        return [self._answer(task) for task in tasks]

    def _answer(self, task: Task) -> Answer:
        if task not in self.chosen:
            return Missing("not among the tasks to be fine-tuned", intended=True)
        lacking = self.base.missing(task.classes)
        if lacking is not None:
            return lacking
        config = self.zoo.config
        # A seed that no p-Model of the zoo has, except where all p-Models share one seed.
        seed = config.model_seed(config.num_models + self.context.seed)
        flat = fine_tune(self.context.spec, self.start, task.classes, self.bank, self.recipe, seed)
        return Network(flat, task.classes)
