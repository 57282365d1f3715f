"""One evaluation from start to end: load everything, check for leakage, run the methods, put the results together."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tina_framework import __version__
from tina_framework.errors import PromptError, TinaError
from tina_framework.evaluation.draw_tasks import draw_tasks, drawn_note
from tina_framework.evaluation.environment import busy_warning, describe_machine, now
from tina_framework.evaluation.generic_model import GenericModel
from tina_framework.evaluation.harness import Progress, no_progress, run_methods
from tina_framework.evaluation.methods import MethodSpec, default_methods
from tina_framework.evaluation.novelty import measure_novelty
from tina_framework.evaluation.paths import without_folders
from tina_framework.evaluation.results import Results, assemble
from tina_framework.evaluation.scoring import Scorer
from tina_framework.evaluation.zoo_lookup import find_zoo, open_zoo, training_setting
from tina_framework.generator.generator import Generator
from tina_framework.images import fit_settings
from tina_framework.interfaces.method import Context
from tina_framework.plugin.discovery import registries
from tina_framework.storage.digest import HASHES
from tina_framework.storage.files import read_json
from tina_framework.storage.folders import CONFIG
from tina_framework.storage.paths import user_path
from tina_framework.zoo.image_bank import ImageBank
from tina_framework.zoo.reservation import LeakageReport, check_leakage
from tina_framework.zoo.store import Zoo
from tina_framework.zoo.tasks import Task, TaskFile, load_task_file
from tina_framework.zoo.teacher import Teacher

if TYPE_CHECKING:
    from tina_framework.interfaces.dataset import Dataset

__all__ = ["EvaluationRequest", "checked_tasks", "config_sha256", "evaluate", "open_context", "setup_record"]


@dataclass(frozen=True)
class EvaluationRequest:
    """What to evaluate.

    Args:
        model: registered name, folder or Hub id of a generator.
        dataset: spec of a data set, or the data set itself.
        tasks: a task file; None: draw tasks from the data set, see `draw_tasks`.
        methods: what to compare, as `parse_methods` returns it; None: `default_methods` of the generator's
            architecture.
        encoder: spec of an encoder; None: the generator's default.
        zoo: folder of a zoo; None: the zoo that the generator names, see `find_zoo`.
        image_split: ``test`` or ``validation``: the images that networks are measured on.
        template: number of the encoder's prompt template.
        fine_tune_tasks: how many tasks of each split *fine-tune* trains on; None: all.
        device: ``auto``, ``cpu``, ``cuda``, ...
        seed: seed of generation.
        command: the command line, for the record.
        novelty: also compare generated networks with those of the zoo, if *tina* is among the methods.
        num_tasks: without a task file: the most tasks of each kind.
        num_classes: without a task file: classes per task; None: as many as the generator and the data set allow.
        teacher: file of `tina train-teacher`, for *fine-tune* with a `teacher_weight`.
        architecture: which of the generator's architectures; None: its default one.
    """

    model: str
    dataset: str | Dataset
    tasks: Path | None = None
    methods: Sequence[MethodSpec] | None = None
    encoder: str | None = None
    zoo: Path | None = None
    image_split: str = "test"
    template: int = 0
    fine_tune_tasks: int | None = None
    device: str = "auto"
    seed: int = 0
    command: str = ""
    novelty: bool = True
    num_tasks: int = 100
    num_classes: int | None = None
    teacher: Path | None = None
    architecture: str | None = None


def evaluate(
    request: EvaluationRequest, progress: Progress = no_progress, notify: Callable[[str], None] = lambda text: None
) -> Results:
    """Run every method on every task.

    Args:
        request: what to evaluate.
        progress: shows the progress.
        notify: called with a sentence about a zoo that was found and about tasks that were drawn.

    Raises:
        LeakageError: a task file of our own calls a task unseen that training could have seen.
        TinaError: something cannot be loaded, or no method can run.
    """
    busy = busy_warning()  # asked now, because this run itself will keep the processor busy
    dataset = _dataset(request)
    # Read before the generator is loaded, because loading may take long.
    task_file = None if request.tasks is None else load_task_file(request.tasks, class_names=dataset.class_names)
    generator = _generator(request)
    context = _context(request, generator, dataset)
    if context.zoo is not None and request.zoo is None:
        notify(f"Zoo: '{context.zoo.folder}', which the generator's training record names.")
    if task_file is None:
        drawn = draw_tasks(generator.config, dataset, request.num_tasks, request.seed, request.num_classes)
        notify(drawn_note(drawn, dataset.name, request.seed))
        task_file = TaskFile(tuple(drawn), own=True)
    report = checked_tasks(context, task_file)
    scorer = Scorer(generator.spec, ImageBank(dataset, request.image_split, generator.spec, generator.device))
    scorer.check(report.tasks)
    specs = default_methods(generator.spec.architecture) if request.methods is None else request.methods
    methods = {method.label: method.create(context) for method in specs}
    results = run_methods(methods, report.tasks, scorer, progress)
    if all(task is None for result in results for task in result.tasks):
        reasons = "; ".join(f"{result.label}: {result.skipped[0][1]}" for result in results)
        raise TinaError(f"No method could run, so nothing was written. {reasons}")
    generated = any(spec.name == "tina" for spec in specs)
    novelty = _novelty(context, report.tasks, scorer, progress) if request.novelty and generated else None
    return assemble(report.tasks, results, setup_record(request, context, report, busy), novelty)


def open_context(request: EvaluationRequest) -> tuple[Context, Scorer]:
    """Load what `request` names, without running anything. Its tasks and methods are not used.

    Raises:
        TinaError: something cannot be loaded.
    """
    dataset = _dataset(request)
    generator = _generator(request)
    bank = ImageBank(dataset, request.image_split, generator.spec, generator.device)
    return _context(request, generator, dataset), Scorer(generator.spec, bank)


def checked_tasks(context: Context, task_file: TaskFile) -> LeakageReport:
    """Check that training could not see the tasks, before any method runs: figures of a leaking task file are worthless.

    Raises:
        LeakageError: a task file of our own calls a task unseen that training could have seen.
    """
    return check_leakage(
        task_file.tasks,
        own=task_file.own,
        trained_classes=context.generator.config.class_names,
        trained_class_sets=None if context.zoo is None else _class_sets(context.zoo),
    )


def _class_sets(zoo: Zoo) -> list[tuple[str, ...]]:
    """Return the class sets of a zoo's list. That of a narrowed zoo is the one in its folder."""
    return [tuple(entry.classes) for entry in zoo.entries or Zoo.open(zoo.folder).entries]


