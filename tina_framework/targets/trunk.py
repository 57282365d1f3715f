"""Frozen trunks: build them once per device, hash their weights, and compute and cache features of whole data sets.

Shapes: N pictures, C channels, H height, W width.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from tina_framework.errors import CheckpointError, PluginError, TinaError, reason_of, shorten
from tina_framework.images import Preprocessing
from tina_framework.interfaces.architecture import FrozenTrunk, TargetArchitecture
from tina_framework.storage.files import read_digested, write_safetensors
from tina_framework.storage.paths import cache_folder
from tina_framework.targets.saved_trunk import SavedTrunk

__all__ = [
    "cached_features",
    "check_trunk_name",
    "check_trunk_record",
    "load_trunk",
    "trunk_features",
    "trunk_record",
    "trunk_state",
]

_BATCH = 250


@functools.lru_cache(maxsize=8)
def load_trunk(trunk: FrozenTrunk, device: torch.device) -> nn.Module:
    """Return the trunk on `device`, in evaluation mode and without gradients. All callers share one module.

    Raises:
        PluginError: what the plugin builds is not a module.
    """
    # The module is shared. If the first prediction built it in inference mode, its tensors could not be used outside of that
    # mode. The random state belongs to the caller and is restored.
    try:
        with torch.inference_mode(False), torch.random.fork_rng(devices=[]):
            module = trunk.build()
    except (TinaError, OSError, ImportError, MemoryError):  # no file, no network, no package: their messages are clear
        raise
    except Exception as error:  # code of a plugin may raise anything
        raise PluginError(f"Trunk '{trunk.name}' cannot be built ({reason_of(error)}).") from error
    if not isinstance(module, nn.Module):
        raise PluginError(
            f"Trunk '{trunk.name}' built a {type(module).__name__}; its build() must return a torch.nn.Module."
        )
    if any(is_lazy(tensor) for tensor in (*module.parameters(), *module.buffers())):
        raise PluginError(
            f"Trunk '{trunk.name}' has a lazy layer, which has no weights yet; give every layer its input width."
        )
    return module.to(device).eval().requires_grad_(False)


def _load_while_exporting(trunk: FrozenTrunk, device: torch.device) -> nn.Module:
    """Return what `load_trunk` returns, although `torch.export` is tracing."""
    # The tracer replaces the tensors of its own thread by ones without values. Another thread loads the real weights.
    with ThreadPoolExecutor(max_workers=1) as pool:
        return pool.submit(load_trunk, trunk, device).result()


@functools.lru_cache(maxsize=8)
def _digest(trunk: FrozenTrunk) -> str:
    digest = hashlib.sha256()
    for name, tensor in sorted(load_trunk(trunk, torch.device("cpu")).state_dict().items()):
        digest.update(f"{name} {tuple(tensor.shape)} {tensor.dtype}".encode())
        # As bytes, because NumPy has no bfloat16.
        digest.update(tensor.contiguous().reshape(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def trunk_record(architecture: TargetArchitecture) -> dict[str, str] | None:
    """Return what saved folders record of the trunk: its name and the SHA-256 of its weights; None without a trunk."""
    trunk = architecture.trunk
    if trunk is None:
        return None
    # A trunk from a folder may be rounded. The record names the weights that it was made from.
    sha256 = trunk.build.sha256 if isinstance(trunk.build, SavedTrunk) else _digest(trunk)
    return {"name": trunk.name, "sha256": sha256}


def trunk_state(trunk: FrozenTrunk) -> dict[str, Tensor]:
    """Return the weights and buffers of a trunk, on the CPU."""
    return dict(load_trunk(trunk, torch.device("cpu")).state_dict())


def check_trunk_name(recorded: Any, architecture: TargetArchitecture, source: str) -> str:
    """Compare the trunk in a folder, which holds its weights, with the installed code of the trunk. Return the recorded SHA-256.

    Raises:
        CheckpointError: the record is malformed, or the architecture has another trunk.
    """
    _check_form(recorded, source)
    ours = None if architecture.trunk is None else architecture.trunk.name
    if recorded is None or recorded["name"] != ours:
        theirs = "no trunk" if recorded is None else f"trunk {shorten(recorded['name'])}"
        raise CheckpointError(
            f"{source} holds the weights of {theirs}, but the installed architecture '{architecture.name}' has "
            f"{'no trunk' if ours is None else f'trunk {ours!r}'}; install the version of its plugin that it was made with."
        )
    return str(recorded["sha256"])


def _check_form(recorded: Any, source: str) -> None:
    if recorded is not None and not (
        isinstance(recorded, Mapping)
        and set(recorded) == {"name", "sha256"}
        and all(isinstance(value, str) for value in recorded.values())
    ):
        raise CheckpointError(f"{source}: trunk is {shorten(recorded)}, not a name and a hash; it was altered.")


def check_trunk_record(recorded: Any, architecture: TargetArchitecture, source: str) -> None:
    """Compare the recorded trunk of a folder with the installed one.

    Raises:
        CheckpointError: the record is malformed, or the folder was made for another trunk.
    """
    _check_form(recorded, source)
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


def trunk_features(architecture: TargetArchitecture, prepared: Tensor) -> Tensor:
    """Return what the generated network takes for prepared pictures (N, C, H, W), on their device.

    These are the trunk's features (N, *feature_shape), or without a trunk the pictures themselves.

    Raises:
        PluginError: the features do not have the shape that the trunk states.
    """
    if architecture.trunk is None:
        return prepared
    what = f"Trunk '{architecture.trunk.name}'"
    # The weights ask for no gradients, so an exported program is the same without the marks that `no_grad` leaves in it.
    exporting = torch.compiler.is_exporting()
    try:
        if exporting:
            features = _load_while_exporting(architecture.trunk, prepared.device)(prepared)
        else:
            with torch.no_grad():
                features = load_trunk(architecture.trunk, prepared.device)(prepared)
    except (TinaError, OSError, ImportError, MemoryError):
        raise
    except Exception as error:
        raise PluginError(f"{what} fails on pictures of shape {tuple(prepared.shape)} ({reason_of(error)}).") from error
    if not isinstance(features, Tensor):
        raise PluginError(
            f"{what} returns a {type(features).__name__}; return one tensor (N, {', '.join(map(str, architecture.network_input))})."
        )
    features = features.float()
    if exporting:
        return features  # an exported program cannot branch on values
    if not bool(features.isfinite().all()):
        raise PluginError(f"{what} gives features that are not finite; check its weights and its precision.")
    expected = (prepared.shape[0], *architecture.network_input)
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
    """Return the features of many pictures. They are computed in batches and cached on disk.

    Args:
        architecture: an architecture with a trunk.
        images: (N, H, W, 3) uint8; scaled to the size that the architecture takes.
        mirrored: return the features of the pictures mirrored left to right.
        device: where to compute and return the features.
        on_progress: called with (pictures done, N).

    Returns:
        (N, *feature_shape) float32.
    """
    assert architecture.trunk is not None, "an architecture without a trunk has no features"
    record = {"name": architecture.trunk.name, "sha256": _digest(architecture.trunk)}
    look = Preprocessing.of(architecture)
    # The key covers everything that determines the features: trunk, preprocessing, mirroring and pixels.
    digest = hashlib.sha256(repr((record, look, mirrored, images.shape)).encode())
    digest.update(np.ascontiguousarray(images).data)
    path = cache_folder() / "features" / f"{digest.hexdigest()}.safetensors"
    with contextlib.suppress(CheckpointError, KeyError):
        kept = read_digested(path)[0]["features"]
        if tuple(kept.shape) == (len(images), *architecture.network_input):
            on_progress(len(images), len(images))
            return kept.to(device)
    parts = [torch.zeros((0, *architecture.network_input))]
    on_progress(0, len(images))  # the first batch of large pictures takes seconds
    for start in range(0, len(images), _BATCH):
        pixels = look.pixels(images[start : start + _BATCH])
        prepared = look(pixels[:, :, ::-1] if mirrored else pixels, device)
        parts.append(trunk_features(architecture, prepared).cpu())
        on_progress(min(start + _BATCH, len(images)), len(images))
    features = torch.cat(parts)
    _keep(path, features)
    return features.to(device)


def _keep(path: Path, features: Tensor) -> None:
    """Write features to the cache. A failure is ignored, because the cache only saves time."""
    with contextlib.suppress(OSError, CheckpointError):
        write_safetensors(path, {"features": features}, digest=True)
