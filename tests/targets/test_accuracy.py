"""Accuracy, and the choice of a task's images, by hand."""

from __future__ import annotations

import torch
from torch import nn

from tina_framework.targets.accuracy import accuracy, logits, remap_labels


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
