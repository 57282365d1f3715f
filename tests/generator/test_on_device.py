"""Generating on a played GPU: no operation mixes devices, and a batch crosses a fixed number of times."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from tests.playing_device import DEVICE, PlayedDevice, on_device
from tina_framework.generator.generator import Generator

TASKS = [["ant", "bee", "cat"], ["dog", "eel", "fox"], ["cat", "dog", "ant"], ["gnu", "hen"]]


@pytest.mark.parametrize("scheduler", [None, "ddpm"])
def test_networks_of_a_gpu_are_those_of_a_cpu(tiny_folder: Path, scheduler: str | None) -> None:
    alone = Generator.from_pretrained(tiny_folder, device="cpu")
    expected = alone(TASKS, num_samples=2, seed=3, scheduler=scheduler)
    with PlayedDevice():
        generator = Generator.from_pretrained(tiny_folder, device=DEVICE)
        assert generator.device == DEVICE
        found = generator(TASKS, num_samples=2, seed=3, scheduler=scheduler)
        for ours, theirs in zip(itertools.chain(*found), itertools.chain(*expected), strict=True):
            for name, parameter in ours.network.named_parameters():
                assert on_device(parameter)
                other = dict(theirs.network.named_parameters())[name]
                torch.testing.assert_close(parameter.detach().cpu(), other.detach(), atol=1e-5, rtol=1e-4)


def test_pictures_are_classified_and_networks_composed_on_the_device(tiny_folder: Path, tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (6, 32, 32, 3), dtype=np.uint8)
    names = ["ant", "bee", "cat", "dog", "eel", "fox", "gnu", "hen", "ibis", "jay", "kite", "lion"]
    with PlayedDevice():
        generator = Generator.from_pretrained(tiny_folder, device=DEVICE)
        for compose in (True, "merge"):
            classifier = generator(names, compose=compose)
            assert classifier.predict_proba(pixels).shape == (6, 12)
            assert len(classifier.predict_topk(Image.fromarray(pixels[0]), k=2)[0]) == 2
        generator(names[:3]).save_pretrained(tmp_path / "classifier")
        generator.save_pretrained(tmp_path / "generator")


def test_a_batch_crosses_few_times(tiny_folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with PlayedDevice() as played:
        generator = Generator.from_pretrained(tiny_folder, device=DEVICE)
        generator(TASKS[:3])  # constant tables are uploaded at their first use
        with played.watching() as batch:
            generator(TASKS[:3])
    with capsys.disabled():
        print(f"\n{batch.operations} operations\n{batch.table()}")
    assert len(batch.crossings) <= 16
