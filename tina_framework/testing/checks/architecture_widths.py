"""What a family of architectures promises: narrower networks are leading slices of wider ones."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from tina_framework.interfaces.architecture import TargetArchitecture
from tina_framework.interfaces.spec import ParameterSpec
from tina_framework.testing.checks.architecture import built, check_fields, check_parameters, logits, pictures
from tina_framework.testing.findings import guarded, needs, require

__all__ = ["check_widths"]


@needs(check_fields, check_parameters)
def check_widths(architecture: TargetArchitecture, *, widths: Sequence[float] | None = None) -> None:
    """Networks of every width run, and the parameters of a narrower one are no larger on any axis, under the same names.

    Args:
        architecture: one with `widths`; another passes.
        widths: the widths to compare. None: the least and the greatest, 1, and two between.
    """
    if architecture.widths is None:
        return
    least, greatest = architecture.widths
    if widths is None:
        widths = (least, (least + 1) / 2, 1, (1 + greatest) / 2, greatest)
    found = []
    for width in sorted(set(widths)):
        with guarded(
            f"The architecture cannot be made at width {width:g}",
            f"Its widths are {least:g} to {greatest:g}, and users may ask for any number between them.",
            "Let build(K, width=W) return a network for every W in this range.",
        ):
            member = architecture.at_width(width)
            found.append((width, ParameterSpec(member)))
            logits(built(member).eval(), pictures(member, 2))
    for (narrow, few), (wide, many) in pairwise(found):
        require(
            few.class_axes == many.class_axes and list(few.class_axes) == list(many.class_axes),
            f"The networks of width {narrow:g} and {wide:g} have other parameters, another order or other class axes.",
            "A narrower network is cut out of a wider one, parameter by parameter.",
            "Build the same layers at every width; let only their sizes differ.",
        )
        for small, large in zip(few.parameters(5), many.parameters(5), strict=True):
            require(
                len(small.shape) == len(large.shape)
                and all(a <= b for a, b in zip(small.shape, large.shape, strict=True)),
                f"'{small.name}' has the shape {small.shape} at width {narrow:g} and {large.shape} at width {wide:g}.",
                "The parameters of a narrower network are leading slices of a wider one's.",
                "Let every size grow with the width, or stay; round(16 * width) does.",
            )
