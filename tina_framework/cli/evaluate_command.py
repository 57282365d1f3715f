"""``tina evaluate``: compare the accuracy and time of generated models with baselines, on tasks of known splits."""

from __future__ import annotations

import shlex
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tina_framework.cli.architecture_option import ArchitectureOption
from tina_framework.cli.completion import DEVICES, registered
from tina_framework.cli.methods_option import MethodsCommand
from tina_framework.cli.path_parameters import path_option

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["register"]


class ImageSplit(StrEnum):
    """The images that networks are measured on."""

    test = "test"
    validation = "validation"


class Suite(StrEnum):
    """Predefined sets of measurements, which draw their own tasks."""

    prompts = "prompts"


class _EvaluateCommand(MethodsCommand):
    def default_methods(self) -> str:
        from tina_framework.evaluation.methods import DEFAULT_METHODS

        return f"{DEFAULT_METHODS}, and zero-shot where it applies"


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("evaluate", cls=_EvaluateCommand)(evaluate)


def evaluate(
    model: Annotated[
        str,
        typer.Option(
            "--model", autocompletion=registered("generators"), help="Bundled name, folder or Hub id of a generator."
        ),
    ],
    dataset: Annotated[
        str,
        typer.Option(
            "--dataset", autocompletion=registered("datasets"), help="Data set, e.g. arrays:FILE.npz, cifar100, shapes."
        ),
    ],
    out: Annotated[Path, path_option("--out", help="Folder for results.json, results.md and tasks.json.")],
    tasks: Annotated[
        Path | None,
        path_option(
            "--tasks",
            help="Task file (JSON), as written by 'tina zoo tasks'. Default: draw tasks from the data set.",
        ),
    ] = None,
    suite: Annotated[
        Suite | None,
        typer.Option("--suite", help="Instead of a task file: measure the same tasks with prompts in many wordings."),
    ] = None,
    methods: Annotated[
        str | None,
        typer.Option(
            "--methods",
            help="Comma-separated list.",  # `MethodsCommand` adds the names
        ),
    ] = None,
    revision: Annotated[
        str | None, typer.Option("--revision", help="Branch, tag or commit of a generator on the Hub.")
    ] = None,
    encoder: Annotated[
        str | None,
        typer.Option(
            "--encoder",
            autocompletion=registered("encoders"),
            help="Encoder, e.g. clip-lite or embedding-table:FILE.npz. Default: the model's own.",
        ),
    ] = None,
    architecture: ArchitectureOption = None,
    zoo: Annotated[
        Path | None,
        path_option("--zoo", help="Folder of the zoo. Default: the zoo that the model was trained on, if it is found."),
    ] = None,
    split: Annotated[ImageSplit, typer.Option("--split", help="Images to measure on.")] = ImageSplit.test,
    template: Annotated[int, typer.Option("--template", min=0, help="Index of the encoder's prompt template.")] = 0,
    fine_tune_tasks: Annotated[
        int | None, typer.Option("--fine-tune-tasks", min=1, help="Fine-tune on only this many tasks of each split.")
    ] = None,
    teacher: Annotated[
        Path | None,
        path_option(
            "--teacher", help="File of 'tina train-teacher', for rows such as fine-tune@long:teacher_weight=0.9."
        ),
    ] = None,
    novelty: Annotated[
        bool, typer.Option("--novelty/--no-novelty", help="Also compare generated networks with those of the zoo.")
    ] = True,
    record: Annotated[
        bool, typer.Option("--record", help="Write the accuracy of 'tina' to the config and card of the model folder.")
    ] = False,
    device: Annotated[str, typer.Option("--device", autocompletion=DEVICES, help="cpu, cuda, mps or auto.")] = "auto",
    seed: Annotated[int, typer.Option("--seed", help="Seed of generation.")] = 0,
    descriptions: Annotated[
        Path | None, path_option("--descriptions", help="With --suite: JSON file, class name -> description.")
    ] = None,
    num_tasks: Annotated[
        int | None,
        typer.Option("--num-tasks", min=2, help="Without --tasks: number of tasks of each kind (default 100)."),
    ] = None,
    classes: Annotated[
        int | None,
        typer.Option(
            "--classes", min=2, help="Without --tasks: classes per task. Default: as many as possible; with --suite 10."
        ),
    ] = None,
    json_: Annotated[
        bool, typer.Option("--json", help="Print the contents of results.json instead of a table.")
    ] = False,
) -> None:
    """Compare generated models with baselines, and write results.json, results.md and tasks.json.

    Differences are paired, task by task, with 'selection': the generic model with only the outputs of the task's classes.
    See docs/reference/methods.md for the methods and docs/reference/formats.md for the fields of the files.
    """
    from tina_framework.cli.output import print_error, print_json, print_line, print_table, progress_bar
    from tina_framework.errors import ConfigError
    from tina_framework.storage.hub import with_revision
    from tina_framework.storage.paths import user_path

    model = with_revision(model, revision)
    if tasks is not None and suite is not None:
        raise ConfigError("--suite prompts draws its own tasks; give either --tasks or --suite.")
    suite_options = {"--descriptions": descriptions, "--num-tasks": num_tasks, "--classes": classes}
    if suite is not None:
        from tina_framework.cli.suite_command import evaluate_prompts

        given: dict[str, Any] = {
            "--model": model,
            "--dataset": dataset,
            "--methods": methods,
            "--encoder": encoder,
            "--architecture": architecture,
            "--zoo": zoo,
        }
        given |= {"--split": split.value, "--template": template, "--fine-tune-tasks": fine_tune_tasks}
        given |= {"--teacher": teacher}
        given |= {"--record": record, "--no-novelty": not novelty, "--device": device, "--seed": seed}
        evaluate_prompts(given | suite_options, out, json_=json_)
        return
    if descriptions is not None:
        raise ConfigError("--descriptions has no effect without --suite prompts; leave it out.")
    for option, value in (("--num-tasks", num_tasks), ("--classes", classes)):
        if tasks is not None and value is not None:
            raise ConfigError(f"{option} has no effect on a task file; leave out {option} or --tasks.")

    from tina_framework.evaluation.evaluate import EvaluationRequest
    from tina_framework.evaluation.evaluate import evaluate as evaluate_methods
    from tina_framework.evaluation.methods import DEFAULT_METHODS, parse_methods
    from tina_framework.evaluation.model_metadata import check_recordable, record_accuracy
    from tina_framework.evaluation.result_tables import SHORT_COLUMNS, novelty_sentence, short_tables
    from tina_framework.evaluation.results import check_output, write_results

    specs = None if methods is None else parse_methods(methods)
    # Checked before the measurements, which may take hours.
    check_output(out)
    if record:
        named = parse_methods(DEFAULT_METHODS) if specs is None else specs
        check_recordable(model, [spec.label for spec in named], split.value, template)
    options: dict[str, Any] = {
        "--model": model,
        "--dataset": dataset,
        "--tasks": tasks,
        "--methods": None if specs is None else ",".join(spec.label for spec in specs),
        "--encoder": encoder,
        "--architecture": architecture,
        "--zoo": zoo,
        "--split": split.value,
        "--template": template,
        "--fine-tune-tasks": fine_tune_tasks,
        "--teacher": teacher,
        "--out": out,
        "--device": device,
        "--seed": seed,
        "--record": record,
        "--no-novelty": not novelty,
        "--num-tasks": num_tasks,
        "--classes": classes,
    }
    request = EvaluationRequest(
        model=model,
        dataset=dataset,
        tasks=tasks,
        methods=specs,
        encoder=encoder,
        zoo=zoo,
        image_split=split.value,
        template=template,
        fine_tune_tasks=fine_tune_tasks,
        device=device,
        seed=seed,
        command=_command(options),
        novelty=novelty,
        num_tasks=100 if num_tasks is None else num_tasks,
        num_classes=classes,
        teacher=teacher,
        architecture=architecture,
    )
    results = evaluate_methods(request, progress_bar, print_error)
    write_results(out, results)
    summary = results.summary
    if record and not record_accuracy(user_path(model), summary, summary["setup"]["model"].get("architecture")):
        print_error("The model's card has no table 'Accuracy of generated models', so only config.json was updated.")
    if json_:
        print_json(summary)
    else:
        for title, rows in short_tables(summary):
            print_table(rows, SHORT_COLUMNS, title=title)
            print_line()
        for line in _notes(summary):
            print_error(line)
        if "novelty" in summary:
            print_line(novelty_sentence(summary["novelty"]))
        print_line("± is half of the 95 % interval over tasks. Differences are paired, in points.")
        print_line(f"Written to {out}: results.json, results.md, tasks.json.")


def _notes(summary: Mapping[str, Any]) -> list[str]:
    """Return warnings about the figures, and the methods that were not run."""
    lines = [f"Warning: {text}" for text in summary["setup"]["warnings"]]
    relabelled = summary["setup"]["relabelled_tasks"]
    if relabelled:
        lines.append(f"Relabelled tasks: {relabelled}; their split is not the one in the task file.")
    for entry in summary["skipped"]:
        where = f" on {entry['split']}" if "split" in entry else ""
        lines.append(f"Not run: {entry['method']}{where}: {entry['reason']}")
    return lines


def _command(options: Mapping[str, Any]) -> str:
    """Return the command line for the results, without defaults and without the folders of absolute paths."""
    from tina_framework.evaluation.paths import without_folders

    defaults = {"--split": "test", "--template": 0, "--device": "auto", "--seed": 0}
    words = ["tina", "evaluate"]
    for name, value in options.items():
        if value is None or value is False or defaults.get(name) == value:
            continue
        words += [name] if value is True else [name, without_folders(str(value))]
    return shlex.join(words)
