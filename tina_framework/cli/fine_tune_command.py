"""``tina fine-tune``: train a classifier further on a few pictures and save the result."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from tina_framework.cli.completion import DEVICES
from tina_framework.cli.output import print_json, print_line, progress_bar
from tina_framework.cli.path_parameters import path_argument, path_option
from tina_framework.cli.saving_options import INCLUDE_TRUNK, Dtype, DtypeOption
from tina_framework.terminal.command_line import command

__all__ = ["register"]

_FOLDS = 5
_FEWEST_A_CLASS, _FEWEST = 5, 100
"""Least pictures per class, and in total, for cross-validation. With fewer, its accuracy would be too uncertain to be useful."""


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("fine-tune")(fine_tune)


def fine_tune(
    folder: Annotated[
        Path, path_argument(metavar="DIR", help="Folder of a classifier, as written by 'tina generate'.")
    ],
    pictures: Annotated[
        list[str],
        typer.Argument(
            metavar="PICTURES...",
            help="One folder with a sub-folder for each class, or CLASS=FOLDER for each class.",
        ),
    ],
    out: Annotated[Path, path_option("--out", help="Folder to write. A classifier in it is replaced.")] = Path(
        "fine-tuned"
    ),
    steps: Annotated[
        int | None,
        typer.Option("--steps", min=1, help="Number of training steps. Default: depends on the number of pictures."),
    ] = None,
    lr: Annotated[
        float | None, typer.Option("--lr", help="Learning rate. Default: depends on the number of pictures.")
    ] = None,
    pull: Annotated[
        float | None,
        typer.Option(
            "--pull",
            help="Strength of the pull towards the starting parameters. Choose more for pictures like the training data, less for others.",
        ),
    ] = None,
    seed: Annotated[int, typer.Option("--seed", help="The same seed and pictures give the same classifier.")] = 0,
    cross_validate: Annotated[
        bool,
        typer.Option(
            help="Measure the accuracy before and after by 5-fold cross-validation, if there are enough pictures."
        ),
    ] = True,
    include_trunk: Annotated[
        bool | None,
        typer.Option(
            "--include-trunk/--no-include-trunk",
            help=f"{INCLUDE_TRUNK} Default: if they are in the folder that is read.",
        ),
    ] = None,
    dtype: DtypeOption = Dtype.float32,
    device: Annotated[str, typer.Option("--device", autocompletion=DEVICES, help="auto, cpu, cuda or mps.")] = "cpu",
    json_: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Train a classifier further on your own pictures.

    One picture of every class is enough. It takes seconds.

    A head on a frozen trunk is fitted by logistic regression, unless --steps, --lr or --pull is given.
    """
    from tina_framework.classifier.classifier import GeneratedClassifier, replaceable
    from tina_framework.classifier.fine_tuning.data import FineTuneData
    from tina_framework.classifier.folder import check_has_trunk
    from tina_framework.storage.folders import check_target
    from tina_framework.targets.device import resolve_device

    # Checked first, so that no work is lost.
    check_target(out, replaceable, "classifier")
    model = GeneratedClassifier.from_pretrained(folder, device=resolve_device(device))
    if include_trunk:
        check_has_trunk(model.architecture, model.trunk)
    listed = _listed(pictures, model.class_names)
    start = time.perf_counter()
    labels = [name for name, files in listed.items() for _ in files]
    files = [file for found in listed.values() for file in found]
    data = FineTuneData.prepare(model, files, labels, seed=seed, changes={"steps": steps, "lr": lr, "pull": pull})
    enough = min(data.counts.values()) >= _FEWEST_A_CLASS and len(labels) >= _FEWEST
    folds = _FOLDS if cross_validate and enough else 0
    with progress_bar("Fine-tuning", data.settings.steps * (1 + folds)) as advance:
        tuned = model.fine_tuned_on(data, lambda done, total: advance())
        seconds = time.perf_counter() - start
        accuracy = _accuracy(*data.cross_validate(folds, lambda done, total: advance())) if folds else None
    tuned.save_pretrained(out, include_trunk=include_trunk, dtype=dtype.value)
    result = {"classifier": str(folder), "saved_in": str(out), "seconds": round(seconds, 3)}
    result |= data.record() | {"accuracy": accuracy}
    if json_:
        print_json(result)
    else:
        _print(result, measure=cross_validate)


