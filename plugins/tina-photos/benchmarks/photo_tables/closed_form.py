"""Baselines that turn text vectors into class rows: ridge and kernel regression, the nearest label, a small network.

All are fitted to ImageNet's 1,000 labels and the centred rows of the frozen network's own 1,000-way layer.

Shapes: M labels, Q prompts, E width of text vectors, D = 1,280 features.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import torch
from torch import nn
from torch.nn import functional as F

__all__ = ["Fit", "kernel", "mlp", "nearest", "ridge"]

Array = npt.NDArray[np.float32]
Fit = Callable[[Array, Array, Array], Array]
"""(label vectors (M, E), label rows (M, D), prompt vectors (Q, E)) -> prompt rows (Q, D). Vectors are centred, of length 1."""

_STEPS, _BATCH, _HIDDEN = 200, 64, 512


def ridge(strength: float) -> Fit:
    """Return linear ridge regression."""

    def fit(labels_ME: Array, rows_MD: Array, prompts_QE: Array) -> Array:
        square = labels_ME.T @ labels_ME + strength * np.eye(labels_ME.shape[1], dtype=np.float32)
        found: Array = prompts_QE @ np.linalg.solve(square, labels_ME.T @ rows_MD)
        return found

    return fit


def kernel(sharpness: float, strength: float) -> Fit:
    """Return kernel ridge regression with the kernel exp(sharpness (cosine - 1)), on rows of length 1."""

    def fit(labels_ME: Array, rows_MD: Array, prompts_QE: Array) -> Array:
        rows_MD = rows_MD / np.linalg.norm(rows_MD, axis=1, keepdims=True)
        gram = np.exp(sharpness * (labels_ME @ labels_ME.T - 1)) + strength * np.eye(len(labels_ME), dtype=np.float32)
        similar = np.exp(sharpness * (prompts_QE @ labels_ME.T - 1))
        found: Array = similar @ np.linalg.solve(gram, rows_MD)
        return found

    return fit


def nearest(labels_ME: Array, rows_MD: Array, prompts_QE: Array) -> Array:
    """Return the row of the label with the most similar text."""
    found: Array = rows_MD[(prompts_QE @ labels_ME.T).argmax(axis=1)]
    return found


def mlp(labels_ME: Array, rows_MD: Array, prompts_QE: Array) -> Array:
    """Return the rows that a network with one hidden layer predicts, after 200 steps of AdamW on 1 - cosine, with seed 0."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = nn.Sequential(
            nn.Linear(labels_ME.shape[1], _HIDDEN), nn.GELU(), nn.Dropout(0.2), nn.Linear(_HIDDEN, rows_MD.shape[1])
        )
        texts, rows = torch.from_numpy(labels_ME), torch.from_numpy(rows_MD)
        optimizer = torch.optim.AdamW(network.parameters(), lr=1e-3, weight_decay=1e-2)
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, _STEPS)
        for _ in range(_STEPS):
            drawn = torch.randint(len(texts), (_BATCH,))
            loss = (1 - F.cosine_similarity(network(texts[drawn]), rows[drawn])).mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
    network.eval()
    with torch.no_grad():
        found: Array = network(torch.from_numpy(prompts_QE)).numpy()
    return found
