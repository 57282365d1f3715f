"""Random draws that depend on a seed and a place (stream, step, index) alone, never on what was drawn before."""

from __future__ import annotations

import hashlib

import torch

__all__ = ["generator_at"]


def generator_at(seed: int, stream: str, *place: int) -> torch.Generator:
    """A fresh CPU generator for one place, e.g. ``generator_at(seed, "noise", step, index)``.

    Draws made with it are the same in every process, after every resume and on every device (made on the CPU, then
    moved).
    """
    name = "/".join([str(seed), stream, *map(str, place)])
    digest = hashlib.sha256(name.encode()).digest()
    # torch's Mersenne Twister keeps 32 bits of its seed.
    return torch.Generator().manual_seed(int.from_bytes(digest[:4], "big"))
