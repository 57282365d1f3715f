"""A data set of a plugin whose class names and images are checked, and brought into the one form that the framework reads."""

from __future__ import annotations

from typing import Any

from tina_framework.errors import DataError, PluginError, TinaError, reason_of, shorten
from tina_framework.interfaces.class_names import checked_names
from tina_framework.interfaces.dataset import Dataset, ImageSplit, LabelledImages

__all__ = ["CheckedDataset"]


class CheckedDataset:
    """A `Dataset` around one of a plugin.

    Args:
        made: what the plugin made.
        what: its name and package, to begin a message.

    Raises:
        PluginError: it is no data set, or its class names or superclasses are malformed.
    """

    def __init__(self, made: Any, what: str) -> None:
        missing = [name for name in ("name", "class_names", "load") if not hasattr(made, name)]
        if missing or isinstance(made, type):
            raise PluginError(
                f"{what} is {shorten(made)}, which has no {missing[0] if missing else 'instance'}; "
                "return an object with name, class_names, superclasses and load(split), such as an ArrayDataset."
            )
        self._made, self._what = made, what
        self.name = str(made.name)
        self.class_names = checked_names(made.class_names, f"{what}: class_names", PluginError)
        self.superclasses = _superclasses(getattr(made, "superclasses", None), len(self.class_names), what)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):  # also while a copy is made, when there is no `_made` yet
            raise AttributeError(name)
        return getattr(self._made, name)

    def scaled_to(self, height: int, width: int) -> Dataset:
        """Return the data set at another size, checked, or itself if the plugin's data set has no `scaled_to`.

        Raises:
            PluginError: the plugin's `scaled_to` fails, or changes the class names.
        """
        if not hasattr(self._made, "scaled_to"):
            return self
        try:
            made = self._made.scaled_to(height, width)
        except (TinaError, MemoryError):
            raise
        except Exception as error:  # code of a plugin may raise anything
            raise PluginError(f"{self._what}: scaled_to({height}, {width}) failed ({reason_of(error)}).") from error
        if made is self._made:
            return self
        scaled = CheckedDataset(made, self._what)
        if scaled.class_names != self.class_names:
            raise PluginError(f"{self._what}: scaled_to({height}, {width}) changed the class names; keep them.")
        return scaled

    def load(self, split: ImageSplit) -> LabelledImages:
        """Return the images of a split, as `LabelledImages` normalises them."""
        try:
            data = self._made.load(split)
            if not isinstance(data, LabelledImages):
                if isinstance(data, tuple) and len(data) == 2:
                    data = LabelledImages(*data)
                else:
                    images, labels = getattr(data, "images", None), getattr(data, "labels", None)
                    if images is None or labels is None:
                        raise DataError(f"it returned {shorten(data)}; return LabelledImages(images, labels).")
                    data = LabelledImages(images, labels)
        except TinaError as error:
            raise type(error)(f"{self._what}, split '{split}': {error}") from error
        except MemoryError:
            raise
        except Exception as error:  # code of a plugin may raise anything
            raise PluginError(f"{self._what} cannot load the split '{split}': {reason_of(error)}.") from error
        last = len(self.class_names) - 1
        if len(data) and not (int(data.labels.min()) >= 0 and int(data.labels.max()) <= last):
            raise PluginError(
                f"{self._what}, split '{split}': labels lie between {data.labels.min()} and {data.labels.max()}, but "
                f"{last + 1} class names allow 0..{last}. Number the classes from 0."
            )
        return data


def _superclasses(given: Any, number: int, what: str) -> tuple[int, ...] | None:
    if given is None:
        return None
    try:
        found = tuple(int(index) for index in given)
        whole = all(int(index) == index for index in given)
    except (TypeError, ValueError):
        found, whole = (), False
    if not whole or len(found) != number or min(found) < 0:
        raise PluginError(
            f"{what}: superclasses is {shorten(given)}; give one whole number from 0 up for each of the {number} classes, or None."
        )
    return found