def _dataset(request: EvaluationRequest) -> Dataset:
    if not isinstance(request.dataset, str):
        return request.dataset
    dataset: Dataset = registries().datasets.create(request.dataset)
    return dataset


def _generator(request: EvaluationRequest) -> Generator:
    generator = Generator.from_pretrained(
        request.model, device=request.device, encoder=request.encoder, architecture=request.architecture
    )
    if request.encoder is not None and not 0 <= request.template < len(generator.encoder.templates):
        raise PromptError(
            f"Template number {request.template} does not exist: encoder '{request.encoder}' has "
            f"{len(generator.encoder.templates)}, counted from 0."
        )
    return generator


def _novelty(context: Context, tasks: Sequence[Task], scorer: Scorer, progress: Progress) -> dict[str, Any]:
    """Return the comparison with the zoo, or the reason why there is none."""
    with progress("novelty", 1) as advance:
        try:
            found = measure_novelty(context, tasks, scorer).to_json()
        except TinaError as error:
            found = {"reason": str(error)}
        advance(1)
    return found


def _context(request: EvaluationRequest, generator: Generator, dataset: Dataset) -> Context:
    zoo, no_zoo = _zoo(request, generator)
    generic = None
    if generator.generic is not None:
        generic = GenericModel(
            generator.generic, generator.config.class_names, f"the generic model of generator '{generator.name}'"
        )
    elif zoo is not None:
        generic = GenericModel(zoo.generic, zoo.class_names, f"the generic model of zoo '{zoo.folder.name}'")
    return Context(
        generator=generator,
        dataset=dataset,
        seed=request.seed,
        template=request.template,
        generic=generic,
        zoo=zoo,
        fine_tune_tasks=request.fine_tune_tasks,
        no_generic=f"the model folder holds no generic model, and {no_zoo}",
        no_zoo=no_zoo,
        teacher=None if request.teacher is None else Teacher.load(request.teacher),
    )


