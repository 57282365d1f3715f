"""What every exporter promises: it writes a file that answers as the network does, and it changes nothing else.

Shapes: N pictures, H height, W width, K classes.
"""

from __future__ import annotations

import copy
import importlib.util
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from tina_framework.errors import ConfigError
from tina_framework.interfaces.exporter import INT8, Exporter, ExportNetwork, ExportSource, Pixels
from tina_framework.testing.findings import CheckSkipped, guarded, needs, require

__all__ = ["check_changes_nothing", "check_fields", "check_floating_point", "check_int8", "sample_source"]

_SIZE = 12
_CLASSES = ("ant", "bee", "cat")


class _Sample(nn.Module):
    """A convolution, an activation and a linear layer, which every format can hold."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 8, 3, stride=2, padding=1)
        self.fc = nn.Linear(8 * (_SIZE // 2) ** 2, len(_CLASSES))

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.fc(torch.relu(self.conv(images)).flatten(1))
        return logits


def sample_source(*, int8: bool = False, network: nn.Module | None = None) -> ExportSource:
    """Return a small classifier with fixed random weights, as the framework gives one to exporters.

    Args:
        int8: with pictures for calibration.
        network: (N, 3, 12, 12) -> (N, 3). None: a convolution, an activation and a linear layer.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        inner = _Sample() if network is None else copy.deepcopy(network)
        whole = ExportNetwork(inner, None, (0.5, 0.5, 0.5), (0.5, 0.5, 0.5)).eval().requires_grad_(False)
    metadata: dict[str, Any] = {"class_names": list(_CLASSES), "provenance": {"text": 'quotes " and ümlauts'}}
    return ExportSource(whole, (3, _SIZE, _SIZE), _CLASSES, metadata, _pictures(40, seed=1) if int8 else None)


def _pictures(count: int, seed: int) -> Pixels:
    return np.random.default_rng(seed).integers(0, 256, (count, _SIZE, _SIZE, 3), dtype=np.uint8)


def check_fields(exporter: Exporter) -> None:
    """It states its suffix, whether it holds 8-bit integers, and the modules that it needs."""
    suffix = getattr(exporter, "suffix", None)
    require(
        isinstance(suffix, str) and (suffix == "" or suffix.startswith(".")),
        f"suffix is {suffix!r}.",
        "The framework names the file with it.",
        "Set it to a text such as '.onnx', or to '' for a folder.",
    )
    int8 = getattr(exporter, "int8", None)
    require(
        int8 in INT8,
        f"int8 is {int8!r}.",
        "Users are told by it whether pictures for calibration are needed.",
        f"Set it to one of {', '.join(INT8)}.",
    )
    modules = getattr(exporter, "modules", None)
    require(
        isinstance(modules, tuple | list) and all(isinstance(name, str) and name.isidentifier() for name in modules),
        f"modules is {modules!r}.",
        "The framework checks that they are installed before it reads any picture.",
        "Set it to the top-level modules that an extra installs, such as ('onnx',), or to ().",
    )


@needs(check_fields)
def check_floating_point(exporter: Exporter, *, network: nn.Module | None = None) -> None:
    """In floating point, the file gives the network's logits for one picture and for several."""
    _check_installed(exporter)
    if exporter.int8 == "always":
        raise CheckSkipped("The format computes with 8-bit integers only.")
    ours, theirs = _answers(exporter, sample_source(network=network), network)
    difference = float(np.abs(ours - theirs).max())
    require(
        difference < 1e-3,
        f"The logits of the file differ from those of the network by up to {difference:.3g}.",
        "The file must answer as the classifier does.",
        "Compare the layers one by one, beginning with standardisation and the order of the picture's axes.",
    )


@needs(check_fields)
def check_int8(exporter: Exporter, *, network: nn.Module | None = None) -> None:
    """With 8-bit integers, the logits of the file are close to those of the network."""
    _check_installed(exporter)
    if exporter.int8 == "never":
        raise CheckSkipped("The format holds no 8-bit integers.")
    ours, theirs = _answers(exporter, sample_source(int8=True, network=network), network)
    error = float(np.sqrt(np.square(ours - theirs).mean()) / ours.std())
    require(
        error < 0.2,
        f"The logits of the file differ from those of the network by {error:.0%} of their standard deviation.",
        "With 8-bit integers a few per cent are usual, and answers would change beyond that.",
        "Choose ranges on the pictures in source.calibration, and one scale for each output channel of a weight.",
    )


@needs(check_fields)
def check_changes_nothing(exporter: Exporter, *, network: nn.Module | None = None) -> None:
    """Writing changes neither the network nor the pictures, and creates nothing but the file."""
    _check_installed(exporter)
    source = sample_source(int8=exporter.int8 == "always", network=network)
    before = {name: tensor.clone() for name, tensor in source.network.state_dict().items()}
    pictures = None if source.calibration is None else source.calibration.copy()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"sample{exporter.suffix}"
        with guarded("write() failed", "It is given a small network.", "See the error above."), _may_refuse(network):
            exporter.write(source, path)
        found = sorted(entry.name for entry in Path(folder).iterdir())
    require(
        found == [path.name],
        f"Beside the file, write() left {found}.",
        "The framework moves only the file that it asked for.",
        "Write everything into that one file or folder.",
    )
    after = source.network.state_dict()
    same = before.keys() == after.keys() and all(torch.equal(before[name], after[name]) for name in before)
    if pictures is not None and source.calibration is not None:
        same = same and bool(np.array_equal(pictures, source.calibration))
    require(
        same,
        "write() changed the network or the pictures that it was given.",
        "They are compared with the file afterwards.",
        "Work on copies.",
    )


def _check_installed(exporter: Exporter) -> None:
    for module in exporter.modules:
        if importlib.util.find_spec(module) is None:
            raise CheckSkipped(f"The module '{module}' is not installed.")


@contextmanager
def _may_refuse(network: nn.Module | None) -> Iterator[None]:
    """Skip the check if the format cannot hold the network of this module. A network of the author must not be refused."""
    try:
        yield
    except ConfigError as error:
        if network is not None:
            raise
        raise CheckSkipped(
            f"The format refuses the network of this check ({error}). Set the flag `network` to one that it holds."
        ) from error


def _answers(
    exporter: Exporter, source: ExportSource, network: nn.Module | None
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    """Return the logits (N, K) of the network and of the file that the exporter writes."""
    pixels = _pictures(20, seed=2)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"sample{exporter.suffix}"
        with guarded("write() or load() failed", "It is given a small network.", "See the error above."):
            with _may_refuse(network):
                facts = exporter.write(source, path)
            predict = exporter.load(path)
            # One picture, and several: both occur in programs.
            theirs = np.concatenate([np.asarray(predict(pixels[:1])), np.asarray(predict(pixels[1:]))])
    with torch.no_grad():
        ours: npt.NDArray[np.float32] = source.network(torch.from_numpy(pixels)).numpy()
    require(
        theirs.shape == ours.shape,
        f"load() predicts logits of the shape {theirs.shape} for {len(pixels)} pictures of {len(_CLASSES)} classes.",
        "Logit k belongs to class k.",
        "Return (N, K).",
    )
    require(
        hasattr(facts, "keys"),
        f"write() returned {facts!r}.",
        "What it returns is printed.",
        'Return a dict of facts, such as {"opset": 18}; it may be empty.',
    )
    return ours, theirs
