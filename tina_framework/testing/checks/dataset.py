"""What every data set promises: names, labels and pictures that fit each other, in splits that do not overlap.

The thing to check is a data set, or a function without arguments that makes one. With a function, two are compared.
Shapes: N images, K classes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from tina_framework.errors import DataError
from tina_framework.interfaces.dataset import Dataset, LabelledImages, ScalesPictures
from tina_framework.testing.checks._randomness import seeded
from tina_framework.testing.findings import CheckSkipped, ConformanceError, guarded, needs, require

__all__ = [
    "check_class_names",
    "check_deterministic",
    "check_every_class_has_images",
    "check_images",
    "check_labels",
    "check_scaled",
    "check_splits",
    "check_splits_are_disjoint",
    "check_superclasses",
    "check_unknown_split",
]

SPLITS = ("train", "validation", "test")

DatasetOrFactory = Dataset | Callable[[], Dataset]


def opened(dataset: DatasetOrFactory) -> Dataset:
    """Return the data set itself."""
    if isinstance(dataset, Dataset) and not isinstance(dataset, type):  # a class may have the attributes already
        return dataset
    made: Dataset = dataset() if callable(dataset) else dataset
    return made


def check_class_names(dataset: DatasetOrFactory) -> None:
    """It has a name, and at least two class names: distinct, not empty, lower case, single spaces."""
    with guarded(
        "The data set cannot be opened", "Commands open it by name.", "Let it open without loading its pictures."
    ):
        data = opened(dataset)
    names = getattr(data, "class_names", None)
    require(
        isinstance(getattr(data, "name", None), str)
        and bool(data.name)
        and isinstance(names, tuple)
        and len(names) > 1,
        f"name is {getattr(data, 'name', None)!r} and class_names {names!r}.",
        "Zoos record the name, and label i means class_names[i].",
        "Give a name and a tuple of at least two class names.",
    )
    odd = [
        name
        for name in data.class_names
        if not isinstance(name, str) or name != " ".join(name.lower().split()) or not name
    ]
    require(
        not odd,
        f"The class name {(odd or [''])[0]!r} is empty, or not lower case with single spaces.",
        "Names are prompts, and task files refer to them.",
        "Write names as a person would: 'oak tree', not 'Oak_Tree'.",
    )
    twice = sorted({name for name in data.class_names if data.class_names.count(name) > 1})
    require(
        not twice,
        f"The class '{(twice or [''])[0]}' occurs twice.",
        "A prompt would mean two classes.",
        "Give every class its own name, or merge the two.",
    )


@needs(check_class_names)
def check_superclasses(dataset: DatasetOrFactory, *, superclasses: bool | None = None) -> None:
    """Superclasses, if there are any, are one index from 0 up for each class.

    `superclasses`: True: it must have them; False: it must not; None: either.
    """
    data = opened(dataset)
    indices = data.superclasses
    require(
        superclasses is None or (indices is not None) == superclasses,
        f"superclasses is said to be {superclasses}, but the data set has {'some' if indices is not None else 'none'}.",
        "Tasks of related classes are drawn by them.",
        "Set the attribute `superclasses` of the data set (None: it has none), or correct the flag.",
    )
    if indices is None:
        raise CheckSkipped("The data set has no superclasses.")
    require(
        isinstance(indices, tuple)
        and len(indices) == len(data.class_names)
        and all(isinstance(index, int) and index >= 0 for index in indices),
        f"superclasses is {indices!r} for {len(data.class_names)} classes.",
        "Entry i is the superclass of class i.",
        "Give a tuple of K integers from 0 up.",
    )


@needs(check_class_names)
def check_splits(dataset: DatasetOrFactory, *, splits: Sequence[str] = SPLITS) -> None:
    """Every split loads and has images."""
    data = opened(dataset)
    for split in splits:
        with guarded(
            f"load('{split}') failed",
            "Training, choosing settings and testing each need images of their own.",
            "Provide train, validation and test, or list the existing splits in `splits`.",
        ):
            part = data.load(split)
            number = len(part.labels)
        require(
            number > 0,
            f"The split '{split}' is empty.",
            "Nothing can be measured on it.",
            "Put images into it, for instance a tenth of the training images into validation.",
        )


@needs(check_splits)
def check_images(dataset: DatasetOrFactory, *, splits: Sequence[str] = SPLITS) -> None:
    """Images are (N, H, W, 3) uint8, of one size in all splits."""
    data = opened(dataset)
    sizes = set()
    for split in splits:
        images = data.load(split).images
        require(
            isinstance(images, np.ndarray) and images.ndim == 4 and images.shape[-1] == 3 and images.dtype == np.uint8,
            f"Images of '{split}' have the shape {getattr(images, 'shape', None)} and type {getattr(images, 'dtype', None)}.",
            "Pictures are RGB with values from 0 to 255; networks scale them.",
            "Return (N, H, W, 3) uint8; repeat a grey channel three times.",
        )
        sizes.add(images.shape[1:3])
    require(
        len(sizes) == 1,
        f"Images have the sizes {sorted(sizes)}.",
        "One network reads all of them.",
        "Scale all pictures to one size.",
    )


@needs(check_splits)
def check_labels(dataset: DatasetOrFactory, *, splits: Sequence[str] = SPLITS) -> None:
    """There is one int64 label for each image, from 0 to K - 1."""
    data = opened(dataset)
    for split in splits:
        part = data.load(split)
        labels = part.labels
        require(
            isinstance(labels, np.ndarray) and labels.shape == (len(part.images),) and labels.dtype == np.int64,
            f"Labels of '{split}' have the shape {getattr(labels, 'shape', None)} and type {getattr(labels, 'dtype', None)} "
            f"for {len(part.images)} images.",
            "Label i belongs to image i.",
            "Return (N,) int64.",
        )
        require(
            int(labels.min()) >= 0 and int(labels.max()) < len(data.class_names),
            f"Labels of '{split}' go from {int(labels.min())} to {int(labels.max())} for {len(data.class_names)} classes.",
            "Label i means class_names[i].",
            "Count labels from 0 to K - 1.",
        )


@needs(check_labels)
def check_every_class_has_images(dataset: DatasetOrFactory) -> None:
    """Every class has training images."""
    data = opened(dataset)
    counts = np.bincount(data.load("train").labels, minlength=len(data.class_names))
    require(
        bool((counts > 0).all()),
        f"The class '{data.class_names[int(np.argmin(counts))]}' has no training image.",
        "No network can be trained for a task with it.",
        "Remove the class, or add images.",
    )


@needs(check_images)
def check_splits_are_disjoint(
    dataset: DatasetOrFactory, *, splits: Sequence[str] = SPLITS, max_overlap: float = 0.01
) -> None:
    """No picture is in two splits; `max_overlap` is the share allowed, for duplicates in the data itself."""
    data = opened(dataset)
    pictures = {split: {image.tobytes() for image in data.load(split).images} for split in splits}
    for i, first in enumerate(splits):
        for second in splits[:i]:
            common = len(pictures[first] & pictures[second])
            share = common / min(len(pictures[first]), len(pictures[second]))
            require(
                share <= max_overlap,
                f"'{second}' and '{first}' have {common} pictures in common ({share:.1%} of the smaller one, "
                f"allowed {max_overlap:.1%}).",
                "A model that is tested on pictures of its training set looks better than it is.",
                "Divide pictures by a rule that depends on the data alone, and put each picture into one split.",
            )


@needs(check_splits)
def check_deterministic(dataset: DatasetOrFactory, *, splits: Sequence[str] = SPLITS) -> None:
    """The same split has the same images in the same order each time, whatever the random state."""
    with seeded(0):
        data = opened(dataset)
        first = {split: _copied(data.load(split)) for split in splits}
    with seeded(1):
        for again in (data, opened(dataset)):
            for split in reversed(splits):
                part = again.load(split)
                same = np.array_equal(part.images, first[split][0]) and np.array_equal(part.labels, first[split][1])
                require(
                    same and again.class_names == data.class_names,
                    f"'{split}' has other images, labels or names the second time.",
                    "Every command must see the same division; validation images would leak into training.",
                    "Sort file names, and shuffle only with a generator of your own and a fixed seed.",
                )


def _copied(part: LabelledImages) -> tuple[Any, Any]:
    return np.array(part.images), np.array(part.labels)


@needs(check_labels)
def check_scaled(dataset: DatasetOrFactory, *, splits: Sequence[str] = SPLITS) -> None:
    """A data set with `scaled_to` returns the same labels with pictures of the size asked for, or itself."""
    data = opened(dataset)
    if not isinstance(data, ScalesPictures):
        return
    with guarded(
        "scaled_to(20, 24) failed",
        "Architectures need pictures of different sizes, so the framework calls it before `load`.",
        "Return a data set whose pictures have the height and width that were asked for.",
    ):
        scaled = data.scaled_to(20, 24)
    for split in () if scaled is data else splits:
        part, plain = scaled.load(split), data.load(split)
        require(
            part.images.shape[1:] == (20, 24, 3),
            f"scaled_to(20, 24) gives images of the shape {part.images.shape} in '{split}'.",
            "The architecture reads more or fewer pixels than it was made for.",
            "Scale to (N, 20, 24, 3), or return the data set itself if its size is fixed.",
        )
        require(
            scaled.class_names == data.class_names and np.array_equal(part.labels, plain.labels),
            f"scaled_to(20, 24) changes class names, labels or their order in '{split}'.",
            "Only the size of the pictures may change: results of different architectures are compared.",
            "Change nothing but the size.",
        )


@needs(check_class_names)
def check_unknown_split(dataset: DatasetOrFactory) -> None:
    """A split that does not exist is refused with a DataError."""
    try:
        opened(dataset).load("no-such-split")
    except DataError:
        return
    except Exception as error:
        found = f"raised {type(error).__name__}: {error}"
    else:
        found = "returned images"
    raise ConformanceError(
        f"load('no-such-split') {found}. A misspelt split must not be taken for another one, and the command line prints "
        "errors of the framework as one sentence. Raise tina_framework.errors.DataError, listing the splits there are."
    )
