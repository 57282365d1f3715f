"""Read pictures of any format and mode, bring them to the size that a network takes, and standardise them.

Shapes: N pictures, H height, W width, C channels.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image, ImageOps, UnidentifiedImageError
from torch import Tensor

from tina_framework.errors import DataError

if TYPE_CHECKING:
    from tina_framework.interfaces.architecture import TargetArchitecture

__all__ = ["Preprocessing", "fit_picture", "pictures", "read_picture", "to_rgb"]


@dataclass(frozen=True)
class Preprocessing:
    """What the input of a network looks like. Call it to turn pixels into that input.

    Attributes:
        input_shape: (C, H, W).
        mean: of each channel, for pixels in [0, 1].
        std: of each channel.
    """

    input_shape: tuple[int, int, int]
    mean: tuple[float, ...]
    std: tuple[float, ...]

    @classmethod
    def of(cls, architecture: TargetArchitecture) -> Preprocessing:
        """Return the preprocessing of an architecture."""
        return cls(architecture.input_shape, architecture.mean, architecture.std)

    def __call__(self, pixels: npt.NDArray[np.uint8], device: torch.device | str = "cpu") -> Tensor:
        """Return the pictures (N, H, W, 3) uint8 as (N, C, H, W) float32, standardised, on `device`.

        Raises:
            DataError: the pictures have another size than the network takes.
        """
        channels, height, width = self.input_shape
        if pixels.ndim != 4 or pixels.shape[1:3] != (height, width):
            raise DataError(f"Pictures have the shape {pixels.shape}; this network takes (N, {height}, {width}, 3).")
        # In place from here on: whole data sets pass through, and each copy of them costs hundreds of megabytes.
        tensor = torch.from_numpy(np.ascontiguousarray(pixels)).to(device).permute(0, 3, 1, 2).float().div_(255.0)
        tensor = tensor.contiguous()
        if channels == 1:
            # ITU-R BT.601 luma, which PIL's mode "L" uses too.
            tensor = (tensor * tensor.new_tensor([0.299, 0.587, 0.114]).view(1, 3, 1, 1)).sum(dim=1, keepdim=True)
        mean, std = (tensor.new_tensor(values).view(1, -1, 1, 1) for values in (self.mean, self.std))
        return tensor.sub_(mean).div_(std)

    @property
    def size(self) -> tuple[int, int]:
        """(W, H): the order in which PIL gives sizes."""
        return self.input_shape[2], self.input_shape[1]


_DAMAGED = (
    OSError, ValueError, SyntaxError, EOFError, IndexError, KeyError, TypeError, MemoryError, NotImplementedError,
)  # fmt: skip
"""The errors that PIL's decoders raise when a file is damaged."""


