"""*fine-tune*: what training on the task's own images reaches; an upper bound that costs training each time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from tina_framework.evaluation.context import GenericModel
from tina_framework.evaluation.method import Answer, Method, MethodUnavailable, Missing
from tina_framework.evaluation.scoring import Network
from tina_framework.targets.sgd import SGDRecipe
from tina_framework.zoo.images import ImageBank
from tina_framework.zoo.pmodels import fine_tune

if TYPE_CHECKING:
    from tina_framework.zoo.tasks import Task

__all__ = ["FineTune", "subset"]


def subset(tasks: Sequence[Task], number: int | None) -> frozenset[Task]:
    """`number` tasks of each split, evenly spaced in the file; None: all."""
    groups: dict[str | None, list[Task]] = {}
    for task in tasks:
        groups.setdefault(task.split, []).append(task)
    chosen: set[Task] = set()
    for group in groups.values():
        count = len(group) if number is None else min(number, len(group))
        chosen.update(group[i * len(group) // count] for i in range(count))
    return frozenset(chosen)


class FineTune(Method):
    """The zoo's p-Model recipe, from the zoo's generic model, on the images the zoo was trained on."""

    name = "fine-tune"

    def prepare(self, tasks: Sequence[Task]) -> None:
        zoo = self.context.zoo
        if zoo is None:
            raise MethodUnavailable(f"{self.context.no_zoo}, and the recipe is the zoo's")
        self.zoo = zoo
        self.chosen = subset(tasks, self.context.fine_tune_tasks)
        self.base = GenericModel(zoo.generic, zoo.class_names, f"zoo '{zoo.folder.name}'")
        # The zoo's rows in the order of this data set's labels. Classes it never met get any row: no task starts there.
        names = [name if name in zoo.class_names else zoo.class_names[0] for name in self.context.dataset.class_names]
        self.start = self.context.spec.select_classes(zoo.generic, self.base.rows(names))
        self.bank = ImageBank(self.context.dataset, zoo.config.train_split, self.context.spec, self.context.device)
        self.recipe = SGDRecipe(**zoo.config.model)

    def describe(self) -> str:
        recipe = self.recipe
        return (
            f"{recipe.epochs:g} epochs, lr {recipe.lr:g}, batch {recipe.batch_size}, "
            f"'{self.zoo.config.train_split}' images, from the generic model of zoo '{self.zoo.folder.name}'"
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
        # A seed that no p-Model of the zoo has, unless all share theirs.
        seed = config.model_seed(config.num_models + self.context.seed)
        flat = fine_tune(self.context.spec, self.start, task.classes, self.bank, self.recipe, seed)
        return Network(flat, task.classes)
