"""A teacher: the logits of a trained network for each training picture and its mirror image, in one file.

Networks that learn from a teacher read this table. So the teacher itself runs only once, and may be of any size.

Shapes: N pictures of the teacher's split, M pictures of a reader, C classes of the teacher, K classes of a reader.
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from tina_framework.errors import CheckpointError, DataError, LeakageError, shorten
from tina_framework.interfaces.class_names import checked_names
from tina_framework.interfaces.dataset import LabelledImages
from tina_framework.storage.files import check_tensors, parse_json, read_digested, write_safetensors
from tina_framework.storage.folders import hashes
from tina_framework.storage.paths import user_path

__all__ = ["FORMAT", "Teacher"]

FORMAT = "tina-teacher"
VERSION = 1
_TENSORS = ("colours", "labels", "logits")

_SAME_COLOUR = 4.0
"""Two pictures are taken for the same if their mean colours differ by at most this much, of 255: scaling a picture changes it less."""


@dataclass(frozen=True)
class Teacher:
    """The logits of a teacher, and which pictures they belong to.

    Attributes:
        logits: (2, N, C) float16, of the pictures and of the mirrored pictures.
        labels: (N,) int64, numbers in `class_names`.
        colours: (N, 3) float16, the mean colour of each picture, by which a reader's pictures are recognised.
        class_names: the C classes.
        taught_by: what the teacher is and what it learnt from, for tables: ``resnet20-head, CIFAR-100 alone``.
        record: how it was made, and its accuracy: any JSON values.
        sha256: that of the file; empty before it is saved.
    """

    logits: Tensor
    labels: Tensor
    colours: Tensor
    class_names: tuple[str, ...]
    taught_by: str
    record: dict[str, Any]
    sha256: str = ""

    @classmethod
    def of(
        cls, data: LabelledImages, class_names: Sequence[str], logits: Tensor, taught_by: str, record: dict[str, Any]
    ) -> Teacher:
        """Make the table of the pictures of `data`, from logits (2, N, C)."""
        labels = torch.from_numpy(data.labels.astype("int64"))
        return cls(logits.half().cpu(), labels, _mean_colours(data), tuple(class_names), taught_by, record)

    def save(self, path: Path) -> str:
        """Write the table, and return the SHA-256 of the file.

        Raises:
            OSError: the file cannot be written.
        """
        texts = {
            "format": FORMAT,
            "version": str(VERSION),
            "class_names": json.dumps(list(self.class_names), ensure_ascii=False),
            "taught_by": self.taught_by,
            "record": json.dumps(self.record, ensure_ascii=False, sort_keys=True),
        }
        tensors = {name: getattr(self, name) for name in _TENSORS}
        return write_safetensors(path, tensors, texts, digest=True)

    @classmethod
    def load(cls, path: Path) -> Teacher:
        """Read a table that `save` wrote.

        Raises:
            CheckpointError: the file is missing, altered, or no table of a teacher.
        """
        path = user_path(path)
        tensors, texts = read_digested(path)
        if (texts.get("format"), texts.get("version")) != (FORMAT, str(VERSION)):
            raise CheckpointError(f"'{path}' is no table of a teacher; make one with 'tina train-teacher'.")
        try:
            names, record = parse_json(texts["class_names"]), parse_json(texts["record"])
        except (KeyError, ValueError) as error:
            raise CheckpointError(f"'{path}' is damaged ({error}); restore it or make it again.") from error
        class_names = checked_names(names, f"'{path}': class_names", CheckpointError)
        count = len(tensors.get("labels", ()))
        shapes = {"colours": (count, 3), "labels": (count,), "logits": (2, count, len(class_names))}
        check_tensors(tensors, shapes, f"'{path}'")
        labels = tensors["labels"]
        if labels.dtype != torch.int64 or (
            count and not 0 <= int(labels.min()) <= int(labels.max()) < len(class_names)
        ):
            raise CheckpointError(f"'{path}': labels are not numbers of its classes; restore it or make it again.")
        return cls(
            tensors["logits"],
            labels,
            tensors["colours"],
            class_names,
            texts.get("taught_by", ""),
            record,
            hashes(path)[path.name],
        )

    def check_unseen(self, held_out: Sequence[str]) -> None:
        """Refuse a teacher that was trained on classes that its pupil must never see.

        Raises:
            LeakageError: one of the classes `held_out` is among the teacher's.
        """
        leaked = [name for name in held_out if name in self.class_names]
        if leaked:
            raise LeakageError(
                f"The teacher was trained on '{leaked[0]}', which training must not see. Make one without it: "
                f"tina train-teacher --held-out {shlex.quote(leaked[0])}."
            )

    def of_pictures(self, data: LabelledImages, class_names: Sequence[str], unseen: Sequence[str] = ()) -> Tensor:
        """Return the logits (2, M, K) of a reader's pictures, for its classes.

        The reader's pictures must be those of the teacher, in the same order. It may lack classes.

        Args:
            data: the reader's pictures.
            class_names: the K classes of its labels.
            unseen: classes of the reader that the teacher may lack. Their logits, and those of their pictures, are zero.

        Raises:
            DataError: the reader has other pictures, or a class that the teacher lacks.
        """
        number = {name: i for i, name in enumerate(self.class_names)}
        lacking = [name for name in class_names if name not in number and name not in unseen]
        if lacking:
            raise DataError(
                f"The teacher has no class {shorten(lacking[0])}, so it cannot teach these networks. "
                "Make one from the same data set with 'tina train-teacher'."
            )
        columns = torch.tensor([number.get(name, -1) for name in class_names])
        taught = columns >= 0
        own = columns[torch.from_numpy(data.labels.astype("int64"))]  # the reader's labels, as the teacher numbers them
        mine, theirs = own >= 0, torch.isin(self.labels, columns)
        if not torch.equal(self.labels[theirs], own[mine]):
            raise DataError(
                f"The teacher's table has {int(theirs.sum())} pictures of these classes, and the data set has "
                f"{int(mine.sum())}, or another order. Make a table from the same data set and split with 'tina train-teacher'."
            )
        distance = (self.colours[theirs].float() - _mean_colours(data)[mine].float()).abs()
        if distance.numel() and float(distance.max()) > _SAME_COLOUR:
            raise DataError(
                "The teacher's table was made from other pictures. Make one from this data set with 'tina train-teacher'."
            )
        found = torch.zeros(2, len(own), len(columns), dtype=torch.float16)
        known = self.logits[:, theirs][:, :, columns[taught]]
        found[:, mine.nonzero(), taught.nonzero()[:, 0]] = known
        return found


def _mean_colours(data: LabelledImages) -> Tensor:
    """Return the mean colour (N, 3) of each picture, as float16."""
    means = [part.mean(axis=(1, 2), dtype=np.float32) for part in np.array_split(data.images, 1 + len(data) // 5000)]
    return torch.from_numpy(np.concatenate(means)).half()
