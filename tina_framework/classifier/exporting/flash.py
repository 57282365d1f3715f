"""How much flash memory the exported classifiers of an architecture take, without generating or exporting one."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from tina_framework.classifier.exporting.export import ONE_AT_A_TIME, exporter_named, missing_module, sentences
from tina_framework.errors import ConfigError, DependencyError
from tina_framework.interfaces.architecture import TargetArchitecture
from tina_framework.interfaces.exporter import ExportNetwork, StatesFlash
from tina_framework.targets.trunk import load_trunk

__all__ = ["FLASH_FORMAT", "flash_bytes"]

FLASH_FORMAT = "c"
"""The format whose size is asked for, unless the caller names another one."""


def flash_bytes(architecture: TargetArchitecture, class_names: Sequence[str], format: str = FLASH_FORMAT) -> int:
    """Return the bytes of the constants of an exported classifier. The code that runs them takes more; it is not counted.

    Args:
        architecture: of the classifier.
        class_names: K names.
        format: of the export.

    Raises:
        UnknownNameError: there is no such format.
        ConfigError, ExportError: the format cannot hold the architecture, or cannot tell its size.
    """
    exporter = exporter_named(format)
    if not isinstance(exporter, StatesFlash):
        raise ConfigError(f"Format '{format}' does not tell how much flash memory its files take.")
    if (module := missing_module(exporter)) is not None:
        raise DependencyError(f"Format '{format}' needs the module '{module}', which is not installed.")
    # The weights are random, and do not count. Whoever set a seed keeps its random numbers.
    with torch.random.fork_rng(devices=[]):
        network = architecture.build(len(class_names)).cpu()
    trunk = None if architecture.trunk is None else load_trunk(architecture.trunk, torch.device("cpu"))
    whole = (
        ExportNetwork(network, trunk, tuple(architecture.mean), tuple(architecture.std)).eval().requires_grad_(False)
    )
    with ONE_AT_A_TIME, sentences(format):
        return exporter.flash_bytes(whole, architecture.input_shape, class_names)
