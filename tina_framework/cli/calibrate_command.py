"""``tina calibrate``: fit abstention thresholds and the familiarity of prompts, and save them with a generator."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Annotated, Any

import typer

from tina_framework.cli.completion import DEVICES, registered
from tina_framework.cli.path_parameters import path_option

__all__ = ["register"]

_FEW_IMAGES = 200
"""With fewer images, a note says how uncertain the thresholds are: about four points at 200."""


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("calibrate")(calibrate)


def calibrate(
    model: Annotated[str, typer.Option("--model", help="Folder of a generator. Its config.json is changed.")],
    dataset: Annotated[
        str,
        typer.Option(
            "--dataset",
            autocompletion=registered("datasets"),
            help="Data set that the generator was trained on, e.g. arrays:FILE.npz. For a generator that reads any words: "
            "pictures of any classes, e.g. image-folder:DIR.",
        ),
    ],
    encoder: Annotated[
        str | None,
        typer.Option(
            "--encoder",
            autocompletion=registered("encoders"),
            help="Encoder of the class names. Default: the model's own.",
        ),
    ] = None,
    kept: Annotated[
        float, typer.Option("--kept", help="Share of correct answers that classifiers keep when they may abstain.")
    ] = 0.9,
    abstention: Annotated[
        bool, typer.Option("--abstention/--no-abstention", help="Fit the thresholds for answering 'none of these'.")
    ] = True,
    familiarity: Annotated[
        bool, typer.Option("--familiarity/--no-familiarity", help="Fit the familiarity of prompts, for this encoder.")
    ] = True,
    descriptions: Annotated[
        Path | None,
        path_option(
            "--descriptions",
            help="JSON file, class name -> description. Fits the familiarity of texts to these descriptions.",
        ),
    ] = None,
    num_tasks: Annotated[
        int, typer.Option("--num-tasks", min=1, help="Largest number of tasks of each class count.")
    ] = 100,
    device: Annotated[str, typer.Option("--device", autocompletion=DEVICES, help="cpu, cuda, mps or auto.")] = "auto",
    seed: Annotated[int, typer.Option("--seed", help="Seed of tasks and generation.")] = 0,
    json_: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Fit abstention thresholds and the familiarity of prompts on validation images.

    Classifiers below their threshold may answer 'none of these'. Familiarity is the probability that a prompt means a class
    of the training data. See docs/how-to/abstaining.md and docs/how-to/prompts.md.
    """
    from tina_framework.cli.output import print_error, print_json, print_line, print_table, progress_bar
    from tina_framework.errors import ConfigError
    from tina_framework.storage.paths import user_path

    # Checked before anything heavy is imported.
    folder = user_path(model)
    if not folder.is_dir():
        raise ConfigError(
            f"Thresholds are written into the model's folder, but '{model}' is not a folder; give its path."
        )
    from tina_framework.evaluation.calibration.familiarity_fit import fit_familiarity
    from tina_framework.evaluation.calibration.thresholds import calibrate as calibrate_thresholds
    from tina_framework.evaluation.calibration.thresholds import calibration_images, is_new_data
    from tina_framework.evaluation.model_metadata import record_calibration
    from tina_framework.evaluation.paths import without_folders
    from tina_framework.evaluation.suite.prompt_measurer import PromptMeasurer, SuiteRequest
    from tina_framework.generator.generator import Generator
    from tina_framework.plugin.discovery import registries
    from tina_framework.prompts.familiarity import Familiarity
    from tina_framework.zoo.image_bank import for_architecture, load_split

    if not (abstention or familiarity):
        raise ConfigError(
            "--no-abstention and --no-familiarity together leave nothing to calibrate; leave out one of them."
        )
    if descriptions is not None and not familiarity:
        raise ConfigError("--descriptions has no effect with --no-familiarity; leave one of the two options out.")
    generator = Generator.from_pretrained(folder, device=device, encoder=encoder)
    data = registries().datasets.create(dataset)
    if familiarity and is_new_data(generator.config, data):
        # Familiarity tells known names from others, so it needs the known ones.
        if not abstention or descriptions is not None:
            raise ConfigError(
                f"The generator reads any words and was not trained on the classes of '{data.name}', so they say nothing about "
                "familiarity; leave out --no-abstention and --descriptions."
            )
        familiarity = False
        if not json_:
            print_line("Only thresholds are set: familiarity needs the classes that the generator was trained on.")
    measurer = None
    # Made first: fitting thresholds takes minutes, which a wrong file of descriptions must not cost.
    if familiarity:
        least = generator.config.min_classes
        measurer = PromptMeasurer(
            SuiteRequest(model, data, encoder, descriptions, num_tasks, least, "validation", device, seed)
        )
    thresholds = generator.config.abstention
    rows: list[dict[str, Any]] = []
    if abstention:
        thresholds, rows = calibrate_thresholds(
            generator, data, kept=kept, num_tasks=num_tasks, seed=seed, progress=progress_bar
        )
    familiarities: dict[str, Familiarity] = {}
    if measurer is not None:
        familiarities = {without_folders(generator.encoder.name): Familiarity(fit_familiarity(measurer, print_error))}
    record_calibration(folder, thresholds, familiarities)
    lines = {name: reading.to_json() for name, reading in familiarities.items()}
    if json_:
        settings = None if thresholds is None else thresholds.to_dict()
        print_json({"model": model, "abstention": settings, "rows": rows, "familiarity": lines})
        return
    if rows and thresholds is not None:
        print_table([_cells(row) for row in rows], tuple(_cells(rows[0])))
        split = calibration_images(generator.config, data)
        number = len(load_split(for_architecture(data, generator.spec.architecture), split))
        print_line(
            f"Measured on {_images(split)} of '{without_folders(data.name)}' ({number} pictures). "
            "'refused' counts pictures of other classes. "
            f"The thresholds are saved in {folder / 'config.json'}, and new classifiers get them.",
        )
        if number < _FEW_IMAGES:
            print_line(
                f"{number} pictures are few: on new ones, the share that is kept may differ by {_uncertainty(kept, number)} points. "
                "Add pictures and calibrate again for a surer threshold."
            )
        copied = max(thresholds.thresholds)
        if copied > rows[-1]["num_classes"]:
            print_line(f"Classifiers of all {copied} classes have the threshold of {rows[-1]['num_classes']} classes.")
    for name, kinds in lines.items():
        print_line(
            f"The familiarity of prompts for {name} ({', '.join(kinds)}) is saved in {folder / 'config.json'}.",
        )


def _uncertainty(kept: float, number: int) -> int:
    """Return half of the 95 % interval of a share, in points, for that many independent pictures."""
    return max(1, round(196 * math.sqrt(kept * (1 - kept) / number)))


def _images(split: str) -> str:
    """Return the words for the images of a split."""
    return "validation images" if split == "validation" else "all but the test images"


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
