"""Measure the speed of the networks of this package and of the built-in `cnn-2layer`.

    python plugins/tina-edge-nets/benchmarks/speed.py

Prints a Markdown table: parameters at ten classes, multiply-adds per picture (of convolutions and linear layers), and milliseconds
for one picture and for 1,000. The networks are freshly initialised and run in float32.

One core is used. Its CPU time is counted, not the time spent waiting, and the fastest run is reported. So other programs on the
machine change the figures little, although they share caches and memory.
"""

from __future__ import annotations

import time

import torch
from torch import Tensor, nn

from tina_framework import registries
from tina_framework.interfaces.spec import ParameterSpec

NAMES = ("cnn-2layer", "cnn-3layer", "cnn-separable", "edge-mlp")


def multiply_adds(network: nn.Module, image: Tensor) -> int:
    """Count those of convolutions and linear layers: the weights of one output value times the number of output values."""
    counted = 0

    def count(module: nn.Module, _: object, output: Tensor) -> None:
        nonlocal counted
        assert isinstance(module, nn.Conv2d | nn.Linear)
        counted += output[0].numel() * module.weight[0].numel()

    handles = [m.register_forward_hook(count) for m in network.modules() if isinstance(m, nn.Conv2d | nn.Linear)]
    network(image)
    for handle in handles:
        handle.remove()
    return counted


def milliseconds(network: nn.Module, images: Tensor, runs: int) -> float:
    times = []
    for _ in range(runs):
        began = time.thread_time()
        network(images)
        times.append(time.thread_time() - began)
    return 1000 * min(times)


@torch.inference_mode()
def main() -> None:
    torch.set_num_threads(1)
    print(f"torch {torch.__version__}\n")
    print(
        "| name | parameters | multiply-adds per picture | 1 picture, ms | 1,000 pictures, ms |\n|---|---|---|---|---|"
    )
    for name in NAMES:
        architecture = registries().architectures.create(name)
        network = architecture.build(10).eval()
        one, many = torch.randn(1, 3, 32, 32), torch.randn(1000, 3, 32, 32)
        print(
            f"| `{name}` | {ParameterSpec(architecture).num_parameters(10):,} | {multiply_adds(network, one):,} "
            f"| {milliseconds(network, one, 300):.2f} | {milliseconds(network, many, 40):.1f} |"
        )


if __name__ == "__main__":
    main()
