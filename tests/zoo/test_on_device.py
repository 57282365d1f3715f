"""Building a zoo on a played GPU, and the code of a GPU on the CPU."""

from __future__ import annotations

import torch

from tests.playing_device import DEVICE, PlayedDevice
from tina_framework.targets.device import FORCE_BATCHED_VARIABLE
from tina_framework.zoo.store import Zoo


def close(one: Zoo, two: Zoo) -> None:
    assert [entry.classes for entry in one.entries] == [entry.classes for entry in two.entries]
    for name, tensor in one.generic.items():
        torch.testing.assert_close(tensor, two.generic[name], atol=1e-5, rtol=0)
    for entry, other in zip(one.entries, two.entries, strict=True):
        torch.testing.assert_close(one.flat(entry.id), two.flat(other.id), atol=1e-5, rtol=0)
        assert entry.validation_accuracy == other.validation_accuracy
        assert entry.selection_accuracy == other.selection_accuracy


def test_a_zoo_of_a_gpu_is_that_of_a_cpu_and_nothing_mixes_devices(tmp_path, build, zoo_folder):
    with PlayedDevice() as played:
        assert build(tmp_path / "zoo", device=DEVICE) == 5
    assert played.device_operations > 0
    close(Zoo.open(tmp_path / "zoo"), Zoo.open(zoo_folder))


def test_the_code_of_a_gpu_builds_the_same_zoo_on_a_cpu(tmp_path, build, zoo_folder, monkeypatch):
    monkeypatch.setenv(FORCE_BATCHED_VARIABLE, "1")
    assert build(tmp_path / "zoo") == 5
    close(Zoo.open(tmp_path / "zoo"), Zoo.open(zoo_folder))
