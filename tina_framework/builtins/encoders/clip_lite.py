"""``clip-lite``: a small student of CLIP ViT-B/32 that ships with the package and needs no download.

The text tower (`clip_lite_text`) estimates a name's vector from its spelling. The image tower (`clip_lite_image`) reads 32x32
pixels. The scripts in ``examples/clip-lite`` trained both; ``docs/explanation/clip-lite.md`` has their accuracy.

Shapes: N texts or pictures, E width of the vectors.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from functools import cached_property
from importlib import resources
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from tina_framework.builtins.encoders.clip_lite_text import KernelSettings, TextEstimate, TextTower
from tina_framework.errors import CheckpointError, PromptError, shorten
from tina_framework.interfaces.class_names import check_lengths
from tina_framework.interfaces.encoder import Vectors
from tina_framework.storage.files import check_tensors, read_safetensors
from tina_framework.storage.folders import read_config
from tina_framework.storage.paths import user_path

if TYPE_CHECKING:
    from PIL import Image
    from torch import Tensor

    from tina_framework.builtins.encoders.clip_lite_image import ImageTower

__all__ = ["FORMAT", "FORMAT_VERSION", "IMAGE_WEIGHTS", "TEXT_WEIGHTS", "CLIPLite"]

FORMAT = "tina-clip-lite"
FORMAT_VERSION = 1
TEXT_WEIGHTS = "text.safetensors"
IMAGE_WEIGHTS = "image.safetensors"
_BATCH = 512
_KEPT = 2048
"""How many estimates of texts are kept. Each has about 2 KB."""


class CLIPLite:
    """An approximate encoder of any name and any picture. `text_confidence` estimates the error of each name.

    Args:
        folder: weights that the scripts in ``examples/clip-lite`` trained; default: the weights in the package. If the folder
            lacks a tower, the one in the package is used, provided that its hash is that in the folder's `config.json`.
        name: registry name; default: ``clip-lite`` or ``clip-lite:FOLDER``.

    Attributes:
        name: registry name.
        dim: E.
        space: vector space of the teacher, ``openai/clip-vit-base-patch32``.
        templates: prompt template of the teacher, ``a {}``.
        warn_below: texts of lower confidence get a warning.

    Raises:
        CheckpointError: `config.json` is missing, lacks a setting, or describes another format.
    """

    self_contained = True

    def __init__(self, folder: str | Path | None = None, name: str | None = None) -> None:
        self.name = name or ("clip-lite" if folder is None else f"clip-lite:{folder}")
        self._estimates: OrderedDict[str, TextEstimate] = OrderedDict()
        self._lock = Lock()
        self._folder = _shipped() if folder is None else user_path(folder)
        needs = f"config.json, {TEXT_WEIGHTS} and {IMAGE_WEIGHTS}"
        self._config = read_config(self._folder, FORMAT, FORMAT_VERSION, needs)
        try:
            self.dim = int(self._config["dim"])
            self.space = str(self._config["space"])
            self.templates: tuple[str, ...] = tuple(str(template) for template in self._config["templates"])
            confidence = self._config["text"]["confidence"]
            self.warn_below = float(confidence["warn_below"])
            self._known_confidence = float(confidence["known"])
            self._calibration = tuple(float(confidence[key]) for key in ("intercept", "length", "similarity"))
        except (KeyError, TypeError, ValueError) as error:
            raise self._broken(error) from error

    def __reduce__(self) -> tuple[type[CLIPLite], tuple[Path, str]]:
        # A lock cannot be copied. The folder is quickly read again.
        return CLIPLite, (self._folder, self.name)

    @property
    def mean(self) -> npt.NDArray[np.float32]:
        """The mean unit vector (E,) of the names in the fit."""
        return self.text_tower.mean

    def encode_text(self, texts: Sequence[str], template: int = 0) -> Vectors:
        """Return the expected vectors (N, E) of texts. For an unknown spelling this is close to the mean of all names.

        Raises:
            PromptError: a text has no letter or digit, or the template is not 0.
        """
        if template != 0:
            raise PromptError(
                f"{self.name} has no template number {shorten(template)}; its only one is '{self.templates[0]}'."
            )
        if not texts:
            return np.zeros((0, self.dim), dtype=np.float32)
        return np.stack([reading.vector for reading in self._read(texts)])

    def _read(self, texts: Sequence[str]) -> list[TextEstimate]:
        """Return the estimates of texts. Those of the last texts are kept, because names come again and again."""
        check_lengths(texts)
        with self._lock:
            known = {text: self._estimates[text] for text in dict.fromkeys(texts) if text in self._estimates}
        found = {text: known.get(text) or self.text_tower.read(text) for text in dict.fromkeys(texts)}
        with self._lock:
            for text, estimate in found.items():
                self._estimates[text] = estimate
                self._estimates.move_to_end(text)
            while len(self._estimates) > _KEPT:
                self._estimates.popitem(last=False)
        return [found[text] for text in texts]

    def text_confidence(self, texts: Sequence[str]) -> npt.NDArray[np.float32]:
        """Return the expected cosines (N,) with the teacher's vectors, after subtracting the mean; clipped to [0, 1].

        For names in the fit it is the measured mean. For others it is linear in two values, and was fitted to held-out names:
        the distance of the estimate from the mean, and the similarity in spelling to the nearest name of the fit.
        """
        intercept, by_length, by_similarity = self._calibration
        values = []
        for reading in self._read(texts):
            expected = intercept + by_length * reading.length + by_similarity * reading.similarity
            values.append(self._known_confidence if reading.known else min(expected, self._known_confidence))
        return np.clip(np.array(values, dtype=np.float32), 0.0, 1.0)

    def unknown_words(self, texts: Sequence[str]) -> list[str]:
        """Return the words of the texts that no name of the fit contains, each once, in order."""
        return list(dict.fromkeys(word for text in texts for word in self.text_tower.unknown_words(text)))

    def encode_images(self, images: Sequence[Image.Image]) -> Vectors:
        """Return the vectors (N, E) of pictures of any size and mode. The centre square is scaled to 32x32 RGB.

        Raises:
            DataError: a picture has no pixels.
        """
        import torch

        from tina_framework.builtins.encoders.clip_lite_image import SIZE, standardise
        from tina_framework.images import pictures

        pixels = pictures(images, (SIZE, SIZE))
        shifts = [np.zeros((0, self.dim), dtype=np.float32)]
        with torch.inference_mode():
            for start in range(0, len(pixels), _BATCH):
                directions = self.image_tower(standardise(pixels[start : start + _BATCH]))
                shifts.append(self._image_length * directions.numpy())
        return (self.text_tower.mean + np.concatenate(shifts)).astype(np.float32)

    @cached_property
    def text_tower(self) -> TextTower:
        """The text tower, loaded and checked when first used.

        Raises:
            CheckpointError: the weights are missing, altered or damaged.
        """
        tensors = self._tensors(TEXT_WEIGHTS, "text")
        try:
            section = self._config["text"]
            settings = KernelSettings(**section["kernel"])
            sizes = {kind: (int(counts[0]), int(counts[1])) for kind, counts in section["sizes"].items()}
            shapes = TextTower.shapes(int(section["num_names"]), self.dim, sizes)
        except (KeyError, IndexError, TypeError, ValueError) as error:
            raise self._broken(error) from error
        check_tensors(tensors, shapes, f"'{self._folder / TEXT_WEIGHTS}'")
        return TextTower({name: tensor.numpy() for name, tensor in tensors.items()}, settings)

    @cached_property
    def image_tower(self) -> ImageTower:
        """The image tower, loaded and checked when first used.

        Raises:
            CheckpointError: the weights are missing, altered or damaged.
        """
        import torch

        from tina_framework.builtins.encoders.clip_lite_image import ImageTower

        tensors = self._tensors(IMAGE_WEIGHTS, "image")
        try:
            first, second, third = self._config["image"]["widths"]
            with torch.device("meta"):
                tower = ImageTower((int(first), int(second), int(third)), self.dim)
        except (KeyError, TypeError, ValueError) as error:
            raise self._broken(error) from error
        expected = {name: tuple(tensor.shape) for name, tensor in tower.state_dict().items()}
        check_tensors(tensors, expected, f"'{self._folder / IMAGE_WEIGHTS}'")
        floats = {name: t.float() if t.is_floating_point() else t for name, t in tensors.items()}
        tower.load_state_dict(floats, assign=True)
        return tower.eval()

    @property
    def _image_length(self) -> float:
        """Mean distance of a class's text vector from the mean. The image tower returns only directions."""
        return float(self._config["image"]["length"])

    def _tensors(self, file: str, section: str) -> Mapping[str, Tensor]:
        """Return the tensors of one file, after comparing its hash with that in the configuration."""
        path = self._folder / file
        if not path.is_file() and (_shipped() / file).is_file():
            path = _shipped() / file  # The hash below ensures that it is the tower of the configuration.
        tensors = read_safetensors(path)
        try:
            expected = self._config[section]["sha256"]
        except (KeyError, TypeError) as error:
            raise self._broken(error) from error
        if hashlib.sha256(path.read_bytes()).hexdigest() != expected:
            raise CheckpointError(f"'{path}' is not the file that config.json describes; restore or train it again.")
        return tensors

    def _broken(self, error: Exception) -> CheckpointError:
        return CheckpointError(
            f"'{self._folder / 'config.json'}' lacks a setting or has a wrong one ({type(error).__name__}: {error}); "
            "restore it or train again with examples/clip-lite."
        )

    def __repr__(self) -> str:
        return f"CLIPLite({self.name!r})"


def _shipped() -> Path:
    return Path(str(resources.files("tina_framework"))) / "pretrained" / "clip-lite"
