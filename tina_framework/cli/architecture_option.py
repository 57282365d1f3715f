"""The options that choose which architecture a generator of several writes."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import zip_longest
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from tina_framework.generator.generator import Generator

__all__ = [
    "ArchitectureOption",
    "MaxFlashOption",
    "MaxParametersOption",
    "architecture_line",
    "check_one_choice",
    "chosen_architecture",
]

ArchitectureOption = Annotated[
    str | None,
    typer.Option(
        "--architecture",
        help="Which network, if the generator writes several, e.g. cnn-2layer@0.5 (all: 'tina list architectures --model MODEL'). "
        "Default: the generator's own.",
    ),
]

MaxParametersOption = Annotated[
    int | None,
    typer.Option(
        "--max-parameters",
        min=1,
        help="Choose the most accurate of the generator's architectures with at most so many parameters.",
    ),
]

MaxFlashOption = Annotated[
    str | None,
    typer.Option(
        "--max-flash",
        metavar="SIZE",
        help="The same for flash memory, as '--format c' of 'tina export' needs it: exactly the bytes of its 8-bit weights, scales, "
        "tables and names, without code (about 1 kB). 20000, 16kB or 16KB (16,000 bytes), 16KiB (16,384).",
    ),
]

_DEFAULT = "the generator's default"


def check_one_choice(architecture: str | None, max_parameters: int | None, max_flash: str | None) -> None:
    """Refuse more than one of the three options, and a text that is no size, before anything is loaded.

    Raises:
        ConfigError: as said.
    """
    from tina_framework.errors import ConfigError
    from tina_framework.interfaces.byte_size import byte_size

    options = {"--architecture": architecture, "--max-parameters": max_parameters, "--max-flash": max_flash}
    given = [name for name, value in options.items() if value is not None]
    if len(given) > 1:
        raise ConfigError(f"{' and '.join(given)} each choose the architecture; give only one of them.")
    if max_flash is not None:
        byte_size(max_flash, "--max-flash")


def chosen_architecture(
    generator: Generator,
    tasks: Sequence[Sequence[str]],
    architecture: str | None,
    max_parameters: int | None,
    max_flash: str | None,
    *,
    ensemble: bool = False,
) -> tuple[str, str]:
    """Return the architecture that the options choose, and why in a few words.

    Args:
        generator: writes one architecture or several.
        tasks: the class names of each task. A budget holds for every one of them.
        architecture: of ``--architecture``.
        max_parameters: of ``--max-parameters``.
        max_flash: of ``--max-flash``.
        ensemble: whether a task of many classes becomes an ensemble.

    Raises:
        UnknownNameError: the generator does not write that architecture.
        ConfigError: no architecture is small enough, or a budget is given for an ensemble.
    """
    from tina_framework.classifier.exporting.flash import flash_bytes
    from tina_framework.errors import ConfigError
    from tina_framework.generator.components import make_spec
    from tina_framework.interfaces.byte_size import byte_size

    if architecture is not None:
        return generator.for_architecture(architecture).config.architecture, "as asked"
    budget = max_parameters if max_flash is None else max_flash
    if budget is None:
        return generator.config.architecture, _DEFAULT
    names = _longest_names(tasks)
    most = generator.config.max_classes
    if ensemble and len(names) > most:
        raise ConfigError(
            f"A budget is that of one network, but {len(names)} classes become an ensemble of several; take --merge in place of "
            "--compose, or choose with --architecture."
        )
    name = generator.choose_architecture(names, max_parameters=max_parameters, max_flash=max_flash)
    accuracy = generator.architectures[name].accuracy
    rank = "largest" if accuracy is None else "best"
    if max_flash is None:
        facts = [f"the {rank} within {max_parameters:,} parameters"]
    else:
        taken = flash_bytes(make_spec(generator.config, name).architecture, names)
        facts = [f"the {rank} within {byte_size(max_flash, '--max-flash'):,} bytes of flash", f"it takes {taken:,}"]
    if accuracy is not None:
        facts.append(f"{100 * accuracy:.1f} % on validation tasks of {most} classes")
    return name, "; ".join(facts)


def architecture_line(generator: Generator, name: str, reason: str) -> str | None:
    """Return what is printed about the choice; None if the generator writes one architecture and there was no choice."""
    known = generator.architectures
    if len(known) == 1 and reason == _DEFAULT:
        return None
    relative = (
        ""
        if known[name].trained
        else "; the generator was not trained for it, and writes it in part like the next wider one that it was trained for"
    )
    return f"{name} ({reason}{relative})"


def _longest_names(tasks: Sequence[Sequence[str]]) -> list[str]:
    """Return as many names as the largest task has, which together are as long as those of any task."""
    ranked = [sorted(names, key=_bytes, reverse=True) for names in tasks]
    return [max(names, key=_bytes) for names in zip_longest(*ranked, fillvalue="")]


def _bytes(name: str) -> int:
    return len(name.encode("utf-8", "backslashreplace"))
