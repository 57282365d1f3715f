"""Turn pictures of any kind into pixels.

Shapes: N pictures, H height, W width, C channels.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image
from torch import Tensor

from tina_framework.errors import DataError, reason_of
from tina_framework.images.fit import fit_picture, uncropped_size
from tina_framework.images.reader import is_picture_file, read_picture, to_rgb

__all__ = ["as_picture", "picture_batches", "pictures", "separated"]

_EXPECTED = "expected (H, W, 3) or (N, H, W, 3) of type uint8, with values from 0 to 255"
_KINDS = "paths, the bytes of picture files, open files, PIL images, or uint8 arrays"


def pictures(images: Any, size: tuple[int, int], crop_pct: float = 1.0) -> npt.NDArray[np.uint8]:
    """Turn pictures of any kind into (N, H, W, 3) uint8 of `size` (W, H).

    Args:
        images: one picture or many, in a sequence, iterator, glob or array of paths; they may be mixed. A picture is a path,
            the bytes of a picture file, an open file, a PIL image, a uint8 array (H, W) or (H, W, 1, 3 or 4), or a torch tensor
            (uint8, or float in [0, 1]) with the channels first (C, H, W) or last. Arrays and tensors may also hold N pictures.
        size: (W, H) of the result. The centre of other proportions is cropped; see `fit_picture`.
        crop_pct: the part of each side that is kept; see `fit_picture`.

    Raises:
        DataError: a file is unreadable, or an array has another shape or type.
    """
    if isinstance(images, Tensor):
        images = _from_tensor(images)
    if isinstance(images, np.ndarray) and not _of_objects(images):
        return _from_array(images, size, crop_pct)
    parts = [_pixels(image, size, crop_pct) for image in separated(images)]
    return np.concatenate(parts) if parts else np.zeros((0, size[1], size[0], 3), dtype=np.uint8)


def picture_batches(
    images: Any, size: tuple[int, int], crop_pct: float = 1.0, *, batch_size: int
) -> Iterator[npt.NDArray[np.uint8]]:
    """Yield what `pictures` returns, in parts of at most `batch_size` pictures. Files are read when their part is asked for.

    Raises:
        DataError: as for `pictures`.
    """
    if isinstance(images, Tensor):
        images = _from_tensor(images)
    if isinstance(images, np.ndarray) and not _of_objects(images):
        images = _with_channels(images)
        for start in range(0, len(images), batch_size):
            yield _from_array(images[start : start + batch_size], size, crop_pct)
        return
    remaining = iter(separated(images))
    while part := list(itertools.islice(remaining, batch_size)):
        yield pictures(part, size, crop_pct)


def separated(images: Any) -> Iterable[Any]:
    """Return the single pictures of `images`, which is one picture or many, as `pictures` takes them.

    Raises:
        DataError: `images` is of another type, or has no order.
    """
    if is_picture_file(images) or isinstance(images, Image.Image):
        return [images]
    if isinstance(images, Tensor):
        images = _from_tensor(images)
    if isinstance(images, np.ndarray):
        if _of_objects(images):
            # NumPy keeps strings of the type "S" as bytes, but they are paths.
            return [os.fsdecode(one) if images.dtype.kind == "S" else one for one in images.ravel().tolist()]
        return images if images.ndim == 4 else [images]
    if isinstance(images, set | frozenset | Mapping):
        raise DataError(f"Pictures were given as a {type(images).__name__}, which has no order; give a list.")
    if isinstance(images, Iterable):
        return images
    raise DataError(f"Pictures were given as {type(images).__name__}; give {_KINDS}.")


def as_picture(image: Any, target: tuple[int, int] | None = None) -> Image.Image:
    """Return one picture of any kind as RGB.

    Args:
        image: one picture, as `pictures` takes them.
        target: (W, H) to which the picture will be fitted; see `read_picture`.

    Raises:
        DataError: it is unreadable, has no pixels, or has another type or shape.
    """
    if is_picture_file(image):
        return read_picture(image, target)
    if isinstance(image, Image.Image):
        return to_rgb(image)
    if isinstance(image, Tensor):
        image = _from_tensor(image)
    if isinstance(image, np.ndarray) and image.ndim < 4 and not _of_objects(image):
        return to_rgb(Image.fromarray(_with_channels(image)[0]))
    raise DataError(f"A picture was given as {type(image).__name__}; give {_KINDS} of one picture each.")


def _of_objects(array: npt.NDArray[Any]) -> bool:
    return array.dtype.kind in "OSU"


def _pixels(image: Any, size: tuple[int, int], crop_pct: float) -> npt.NDArray[np.uint8]:
    return fit_picture(as_picture(image, uncropped_size(size, crop_pct)), size, crop_pct)[None]


def _from_array(array: npt.NDArray[Any], size: tuple[int, int], crop_pct: float) -> npt.NDArray[np.uint8]:
    array = _with_channels(array)
    if array.shape[1:] == (size[1], size[0], 3) and crop_pct == 1:
        return array
    if not len(array):
        return np.zeros((0, size[1], size[0], 3), dtype=np.uint8)
    return np.concatenate([_pixels(picture, size, crop_pct) for picture in array])


def _with_channels(array: npt.NDArray[Any]) -> npt.NDArray[np.uint8]:
    """Return an array of one picture or many as (N, H, W, 3 or 4)."""
    if array.dtype != np.uint8:
        raise DataError(f"Pictures have the type {array.dtype}; {_EXPECTED}.")
    if array.ndim == 2:
        array = array[..., None]
    if array.ndim == 3:
        array = array[None]
    if array.ndim != 4 or array.shape[-1] not in (1, 3, 4) or 0 in array.shape[1:]:
        raise DataError(f"Pictures have the shape {array.shape}; {_EXPECTED}.")
    return np.repeat(array, 3, axis=3) if array.shape[-1] == 1 else array


def _from_tensor(tensor: Tensor) -> npt.NDArray[Any]:
    try:
        tensor = tensor.detach().cpu().resolve_conj()
        tensor = tensor if tensor.layout == torch.strided else tensor.to_dense()
    except (NotImplementedError, RuntimeError) as error:  # on the device "meta", tensors have no values
        raise DataError(f"A picture tensor cannot be read ({reason_of(error, 100)}); give one with values.") from error
    if tensor.is_floating_point():
        if tensor.numel() and not bool(((tensor >= 0) & (tensor <= 1)).all()):
            raise DataError(
                "A picture tensor holds floats outside 0 to 1; give raw pixels, "
                "or call the classifier itself on tensors that are standardised already."
            )
        tensor = (tensor * 255).round().to(torch.uint8)
    if tensor.dim() >= 3 and tensor.shape[-3] in (1, 3, 4):  # channels first, as torch has them
        tensor = tensor.movedim(-3, -1)
    return tensor.numpy()
