"""The peers of this plugin. This list imports no torch, so that the command line can show it without delay."""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tina_framework.errors import UnknownNameError

if TYPE_CHECKING:
    from tina_peers.peer import Peer

__all__ = ["PEERS", "Entry", "peer_class"]


@dataclass(frozen=True)
class Entry:
    """Where a peer is implemented, and what it is.

    Attributes:
        target: ``module:Class`` of the peer. The module also has ``ClassMethod``, the method of `tina evaluate`.
        summary: what it does, in one line without a final period.
    """

    target: str
    summary: str


PEERS: dict[str, Entry] = {
    "p-diff": Entry(
        "tina_peers.p_diff:PDiff", "latent diffusion of stored networks, conditioned on text (p-diff, T2W)"
    ),
    "weight-flow": Entry(
        "tina_peers.weight_flow:WeightFlow", "flow matching on stored networks, conditioned on text (DeepWeightFlow)"
    ),
    "norm-only": Entry("tina_peers.norm_only:NormOnly", "scales of channels, shifts and class rows written from text"),
    "t2m-hn": Entry("tina_peers.equivariant:T2MHN", "equivariant hypernetwork (T2M-HN)"),
    "per-layer": Entry("tina_peers.per_layer:PerLayer", "one hypernetwork for each layer in turn, as text-to-LoRA"),
    "ghn-decoder": Entry("tina_peers.ghn_decoder:GHNDecoder", "decoder of a graph hypernetwork, without the graph"),
    "five-pictures": Entry(
        "tina_peers.five_pictures:FivePictures", "hypernetwork that reads five training pictures of each class"
    ),
}
"""Name of the method -> entry."""


def peer_class(name: str) -> type[Peer]:
    """Import the class of a peer.

    Raises:
        UnknownNameError: there is no such peer.
    """
    if name not in PEERS:
        raise UnknownNameError(f"Unknown peer '{name}'; choose one of {', '.join(PEERS)}.")
    module, _, attribute = PEERS[name].target.partition(":")
    found: type[Peer] = getattr(importlib.import_module(module), attribute)
    return found
