"""The interface between a build and another place that keeps the finished files of a zoo, for example a bucket.

A build reads and writes files in a folder of this machine. It tells a `FileTransfer` which finished file it looks for, and
which file it has completed. Unfinished work, such as single p-Models in ``models/``, stays on this machine.
"""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

__all__ = ["FileTransfer", "NoTransfer"]


class FileTransfer(Protocol):
    """What a build asks of a place elsewhere. `BuildPlan.transfer` holds it; a plan without one uses `NoTransfer`.

    The files are ``zoo.json``, ``generic.safetensors``, perhaps narrower ones such as ``generic-0.5.safetensors``,
    ``shards/shard-00000.safetensors`` and so on, and ``index.json``.
    """

    def fetch(self, path: Path) -> None:
        """Put the file at `path` if it is missing there and exists elsewhere. Do nothing if it exists nowhere.

        The build calls this before it looks for a file, and checks what it finds.
        """

    def send(self, path: Path) -> None:
        """Copy the file at `path`, which is complete, to the place elsewhere.

        The build calls this for each file that it wrote, and for each that it found complete. So a build that was
        killed between writing and sending sends the file the next time. Skip a file that is there already.
        """


class NoTransfer:
    """The transfer of a zoo that is built in a folder of this machine or in a shared folder: there is nothing to do."""

    def fetch(self, path: Path) -> None:
        """Do nothing."""

    def send(self, path: Path) -> None:
        """Do nothing."""