def _zoo(request: EvaluationRequest, generator: Generator) -> tuple[Zoo | None, str]:
    """Return the zoo that was asked for, else the generator's own; or None and the reason why there is none."""
    if request.zoo is not None:
        return open_zoo(request.zoo, generator.spec), ""
    # A zoo that the user names must work. One that was found automatically is optional, so its errors become reasons.
    local = user_path(request.model)
    folder, reason = find_zoo(generator, local if local.is_dir() else None)
    if folder is None:
        return None, reason
    try:
        return open_zoo(folder, generator.spec), ""
    except TinaError as error:
        return None, str(error)


def _warnings(request: EvaluationRequest, context: Context) -> list[str]:
    if request.image_split != "validation":
        return []
    users = {
        "the zoo's models": None if context.zoo is None else context.zoo.config.train_split,
        "the generator": training_setting(context.generator.config.training, "train_split"),
    }
    return [
        f"The validation images were training images of {who}, so these figures do not hold for new images."
        for who, split in users.items()
        if split == "train+validation"
    ]


def setup_record(
    request: EvaluationRequest, context: Context, report: LeakageReport, busy: str | None
) -> dict[str, Any]:
    """Return what was measured, with what and where, as JSON values.

    Args:
        request: what was asked for.
        context: what was loaded.
        report: the tasks.
        busy: a warning about a busy machine, or None.
    """
    generator = context.generator
    assert generator.folder is not None  # _generator loaded it
    return {
        "command": request.command,
        "model": {
            "name": generator.name,
            "config_sha256": config_sha256(generator.folder),
            "training": {key: generator.config.training.get(key) for key in ("recipe_sha256", "commit")},
            **({"architecture": generator.config.architecture} if generator.config.architectures else {}),
        },
        "dataset": without_folders(request.dataset if isinstance(request.dataset, str) else request.dataset.name),
        "image_split": request.image_split,
        "encoder": {
            "name": without_folders(request.encoder or generator.config.default_encoder),
            "space": generator.config.condition["space"],
            "template": request.template,
        },
        "zoo": None if context.zoo is None else context.zoo.folder.resolve().name,
        "seed": request.seed,
        "relabelled_tasks": report.relabelled_seen + report.relabelled_validation + report.unseen_classes,
        "warnings": _warnings(request, context) + ([busy] if busy else []),
        "version": __version__,
        "machine": describe_machine(context.device),
        "date": now(),
    }


def config_sha256(folder: Path) -> str:
    """Return the SHA-256 of a generator's `config.json`, which includes the hashes of its weights.

    Metrics, abstention thresholds and familiarities are left out. They do not change the networks for known names, so
    recording them does not change the generator's identity.
    """
    left = ("metrics", "abstention", "familiarity")
    values = {key: value for key, value in read_json(folder / CONFIG).items() if key not in left}
    if "architectures" in values:
        values["architectures"] = {
            name: {key: value for key, value in entry.items() if key not in left}
            for name, entry in values["architectures"].items()
        }
    if values.get("preprocessing") == fit_settings():
        del values["preprocessing"]  # Published figures are older than this key.
    # The digest of the settings covers the keys that are left out, too.
    values[HASHES] = {file: sha256 for file, sha256 in values.get(HASHES, {}).items() if file != CONFIG}
    return hashlib.sha256(
        json.dumps(values, sort_keys=True, ensure_ascii=False).encode("utf-8", "backslashreplace")
    ).hexdigest()
