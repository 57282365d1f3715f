"""``tina classify``: classify picture files."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tina_framework.cli.output import print_error, print_json, print_table
from tina_framework.cli.path_parameters import path_argument

if TYPE_CHECKING:
    from tina_framework.classifier.classifier import GeneratedClassifier

__all__ = ["register"]


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("classify")(classify)


def classify(
    folder: Annotated[
        Path, path_argument(metavar="DIR", help="Folder of a classifier, as written by 'tina generate'.")
    ],
    images: Annotated[list[Path], path_argument(metavar="PICTURE", help="Picture files, of any size and format.")],
    top_k: Annotated[int, typer.Option("--top-k", min=1, help="Number of answers for each picture.")] = 3,
    abstain: Annotated[
        bool, typer.Option("--abstain", help="Answer 'none of these' if the classifier is too unsure.")
    ] = False,
    threshold: Annotated[
        float | None,
        typer.Option("--threshold", help="With --abstain: abstain below this score. Default: the classifier's own."),
    ] = None,
    json_: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Classify pictures.

    Pictures that cannot be read are reported and the others classified. The exit code is 1 then.
    """
    from tina_framework.classifier.classifier import GeneratedClassifier
    from tina_framework.errors import ConfigError, DataError

    if threshold is not None and not abstain:
        raise ConfigError("--threshold says when to abstain; give --abstain too.")
    model = GeneratedClassifier.from_pretrained(folder)
    limit = model.threshold_or_own(threshold) if abstain else None
    rows: list[dict[str, Any]] = []
    for image in images:
        try:
            rows.append({"picture": str(image), **_answers(model, image, top_k, limit)})
        except DataError as error:
            rows.append({"picture": str(image), "error": str(error)})
    read = [row for row in rows if "answers" in row]
    unreadable = [row["error"] for row in rows if "error" in row]
    if json_:
        print_json({"classifier": str(folder), "pictures": rows})
    elif read:
        columns = [
            "picture",
            "answer",
            "probability",
            *(["then"] if top_k > 1 else []),
            *(["score"] if abstain else []),
        ]
        print_table([_cells(row) for row in read], columns)
    for sentence in unreadable:
        print_error(f"Error: {sentence}")
    if unreadable:
        raise typer.Exit(DataError.exit_code)


def _answers(model: GeneratedClassifier, image: Path, top_k: int, limit: float | None) -> dict[str, Any]:
    """Return the likeliest classes and, if the classifier may abstain, its answer (None: none of these) and score."""
    from tina_framework.images import as_picture

    # Read once, because reading takes longer than classifying. Cropping is left to the classifier, which always crops.
    picture = as_picture(image, model.preprocessing.size)
    [best] = model.predict_topk(picture, k=top_k)
    row: dict[str, Any] = {"answers": [{"class": name, "probability": round(p, 6)} for name, p in best]}
    if limit is not None:
        [answer], [score] = model.predict(picture, abstain=limit), model.abstention_scores(picture)
        row |= {"answer": answer, "score": round(float(score), 6), "threshold": limit}
    return row


def _cells(row: dict[str, Any]) -> dict[str, Any]:
    refused = "answer" in row and row["answer"] is None
    others = [f"{other['class']} {100 * other['probability']:.1f} %" for other in row["answers"]]
    first = row["answers"][0]
    return {
        "picture": row["picture"],
        "answer": "none of these" if refused else first["class"],
        "probability": None if refused else f"{100 * first['probability']:.1f} %",
        "then": ", ".join(others if refused else others[1:]),
        "score": f"{row['score']:.3f}" if "score" in row else None,
    }
