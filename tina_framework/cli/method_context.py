"""What ``tina plugins check`` gives to evaluation methods: the generator and zoo of the standard protocol, and random pictures."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tina_framework.interfaces.method import Context

__all__ = ["method_context"]


def method_context() -> Context:
    """Load generator, encoder and zoo. The pictures are random, because no check measures an accuracy.

    Raises:
        TinaError: something cannot be loaded.
    """
    from tina_framework.evaluation.bench.protocol import DEFAULT_PROTOCOL, open_protocol
    from tina_framework.evaluation.evaluate import EvaluationRequest, open_context
    from tina_framework.plugin.discovery import registries
    from tina_framework.storage.files import read_json
    from tina_framework.storage.folders import CONFIG
    from tina_framework.testing import noise_dataset

    protocol = open_protocol(DEFAULT_PROTOCOL)
    known = registries()
    names = read_json(known.generators.target(protocol.generator) / CONFIG)["class_names"]
    request = EvaluationRequest(
        model=protocol.generator,
        dataset=noise_dataset(names),
        encoder=protocol.encoder,
        zoo=known.zoos.target(protocol.zoo),
        device="cpu",
    )
    return open_context(request)[0]
