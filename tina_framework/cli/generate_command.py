"""``tina generate``: generate classifiers from class names and save them."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tina_framework.cli.accuracy_line import accuracy_line, recorded_accuracy
from tina_framework.cli.architecture_option import (
    ArchitectureOption,
    MaxFlashOption,
    MaxParametersOption,
    architecture_line,
    check_one_choice,
    chosen_architecture,
)
from tina_framework.cli.completion import DEVICES, registered
from tina_framework.cli.output import print_error, print_json, print_line, print_table, progress_bar
from tina_framework.cli.path_parameters import path_option
from tina_framework.cli.prompt_arguments import HELP, prompts_given
from tina_framework.cli.saving_options import INCLUDE_TRUNK, Dtype, DtypeOption
from tina_framework.terminal.command_line import command

if TYPE_CHECKING:
    from tina_framework.classifier.classifier import GeneratedClassifier
    from tina_framework.generator.generator import Generator
    from tina_framework.prompts.encoded_task import EncodedTask

__all__ = ["register"]


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("generate")(generate)


def generate(
    names: Annotated[list[str] | None, typer.Argument(metavar="CLASS", help=HELP)] = None,
    model: Annotated[
        str,
        typer.Option(
            "--model",
            autocompletion=registered("generators"),
            help="Generator: a name of 'tina list generators', a folder or a Hub id.",
        ),
    ] = "cifar100-cnn",
    revision: Annotated[
        str | None, typer.Option("--revision", help="Branch, tag or commit of a generator on the Hub.")
    ] = None,
    encoder: Annotated[
        str | None,
        typer.Option(
            "--encoder",
            autocompletion=registered("encoders"),
            help="Encoder of the prompts, e.g. clip-lite. Default: the generator's own.",
        ),
    ] = None,
    seed: Annotated[int, typer.Option("--seed", help="The same seed and classes give the same classifier.")] = 0,
    steps: Annotated[
        int | None, typer.Option("--steps", min=1, help="Number of denoising steps. Default: the generator's own.")
    ] = None,
    scheduler: Annotated[
        str | None,
        typer.Option(
            "--scheduler",
            autocompletion=registered("schedulers"),
            help="Another scheduler, e.g. ddpm. List them with 'tina list schedulers'.",
        ),
    ] = None,
    architecture: ArchitectureOption = None,
    max_parameters: MaxParametersOption = None,
    max_flash: MaxFlashOption = None,
    out: Annotated[Path, path_option("--out", help="Folder to write. A classifier in it is replaced.")] = Path(
        "classifier"
    ),
    tasks: Annotated[
        Path | None,
        path_option("--tasks", help="Task file (JSON). Writes one classifier for each task to OUT/000, OUT/001, ..."),
    ] = None,
    sentence: Annotated[
        str | None, typer.Option("--sentence", help="The whole task as a sentence: 'tell apples from bears and buses'.")
    ] = None,
    compose: Annotated[
        bool,
        typer.Option("--compose", help="Accept more classes than one network can have: build an ensemble of networks."),
    ] = False,
    merge: Annotated[
        bool,
        typer.Option(
            "--merge", help="Like --compose, but average the networks into one: smaller, faster, less accurate."
        ),
    ] = False,
    contact_sheet: Annotated[
        Path | None,
        path_option(
            "--contact-sheet",
            help="Write the shipped pictures of the classes, with the answers, to this PNG or JPEG file.",
        ),
    ] = None,
    include_trunk: Annotated[bool, typer.Option("--include-trunk", help=INCLUDE_TRUNK)] = False,
    dtype: DtypeOption = Dtype.float32,
    device: Annotated[str, typer.Option("--device", autocompletion=DEVICES, help="auto, cpu, cuda or mps.")] = "auto",
    json_: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Generate an image classifier for exactly the classes you name. No training is needed.

    Examples:

    tina generate apple "elephant=a large grey animal with a trunk" bus=@pictures/bus

    tina generate "tell apples from bears and buses"
    """
    prompts = prompts_given(names, sentence, tasks)
    check_one_choice(architecture, max_parameters, max_flash)
    if contact_sheet is not None:
        _check_sheet(contact_sheet, tasks)

    from tina_framework.storage.hub import with_revision

    model = with_revision(model, revision)

    from tina_framework.storage.folders import check_target

    # Checked first, so that no work is lost.
    check_target(out, _replaceable, "classifier")

    from tina_framework.classifier.folder import check_has_trunk
    from tina_framework.errors import TinaError
    from tina_framework.generator.generator import Generator
    from tina_framework.prompts.encoded_task import encode_tasks
    from tina_framework.prompts.read import read_tasks
    from tina_framework.prompts.summary import summarize_by_class

    generator = Generator.from_pretrained(model, device=device, encoder=encoder)
    if architecture is not None:  # a wrong name costs no reading of prompts
        generator = generator.for_architecture(architecture)
    most = None if compose or merge else generator.config.max_classes
    prompts_of_tasks, _ = read_tasks(prompts, generator.config.class_names, notation=True, most=most)
    start = time.perf_counter()
    encoded = encode_tasks(prompts_of_tasks, generator.encoder, known_classes=generator.known_classes())
    seconds = time.perf_counter() - start
    task_names = [task.class_names for task in encoded]
    ensemble = compose and not merge
    chosen, reason = chosen_architecture(
        generator, task_names, architecture, max_parameters, max_flash, ensemble=ensemble
    )
    generator = generator.for_architecture(chosen)
    if include_trunk:
        check_has_trunk(chosen, generator.spec.architecture.trunk)
    settings = {
        "seed": seed,
        "num_inference_steps": steps,
        "scheduler": scheduler,
        "compose": "merge" if merge else compose,
    }
    start = time.perf_counter()
    models = _generate(generator, encoded, settings)
    seconds += time.perf_counter() - start
    folders = _save(models, out, many=tasks is not None, include_trunk=include_trunk, dtype=dtype.value)
    summaries = [summarize_by_class(task) for task in encoded]
    warnings = generator.prompt_warnings(encoded)
    result: dict[str, Any] = {
        "model": model,
        "architecture": chosen,
        "architecture_reason": reason,
        "architecture_trained": generator.architectures[chosen].trained,
        "encoder": generator.encoder.name,
        "seed": seed,
        "seconds": round(seconds, 4),
        "classifiers": [
            _describe(model, folder)
            | recorded_accuracy(generator.config, generator.encoder.name, summary, warnings)
            | {"prompts": summary}
            for model, folder, summary in zip(models, folders, summaries, strict=True)
        ],
        "warnings": warnings,
        "pictures": [],
        "contact_sheet": None,
    }
    failed = None
    if tasks is None:
        try:
            result |= _label_pictures(model, folders[0], contact_sheet)
        except TinaError as error:  # the classifier was saved, so it is described first
            failed = error
    line = architecture_line(generator, chosen, reason)
    if json_:
        print_json(result)
    elif tasks is None:
        _print_one(result, line, sheet_asked=contact_sheet is not None and failed is None)
    else:
        _print_many(result, line, out)
    if failed is not None:
        raise failed


