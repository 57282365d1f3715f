"""Convert parameters to standardised differences from a base network, which the diffusion model works on, and back."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence

import numpy as np
import torch
from torch import Tensor

from tina_framework.denoiser.whitening import Whitening, factor_shapes
from tina_framework.interfaces.constant_tables import ConstantTables
from tina_framework.interfaces.spec import ParameterSpec
from tina_framework.storage.files import check_tensors
from tina_framework.storage.parallel import in_threads

__all__ = ["Normalizer", "ReadModels"]


ReadModels = Callable[[], Sequence[tuple[Tensor, int]]]
"""A function that reads some p-Models, and returns the parameters (N,) and the class count of each."""


class Normalizer:
    """Maps parameters to (parameters - base) / scale and back, tensor by tensor.

    The base of a shared tensor is the tensor of the generic model. The base of a tensor with a class axis is the mean over the
    classes of the generic model. So zero stands for the generic network with the average row, at any class count. The scale
    is one number for each tensor: the root mean square of the difference over the networks of a zoo.

    Args:
        spec: the architecture's parameters.
        base: name -> tensor; class axes have length 1. Neither it nor `scale` may change afterwards.
        scale: name -> positive scalar tensor.
        whitening: mixes the elements of weight matrices; None: each element is standardised by itself.
    """

    def __init__(
        self,
        spec: ParameterSpec,
        base: Mapping[str, Tensor],
        scale: Mapping[str, Tensor],
        whitening: Whitening | None = None,
    ) -> None:
        self.spec = spec
        self.base = {name: base[name].float() for name in spec.class_axes}
        self.scale = {name: scale[name].float() for name in spec.class_axes}
        self.whitening = whitening
        self._tables = ConstantTables()

    @classmethod
    def fit(
        cls,
        spec: ParameterSpec,
        base_state: Mapping[str, Tensor],
        readers: Iterable[ReadModels] = (),
        *,
        default_scale: float = 0.1,
        per_tensor: bool = True,
        whitening: Whitening | None = None,
    ) -> Normalizer:
        """Compute base and scale.

        Args:
            spec: the architecture's parameters.
            base_state: state dict of a generic network, of any class count.
            readers: functions that each read some p-Models. They are called in threads, and their p-Models count in this
                order. Without any, a tensor with a class axis is scaled by the spread of the rows of `base_state`, and a
                shared tensor by `default_scale` times its standard deviation.
            default_scale: see `readers`.
            per_tensor: whether each tensor has its own scale; if not, all have the root mean square over all parameters.
            whitening: mixes the elements of weight matrices. Scales are then those of whitened differences.
        """
        base = {}
        for name, axis in spec.class_axes.items():
            tensor = base_state[name].float()
            base[name] = tensor if axis is None else tensor.mean(dim=axis, keepdim=True)
        squares, count = _sum_squares(spec, base, readers, whitening)
        scale = {}
        rows = {name: base_state[name].float() - base[name] for name in base}
        if whitening is not None:
            rows = {name: whitening.invert_tensor(name, difference) for name, difference in rows.items()}
        for name, axis in spec.class_axes.items():
            if count[name]:
                scale[name] = (squares[name] / count[name]).sqrt()
            elif axis is None:
                # A single number has no standard deviation, so its size stands for it.
                spread = base[name].std() if base[name].numel() > 1 else base[name].abs().sum()
                scale[name] = default_scale * spread
            else:
                scale[name] = rows[name].square().mean().sqrt()
            # A tensor that never differs must not lead to a division by zero.
            scale[name] = scale[name].clamp(min=1e-6)
        if not per_tensor:
            sizes = {name: (count[name] or base[name].numel()) for name in scale}
            mean = sum(sizes[name] * scale[name].square() for name in scale) / sum(sizes.values())
            scale = {name: torch.as_tensor(mean).sqrt() for name in scale}
        return cls(spec, base, scale, whitening)

    def _expand(self, values: Mapping[str, Tensor], num_classes: int) -> Tensor:
        infos = self.spec.parameters(num_classes)
        return torch.cat([values[info.name].expand(info.shape).reshape(-1) for info in infos])

    def _flat(self, num_classes: int, device: torch.device, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
        """Return the base and the scale of each parameter, two tensors (N,)."""

        def make() -> tuple[Tensor, Tensor]:
            base, scale = self._expand(self.base, num_classes), self._expand(self.scale, num_classes)
            return base.to(device, dtype), scale.to(device, dtype)

        return self._tables.get((num_classes, device, dtype), make)

    def base_flat(self, num_classes: int) -> Tensor:
        """Return the base of each parameter (N,) at a class count, in a new tensor."""
        return self._expand(self.base, num_classes)

    def scale_flat(self, num_classes: int) -> Tensor:
        """Return the scale of each parameter (N,) at a class count, in a new tensor."""
        return self._expand(self.scale, num_classes)

    def normalize(self, flat_BN: Tensor, num_classes: int) -> Tensor:
        """Convert parameters (..., N) to standardised differences (..., N)."""
        base_N, scale_N = self._flat(num_classes, flat_BN.device, flat_BN.dtype)
        difference = (flat_BN - base_N) / scale_N
        return difference if self.whitening is None else self.whitening.invert(difference, num_classes)

    def denormalize(self, flat_BN: Tensor, num_classes: int) -> Tensor:
        """Convert standardised differences (..., N) to parameters (..., N)."""
        if self.whitening is not None:
            flat_BN = self.whitening.apply(flat_BN, num_classes)
        base_N, scale_N = self._flat(num_classes, flat_BN.device, flat_BN.dtype)
        return flat_BN * scale_N + base_N

    def state_dict(self) -> dict[str, Tensor]:
        """Return the tensors ``base.NAME``, ``scale.NAME`` and those of the whitening, for a checkpoint."""
        tensors = {f"base.{name}": tensor for name, tensor in self.base.items()}
        tensors |= {f"scale.{name}": tensor for name, tensor in self.scale.items()}
        return tensors if self.whitening is None else tensors | self.whitening.factors

    @staticmethod
    def shapes(spec: ParameterSpec, whitened: Sequence[str] = ()) -> dict[str, tuple[int, ...]]:
        """Return the names and shapes of the tensors of `state_dict`, where the weights `whitened` have factors."""
        shapes: dict[str, tuple[int, ...]] = {}
        for info in spec.parameters(1):
            shapes[f"base.{info.name}"] = info.shape
            shapes[f"scale.{info.name}"] = ()
        return shapes | factor_shapes(spec, whitened)

    @classmethod
    def from_tensors(
        cls, spec: ParameterSpec, tensors: Mapping[str, Tensor], whitened: Sequence[str] = ()
    ) -> Normalizer:
        """Return the normalizer that `state_dict` described.

        Raises:
            CheckpointError: a tensor is missing or unknown, has the wrong shape or is not finite, or a factor is singular.
        """
        source = "The checkpoint's normalizer"
        check_tensors(tensors, cls.shapes(spec, whitened), source)
        names = list(spec.class_axes)
        factors = {name: tensors[name] for name in factor_shapes(spec, whitened)}
        whitening = Whitening.from_tensors(spec, factors, source) if factors else None
        return cls(spec, {n: tensors[f"base.{n}"] for n in names}, {n: tensors[f"scale.{n}"] for n in names}, whitening)


def _sum_squares(
    spec: ParameterSpec,
    base: Mapping[str, Tensor],
    readers: Iterable[ReadModels],
    whitening: Whitening | None = None,
) -> tuple[dict[str, Tensor], dict[str, int]]:
    """Return name -> sum of squared differences from the base over all p-Models, and name -> number of elements."""
    totals, models_of = np.zeros((1, len(spec.class_axes)), dtype=np.float32), Counter[int]()

    def read(reader: ReadModels) -> tuple[Tensor, list[int]]:
        models = reader()
        counts = [num_classes for _, num_classes in models]
        sums = torch.empty(len(models), len(base))
        for num_classes in set(counts):
            rows = [row for row, found in enumerate(counts) if found == num_classes]
            # NumPy's operations use one thread. Those of torch would start a team of threads in each of these threads.
            flats = np.stack([models[row][0].float().numpy() for row in rows])
            for column, (name, part) in enumerate(spec.unflatten(torch.from_numpy(flats), num_classes).items()):
                difference = part.numpy()  # a view of `flats`, which is a copy
                np.subtract(difference, base[name].numpy(), out=difference)
                if whitening is not None:
                    difference = whitening.invert_tensor(name, part).numpy()
                np.multiply(difference, difference, out=difference)
                sums[rows, column] = _row_sums(torch.from_numpy(difference).flatten(1))
        return sums, counts

    for sums, counts in in_threads(read, readers):
        # `accumulate` adds one p-Model after the other. A sum over the block would round differently.
        totals = np.add.accumulate(np.concatenate([totals, sums.numpy()]), axis=0)[-1:]
        models_of.update(counts)
    count = dict.fromkeys(spec.class_axes, 0)
    for num_classes, models in models_of.items():
        for info in spec.parameters(num_classes):
            count[info.name] += models * info.numel
    return {name: torch.tensor(total) for name, total in zip(count, totals[0], strict=True)}, count


def _row_sums(values_BN: Tensor) -> Tensor:
    """Return the sum of each row, as torch rounds it, without more threads: torch uses them from 32,768 elements on."""
    return torch.cat([part.sum(1) for part in values_BN.split(max(1, 32_767 // values_BN.shape[1]))])
