"""``tina train-teacher``: train a network and write its logits, from which other networks can learn."""

from __future__ import annotations

from contextlib import ExitStack
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from tina_framework.cli.completion import DEVICES, registered
from tina_framework.cli.output import print_json, print_line
from tina_framework.cli.path_parameters import path_option
from tina_framework.cli.zoo_command import StageBars, training_device
from tina_framework.terminal.command_line import same_command

__all__ = ["register"]


class Split(StrEnum):
    """The pictures that a teacher may learn from."""

    train = "train"
    train_and_validation = "train+validation"


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("train-teacher")(train_teacher)


def train_teacher(
    out: Annotated[Path, path_option("--out", help="File of the logits. Run the same command again to resume.")],
    dataset: Annotated[
        str,
        typer.Option(
            "--dataset", autocompletion=registered("datasets"), help="Data set, e.g. arrays:FILE.npz, cifar100, shapes."
        ),
    ],
    architecture: Annotated[
        str,
        typer.Option(
            "--architecture",
            autocompletion=registered("architectures"),
            help="Architecture of the teacher. It may be much larger than the networks that learn from it.",
        ),
    ],
    epochs: Annotated[float, typer.Option("--epochs", min=0.01, help="Passes over the pictures.")] = 60.0,
    lr: Annotated[float, typer.Option("--lr", min=1e-9, help="Peak learning rate of SGD.")] = 0.1,
    batch_size: Annotated[int, typer.Option("--batch-size", min=1, help="Pictures per step.")] = 128,
    weight_decay: Annotated[float, typer.Option("--weight-decay", min=0.0, help="Weight decay of SGD.")] = 1e-4,
    split: Annotated[Split, typer.Option("--split", help="Pictures to learn from.")] = Split.train,
    held_out: Annotated[
        list[str] | None, typer.Option("--held-out", help="Class that the teacher must not see. Repeatable.")
    ] = None,
    taught_by: Annotated[
        str | None,
        typer.Option("--taught-by", help="What tables call the teacher. Default: its architecture and the data set."),
    ] = None,
    seed: Annotated[int, typer.Option("--seed", help="Seed of the weights and of the order of pictures.")] = 0,
    device: Annotated[str, typer.Option("--device", autocompletion=DEVICES, help="cpu, cuda or auto.")] = "auto",
    json_: Annotated[bool, typer.Option("--json", help="Print the record as JSON.")] = False,
) -> None:
    """Train a teacher on all classes, and write its logits of each training picture and its mirror image.

    Use the file as 'teacher' in the training settings, and as --teacher of 'tina zoo build' and 'tina evaluate'.
    """
    from tina_framework.cli.interrupt import clean_stop

    with clean_stop(_how_to_go_on), ExitStack() as stack:
        from tina_framework.interfaces.spec import ParameterSpec
        from tina_framework.plugin.discovery import registries
        from tina_framework.targets.sgd import SGDRecipe
        from tina_framework.zoo.teacher_training import train_teacher as train

        recipe = SGDRecipe(epochs=epochs, lr=lr, batch_size=batch_size, weight_decay=weight_decay)
        name = dataset.partition(":")
        record = train(
            out,
            registries().datasets.create(dataset),
            ParameterSpec(registries().architectures.create(architecture)),
            recipe,
            taught_by=taught_by or f"{architecture} on {name[0]}{name[1]}{Path(name[2]).name}",
            split=str(split),
            held_out=held_out or (),
            seed=seed,
            device=training_device(device),
            progress=StageBars(stack),
        )
    if json_:
        print_json({"teacher": str(out), **record})
        return
    accuracy = record["validation_accuracy"]
    print_line(
        f"Wrote {out}: the teacher learnt from all pictures. None was held back, so its accuracy was not measured."
        if accuracy is None
        else f"Wrote {out}: the teacher has {100 * accuracy:.1f} % on validation pictures, among all classes."
    )


def _how_to_go_on() -> str:
    again = same_command()
    if again is None:
        return "Finished epochs are kept; run the same command again to continue."
    return f"Finished epochs are kept. To continue, run: {again}"
