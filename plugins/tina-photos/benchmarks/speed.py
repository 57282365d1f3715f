"""Time the frozen network on one CPU core: ``python plugins/tina-photos/benchmarks/speed.py``.

It prints milliseconds of CPU time per picture, the fastest of several runs, in batches of 32: with PyTorch's usual order in memory,
with the channels last, and as the plugin does it: channels last, in groups of eight.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional as F

from tina_photos.efficientnet import EfficientNetLite0
from tina_photos.weights import load_trunk

BATCH, RUNS = 32, 10


def at_once(trunk: EfficientNetLite0, images: Tensor) -> Tensor:
    hidden = trunk.blocks(F.relu6(trunk.stem(images)))
    return F.relu6(trunk.top(hidden)).mean(dim=(2, 3))


def fastest(run: Callable[[], Tensor]) -> float:
    run()
    times = []
    for _ in range(RUNS):
        start = time.process_time()
        run()
        times.append(time.process_time() - start)
    return 1000 * min(times) / BATCH


@torch.inference_mode()
def main() -> None:
    torch.set_num_threads(1)
    trunk = load_trunk()
    print("pixels  usual  channels last  as shipped")
    for size in (128, 160, 224):
        images = torch.randn(BATCH, 3, size, size)
        last = images.contiguous(memory_format=torch.channels_last)
        usual, ordered, shipped = (
            fastest(run)
            for run in (lambda: at_once(trunk, images), lambda: at_once(trunk, last), lambda: trunk(images))  # noqa: B023
        )
        print(f"{size:6}  {usual:5.1f}  {ordered:13.1f}  {shipped:10.1f}")


if __name__ == "__main__":
    main()
