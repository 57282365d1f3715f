"""Parameter tokenizers: which element of a network's flat parameter vector lies in which token.

Shapes: B batch, P tokens, D token width, N parameters, K classes.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Protocol

import torch
from torch import Tensor

from tina_framework.interfaces.constant_tables import ConstantTables

if TYPE_CHECKING:
    from tina_framework.interfaces.spec import ParameterSpec

__all__ = ["ParameterTokenizer", "TokenLayout"]


@dataclass(frozen=True, eq=False)
class TokenLayout:
    """The place of every parameter among the tokens. Encoding is a gather and decoding a scatter, exact and differentiable.

    Attributes:
        source: (P, D) int64, index into the flat parameter vector, -1 for padding.
        element_class: (P, D) int64, the class slot an element belongs to, -1 if shared by all classes (or padding).
        group: (P,) int64, which input and output projection the token uses.
        position: (P,) int64, the token's place inside its group (always 0 where order must not matter).
        token_class: (P,) int64, the class slot the whole token belongs to, -1 if shared or mixed.
        group_widths: used width of each group, at most D; the same for every class count.
        group_sizes: how many positions each group has at the greatest class count.
        num_parameters: N.
        num_classes: K, the class count this layout is for.
        equivariant: permuting the classes permutes the tokens and changes nothing else. If False, training shuffles the classes.
        descriptors: (P, F) float32, a description of each token, which replaces group and position; None: there is none. See
            `tina_framework.interfaces.layers`.
    """

    source: Tensor
    element_class: Tensor
    group: Tensor
    position: Tensor
    token_class: Tensor
    group_widths: tuple[int, ...]
    group_sizes: tuple[int, ...]
    num_parameters: int
    num_classes: int
    equivariant: bool
    descriptors: Tensor | None = None

    def __post_init__(self) -> None:
        used = self.source[self.source >= 0]
        if used.numel() != self.num_parameters or not torch.equal(
            used.sort().values, torch.arange(self.num_parameters)
        ):
            raise ValueError(
                f"The layout places {used.numel()} elements for {self.num_parameters} parameters; "
                "every parameter must have exactly one place."
            )

    @property
    def num_tokens(self) -> int:
        """Return P."""
        return int(self.source.shape[0])

    @property
    def token_width(self) -> int:
        """Return D."""
        return int(self.source.shape[1])

    @cached_property
    def _tables(self) -> ConstantTables:
        return ConstantTables(16)

    def _on(self, device: torch.device) -> _DeviceTables:
        return self._tables.get(device, lambda: self._make_tables(device))

    def _make_tables(self, device: torch.device) -> _DeviceTables:
        source, token_class, element_class = self.source.cpu(), self.token_class.cpu(), self.element_class.cpu()
        flat = source.flatten()
        places = torch.empty(self.num_parameters, dtype=torch.int64, device="cpu")
        places[flat[flat >= 0]] = torch.nonzero(flat >= 0).squeeze(1)
        return _DeviceTables(
            source=torch.where(flat >= 0, flat, self.num_parameters).to(device),
            places=places.to(device),
            token_slot=token_class.clamp(min=0).to(device),
            is_shared_token=(token_class < 0).to(device),
            element_slot=element_class.clamp(min=0).flatten().to(device),
            is_shared_element=(element_class < 0).to(device),
            is_real=(source >= 0).to(device),
        )

    def gather(self, flat_BN: Tensor) -> Tensor:
        """Encode parameters (B, N) as tokens (B, P, D) with zeros in the padding."""
        # Padding picks the zero that is appended at the end.
        padded = torch.cat([flat_BN, flat_BN.new_zeros(flat_BN.shape[0], 1)], dim=1)
        return padded.index_select(1, self._on(flat_BN.device).source).view(-1, *self.source.shape)

    def scatter(self, tokens_BPD: Tensor) -> Tensor:
        """Decode tokens (B, P, D) to parameters (B, N); the padding is ignored."""
        return tokens_BPD.flatten(1).index_select(1, self._on(tokens_BPD.device).places)

    def token_mask(self, class_mask_BK: Tensor) -> Tensor:
        """Return (B, P) bool: which tokens exist if only the class slots of `class_mask_BK` exist."""
        tables = self._on(class_mask_BK.device)
        return class_mask_BK.index_select(1, tables.token_slot) | tables.is_shared_token

    def element_mask(self, class_mask_BK: Tensor) -> Tensor:
        """Return (B, P, D) bool: which elements hold a parameter if only the class slots of `class_mask_BK` exist."""
        tables = self._on(class_mask_BK.device)
        exists = class_mask_BK.index_select(1, tables.element_slot).view(-1, *self.source.shape)
        return (exists | tables.is_shared_element) & tables.is_real


@dataclass(frozen=True, eq=False)
class _DeviceTables:
    """What a layout needs on one device.

    Attributes:
        source: (P * D,) int64, index into the flat parameter vector, N for padding.
        places: (N,) int64, the place of each parameter in the flattened (P * D) tokens.
        token_slot: (P,) int64, the class slot of each token, 0 if it has none.
        is_shared_token: (P,) bool, whether it has none.
        element_slot: (P * D,) int64, the class slot of each element, 0 if it has none.
        is_shared_element: (P, D) bool, whether it has none.
        is_real: (P, D) bool, whether an element holds a parameter.
    """

    source: Tensor
    places: Tensor
    token_slot: Tensor
    is_shared_token: Tensor
    element_slot: Tensor
    is_shared_element: Tensor
    is_real: Tensor


class ParameterTokenizer(Protocol):
    """The contract of every tokenizer: it chooses the layout. The core gathers and scatters, so every round trip is exact.

    Attributes:
        name: the registry name.
        config: JSON-serialisable arguments for ``create(name, **config)``.
    """

    name: str

    @property
    def config(self) -> dict[str, Any]:
        """Return the arguments that rebuild it."""
        ...

    def layout(self, spec: ParameterSpec, num_classes: int, max_classes: int) -> TokenLayout:
        """Return the layout for `num_classes`. `group_widths` and `group_sizes` depend on `max_classes` alone."""
        ...
