"""The encoder ``clip-lite-80``. The script ``examples/clip-lite/train_image.py`` trained its image tower."""

from __future__ import annotations

from importlib import resources
from pathlib import Path

from tina_framework.builtins.encoders.clip_lite import CLIPLite

__all__ = ["CLIPLite80"]


class CLIPLite80(CLIPLite):
    """The text tower of ``clip-lite``, and an image tower trained on the eighty CIFAR-100 classes of ``cifar80-cnn``.

    The text tower is not repeated in this package. `CLIPLite` takes its own, provided that its hash is the recorded one.
    """

    def __init__(self) -> None:
        folder = Path(str(resources.files("tina_cifar80"))) / "pretrained" / "clip-lite-80"
        super().__init__(folder, "clip-lite-80")
