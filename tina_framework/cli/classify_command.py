"""``tina classify``: pictures in, class names out."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tina_framework.cli.output import print_error, print_json, print_table

if TYPE_CHECKING:
    from tina_framework.classifier import GeneratedClassifier

__all__ = ["register"]


def register(app: typer.Typer) -> None:
    """Adds the command."""
    app.command("classify")(classify)


def classify(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="A classifier folder, as `tina generate` writes it.")],
    images: Annotated[list[Path], typer.Argument(metavar="IMAGE...", help="Picture files of any size and kind.")],
    top_k: Annotated[int, typer.Option("--top-k", min=1, help="How many answers a picture.")] = 3,
    json_: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Say what pictures show. Unreadable ones are named, the others answered all the same (exit code 1 then)."""
    from tina_framework.classifier import GeneratedClassifier
    from tina_framework.errors import DataError

    model = GeneratedClassifier.from_pretrained(folder)
    rows: list[dict[str, Any]] = []
    for image in images:
        try:
            rows.append({"picture": str(image), "answers": _answers(model, image, top_k)})
        except DataError as error:
            rows.append({"picture": str(image), "error": str(error)})
    read = [row for row in rows if "answers" in row]
    unreadable = [row["error"] for row in rows if "error" in row]
    if json_:
        print_json({"classifier": str(folder), "pictures": rows})
    elif read:
        print_table([_cells(row) for row in read], ["picture", "answer", "probability", "then"][: 3 + (top_k > 1)])
    for sentence in unreadable:
        print_error(f"Error: {sentence}")
    if unreadable:
        raise typer.Exit(DataError.exit_code)


def _answers(model: GeneratedClassifier, image: Path, top_k: int) -> list[dict[str, Any]]:
    [best] = model.predict_topk(image, k=top_k)
    return [{"class": name, "probability": round(probability, 6)} for name, probability in best]


def _cells(row: dict[str, Any]) -> dict[str, Any]:
    first, *others = row["answers"]
    return {
        "picture": row["picture"],
        "answer": first["class"],
        "probability": f"{100 * first['probability']:.1f} %",
        "then": ", ".join(f"{other['class']} {100 * other['probability']:.1f} %" for other in others),
    }
