"""The p-Models of a zoo that a run trains on. Their parameters stay on disk and are read when they are drawn."""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Callable, Sequence

from torch import Tensor

from tina_framework.config.training import TrainingConfig
from tina_framework.errors import ConfigError, LeakageError
from tina_framework.storage.digest import HASHES
from tina_framework.zoo.manifest import GENERIC
from tina_framework.zoo.reservation import partition_of
from tina_framework.zoo.store import Zoo

__all__ = ["TrainingModels"]


class TrainingModels:
    """The p-Models of a zoo whose classes training may use.

    Args:
        config: the training settings.
        zoo: the zoo.
        seen: the classes that training may use.

    Attributes:
        ids: the numbers of the p-Models in the zoo.
        classes: the class names of each.

    Raises:
        LeakageError: the class set of any p-Model of the zoo is reserved for validation or tests.
        ConfigError: the zoo holds fewer such p-Models than `zoo_models` asks for.
    """

    def __init__(self, config: TrainingConfig, zoo: Zoo, seen: Sequence[str]) -> None:
        self._zoo, self._seen = zoo, tuple(seen)
        everything = [zoo.entries.classes(model_id) for model_id in range(len(zoo))]
        for model_id, classes in enumerate(everything):
            if (partition := partition_of(classes, len(zoo.class_names))) != "train":
                raise LeakageError(
                    f"The class set of model {model_id} of the zoo '{config.zoo}' is reserved for {partition} "
                    f"({', '.join(classes[:3])}, ...). Build the zoo with `tina zoo build`, which leaves such sets out."
                )
        usable = zoo.entries.of_classes(set(seen), config.max_classes)
        if config.zoo_models is not None and config.zoo_models > len(usable):
            raise ConfigError(
                f"zoo_models is {config.zoo_models}, but the zoo '{config.zoo}' holds {len(usable)} p-Models of classes that "
                "training may use. Lower the setting, or remove it."
            )
        self.ids = usable[: config.zoo_models]
        self.classes = [everything[model_id] for model_id in self.ids]

    def __len__(self) -> int:
        return len(self.ids)

    def flat(self, place: int) -> Tensor:
        """Read the parameters (N,) of one of them.

        Raises:
            CheckpointError: its shard was altered.
        """
        return self._zoo.flat(self.ids[place])

    def readers(self) -> list[Callable[[], list[tuple[Tensor, int]]]]:
        """Return functions that read all of them part by part, as parameters (N,) and class count. Threads may call them."""
        return [functools.partial(self._read, block) for block in self._zoo.blocks(self.ids)]

    def _read(self, ids: Sequence[int]) -> list[tuple[Tensor, int]]:
        counts = self._zoo.entries.counts
        return [(flat, int(counts[model_id])) for model_id, flat in self._zoo.flats(ids)]

    def fingerprint(self) -> str:
        """Return a hash that identifies the generic model and these p-Models.

        It is made of the hashes that the zoo records of its files. Hashing all weights again would take seconds.
        """
        digest = hashlib.sha256(str(self._zoo.manifest.values[HASHES][GENERIC]).encode())
        for shard in self._zoo.index.shards:
            digest.update(shard.sha256.encode())
        digest.update(repr((self._seen, self.ids, self.classes)).encode())
        return digest.hexdigest()
