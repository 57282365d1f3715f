"""Fine-tuning on a played GPU: no operation mixes devices, and the network is that of a CPU."""

from __future__ import annotations

import numpy as np
import torch

from tests.playing_device import DEVICE, PlayedDevice
from tina_framework.builtins.architectures.cnn_2layer import CNN2Layer, cnn_2layer
from tina_framework.classifier.classifier import GeneratedClassifier
from tina_framework.classifier.fine_tuning.settings import FineTuneSettings

PIXELS = np.random.default_rng(0).integers(0, 256, (12, 32, 32, 3), dtype=np.uint8)
LABELS = [k % 3 for k in range(12)]


def test_fine_tuning_on_a_gpu() -> None:
    torch.manual_seed(0)
    state = CNN2Layer(3).state_dict()
    settings = FineTuneSettings(steps=6, lr=0.02, flip=True, shift=0.1, shared=0.5, pull=1.0)
    tuned = GeneratedClassifier.from_state(cnn_2layer, ("a", "b", "c"), state, {}).fine_tune(
        PIXELS, LABELS, settings=settings, seed=4
    )
    with PlayedDevice() as played:
        classifier = GeneratedClassifier.from_state(cnn_2layer, ("a", "b", "c"), state, {}).to(DEVICE)
        with played.watching() as watched:
            found = classifier.fine_tune(PIXELS, LABELS, settings=settings, seed=4)
        print(watched.table())
        # In each step: flips, two shifts, and whether the loss is finite.
        assert len(watched.crossings) <= 4 * settings.steps + 20
        for ours, theirs in zip(found.network.parameters(), tuned.network.parameters(), strict=True):
            torch.testing.assert_close(ours.detach().cpu(), theirs.detach(), atol=1e-5, rtol=1e-4)
