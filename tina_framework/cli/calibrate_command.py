"""``tina calibrate``: from which score on the answers of a generator's classifiers count."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

__all__ = ["register"]


def register(app: typer.Typer) -> None:
    """Adds the command."""
    app.command("calibrate")(calibrate)


def calibrate(
    model: Annotated[str, typer.Option("--model", help="Folder of a generator; its config.json is written to.")],
    dataset: Annotated[str, typer.Option("--dataset", help="Data set it was trained on, e.g. arrays:FILE.npz.")],
    encoder: Annotated[
        str | None, typer.Option("--encoder", help="What reads the class names; by default the model's own encoder.")
    ] = None,
    kept: Annotated[float, typer.Option("--kept", help="Share of right answers that classifiers shall keep.")] = 0.9,
    score: Annotated[
        str | None,
        typer.Option("--score", help="max-logit (default), max-softmax, energy, margin or entropy."),
    ] = None,
    num_tasks: Annotated[int, typer.Option("--num-tasks", min=1, help="Tasks of each class count, at most.")] = 100,
    device: Annotated[str, typer.Option("--device", help="cpu, cuda, mps or auto.")] = "auto",
    seed: Annotated[int, typer.Option("--seed", help="Seed of tasks and generation.")] = 0,
    json_: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Set thresholds by which generated classifiers may answer 'none of these', on validation tasks and images.

    docs/abstaining.md says what they give.
    """
    from tina_framework.abstention import DEFAULT_SCORE
    from tina_framework.cli.output import console, print_json, print_table, progress_bar
    from tina_framework.discovery import registries
    from tina_framework.errors import ConfigError
    from tina_framework.evaluation.calibration import calibrate as run
    from tina_framework.evaluation.record import record_abstention
    from tina_framework.generator import Generator

    folder = Path(model)
    if not folder.is_dir():
        raise ConfigError(f"Thresholds are written into the model's folder, but '{model}' is no folder; give its path.")
    generator = Generator.from_pretrained(folder, device=device, encoder=encoder)
    abstention, rows = run(
        generator,
        registries().datasets.create(dataset),
        kept=kept,
        score=DEFAULT_SCORE if score is None else score,
        num_tasks=num_tasks,
        seed=seed,
        progress=progress_bar,
    )
    record_abstention(folder, abstention)
    if json_:
        print_json({"model": model, "abstention": abstention.to_dict(), "rows": rows})
        return
    print_table([_cells(row) for row in rows], tuple(_cells(rows[0])))
    console.print(
        "On validation tasks and images; 'refused' are pictures of other classes. "
        f"Thresholds ({abstention.score}) are in {folder / 'config.json'}; classifiers generated from now on carry them.",
        markup=False,
        soft_wrap=True,
    )


def _cells(row: dict[str, Any]) -> dict[str, Any]:
    return {
        "classes": row["num_classes"],
        "tasks": row["num_tasks"],
        "accuracy %": f"{100 * row['accuracy']:.1f}",
        "kept of it %": f"{100 * row['kept']:.1f}",
        "refused %": f"{100 * row['refused']['mean']:.1f}",
        "AUROC": f"{row['auroc']:.3f}",
        "threshold": f"{row['threshold']:.4f}",
    }
