"""``clip-lite``: a small student of CLIP ViT-B/32 that ships with the package and needs no download.

The text tower (`clip_lite_text`) guesses a name's vector from its spelling; the image tower (`clip_lite_image`) sees
32x32 pixels. Both were trained by the scripts in ``examples/clip-lite``; ``docs/explanation/clip-lite.md`` says how well they do.
Shapes: N texts or pictures, E width.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from functools import cached_property
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from tina_framework.builtins.encoders.clip_lite_text import KernelSettings, Reading, TextTower
from tina_framework.errors import CheckpointError, PromptError
from tina_framework.interfaces.encoder import Vectors
from tina_framework.storage.files import check_tensors, read_safetensors
from tina_framework.storage.folders import read_config

if TYPE_CHECKING:
    from PIL import Image
    from torch import Tensor

    from tina_framework.builtins.encoders.clip_lite_image import ImageTower

__all__ = ["FORMAT", "FORMAT_VERSION", "IMAGE_WEIGHTS", "TEXT_WEIGHTS", "CLIPLite", "clip_lite_80"]

FORMAT = "tina-clip-lite"
FORMAT_VERSION = 1
TEXT_WEIGHTS = "text.safetensors"
IMAGE_WEIGHTS = "image.safetensors"
_BATCH = 512


class CLIPLite:
    """Reads any name and any picture, roughly; `text_confidence` says how roughly.

    Args:
        folder: trained by the scripts in ``examples/clip-lite``; None: the one that ships with the package. A tower that the
            folder lacks is the shipped one, if it is the one that `config.json` describes.

    Attributes:
        name: ``clip-lite``, ``clip-lite:FOLDER``, or another that it is registered under.
        dim: E.
        space: the space of its teacher, ``openai/clip-vit-base-patch32``.
        templates: the teacher's prompt, ``a {}``.
        warn_below: texts of lower confidence deserve a warning.

    Raises:
        CheckpointError: `config.json` is missing, altered, or of something else.
    """

    def __init__(self, folder: str | Path | None = None, name: str | None = None) -> None:
        self.name = name or ("clip-lite" if folder is None else f"clip-lite:{folder}")
        self._last: dict[str, Reading] = {}
        self._folder = _shipped() if folder is None else Path(folder).expanduser()
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

    @property
    def mean(self) -> npt.NDArray[np.float32]:
        """(E,) the mean unit vector of the names of the fit: what all names have in common."""
        return self.text_tower.mean

    def encode_text(self, texts: Sequence[str], template: int = 0) -> Vectors:
        """(N, E): the expected vector, so a text it knows nothing about comes close to the mean of all names.

        Raises:
            PromptError: a text without letters or digits, or a template number other than 0.
        """
        if template != 0:
            raise PromptError(f"{self.name} has no template number {template}; its only one is '{self.templates[0]}'.")
        if not texts:
            return np.zeros((0, self.dim), dtype=np.float32)
        return np.stack([reading.vector for reading in self._read(texts)])

    def _read(self, texts: Sequence[str]) -> list[Reading]:
        """A text is asked for its vector and then for its confidence: what was read in one call is kept for the next."""
        known = self._last
        self._last = {text: known.get(text) or self.text_tower.read(text) for text in dict.fromkeys(texts)}
        return [self._last[text] for text in texts]

    def text_confidence(self, texts: Sequence[str]) -> npt.NDArray[np.float32]:
        """(N,) in [0, 1]: expected cosine with the teacher's vector, both less the mean vector.

        For names that were in the fit, what was measured on them. For others a line fitted to names that the model had
        not seen: how far the text moves the vector off the mean, and how close in spelling the nearest known name is.
        """
        intercept, by_length, by_similarity = self._calibration
        values = []
        for reading in self._read(texts):
            line = intercept + by_length * reading.length + by_similarity * reading.similarity
            values.append(self._known_confidence if reading.known else min(line, self._known_confidence))
        return np.clip(np.array(values, dtype=np.float32), 0.0, 1.0)

    def unknown_words(self, texts: Sequence[str]) -> list[str]:
        """The words in these texts that occur in no name of the fit, each once, in the order met."""
        return list(dict.fromkeys(word for text in texts for word in self.text_tower.unknown_words(text)))

    def encode_images(self, images: Sequence[Image.Image]) -> Vectors:
        """(N, E) for pictures of any size and mode: the centre square, scaled to 32x32, in RGB.

        Raises:
            DataError: a picture without pixels.
        """
        import torch

        from tina_framework.builtins.encoders.clip_lite_image import SIZE, standardise
        from tina_framework.images import pictures

        pixels = pictures(list(images), (SIZE, SIZE))
        shifts = [np.zeros((0, self.dim), dtype=np.float32)]
        with torch.inference_mode():
            for start in range(0, len(pixels), _BATCH):
                directions = self.image_tower(standardise(pixels[start : start + _BATCH]))
                shifts.append(self._image_length * directions.numpy())
        return (self.text_tower.mean + np.concatenate(shifts)).astype(np.float32)

    @cached_property
    def text_tower(self) -> TextTower:
        """Loaded and checked when first used.

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
        """Loaded and checked when first used.

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
        """How far from the mean a class's text vector lies on average; the image tower gives directions only."""
        return float(self._config["image"]["length"])

    def _tensors(self, file: str, section: str) -> Mapping[str, Tensor]:
        """The tensors of one file, after comparing its hash with the one that training noted."""
        path = self._folder / file
        if not path.is_file() and (_shipped() / file).is_file():
            path = _shipped() / file  # another folder's tower; the hash below says whether it is the one meant
        tensors = read_safetensors(path)
        try:
            noted = self._config[section]["sha256"]
        except (KeyError, TypeError) as error:
            raise self._broken(error) from error
        if hashlib.sha256(path.read_bytes()).hexdigest() != noted:
            raise CheckpointError(f"'{path}' is not the file that config.json describes; restore or train it again.")
        return tensors

    def _broken(self, error: Exception) -> CheckpointError:
        return CheckpointError(
            f"'{self._folder / 'config.json'}' lacks a setting or has a wrong one ({type(error).__name__}: {error}); "
            "restore it or train again with examples/clip-lite."
        )

    def __repr__(self) -> str:
        return f"CLIPLite({self.name!r})"


def clip_lite_80() -> CLIPLite:
    """``clip-lite-80``: the same text tower, and an image tower that has seen eighty classes of CIFAR-100 (those of `cifar80-cnn`)."""
    return CLIPLite(_shipped().with_name("clip-lite-80"), "clip-lite-80")


def _shipped() -> Path:
    return Path(str(resources.files("tina_framework"))) / "pretrained" / "clip-lite"