def _listed(words: Sequence[str], class_names: Sequence[str]) -> dict[str, list[Path]]:
    """Return class name -> picture files. Case, underscores and hyphens of folder names do not matter.

    ``CLASS=FOLDER`` is split after the longest class name that fits, because names and folders may hold ``=``.

    Raises:
        DataError: a folder is missing, has no pictures, or its name is not a class.
    """
    from tina_framework.classifier.fine_tuning.labels import short_list
    from tina_framework.errors import ConfigError, DataError
    from tina_framework.images import class_folders, split_of
    from tina_framework.interfaces.class_names import fold
    from tina_framework.prompts.notation import after_known_name
    from tina_framework.storage.paths import user_path

    split = {word: after_known_name(word, class_names) for word in words}
    if len(words) == 1 and split[words[0]] is None and ("=" not in words[0] or user_path(words[0]).is_dir()):
        root = user_path(words[0])
        if not root.is_dir():
            raise DataError(
                f"'{root}' is not a folder; give a folder with a sub-folder for each class, or CLASS=FOLDER."
            )
        pairs = class_folders(root, key=fold)
        if not pairs:
            raise DataError(
                f"'{root}' has no sub-folders; put the pictures of each class into a sub-folder with its name."
            )
    else:
        wrong = [word for word in words if "=" not in word]
        if wrong:
            raise ConfigError(f"'{wrong[0]}' names no class; write CLASS=FOLDER for each class, or one folder for all.")
        pairs = [(name, user_path(path)) for name, path in (split[word] or tuple(word.split("=", 1)) for word in words)]
    known = {fold(name): name for name in class_names}
    listed: dict[str, list[Path]] = {name: [] for name in class_names}
    for name, path in pairs:
        if fold(name) not in known:
            advice = f" For one split, give '{path}' itself." if split_of(name) else ""
            raise DataError(
                f"The classifier has no class '{name}' (for '{path}'); its classes are {short_list(class_names)}.{advice}"
            )
        listed[known[fold(name)]] += _files(path)
    return listed


def _files(path: Path) -> list[Path]:
    """Return the pictures in a folder in the order of their names, or the single file."""
    from tina_framework.errors import DataError
    from tina_framework.images import picture_files

    if path.is_dir():
        found = picture_files(path)
        if not found:
            raise DataError(f"'{path}' has no pictures (files ending in .jpg, .png, ...); add some.")
        return found
    if not path.exists():
        raise DataError(f"'{path}' does not exist; give a folder of pictures.")
    return [path]


def _accuracy(before: Sequence[bool], after: Sequence[bool]) -> dict[str, Any]:
    from tina_framework.evaluation.statistics import paired, summarize

    gain = paired([float(value) for value in after], [float(value) for value in before])
    assert gain.ci95 is not None
    return {
        "pictures": len(after),
        "parts": _FOLDS,
        "before": summarize([float(value) for value in before]).mean,
        "after": summarize([float(value) for value in after]).mean,
        "gain": {"mean": gain.mean, "ci95": list(gain.ci95)},
    }


def _print(result: dict[str, Any], *, measure: bool) -> None:
    counts = ", ".join(f"{name} {count}" for name, count in result["pictures"].items())
    settings = result["settings"]
    how = (
        f"{settings['steps']} steps, learning rate {settings['lr']:g}"
        if "lr" in settings
        else "logistic regression that starts from the generated rows"
    )
    rows = [
        ("pictures", counts),
        ("fine-tuned in", f"{result['seconds']:.1f} s ({how})"),
        ("saved in", result["saved_in"]),
    ]
    accuracy = result["accuracy"]
    if accuracy is not None:
        low, high = (100 * end for end in accuracy["gain"]["ci95"])
        rows.append(
            (
                "accuracy",
                f"{100 * accuracy['before']:.1f} % before, {100 * accuracy['after']:.1f} % after "
                f"({100 * accuracy['gain']['mean']:+.1f} points, 95 % interval {low:+.1f} to {high:+.1f}), "
                f"each picture classified by a network that was fine-tuned without it and {100 // accuracy['parts']} % of the others",
            )
        )
    elif measure:
        rows.append(
            (
                "accuracy",
                f"not measured, because that takes {_FEWEST} pictures, {_FEWEST_A_CLASS} or more of each class",
            )
        )
    for label, value in rows:
        print_line(f"{label + ':':<15}{value}")
    print_line(f"\nNext: {command('classify', Path(result['saved_in']), 'PICTURE...')}")
