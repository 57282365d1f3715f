"""Which architecture of a generator to write, given how large a classifier may be."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from tina_framework.classifier.exporting.flash import flash_bytes
from tina_framework.errors import ConfigError, DependencyError, ExportError, shorten
from tina_framework.generator.architecture_summary import ArchitectureSummary, best_within, choose_architecture
from tina_framework.interfaces.byte_size import byte_size
from tina_framework.interfaces.spec import ParameterSpec
from tina_framework.interfaces.whole_numbers import whole_number

__all__ = ["architecture_within"]


def architecture_within(
    summaries: Mapping[str, ArchitectureSummary],
    specs: Mapping[str, ParameterSpec],
    classes: int | Sequence[str],
    max_parameters: Any = None,
    max_flash: Any = None,
) -> str:
    """Return the architecture with the best recorded accuracy among those that fit; see `Generator.choose_architecture`.

    Args:
        summaries: from `Generator.architectures`.
        specs: name -> parameters, for the same architectures.
        classes: the class names, or their number.
        max_parameters: the largest number of parameters.
        max_flash: the largest number of bytes of constants, in the C source that `tina export` writes.

    Raises:
        ConfigError: not exactly one budget is given, it is no size, or nothing fits.
    """
    if (max_parameters is None) == (max_flash is None):
        raise ConfigError("Give either max_parameters or max_flash.")
    if isinstance(classes, int) and not isinstance(classes, bool):
        classes = [""] * whole_number(classes, "The number of classes", 2)
    names = classes
    if isinstance(names, str) or not isinstance(names, Sequence) or not all(isinstance(name, str) for name in names):
        raise ConfigError(f"classes is {shorten(classes)}; give the number of classes, or a list of their names.")
    count = whole_number(len(names), "The number of classes", 2)
    if max_parameters is not None:
        return choose_architecture(summaries, count, whole_number(max_parameters, "max_parameters", 1))
    budget = byte_size(max_flash, "max_flash")
    sizes: dict[str, int] = {}
    refusals: list[str] = []
    for name in summaries:
        try:
            sizes[name] = flash_bytes(specs[name].architecture, names)
        except DependencyError:
            raise
        except (ConfigError, ExportError) as error:  # that architecture has no such form, but another one may
            refusals.append(f"{name}: {error}")
    if not sizes:
        raise ConfigError(f"No architecture of this generator can be written as C source. {' '.join(refusals)}")
    return best_within(summaries, sizes, budget, f"bytes of constants in flash for {count} classes")
