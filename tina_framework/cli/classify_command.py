"""``tina classify``: classify pictures, and measure the accuracy on folders of known classes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tina_framework.cli.output import Advance, print_error, print_json, print_line, print_table, progress_bar
from tina_framework.cli.path_parameters import path_argument, path_option
from tina_framework.terminal.console import output_is_terminal

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from tina_framework.classifier.classifier import GeneratedClassifier
    from tina_framework.cli.picture_arguments import GivenPicture

__all__ = ["register"]

_BATCH = 64
_MOST_LINES = 50
"""Pictures of folders get a line each up to this number, unless the user asks for more."""

_FEWEST_FOR_PROGRESS = 20
_MOST_NAMES = 10
"""Maximum number of names that a message lists."""


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("classify")(classify)


def classify(
    folder: Annotated[
        Path, path_argument(metavar="DIR", help="Folder of a classifier, as written by 'tina generate'.")
    ],
    images: Annotated[
        list[Path],
        path_argument(
            metavar="PICTURE|FOLDER",
            help="Picture files of any size and format, or folders of them. Sub-folders with the names of classes give the accuracy.",
        ),
    ],
    top_k: Annotated[int, typer.Option("--top-k", min=1, help="Number of answers for each picture.")] = 3,
    lines: Annotated[
        bool | None,
        typer.Option(
            "--lines/--no-lines",
            help=f"Print a line for each picture. Default: not for class folders, nor in a terminal for more than {_MOST_LINES} pictures of folders.",
            show_default=False,
        ),
    ] = None,
    abstain: Annotated[
        bool, typer.Option("--abstain", help="Answer 'none of these' if the classifier is too unsure.")
    ] = False,
    threshold: Annotated[
        float | None,
        typer.Option("--threshold", help="With --abstain: abstain below this score. Default: the classifier's own."),
    ] = None,
    contact_sheet: Annotated[
        Path | None,
        path_option("--contact-sheet", help="Write the pictures with their answers to this PNG or JPEG file."),
    ] = None,
    json_: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Classify pictures. In a folder with a sub-folder for each class, also measure the accuracy.

    Sub-folders not named after a class are left out; with --abstain, 'none of these' is right for their pictures.
    Pictures that cannot be read are reported and the others classified. The exit code is 1 then.

    In a pipe or a file, each picture is one line with tabs: path, answer, probability, next answer, its probability, ...
    """
    from tina_framework.classifier.classifier import GeneratedClassifier
    from tina_framework.cli.picture_arguments import given_pictures
    from tina_framework.errors import ConfigError, DataError, TinaError

    if threshold is not None and not abstain:
        raise ConfigError("--threshold says when to abstain; give --abstain too.")
    model = GeneratedClassifier.from_pretrained(folder)
    limit = model.threshold_or_own(threshold) if abstain else None
    given = given_pictures(images, model.class_names)
    used = [picture for picture in given.pictures if abstain or not picture.outside]
    if contact_sheet is not None:
        from tina_framework.images import check_sheet_path

        check_sheet_path(contact_sheet, [picture.path for picture in given.pictures])
    bar = progress_bar("Pictures", len(used)) if len(used) > _FEWEST_FOR_PROGRESS else nullcontext(_no_advance)
    with bar as advance:
        rows = list(_classified(model, used, top_k, limit, advance))
    answered = [(picture, row) for picture, row in zip(used, rows, strict=True) if "answers" in row]
    errors = [*given.errors, *(row["error"] for row in rows if "error" in row)]
    note = _outside_note(given.outside(), model.class_names, abstain)
    if not answered and not errors:
        errors.append(note)
        note = ""
    figures = _confusion(answered, model.class_names)
    on_sheet, sheet_error = 0, None
    try:
        on_sheet = _write_sheet(contact_sheet, answered)
    except TinaError as error:  # the answers may have taken minutes, so they are printed first
        sheet_error = error
    if json_:
        result: dict[str, Any] = {"classifier": str(folder), "pictures": rows}
        if figures is not None:
            result["accuracy"] = figures.to_json()
        if given.outside() and not abstain:
            result["left_out"] = given.outside()
        if contact_sheet is not None:
            result["contact_sheet"] = str(contact_sheet) if on_sheet else None
        print_json(result)
    else:
        _print_answers(answered, lines, top_k, abstain)
        if figures is not None:
            figures.show()
        if on_sheet:
            of_all = f"the first {on_sheet} of the" if on_sheet < len(answered) else "the"
            print_line(
                f"\nThe contact sheet {contact_sheet} shows {of_all} {len(answered)} pictures with their answers."
            )
    if note:
        print_error(note)
    for sentence in errors:
        print_error(f"Error: {sentence}")
    if sheet_error is not None:
        raise sheet_error
    if errors:
        raise typer.Exit(DataError.exit_code)


