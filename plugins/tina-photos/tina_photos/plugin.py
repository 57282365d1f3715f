"""The names that this package adds to tina_framework. Every command loads this module, so it imports nothing heavy."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tina_framework import hookimpl

if TYPE_CHECKING:
    from tina_framework import Registrar

TINA_API = "2.1"


@hookimpl
def tina_register(registry: Registrar) -> None:
    # Strings, so that a network is imported only when its name is used.
    registry.generators.add("photos", "tina_photos:pretrained/photos")
    registry.architectures.add("photo-head", "tina_photos.architecture:photo_head")
    registry.encoders.add("photo-words", "tina_photos.words.encoder:PhotoWords")
