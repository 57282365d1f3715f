"""The settings of a zoo: everything that decides its contents, and nothing else."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any

from tina_framework.errors import CheckpointError, ConfigError

__all__ = ["GENERIC_RECIPE", "MODEL_RECIPE", "ZooConfig"]

GENERIC_RECIPE: dict[str, Any] = {"epochs": 60, "batch_size": 128, "lr": 0.1, "weight_decay": 1e-4}
"""The learning rate falls to zero along a cosine. A generic model that is not trained to the end would make everything
that continues its training look better than it is."""

MODEL_RECIPE: dict[str, Any] = {"epochs": 20, "batch_size": 128, "lr": 0.05, "weight_decay": 1e-4}
"""How a p-Model is trained, starting from the generic model."""


@dataclass(frozen=True)
class ZooConfig:
    """Settings of `tina zoo build`, as recorded in ``zoo.json``.

    Args:
        architecture: registry name of the target architecture.
        dataset: registry name of the data set and its argument, without folders.
        train_split: the images to train on, ``train`` or ``train+validation``.
        held_out_classes: classes that neither the generic model nor any p-Model is trained on.
        num_models: how many p-Models.
        seed: seed of the tasks, the generic model and the p-Models.
        shared_order: every p-Model sees its images in the same order with the same flips. Then p-Models differ less by
            training noise, and more by their classes.
        schemes: sampling scheme of tasks -> weight.
        class_counts: number of classes of a task -> weight.
        generic: fields of `tina_framework.targets.sgd.SGDRecipe` for the generic model.
        model: the same for the p-Models.
        shard_size: how many p-Models a shard file holds.
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
                f"A zoo of {self.num_models} models in shards of {self.shard_size} cannot be built; "
                "give num_models of at least 0 and shard_size of at least 1."
            )
        if self.train_split not in ("train", "train+validation"):
            raise ConfigError(f"train_split is '{self.train_split}'; choose 'train' or 'train+validation'.")

    @property
    def num_shards(self) -> int:
        return -(-self.num_models // self.shard_size)

    def shard_ids(self, shard: int) -> range:
        """Return the model ids of a shard."""
        return range(shard * self.shard_size, min(self.num_models, (shard + 1) * self.shard_size))

    def model_seed(self, model_id: int) -> int:
        """Return the seed of a p-Model's image order and flips."""
        # Multiplying by a large prime keeps the seeds of zoos with different seeds apart.
        return self.seed if self.shared_order else self.seed * 1_000_003 + model_id + 1

    def to_json(self) -> dict[str, Any]:
        value = asdict(self)
        value["class_counts"] = {str(count): weight for count, weight in self.class_counts.items()}
        return value

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> ZooConfig:
        """Read what `to_json` wrote.

        Raises:
            CheckpointError: a key is missing or unknown.
        """
        names = {f.name for f in fields(cls)}
        if set(value) != names:
            odd = sorted(set(value) ^ names)
            raise CheckpointError(
                f"The zoo's settings have missing or unknown keys: {', '.join(odd)}; rebuild the zoo."
            )
        counts = {int(count): float(weight) for count, weight in value["class_counts"].items()}
        return cls(**{**value, "class_counts": counts})

    def differences(self, other: ZooConfig) -> list[str]:
        """Return the names of the settings in which two zoos differ. How they are cut into shards does not count."""
        return [
            f.name for f in fields(self) if f.name != "shard_size" and getattr(self, f.name) != getattr(other, f.name)
        ]
