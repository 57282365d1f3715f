"""A frozen trunk whose weights come from the folder of a classifier instead of from the trunk's own package."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from tina_framework.errors import PluginError
from tina_framework.interfaces.architecture import FrozenTrunk, TargetArchitecture
from tina_framework.storage.files import check_tensors

__all__ = ["SavedTrunk", "with_saved_trunk"]

_HALF = (torch.float16, torch.bfloat16)


@dataclass(frozen=True)
class SavedTrunk:
    """Builds a trunk with weights that were read from a file. Two are equal if their files are, so that one network serves both.

    Attributes:
        trunk: the trunk of the plugin, whose code runs.
        sha256: of the weights that the plugin's own `build` returns; saved folders record it.
        file_sha256: of the file that was read.
        state: the tensors in the file.
        source: the file, for messages.
    """

    trunk: FrozenTrunk
    sha256: str
    file_sha256: str
    state: Mapping[str, Tensor] = field(compare=False, repr=False)
    source: str = field(compare=False)

    def __call__(self) -> nn.Module:
        """Return a new network with these weights. Half precision becomes float32, because CPUs compute faster with it.

        Raises:
            CheckpointError: names, shapes or values of the tensors are not those of the network.
            PluginError: a tensor of the network is neither saved nor computed.
        """
        module = (self.trunk.skeleton or self.trunk.build)()
        shapes = {name: tuple(tensor.shape) for name, tensor in module.state_dict().items()}
        check_tensors(self.state, shapes, self.source)
        # Copies, because the file may have been read in inference mode, whose tensors cannot be used outside of it.
        types = {name: torch.float32 if tensor.dtype in _HALF else tensor.dtype for name, tensor in self.state.items()}
        state = {name: tensor.to(types[name], copy=True) for name, tensor in self.state.items()}
        # Assigned, because the network may be on the meta device, which has no memory to copy into.
        module.load_state_dict(state, assign=True)
        empty = [name for name, tensor in [*module.named_parameters(), *module.named_buffers()] if tensor.is_meta]
        if empty:
            raise PluginError(
                f"The skeleton of trunk '{self.trunk.name}' leaves '{empty[0]}' without values, because the state_dict lacks it; "
                "build the skeleton on the CPU, or make it a persistent buffer."
            )
        return module


def with_saved_trunk(
    architecture: TargetArchitecture, sha256: str, state: Mapping[str, Tensor], file_sha256: str, source: str
) -> TargetArchitecture:
    """Return the architecture with a trunk that has the weights of a file.

    Args:
        architecture: an architecture with a trunk.
        sha256: what the folder records of the plugin's own weights.
        state: the tensors in the file.
        file_sha256: of the file.
        source: the file, for messages.
    """
    trunk = architecture.trunk
    assert trunk is not None
    saved = SavedTrunk(trunk, sha256, file_sha256, state, source)
    return dataclasses.replace(architecture, trunk=dataclasses.replace(trunk, build=saved))
