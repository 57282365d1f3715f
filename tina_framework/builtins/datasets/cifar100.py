"""``cifar100``: CIFAR-100, downloaded by torchvision."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np

from tina_framework.builtins.datasets._divided import DividedDataset, TrainingImages, divide, readable
from tina_framework.errors import DataError, DependencyError, DownloadError
from tina_framework.interfaces.dataset import Dataset, LabelledImages
from tina_framework.storage.paths import cache_folder, user_path

__all__ = ["cifar100"]

_log = logging.getLogger(__name__)

# The 20 superclasses and their five classes each, as A. Krizhevsky's report lists them
# ("Learning Multiple Layers of Features from Tiny Images", 2009).
_SUPERCLASSES = {
    "aquatic mammals": "beaver, dolphin, otter, seal, whale",
    "fish": "aquarium fish, flatfish, ray, shark, trout",
    "flowers": "orchid, poppy, rose, sunflower, tulip",
    "food containers": "bottle, bowl, can, cup, plate",
    "fruit and vegetables": "apple, mushroom, orange, pear, sweet pepper",
    "household electrical devices": "clock, keyboard, lamp, telephone, television",
    "household furniture": "bed, chair, couch, table, wardrobe",
    "insects": "bee, beetle, butterfly, caterpillar, cockroach",
    "large carnivores": "bear, leopard, lion, tiger, wolf",
    "large man-made outdoor things": "bridge, castle, house, road, skyscraper",
    "large natural outdoor scenes": "cloud, forest, mountain, plain, sea",
    "large omnivores and herbivores": "camel, cattle, chimpanzee, elephant, kangaroo",
    "medium mammals": "fox, porcupine, possum, raccoon, skunk",
    "non-insect invertebrates": "crab, lobster, snail, spider, worm",
    "people": "baby, boy, girl, man, woman",
    "reptiles": "crocodile, dinosaur, lizard, snake, turtle",
    "small mammals": "hamster, mouse, rabbit, shrew, squirrel",
    "trees": "maple tree, oak tree, palm tree, pine tree, willow tree",
    "vehicles 1": "bicycle, bus, motorcycle, pickup truck, train",
    "vehicles 2": "lawn mower, rocket, streetcar, tank, tractor",
}


def cifar100(root: str | Path | None = None) -> Dataset:
    """CIFAR-100: 100 classes in 20 superclasses, with 500 training and 100 test images of 32x32 for each class.

    Images are downloaded on first use. ``validation`` is the last tenth of each class's training images, in the order of the
    original file. An .npz copy may have another order and thus another split, so do not mix the two.

    Args:
        root: folder of the files; default: ``cifar100`` in ``$TINA_CACHE``, or in ``~/.cache/tina_framework``.

    Raises:
        DownloadError: (on `load`) the files are missing and cannot be downloaded.
        DataError: (on `load`) the files are not CIFAR-100.
        DependencyError: (on `load`) torchvision cannot be imported.
    """
    folder = cache_folder() / "cifar100" if root is None else user_path(root)
    class_names = tuple(sorted(name for members in _SUPERCLASSES.values() for name in members.split(", ")))
    coarse = {name: i for i, members in enumerate(_SUPERCLASSES.values()) for name in members.split(", ")}

    def read_training() -> TrainingImages:
        data = _read(folder, True, class_names)
        return divide(data.images, data.labels, len(class_names))

    return DividedDataset(
        "cifar100" if root is None else f"cifar100:{root}",
        class_names,
        tuple(coarse[name] for name in class_names),
        read_training,
        lambda: _read(folder, False, class_names),
    )


def _read(folder: Path, train: bool, class_names: tuple[str, ...]) -> LabelledImages:
    try:
        from torchvision.datasets import CIFAR100
    except (ImportError, RuntimeError) as error:  # RuntimeError if it was built for another torch.
        raise DependencyError(
            f"The data set 'cifar100' needs torchvision, which cannot be imported ({error}); install the torchvision that "
            "belongs to your torch, or use 'arrays:FILE.npz'."
        ) from error
    present = (folder / CIFAR100.base_folder).is_dir()
    if not present:
        _log.warning("Downloading CIFAR-100 (169 MB) to '%s'.", folder)
    try:
        data = CIFAR100(root=str(folder), train=train, download=True)
    except (OSError, RuntimeError) as error:
        raise DownloadError(
            f"CIFAR-100 is not in '{folder}' and could not be downloaded ({error}). Check the network, or the folder; "
            "offline, use a copy as one NumPy archive: 'arrays:FILE.npz'."
        ) from error
    found = tuple(readable(name) for name in data.classes)
    if found != class_names:
        raise DataError(
            f"The files in '{folder}' are not CIFAR-100: their classes begin with {', '.join(found[:3])}. Remove the folder."
        )
    return LabelledImages(np.ascontiguousarray(data.data, dtype=np.uint8), np.asarray(data.targets, dtype=np.int64))
