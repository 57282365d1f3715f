"""Frozen trunks: built once a device, hashed, run over whole data sets, and their features kept on disk.

Shapes: N pictures, C channels, H height, W width.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from tina_framework.errors import CheckpointError, PluginError
from tina_framework.images import Preprocessing, pictures
from tina_framework.interfaces.architecture import FrozenTrunk, TargetArchitecture
from tina_framework.storage.files import cache_folder, read_safetensors, write_safetensors

__all__ = ["cached_features", "check_trunk_record", "load_trunk", "trunk_features", "trunk_record"]

_BATCH = 250


@functools.lru_cache(maxsize=8)
def load_trunk(trunk: FrozenTrunk, device: torch.device) -> nn.Module:
    """The network with its weights, on `device`, in evaluation mode, without gradients; shared by all who ask for it.

    Raises:
        PluginError: what the plugin builds is no module.
    """
    # It is kept for everybody: built by the first prediction, it would consist of tensors that only inference mode may use freely.
    with torch.inference_mode(False), torch.random.fork_rng(devices=[]):
        module = trunk.build()
    if not isinstance(module, nn.Module):
        raise PluginError(
            f"Trunk '{trunk.name}' built a {type(module).__name__}; its build() must return a torch.nn.Module."
        )
    return module.to(device).eval().requires_grad_(False)


@functools.lru_cache(maxsize=8)
def _digest(trunk: FrozenTrunk) -> str:
    digest = hashlib.sha256()
    for name, tensor in sorted(load_trunk(trunk, torch.device("cpu")).state_dict().items()):
        digest.update(f"{name} {tuple(tensor.shape)} {tensor.dtype}".encode())
        # As bytes: NumPy knows no bfloat16.
        digest.update(tensor.contiguous().reshape(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def trunk_record(architecture: TargetArchitecture) -> dict[str, str] | None:
    """What saved folders say about the trunk: its name and the SHA-256 of its weights; None without a trunk."""
    trunk = architecture.trunk
    return None if trunk is None else {"name": trunk.name, "sha256": _digest(trunk)}


def check_trunk_record(recorded: Any, architecture: TargetArchitecture, source: str) -> None:
    """Compares what a folder records with the trunk that is installed.

    Raises:
        CheckpointError: the head in the folder was made for another trunk.
    """
    if recorded is not None and not (
        isinstance(recorded, Mapping)
        and set(recorded) == {"name", "sha256"}
        and all(isinstance(value, str) for value in recorded.values())
    ):
        raise CheckpointError(f"{source}: trunk is {recorded!r}, not a name and a hash; it was altered.")
    installed = trunk_record(architecture)
    if recorded is None and installed is None:
        return
    if recorded is None or installed is None or dict(recorded) != installed:
        theirs, ours = (
            "no trunk" if each is None else f"trunk '{each['name']}' ({each['sha256'][:12]})"
            for each in (recorded, installed)
        )
        raise CheckpointError(
            f"{source} was made for {theirs}, but the installed architecture '{architecture.name}' has {ours}; "
            "install the version of its plugin that it was made with."
        )


@torch.no_grad()
def trunk_features(architecture: TargetArchitecture, prepared: Tensor) -> Tensor:
    """Pictures (N, C, H, W), prepared as the architecture says -> what its generated network takes, on their device.

    Without a trunk these are the pictures themselves.

    Raises:
        PluginError: the trunk gives features of another shape than it says.
    """
    if architecture.trunk is None:
        return prepared
    features: Tensor = load_trunk(architecture.trunk, prepared.device)(prepared).float()
    expected = (len(prepared), *architecture.network_input)
    if tuple(features.shape) != expected:
        raise PluginError(
            f"Trunk '{architecture.trunk.name}' gave features of shape {tuple(features.shape)}; "
            f"its feature_shape promises {expected}."
        )
    return features


def cached_features(
    architecture: TargetArchitecture,
    images: npt.NDArray[np.uint8],
    *,
    mirrored: bool = False,
    device: torch.device | str = "cpu",
    on_progress: Callable[[int, int], None] = lambda done, total: None,
) -> Tensor:
    """Features of many pictures, computed batch by batch, or read from the cache where they were computed before.

    Args:
        architecture: one with a trunk.
        images: (N, H, W, 3) uint8; scaled to the architecture's size if they have another.
        mirrored: of the pictures mirrored left to right.
        device: where to compute and keep them.
        on_progress: called with (pictures done, N).

    Returns:
        (N, *feature_shape) float32.
    """
    record = trunk_record(architecture)
    assert record is not None, "without a trunk there is nothing to compute"
    look = Preprocessing.of(architecture)
    digest = hashlib.sha256(repr((record, look, mirrored, images.shape)).encode())
    digest.update(np.ascontiguousarray(images).data)
    path = cache_folder() / "features" / f"{digest.hexdigest()}.safetensors"
    with contextlib.suppress(CheckpointError, KeyError):
        kept = read_safetensors(path)["features"]
        if tuple(kept.shape) == (len(images), *architecture.network_input):
            on_progress(len(images), len(images))
            return kept.to(device)
    parts = [torch.zeros((0, *architecture.network_input))]
    for start in range(0, len(images), _BATCH):
        pixels = pictures(images[start : start + _BATCH], look.size)
        prepared = look(pixels[:, :, ::-1] if mirrored else pixels, device)
        parts.append(trunk_features(architecture, prepared).cpu())
        on_progress(min(start + _BATCH, len(images)), len(images))
    features = torch.cat(parts)
    _keep(path, features)
    return features.to(device)


def _keep(path: Path, features: Tensor) -> None:
    """The cache saves time and nothing else: where it cannot be written, the work goes on."""
    with contextlib.suppress(OSError, CheckpointError):
        write_safetensors(path, {"features": features}, {"format": "pt"})
