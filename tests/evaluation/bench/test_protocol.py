"""Protocols are checked when they are read, and a mistake is named in one sentence."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from tina_framework.errors import CheckpointError, UnknownNameError
from tina_framework.evaluation.bench.protocol import (
    DEFAULT_PROTOCOL,
    Protocol,
    open_protocol,
    protocol_names,
    read_protocol,
)
from tina_framework.evaluation.results import _REFERENCES
from tina_framework.plugin.discovery import registries
from tina_framework.zoo.tasks import load_tasks

ROOT = Path(__file__).parents[3]


def test_a_mistake_lists_the_names() -> None:
    assert DEFAULT_PROTOCOL in protocol_names()
    with pytest.raises(UnknownNameError, match=r"Did you mean 'cifar100-10way'.*Known: cifar100-10way"):
        open_protocol("cifar100-10wa")


@pytest.mark.parametrize("name", protocol_names())
def test_what_ships_names_what_ships(name: str) -> None:
    protocol = open_protocol(name)
    assert protocol.generator in registries().generators
    assert protocol.zoo in registries().zoos
    assert protocol.reference in _REFERENCES, "differences are computed for these alone"
    assert set(protocol.leave_out) <= set(registries().methods.names())
    used = [task for task in load_tasks(protocol.task_file) if task.split == protocol.split]
    assert len(used) >= protocol.full.tasks >= protocol.quick.tasks
    assert protocol.numbers(quick=True) is protocol.quick
    assert set(protocol.sha256()) == {"protocol", "tasks"}


def test_the_tasks_are_those_of_the_published_tables() -> None:
    own = open_protocol("cifar100-10way").task_file.read_text(encoding="utf-8")
    assert own == (ROOT / "examples" / "cifar100" / "tasks-10.json").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"format": "other"}, "no protocol of this version: format:"),
        ({"format_version": 2}, "format_version:"),
        ({"colour": "red"}, "colour: Extra inputs are not permitted"),
        ({"seed": "0"}, "seed: Input should be a valid integer"),
        ({"quick": {"tasks": 1}}, "quick.tasks: Input should be greater than or equal to 2"),
        ({"tasks": "../other.json"}, "tasks: String should match"),
        ({"tasks": "none.tasks.json"}, "names the task file 'none.tasks.json', which is not there"),
    ],
)
def test_mistakes_are_named(protocol: Protocol, values: dict[str, Any], changes: dict[str, Any], message: str) -> None:
    path = protocol.folder / "toys.json"
    path.write_text(json.dumps(values | changes))
    with pytest.raises(CheckpointError, match=re.escape(message)):
        read_protocol(path)
    path.write_text("[]")
    with pytest.raises(CheckpointError, match="format: Field required"):
        read_protocol(path)
