"""``tina diagnose``: find the stage of a generator at which accuracy is lost."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tina_framework.cli.architecture_option import ArchitectureOption
from tina_framework.cli.completion import DEVICES, registered
from tina_framework.cli.evaluate_command import ImageSplit
from tina_framework.cli.path_parameters import path_option

__all__ = ["register"]


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("diagnose")(diagnose)


def diagnose(
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
    zoo: Annotated[
        Path | None,
        path_option(
            "--zoo", help="Folder of the zoo. Default: the zoo that the model was trained on, if a package carries it."
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
            help="Encoder of the class names. Default: the model's own.",
        ),
    ] = None,
    architecture: ArchitectureOption = None,
    num_tasks: Annotated[int, typer.Option("--num-tasks", min=1, help="Number of p-Models to test.")] = 20,
    split: Annotated[ImageSplit, typer.Option("--split", help="Images to measure on.")] = ImageSplit.validation,
    device: Annotated[str, typer.Option("--device", autocompletion=DEVICES, help="cpu, cuda, mps or auto.")] = "auto",
    seed: Annotated[int, typer.Option("--seed", help="Seed of noise and generation.")] = 0,
    json_: Annotated[bool, typer.Option("--json", help="Print the figures as JSON instead of a table.")] = False,
) -> None:
    """Pass p-Models through tokens, noise, denoiser and sampling, and report where accuracy is lost.

    See docs/how-to/evaluation.md for the stages.
    """
    from tina_framework.cli.output import print_json, print_line, print_table, progress_bar
    from tina_framework.evaluation.diagnose import diagnose as diagnose_stages
    from tina_framework.evaluation.evaluate import EvaluationRequest, open_context
    from tina_framework.evaluation.result_tables import diagnosis_table
    from tina_framework.storage.hub import with_revision

    request = EvaluationRequest(
        model=with_revision(model, revision),
        dataset=dataset,
        tasks=Path(),
        zoo=zoo,
        encoder=encoder,
        image_split=split.value,
        device=device,
        seed=seed,
        architecture=architecture,
    )
    context, scorer = open_context(request)
    with progress_bar("p-Models", num_tasks) as advance:
        seen = 0

        def on_progress(done: int, total: int) -> None:
            nonlocal seen
            advance(done - seen)
            seen = done

        diagnosis = diagnose_stages(context, scorer, num_tasks=num_tasks, on_progress=on_progress).to_json()
    if json_:
        print_json(diagnosis)
        return
    rows = diagnosis_table(diagnosis)
    print_table(rows, tuple(rows[0]), title=f"{diagnosis['num_tasks']} p-Models, {split.value} images")
    print_line(diagnosis["verdict"])
