"""Generating on a played GPU: no operation mixes devices, and a batch crosses a fixed number of times."""

from __future__ import annotations

import itertools
from collections import Counter
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


CROSSINGS = {
    "generator/batching.py": 2,  # up: the conditioning vectors; down: whether each network is finite
    "generator/sampling.py": 3,  # up: the noise, the timesteps, the noise levels of the scheduler
    "interfaces/spec.py": 1,  # up: the order of the classes of each network
}
"""Module -> crossings of a batch, however many networks and steps it has. A scheduler that adds noise uploads it in each step."""


@pytest.mark.parametrize("steps", [2, 6])
@pytest.mark.parametrize("tasks", [1, 3])
def test_the_crossings_of_a_batch_do_not_depend_on_its_size(tiny_folder: Path, tasks: int, steps: int) -> None:
    with PlayedDevice() as played:
        generator = Generator.from_pretrained(tiny_folder, device=DEVICE)
        generator(TASKS[:tasks], num_inference_steps=steps)  # constant tables are uploaded at their first use
        with played.watching() as batch:
            generator(TASKS[:tasks], num_inference_steps=steps)
    found = Counter(crossing.where.split(":")[0] for crossing in batch.crossings)
    assert found == CROSSINGS, f"\n{batch.table()}"