def _generate(
    generator: Generator, tasks: Sequence[EncodedTask], settings: dict[str, Any]
) -> list[GeneratedClassifier]:
    if len(tasks) == 1:
        return list(generator(list(tasks), **settings))
    with progress_bar("Generating", len(tasks)) as advance:
        before = 0

        def on_progress(done: int, total: int) -> None:
            nonlocal before
            advance(done - before)
            before = done

        return list(generator(list(tasks), on_progress=on_progress, **settings))


def _save(models: Sequence[GeneratedClassifier], out: Path, *, many: bool, **settings: Any) -> list[Path]:
    """Save all classifiers or, if one cannot be saved, none. Returns their folders."""
    from tina_framework.storage.folders import writing_folder

    if not many:
        with writing_folder(out, _replaceable, "classifier") as new:
            models[0].save_pretrained(new, **settings)
        return [out]
    width = max(3, len(str(len(models) - 1)))
    names = [f"{number:0{width}d}" for number in range(len(models))]
    with writing_folder(out, _replaceable, "classifier") as new:
        for name, model in zip(names, models, strict=True):
            model.save_pretrained(new / name, **settings)
    return [out / name for name in names]


def _replaceable(path: Path) -> bool:
    """Whether a folder is a classifier, or holds only numbered classifiers as this command writes them."""
    from tina_framework.classifier.classifier import replaceable
    from tina_framework.storage.folders import contents

    if replaceable(path):
        return True
    return all(entry.name.isdecimal() and entry.is_dir() and replaceable(entry) for entry in contents(path))


def _describe(model: GeneratedClassifier, folder: Path) -> dict[str, Any]:
    return {
        "path": str(folder),
        "class_names": list(model.class_names),
        "parameters": model.num_parameters,
        "bytes": sum(file.stat().st_size for file in folder.iterdir()),
        "composed": model.provenance.get("composed"),
    }


def _check_sheet(path: Path, tasks: Path | None) -> None:
    from tina_framework.errors import ConfigError
    from tina_framework.images import check_sheet_path

    if tasks is not None:
        raise ConfigError("--contact-sheet shows the answers of one classifier; leave out --tasks or the sheet.")
    check_sheet_path(path, [])


