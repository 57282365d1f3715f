"""Preprocessing, accuracy and the choice of a task's images, by hand."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from tina_framework.builtins.architectures.cnn_2layer import cnn_2layer
from tina_framework.errors import DataError
from tina_framework.interfaces.architecture import TargetArchitecture
from tina_framework.targets.accuracy import accuracy, logits, remap_labels
from tina_framework.targets.preprocess import Preprocessor


def test_remap_labels_keeps_the_tasks_order():
    indices, slots = remap_labels(torch.tensor([5, 1, 9, 1, 0, 5]), [5, 1])
    assert indices.tolist() == [0, 1, 3, 5]
    assert slots.tolist() == [0, 1, 1, 0]


def test_accuracy_counts():
    class FirstChannel(nn.Module):
        def forward(self, x):
            return x[:, :2, 0, 0]

    images = torch.zeros(4, 3, 2, 2)
    images[[0, 2], 1, 0, 0] = 1.0
    assert accuracy(FirstChannel(), images, torch.tensor([1, 0, 0, 0]), batch_size=3) == 0.75


def test_logits_leave_the_mode_alone():
    module = nn.Sequential(nn.Flatten(), nn.Dropout(0.9), nn.Linear(12, 2)).train()
    images = torch.ones(5, 3, 2, 2)
    assert torch.equal(logits(module, images), logits(module, images))
    assert module.training


def test_preprocess_values_and_refusals():
    images = np.zeros((2, 32, 32, 3), np.uint8)
    images[1] = 255
    out = Preprocessor(cnn_2layer)(images)
    assert out.shape == (2, 3, 32, 32)
    assert out[0].unique().tolist() == [-1.0]
    assert out[1].unique().tolist() == [1.0]
    with pytest.raises(DataError, match=r"takes \(N, 32, 32, 3\)"):
        Preprocessor(cnn_2layer)(np.zeros((2, 16, 16, 3), np.uint8))


def test_one_channel_is_luma():
    grey = TargetArchitecture("grey", cnn_2layer.build, (1, 32, 32), (0.0,), (1.0,))
    images = np.zeros((1, 32, 32, 3), np.uint8)
    images[..., 1] = 255
    assert float(Preprocessor(grey)(images)[0, 0, 0, 0]) == pytest.approx(0.587, abs=1e-4)