def _no_advance(count: int = 1, note: str = "") -> None:
    pass


def _classified(
    model: GeneratedClassifier, given: Iterable[GivenPicture], top_k: int, limit: float | None, advance: Advance
) -> Iterator[dict[str, Any]]:
    """Yield the answers for each picture, or its error, in the order given. Pictures are classified in batches."""
    from tina_framework.errors import DataError

    rows: list[dict[str, Any]] = []
    batch: list[tuple[int, npt.NDArray[np.uint8]]] = []
    for picture in given:
        row: dict[str, Any] = {"picture": str(picture.path)}
        if picture.labelled:
            row["class"] = picture.truth
        try:
            batch.append((len(rows), model.preprocessing.pixels(picture.path)))
        except DataError as error:
            row["error"] = str(error)
        rows.append(row)
        advance()
        if len(batch) == _BATCH:
            _answer(model, rows, batch, top_k, limit)
            yield from rows
            rows, batch = [], []
    if batch:
        _answer(model, rows, batch, top_k, limit)
    yield from rows


def _answer(
    model: GeneratedClassifier,
    rows: list[dict[str, Any]],
    batch: Sequence[tuple[int, npt.NDArray[np.uint8]]],
    top_k: int,
    limit: float | None,
) -> None:
    """Add the likeliest classes and, if the classifier may abstain, its answer (None: none of these) and score."""
    import numpy as np

    from tina_framework.classifier.abstention import abstention_scores

    pixels = np.concatenate([one for _, one in batch])
    logits = model.logits(pixels)
    found = model.topk_of(logits, top_k)
    for (place, _), best in zip(batch, found, strict=True):
        rows[place]["answers"] = [{"class": name, "probability": round(p, 6)} for name, p in best]
    if limit is not None:
        scores = abstention_scores(logits)
        unsure = (scores < limit).tolist()
        for (place, _), best, low, score in zip(batch, found, unsure, scores.tolist(), strict=True):
            rows[place] |= {"answer": None if low else best[0][0], "score": round(score, 6), "threshold": limit}


def _write_sheet(path: Path | None, answered: Sequence[tuple[GivenPicture, dict[str, Any]]]) -> int:
    """Write the contact sheet, and return how many pictures it shows: 0 if there is none to write."""
    from tina_framework.cli.confusion import NONE
    from tina_framework.images import SheetCell, write_contact_sheet

    if path is None or not answered:
        return 0
    cells = []
    for picture, row in answered:
        answer = _chosen(row)
        # Abstaining is no class, so it has no probability.
        probability = None if answer == NONE else row["answers"][0]["probability"]
        cells.append(
            SheetCell(picture.path, answer, (picture.truth or NONE) if picture.labelled else None, probability)
        )
    return write_contact_sheet(path, cells)


def _outside_note(outside: dict[str, int], class_names: Sequence[str], abstain: bool) -> str:
    if not outside:
        return ""
    if abstain:
        return f"For pictures in folders not named after a class, 'none of these' is right: {_some(list(outside))}."
    return (
        f"Left out: {sum(outside.values())} pictures in folders not named after a class: {_some(list(outside))}. "
        f"The classes are {_some(class_names)}."
    )


