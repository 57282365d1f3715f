"""``tina bench``: all installed methods on the reserved tasks of a protocol, in one table."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Annotated

import typer

from tina_framework.cli.completion import DEVICES, protocols, registered
from tina_framework.cli.methods_option import MethodsCommand
from tina_framework.cli.path_parameters import path_option

__all__ = ["register"]


class _BenchCommand(MethodsCommand):
    def default_methods(self) -> str:
        return "all that need no argument, without those that the protocol leaves out"


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("bench", cls=_BenchCommand)(bench)


def bench(
    protocol: Annotated[
        str,
        typer.Option(
            "--protocol", autocompletion=protocols, help="Which tasks, pictures, encoder and zoo: cifar100-10way."
        ),
    ] = "cifar100-10way",
    dataset: Annotated[
        str | None,
        typer.Option(
            "--dataset",
            autocompletion=registered("datasets"),
            help="Data set: FILE.npz, or a spec such as cifar100. Default: the protocol's.",
        ),
    ] = None,
    methods: Annotated[
        str | None,
        typer.Option("--methods", help="Comma-separated list."),  # `MethodsCommand` adds the names
    ] = None,
    quick: Annotated[bool, typer.Option("--quick", help="Measure 20 tasks, and a slow method on fewer.")] = False,
    out: Annotated[
        Path | None,
        path_option(
            "--out", help="Folder for bench.json and bench.md. A run that was cut goes on there. Default: keep nothing."
        ),
    ] = None,
    model: Annotated[
        str | None,
        typer.Option(
            "--model",
            autocompletion=registered("generators"),
            help="Measure this generator in place of the protocol's: a name or folder.",
        ),
    ] = None,
    teacher: Annotated[
        Path | None,
        path_option(
            "--teacher", help="File of 'tina train-teacher', for rows such as fine-tune@long:teacher_weight=0.9."
        ),
    ] = None,
    device: Annotated[str, typer.Option("--device", autocompletion=DEVICES, help="cpu, cuda, mps or auto.")] = "auto",
    json_: Annotated[bool, typer.Option("--json", help="Print the contents of bench.json instead of a table.")] = False,
) -> None:
    """Measure all installed methods on reserved tasks: accuracy, what it owes to the prompt, novelty, seconds and memory.

    Methods of plugins run like the built-in ones. See docs/how-to/bench.md for the columns and for adding a method.
    """
    from tina_framework.cli.data_argument import data_spec
    from tina_framework.cli.output import print_error, print_json, print_line, print_table, progress_bar
    from tina_framework.evaluation.bench.files import FILES
    from tina_framework.evaluation.bench.protocol import open_protocol
    from tina_framework.evaluation.bench.run import BenchRequest, run_bench
    from tina_framework.evaluation.bench.tables import bench_columns, bench_tables, footnotes, reasons
    from tina_framework.evaluation.methods import parse_methods
    from tina_framework.evaluation.paths import without_folders
    from tina_framework.evaluation.results import check_output

    chosen = open_protocol(protocol)
    specs = None if methods is None else parse_methods(methods)
    if out is not None:
        check_output(out, FILES)
    spec = None if dataset is None else data_spec(dataset)
    words = ["tina", "bench", "--protocol", protocol]
    words += [] if spec is None else ["--dataset", without_folders(spec)]
    words += [] if specs is None else ["--methods", ",".join(each.label for each in specs)]
    words += [] if model is None else ["--model", without_folders(model)]
    words += [] if teacher is None else ["--teacher", without_folders(str(teacher))]
    words += ["--quick"] if quick else []
    words += [] if out is None else ["--out", without_folders(str(out))]
    request = BenchRequest(chosen, spec, specs, quick, model, device, shlex.join(words), teacher)
    summary = run_bench(request, out, progress_bar, print_error)
    if json_:
        print_json(summary)
        return
    for text in summary["setup"]["warnings"]:
        print_error(f"Warning: {text}")
    for title, rows in bench_tables(summary):
        print_table(rows, bench_columns(summary), title=f"{chosen.title}: {title}")
        print_line()
    for text in footnotes(summary):
        print_line(text)
    for text in reasons(summary):
        print_error(f"Not measured: {text}")
    if out is not None:
        print_line(f"Written to {out}: {', '.join(FILES)}.")