def _label_pictures(model: str, folder: Path, sheet: Path | None) -> dict[str, Any]:
    """Classify the shipped pictures that show one of the classes, and draw them on a contact sheet if there is to be one."""
    from tina_framework.classifier.classifier import GeneratedClassifier
    from tina_framework.cli.demo_pictures import demo_pictures
    from tina_framework.interfaces.class_names import fold

    classifier = GeneratedClassifier.from_pretrained(folder)
    shown = demo_pictures(model, classifier.class_names)
    best = classifier.predict_topk([picture.path for picture in shown], k=1) if shown else []
    answers = [(picture, answer, p) for picture, [(answer, p)] in zip(shown, best, strict=True)]
    rows = [
        {
            "picture": picture.path.name,
            "kind": picture.kind,
            "truth": picture.truth,
            "answer": answer,
            "probability": round(p, 4),
            "right": fold(answer) == fold(picture.truth),
        }
        for picture, answer, p in answers
    ]
    if sheet is None or not answers:
        return {"pictures": rows, "contact_sheet": None}
    from tina_framework.images import SheetCell, write_contact_sheet

    # The words of the user, so that an equal class is an equal text.
    written = {fold(name): name for name in classifier.class_names}
    cells = [SheetCell(picture.path, answer, written[fold(picture.truth)], p) for picture, answer, p in answers]
    write_contact_sheet(sheet, cells)
    return {"pictures": rows, "contact_sheet": str(sheet)}


def _composed_words(composed: dict[str, Any]) -> str:
    networks = f"{composed['networks']} networks of {composed['classes']} classes"
    return f"of {networks}, merged into one" if composed["method"] == "merge" else f"an ensemble of {networks}"


def _print_one(result: dict[str, Any], architecture: str | None, *, sheet_asked: bool) -> None:
    classifier = result["classifiers"][0]
    rows = [
        ("classes", ", ".join(classifier["class_names"])),
        *([("architecture", architecture)] if architecture else []),
        ("parameters", f"{classifier['parameters']:,} ({_size(classifier['bytes'])} on disk)"),
        *([("composed", _composed_words(classifier["composed"]))] if classifier["composed"] else []),
        ("generated in", f"{result['seconds']:.2f} s by {result['model']}, without training"),
        ("saved in", classifier["path"]),
        ("accuracy", accuracy_line(classifier, result["warnings"])),
    ]
    for label, value in rows:
        print_line(f"{label + ':':<14}{value}")
    _print_prompts(classifier)
    for warning in result["warnings"]:
        print_error(f"Warning: {warning}")
    if result["pictures"]:
        print_line()
        shown = [{**row, "probability": f"{100 * row['probability']:.0f} %"} for row in result["pictures"]]
        kinds = {row["kind"] for row in shown}
        print_table(shown, ["picture", *(["kind"] if len(kinds) > 1 else []), "truth", "answer", "probability"])
        print_line(f"\n{sum(row['right'] for row in shown)} of {len(shown)} correct.")
    if result["contact_sheet"]:
        print_line(f"The pictures with their answers are in {result['contact_sheet']}.")
    elif sheet_asked:
        print_error("No contact sheet was written, because no shipped picture shows one of the classes.")
    print_line(f"\nNext: {command('classify', Path(classifier['path']), 'PICTURE...')}")


def _size(number: int) -> str:
    return f"{number / 1e3:.1f} kB" if number < 1e6 else f"{number / 1e6:.1f} MB"


def _print_prompts(classifier: dict[str, Any]) -> None:
    """Print the prompts of classes that are more than a known name."""
    from tina_framework.prompts.summary import describe

    described = [
        (summary["label"], words) for summary in classifier["prompts"] if (words := describe(summary)) is not None
    ]
    for number, (label, words) in enumerate(described):
        print_line(f"{'' if number else 'prompts:':<14}{label}: {words}")


def _print_many(result: dict[str, Any], architecture: str | None, out: Path) -> None:
    classifiers = result["classifiers"]
    each = result["seconds"] / len(classifiers)
    where = (
        classifiers[0]["path"] if len(classifiers) == 1 else f"{classifiers[0]['path']} to {classifiers[-1]['path']}"
    )
    print_line(
        f"{len(classifiers)} classifier{'s' * (len(classifiers) > 1)} in {result['seconds']:.2f} s ({each:.3f} s each), saved in {where}.",
    )
    if architecture is not None:
        print_line(f"Architecture: {architecture}")
    for count in sorted({len(entry["class_names"]) for entry in classifiers}):
        first = next(entry for entry in classifiers if len(entry["class_names"]) == count)
        parameters = f"{count} classes: {first['parameters']:,} parameters"
        parameters += f", {_composed_words(first['composed'])}" if first["composed"] else ""
        print_line(f"{parameters}; accuracy: {accuracy_line(first, result['warnings'])}")
    for warning in result["warnings"]:
        print_error(f"Warning: {warning}")
    print_line(f"\nNext: {command('classify', Path(classifiers[0]['path']), 'PICTURE...')}")
