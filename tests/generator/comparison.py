"""Compare generated classifiers."""

from __future__ import annotations

import torch
from torch import Tensor

from tina_framework.classifier.classifier import GeneratedClassifier


def state_of(model: GeneratedClassifier) -> dict[str, Tensor]:
    """Return the tensors of a classifier's network."""
    return dict(model.network.state_dict())


def assert_same(one: GeneratedClassifier, other: GeneratedClassifier) -> None:
    """Check that two classifiers are the same network, up to rounding and the order of the classes."""
    assert set(one.class_names) == set(other.class_names)
    order = [other.class_names.index(name) for name in one.class_names]
    for name, tensor in state_of(one).items():
        counterpart = state_of(other)[name]
        torch.testing.assert_close(
            tensor, counterpart[order] if name.startswith("fc") else counterpart, atol=1e-5, rtol=1e-4
        )


def assert_differ(one: GeneratedClassifier, other: GeneratedClassifier) -> None:
    """Check that some parameter differs by more than rounding."""
    assert max(float((a - state_of(other)[n]).abs().max()) for n, a in state_of(one).items()) > 1e-3