def _some(names: Sequence[str]) -> str:
    """Return the first names for a message, and how many more there are."""
    from tina_framework.errors import shorten

    more = f" and {len(names) - _MOST_NAMES} more" if len(names) > _MOST_NAMES else ""
    return ", ".join(shorten(name, 40) for name in names[:_MOST_NAMES]) + more


def _chosen(row: dict[str, Any]) -> str:
    from tina_framework.cli.confusion import NONE

    return NONE if row.get("answer", "") is None else str(row["answers"][0]["class"])


def _confusion(answered: Sequence[tuple[GivenPicture, dict[str, Any]]], class_names: Sequence[str]) -> Any:
    """Return the `Confusion` of the pictures with known classes, or None if there are none."""
    from tina_framework.cli.confusion import NONE, Confusion

    pairs = [(picture.truth or NONE, _chosen(row)) for picture, row in answered if picture.labelled]
    return Confusion(pairs, class_names) if pairs else None


def _print_answers(
    answered: Sequence[tuple[GivenPicture, dict[str, Any]]], lines: bool | None, top_k: int, abstain: bool
) -> None:
    """Print a line for each picture, or how often each answer was given where there would be too many lines.

    Without a terminal, each picture without a known class has a line of `_plain_line`.
    """
    terminal = output_is_terminal()
    from_folder = [picture for picture, _ in answered if picture.from_folder and not picture.labelled]
    few = len(from_folder) <= _MOST_LINES

    def has_line(picture: GivenPicture) -> bool:
        if lines is not None:
            return lines
        return not picture.labelled and (few or not picture.from_folder or not terminal)

    shown = [row for picture, row in answered if has_line(picture)]
    summarized = [row for picture, row in answered if not has_line(picture) and not picture.labelled]
    if shown and not terminal:
        for row in shown:
            print_line(_plain_line(row))
    elif shown:
        columns = [
            "picture",
            *(["class"] if any("class" in row for row in shown) else []),
            "answer",
            "probability",
            *(["then"] if top_k > 1 else []),
            *(["score"] if abstain else []),
        ]
        print_table([_cells(row) for row in shown], columns)
    if shown and len(shown) < len(answered):
        print_line()
    if summarized:
        counts = Counter(map(_chosen, summarized))
        table = [
            {"answer": name, "pictures": number, "share": f"{100 * number / len(summarized):.1f} %".rjust(7)}
            for name, number in counts.most_common()
        ]
        print_line(f"{len(summarized)} pictures (--lines shows each):")
        print_table(table, ["answer", "pictures", "share"])
        if len(shown) + len(summarized) < len(answered):
            print_line()


def _plain_line(row: dict[str, Any]) -> str:
    """Return the line of a picture for other programs: path, answer, probability, next answer, its probability, and so on.

    They are separated by tabs. Tabs and line breaks in a name are escaped. An abstaining classifier has no probability.
    """
    answers = [(other["class"], f"{other['probability']:.4f}") for other in row["answers"]]
    if "answer" in row and row["answer"] is None:
        answers.insert(0, (_chosen(row), ""))
    words = [row["picture"], *(word for answer in answers for word in answer)]
    return "\t".join(word.replace("\t", "\\t").replace("\n", "\\n") for word in words)


def _cells(row: dict[str, Any]) -> dict[str, Any]:
    refused = "answer" in row and row["answer"] is None
    others = [f"{other['class']} {100 * other['probability']:.1f} %" for other in row["answers"]]
    return {
        "picture": Path(row["picture"]),
        "class": row.get("class"),
        "answer": _chosen(row),
        "probability": None if refused else f"{100 * row['answers'][0]['probability']:.1f} %",
        "then": ", ".join(others if refused else others[1:]),
        "score": f"{row['score']:.3f}" if "score" in row else None,
    }
