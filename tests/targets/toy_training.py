"""What the tests of SGD share: a problem that a small network learns, and its first weights."""

from __future__ import annotations

import torch

from tina_framework.builtins.architectures.cnn_2layer import cnn_2layer
from tina_framework.interfaces.spec import ParameterSpec

SPEC = ParameterSpec(cnn_2layer)


def problem(count=70, classes=3, seed=0):
    generator = torch.Generator().manual_seed(seed)
    labels = torch.arange(count) % classes
    images = torch.randn(count, 3, 32, 32, generator=generator) * 0.3
    images[:, 0] += labels.view(-1, 1, 1) - 1.0
    return images, labels


def start(classes=3, seed=1):
    torch.manual_seed(seed)
    return cnn_2layer.build(classes)


def flat(module):
    return SPEC.flatten(dict(module.named_parameters()), 3).detach()
