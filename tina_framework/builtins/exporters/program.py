"""Trace a classifier with `torch.export`, from which the other formats are made."""

from __future__ import annotations

import torch

from tina_framework.interfaces.exporter import ExportSource

__all__ = ["exported_program"]

_EXAMPLES = 2
"""Pictures that are traced. With one, the size of the batch would be taken for a constant."""


def exported_program(source: ExportSource, *, batch: int | None = None) -> torch.export.ExportedProgram:
    """Return the network as a graph: pictures (N, H, W, 3) uint8 -> logits (N, K) float32.

    Args:
        source: the classifier.
        batch: N; None: any number.
    """
    _, height, width = source.input_shape
    pixels = torch.zeros((batch or _EXAMPLES, height, width, 3), dtype=torch.uint8)
    shapes = None if batch else ({0: torch.export.Dim("batch", min=1)},)
    program = torch.export.export(source.network.eval(), (pixels,), dynamic_shapes=shapes)
    # A part under `torch.no_grad()` or `torch.autocast` has a graph of its own inside.
    for part in program.graph_module.modules():
        for node in part.graph.nodes if isinstance(part, torch.fx.GraphModule) else ():
            # Lines of source code with the paths of this machine, which would be written into files that people publish.
            node.meta.pop("stack_trace", None)
    return program
