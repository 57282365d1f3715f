"""Protocols: which tasks, pictures, encoder and zoo a bench uses, and how many tasks each column takes.

A protocol is a JSON file in the folder ``evaluation/protocols`` of the package. Its task file lies beside it.
"""

from __future__ import annotations

from importlib import resources
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from tina_framework.errors import CheckpointError, UnknownNameError
from tina_framework.plugin.suggest import did_you_mean
from tina_framework.storage.files import read_json
from tina_framework.storage.folders import hashes

__all__ = ["DEFAULT_PROTOCOL", "Numbers", "Protocol", "open_protocol", "protocol_names", "read_protocol"]

DEFAULT_PROTOCOL = "cifar100-10way"
_TASKS = ".tasks.json"


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class Numbers(_Strict):
    """How much is measured.

    Attributes:
        tasks: how many tasks every method answers.
        fine_tune_tasks: how many of them *fine-tune* trains on.
        row_seconds: a method is asked for no further network once its networks took so long; None: it is asked for all.
        novelty_tasks: how many networks are compared with those of the zoo.
        training_tasks: over how many training tasks shared tensors are averaged, for the prompt sensitivity.
        extra_seconds: the prompt sensitivity of a method is left out if its networks would take longer than this.
    """

    tasks: int = Field(ge=2)
    fine_tune_tasks: int = Field(ge=1)
    row_seconds: float | None = Field(gt=0)
    novelty_tasks: int = Field(ge=1)
    training_tasks: int = Field(ge=2)
    extra_seconds: float = Field(gt=0)


class Protocol(_Strict):
    """What all methods are measured on.

    Attributes:
        format, format_version: what the file is.
        title: for users.
        dataset: spec of the data set that is used if the user names none.
        image_split: the images that networks are measured on.
        tasks: name of the task file beside the protocol.
        split: only the tasks of this split are used.
        encoder: spec of the encoder of class names.
        template: number of its prompt template.
        generator: registered name of the generator. It gives the architecture, the condition space and the generic model.
        zoo: registered name of the zoo.
        seed: seed of generation.
        reference: the method that differences are taken from. It always runs.
        leave_out: methods that run only if they are named.
        full, quick: how much is measured.
        name: the protocol's name.
        folder: where the file lies.
    """

    format: Literal["tina-protocol"]
    format_version: Literal[1]
    title: str = Field(min_length=1)
    dataset: str = Field(min_length=1)
    image_split: Literal["test", "validation"]
    tasks: str = Field(pattern=r"^[\w.-]+\.json$")
    split: str = Field(min_length=1)
    encoder: str = Field(min_length=1)
    template: int = Field(ge=0)
    generator: str = Field(min_length=1)
    zoo: str = Field(min_length=1)
    seed: int
    reference: str = Field(min_length=1)
    leave_out: list[str]
    full: Numbers
    quick: Numbers
    name: str
    folder: Path

    @property
    def task_file(self) -> Path:
        """The path of the task file."""
        return self.folder / self.tasks

    def numbers(self, quick: bool) -> Numbers:
        """Return how much is measured."""
        return self.quick if quick else self.full

    def sha256(self) -> dict[str, str]:
        """Return the SHA-256 of the protocol and of its task file."""
        own = self.folder / f"{self.name}.json"
        return {"protocol": hashes(own)[own.name], "tasks": hashes(self.task_file)[self.tasks]}


def _root() -> Path:
    return Path(str(resources.files("tina_framework"))) / "evaluation" / "protocols"


def protocol_names() -> list[str]:
    """Return the names that `open_protocol` knows."""
    return sorted(path.stem for path in _root().glob("*.json") if not path.name.endswith(_TASKS))


def open_protocol(name: str) -> Protocol:
    """Read the protocol of a name.

    Raises:
        UnknownNameError: there is no such protocol. The message lists the names.
        CheckpointError: its file is damaged.
    """
    if name not in protocol_names():
        hint = did_you_mean(name, protocol_names())
        raise UnknownNameError(f"There is no protocol '{name}'.{hint} Known: {', '.join(protocol_names())}.")
    return read_protocol(_root() / f"{name}.json")


def read_protocol(path: Path) -> Protocol:
    """Read and check the file of a protocol.

    Raises:
        CheckpointError: the file or its task file is missing, or a value is wrong. The message names the first mistake.
    """
    value: Any = read_json(path)
    given = value if isinstance(value, dict) else {}
    try:
        protocol = Protocol.model_validate({**given, "name": path.stem, "folder": path.parent})
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise CheckpointError(
            f"'{path}' is no protocol of this version: {where}: {first['msg']}. Correct the file, or install the "
            "package again."
        ) from None
    if not protocol.task_file.is_file():
        raise CheckpointError(f"'{path}' names the task file '{protocol.tasks}', which is not there; put it beside it.")
    return protocol
