"""Exporters write a classifier as a file, or a folder, that other programs run without this package.

Shapes: N pictures, H height, W width, C channels, K classes, M pictures for calibration.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

__all__ = ["INT8", "ExportNetwork", "ExportSource", "Exporter", "Pixels", "Predict", "StatesFlash"]

Pixels = npt.NDArray[np.uint8]
"""Pictures (N, H, W, 3) uint8, RGB, already cropped and scaled to the size that the network takes."""

Predict = Callable[[Pixels], npt.NDArray[np.float32]]
"""Pictures (N, H, W, 3) -> logits (N, K)."""

Int8 = Literal["never", "optional", "always"]

INT8: tuple[Int8, ...] = ("never", "optional", "always")
"""Whether a format can hold 8-bit integers: never, if the caller asks for them, or always."""


class ExportNetwork(nn.Module):
    """A whole classifier as one module: pictures (N, H, W, 3) uint8 -> logits (N, K) float32.

    It standardises the pictures, runs the frozen trunk if there is one, and then the generated network. All weights are
    parameters or buffers of this module. It runs on the CPU, in evaluation mode.

    Args:
        network: the generated network. It maps the trunk's features, or the standardised pictures, to logits.
        trunk: the frozen network in front of it, or None.
        mean: of each of the C channels, for pixels in [0, 1].
        std: of each channel.
    """

    def __init__(
        self, network: nn.Module, trunk: nn.Module | None, mean: tuple[float, ...], std: tuple[float, ...]
    ) -> None:
        super().__init__()
        self.network = network
        self.trunk = trunk
        self.mean: Tensor
        self.register_buffer("mean", torch.tensor(mean, dtype=torch.float32).view(1, -1, 1, 1))
        self.std: Tensor
        self.register_buffer("std", torch.tensor(std, dtype=torch.float32).view(1, -1, 1, 1))

    def forward(self, pixels: Tensor) -> Tensor:
        """Return the logits (N, K)."""
        return self.logits(self.standardise(pixels))

    def standardise(self, pixels: Tensor) -> Tensor:
        """Return the pictures as (N, C, H, W) float32. The arithmetic is that of `tina_framework.images.Preprocessing`."""
        images = pixels.permute(0, 3, 1, 2).float() / 255.0
        if self.mean.shape[1] == 1:
            images = (images * images.new_tensor([0.299, 0.587, 0.114]).view(1, 3, 1, 1)).sum(dim=1, keepdim=True)
        return (images - self.mean) / self.std

    def logits(self, images: Tensor) -> Tensor:
        """Return the logits (N, K) of standardised pictures (N, C, H, W)."""
        features = images if self.trunk is None else self.trunk(images).float()
        logits: Tensor = self.network(features)
        return logits.float()


@dataclass(frozen=True)
class ExportSource:
    """What an exporter is given.

    Attributes:
        network: the classifier.
        input_shape: (C, H, W) of a standardised picture. The pictures that are given to the network are (N, H, W, 3).
        class_names: K names; logit k belongs to ``class_names[k]``.
        metadata: JSON values that the file should carry: class names, preprocessing, provenance.
        calibration: pictures (M, H, W, 3) whose activations choose the ranges of 8-bit integers. None: write floating point.
    """

    network: ExportNetwork
    input_shape: tuple[int, int, int]
    class_names: tuple[str, ...]
    metadata: Mapping[str, Any] = field(default_factory=dict)
    calibration: Pixels | None = None


@runtime_checkable
class Exporter(Protocol):
    """Writes one format.

    Attributes:
        suffix: of the files it writes, such as ``.onnx``; an empty string: it writes a folder.
        int8: one of `INT8`.
        modules: the modules that `write` and `load` import and that an extra installs. Before anything is done, the framework
            checks that they are there.
    """

    suffix: str
    int8: Int8
    modules: tuple[str, ...]

    def write(self, source: ExportSource, path: Path) -> Mapping[str, Any]:
        """Write the file or folder.

        Args:
            source: the classifier. `calibration` is set exactly if 8-bit integers are asked for.
            path: where to write. Nothing is there yet. The framework moves it to its place when everything went well.

        Returns:
            Facts that are worth printing, as JSON values, such as ``{"opset": 20}``.

        Raises:
            ConfigError: the format cannot hold this network; the message says why.
            DependencyError, ModuleNotFoundError: a package is missing. A missing module becomes a sentence with the extra that
                installs it.
        """
        ...

    def load(self, path: Path) -> Predict:
        """Load what `write` wrote, with the program that will run it later, and return its prediction. Used to compare answers.

        Raises:
            DependencyError, ModuleNotFoundError: a package is missing.
        """
        ...


@runtime_checkable
class StatesFlash(Protocol):
    """An exporter that can say how much flash memory of a device its files take, before there are trained weights."""

    def flash_bytes(self, network: ExportNetwork, input_shape: tuple[int, int, int], class_names: Sequence[str]) -> int:
        """Return the bytes of all constants of the written file: numbers, tables and names, but not the code that runs them.

        Args:
            network: a classifier of any weights, in evaluation mode. The result depends on its layers only.
            input_shape: (C, H, W) of a standardised picture.
            class_names: K names.

        Raises:
            ConfigError: the format cannot hold this network; the message says why.
        """
        ...
