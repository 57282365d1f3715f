"""The names that this package adds to tina_framework. Every command loads this module, so it imports nothing heavy."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tina_framework import hookimpl

if TYPE_CHECKING:
    from tina_framework import Registrar

TINA_API = "2.0"


@hookimpl
def tina_register(registry: Registrar) -> None:
    registry.encoders.add("clip-lite-80", "tina_cifar80.encoder:CLIPLite80")
    registry.generators.add("cifar80-cnn", "tina_cifar80:pretrained/cifar80-cnn")
    registry.zoos.add("cifar80-zoo", "tina_cifar80:pretrained/cifar80-zoo")
