"""Random draws that depend only on a seed and a place (stream, step, index), not on earlier draws."""

from __future__ import annotations

import hashlib

import torch

__all__ = ["generator_at"]


def generator_at(seed: int, stream: str, *place: int) -> torch.Generator:
    """Return a new CPU generator for one place, for example ``generator_at(seed, "noise", step, index)``.

    Its draws are the same in every process, after every resume and for every device, because they are made on the CPU.

    Args:
        seed: the seed of the run.
        stream: name of what is drawn; renaming a stream changes the results of a seed.
        place: numbers that identify the draw, usually the step and the place in the global batch.
    """
    name = "/".join([str(seed), stream, *map(str, place)])
    digest = hashlib.sha256(name.encode()).digest()
    # torch's Mersenne Twister uses only the lower 32 bits of a seed.
    return torch.Generator().manual_seed(int.from_bytes(digest[:4], "big"))