def read_picture(path: str | Path) -> Image.Image:
    """Read one file as RGB, turned upright.

    Raises:
        DataError: the file is missing, is not a picture, is truncated, or has so many pixels that it may be an attack.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(path) as picture:
                picture.load()
                return to_rgb(picture)
    except FileNotFoundError:
        raise DataError(f"Picture '{path}' does not exist; check the path.") from None
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise DataError(f"Picture '{path}' is too large to be opened safely ({error}); scale it down first.") from error
    except _DAMAGED as error:
        raise DataError(
            f"Picture '{path}' cannot be read ({_reason(error, path)}); give a complete picture file."
        ) from error


def _reason(error: BaseException, path: str | Path) -> str:
    if isinstance(error, UnidentifiedImageError):
        return "unknown picture format"
    text = str(error).splitlines()[0] if str(error) else type(error).__name__
    return text.replace(f": '{path}'", "")


def to_rgb(picture: Image.Image) -> Image.Image:
    """Convert any mode to RGB: turned as EXIF says, transparency on white, 16-bit and float grey scaled to 8 bits."""
    picture = ImageOps.exif_transpose(picture)
    if picture.mode.startswith("I") or picture.mode == "F":
        return _from_deep_grey(picture)
    if picture.mode in ("RGBA", "RGBa", "LA", "La", "PA") or "transparency" in picture.info:
        layer = picture.convert("RGBA")
        canvas = Image.new("RGBA", layer.size, (255, 255, 255, 255))
        canvas.alpha_composite(layer)
        return canvas.convert("RGB")
    return picture.convert("RGB")


def _from_deep_grey(picture: Image.Image) -> Image.Image:
    """Scale deep grey to 8 bits. White is 65535 for integers, and 1 for floats (255 if a value exceeds 1)."""
    values = np.nan_to_num(np.asarray(picture).astype(np.float64))
    if picture.mode == "F":
        top = 1.0 if values.max(initial=0.0) <= 1.0 else 255.0
    else:
        top = 65535.0
    grey = np.clip(np.rint(values * (255.0 / top)), 0, 255).astype(np.uint8)
    return Image.fromarray(grey).convert("RGB")


def fit_picture(picture: Image.Image, size: tuple[int, int]) -> npt.NDArray[np.uint8]:
    """Crop the centre of an RGB picture to the proportions of `size` (W, H) and scale it to (H, W, 3).

    The filter is bicubic with antialiasing: it widens with the reduction.
    """
    if picture.size != size:
        picture = ImageOps.fit(picture, size, method=Image.Resampling.BICUBIC)
    return np.asarray(picture, dtype=np.uint8)


def pictures(images: Any, size: tuple[int, int]) -> npt.NDArray[np.uint8]:
    """Turn pictures of any kind into (N, H, W, 3) uint8 of `size` (W, H).

    Args:
        images: one picture or many: paths, PIL images, uint8 arrays (H, W), (H, W, 3 or 4) or (N, H, W, 3 or 4),
            or torch tensors (uint8, or float in [0, 1]) with the channels first (C, H, W), (N, C, H, W) or last. Lists may
            mix them.
        size: (W, H) of the result.

    Raises:
        DataError: a file is unreadable, or an array has another shape or type.
    """
    if isinstance(images, str | Path | Image.Image):
        images = [images]
    if isinstance(images, Tensor):
        images = _from_tensor(images)
    if isinstance(images, np.ndarray):
        return _from_array(images, size)
    if not isinstance(images, Sequence):
        raise DataError(f"Pictures were given as {type(images).__name__}; give paths, PIL images, or a uint8 array.")
    parts = [_one(image, size) for image in images]
    return np.concatenate(parts) if parts else np.zeros((0, size[1], size[0], 3), dtype=np.uint8)


def _one(image: Any, size: tuple[int, int]) -> npt.NDArray[np.uint8]:
    if isinstance(image, str | Path):
        return fit_picture(read_picture(image), size)[None]
    if isinstance(image, Image.Image):
        if 0 in image.size:
            raise DataError(f"A picture has the size {image.size}; it has no pixels.")
        return fit_picture(to_rgb(image), size)[None]
    if isinstance(image, Tensor):
        image = _from_tensor(image)
    if isinstance(image, np.ndarray) and image.ndim < 4:
        return _from_array(image, size)
    raise DataError(f"A picture was given as {type(image).__name__}; give a path, a PIL image, or one picture's array.")


def _from_array(array: npt.NDArray[Any], size: tuple[int, int]) -> npt.NDArray[np.uint8]:
    expected = "expected (H, W, 3) or (N, H, W, 3) of type uint8, with values from 0 to 255"
    if array.dtype != np.uint8:
        raise DataError(f"Pictures have the type {array.dtype}; {expected}.")
    if array.ndim == 2:
        array = np.repeat(array[..., None], 3, axis=2)
    if array.ndim == 3:
        array = array[None]
    if array.ndim != 4 or array.shape[-1] not in (3, 4) or 0 in array.shape[1:]:
        raise DataError(f"Pictures have the shape {array.shape}; {expected}.")
    if array.shape[1:] == (size[1], size[0], 3):
        return array
    if not len(array):
        return np.zeros((0, size[1], size[0], 3), dtype=np.uint8)
    return np.stack([fit_picture(to_rgb(Image.fromarray(picture)), size) for picture in array])


def _from_tensor(tensor: Tensor) -> npt.NDArray[Any]:
    tensor = tensor.detach().cpu()
    if tensor.is_floating_point():
        if tensor.numel() and not bool(((tensor >= 0) & (tensor <= 1)).all()):
            raise DataError(
                "A picture tensor holds floats outside 0 to 1; give raw pixels, "
                "or call the classifier itself on tensors that are standardised already."
            )
        tensor = (tensor * 255).round().to(torch.uint8)
    if tensor.dim() >= 3 and tensor.shape[-3] in (1, 3, 4):  # channels first, as torch has them
        tensor = tensor.movedim(-3, -1)
        if tensor.shape[-1] == 1:
            tensor = tensor.expand(*tensor.shape[:-1], 3)
    return tensor.numpy()
