"""What a zoo is built from; everything that decides its contents, and nothing else."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any

from tina_framework.errors import CheckpointError, ConfigError

__all__ = ["GENERIC_RECIPE", "MODEL_RECIPE", "ZooConfig"]

GENERIC_RECIPE: dict[str, Any] = {"epochs": 60, "batch_size": 128, "lr": 0.1, "weight_decay": 1e-4}
"""Cosine to zero: an annealed generic model, without which every comparison would flatter what starts from it."""

MODEL_RECIPE: dict[str, Any] = {"epochs": 20, "batch_size": 128, "lr": 0.05, "weight_decay": 1e-4}


@dataclass(frozen=True)
class ZooConfig:
    """Settings of `tina zoo build`, as recorded in ``zoo.json``.

    Args:
        architecture: registry name.
        dataset: how the data set was called, without a path.
        train_split: the images to train on, ``train`` or ``train+validation``.
        held_out_classes: classes that neither the generic model nor any p-Model sees.
        num_models: how many p-Models.
        seed: of the tasks, the generic model and the p-Models.
        shared_order: every p-Model sees its images in the same order with the same flips (its differences from the
            others are then less training noise).
        schemes: sampling scheme -> weight.
        class_counts: class count -> weight.
        generic: fields of `tina_framework.targets.sgd.SGDRecipe` for the generic model.
        model: the same for the p-Models.
        shard_size: models a shard.
    """

    architecture: str = "cnn-2layer"
    dataset: str = ""
    train_split: str = "train"
    held_out_classes: list[str] = field(default_factory=list)
    num_models: int = 400
    seed: int = 0
    shared_order: bool = True
    schemes: dict[str, float] = field(default_factory=lambda: {"random": 1.0})
    class_counts: dict[int, float] = field(default_factory=lambda: {10: 1.0})
    generic: dict[str, Any] = field(default_factory=lambda: dict(GENERIC_RECIPE))
    model: dict[str, Any] = field(default_factory=lambda: dict(MODEL_RECIPE))
    shard_size: int = 64

    def __post_init__(self) -> None:
        if self.num_models < 0 or self.shard_size < 1:
            raise ConfigError(
                f"A zoo of {self.num_models} models in shards of {self.shard_size} makes no sense; "
                "give num_models from 0 and shard_size from 1."
            )
        if self.train_split not in ("train", "train+validation"):
            raise ConfigError(f"train_split is '{self.train_split}'; choose 'train' or 'train+validation'.")

    @property
    def num_shards(self) -> int:
        return -(-self.num_models // self.shard_size)

    def shard_ids(self, shard: int) -> range:
        """The model ids of a shard."""
        return range(shard * self.shard_size, min(self.num_models, (shard + 1) * self.shard_size))

    def model_seed(self, model_id: int) -> int:
        """The seed of a p-Model's data order and flips."""
        return self.seed if self.shared_order else self.seed * 1_000_003 + model_id + 1

    def to_json(self) -> dict[str, Any]:
        value = asdict(self)
        value["class_counts"] = {str(count): weight for count, weight in self.class_counts.items()}
        return value

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> ZooConfig:
        """Inverse of `to_json`.

        Raises:
            CheckpointError: a key is missing or unknown.
        """
        names = {f.name for f in fields(cls)}
        if set(value) != names:
            odd = sorted(set(value) ^ names)
            raise CheckpointError(f"The zoo's settings lack or do not know {', '.join(odd)}; rebuild the zoo.")
        counts = {int(count): float(weight) for count, weight in value["class_counts"].items()}
        return cls(**{**value, "class_counts": counts})

    def differences(self, other: ZooConfig) -> list[str]:
        """Names of the settings in which two zoos differ, apart from how they are cut into shards."""
        return [
            f.name for f in fields(self) if f.name != "shard_size" and getattr(self, f.name) != getattr(other, f.name)
        ]
