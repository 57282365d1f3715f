"""Generation on a GPU gives the networks of the CPU, with rounding."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from tina_framework.generator.generator import Generator

CUDA = torch.device("cuda", 0)
TASKS = [["ant", "bee", "cat"], ["dog", "eel", "fox"], ["cat", "dog", "ant"], ["gnu", "hen"]]


@pytest.mark.parametrize("scheduler", [None, "ddpm"])
def test_networks_are_those_of_the_cpu(tiny_folder: Path, scheduler: str | None) -> None:
    expected = Generator.from_pretrained(tiny_folder, device="cpu")(TASKS, seed=3, scheduler=scheduler)
    found = Generator.from_pretrained(tiny_folder, device=CUDA)(TASKS, seed=3, scheduler=scheduler)
    for ours, theirs in zip(found, expected, strict=True):
        for mine, other in zip(ours.network.parameters(), theirs.network.parameters(), strict=True):
            assert mine.device.type == CUDA.type
            torch.testing.assert_close(mine.detach().cpu(), other.detach(), atol=1e-4, rtol=1e-3)


def test_the_shipped_generator_predicts_what_it_predicts_on_the_cpu() -> None:
    names = ["apple", "bear", "bicycle", "bus", "chair"]
    pixels = np.random.default_rng(0).integers(0, 256, (16, 32, 32, 3), dtype=np.uint8)
    expected = Generator.from_pretrained("cifar100-cnn", device="cpu")(names).predict_proba(pixels)
    found = Generator.from_pretrained("cifar100-cnn", device=CUDA)(names).predict_proba(pixels)
    torch.testing.assert_close(torch.as_tensor(found).cpu(), torch.as_tensor(expected), atol=1e-3, rtol=1e-2)


def test_a_batch_gives_what_single_calls_give(tiny_folder: Path) -> None:
    generator = Generator.from_pretrained(tiny_folder, device=CUDA)
    for task, together in zip(TASKS, generator(TASKS, seed=1), strict=True):
        alone = generator(task, seed=1)
        for mine, other in zip(together.network.parameters(), alone.network.parameters(), strict=True):
            torch.testing.assert_close(mine, other, atol=1e-4, rtol=1e-3)


def test_weights_in_bfloat16_go_to_the_device_in_half_their_size(tiny_folder: Path) -> None:
    whole = Generator.from_pretrained(tiny_folder, device=CUDA)
    half = Generator.from_pretrained(tiny_folder, device=CUDA, dtype="bfloat16")
    parameters = list(half.denoiser.parameters())
    assert {p.device.type for p in parameters} == {CUDA.type}
    assert {p.dtype for p in parameters} == {torch.bfloat16}
    one, two = (torch.cat([p.flatten() for p in g(TASKS[0], seed=2).network.parameters()]) for g in (whole, half))
    assert two.dtype == torch.float32
    assert float((one - two).detach().abs().mean()) < 0.1 * float(one.detach().abs().mean())


def test_pictures_in_any_memory_format_give_the_same_logits(tiny_folder: Path) -> None:
    network = Generator.from_pretrained(tiny_folder, device=CUDA)(TASKS[0]).network.eval()
    images = torch.randn(8, 3, 32, 32, generator=torch.Generator().manual_seed(0)).to(CUDA)
    with torch.no_grad():
        plain, other = network(images), network(images.contiguous(memory_format=torch.channels_last))
    torch.testing.assert_close(plain, other, atol=1e-4, rtol=1e-3)
