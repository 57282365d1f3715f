"""Standardised differences: exact inverse, the meaning of zero, refusal of altered files."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from tina_framework.builtins.architectures.cnn_2layer import cnn_2layer
from tina_framework.denoiser.normalizer import Normalizer
from tina_framework.errors import CheckpointError
from tina_framework.interfaces.architecture import TargetArchitecture
from tina_framework.interfaces.spec import ParameterSpec

SPEC = ParameterSpec(cnn_2layer)


def random_state(num_classes, seed):
    generator = torch.Generator().manual_seed(seed)
    return {p.name: torch.randn(p.shape, generator=generator) for p in SPEC.parameters(num_classes)}


def read(*states):
    """A reader for each state, as a zoo has one for each part of a shard."""
    counts = [len(state["fc.bias"]) for state in states]
    models = [(SPEC.flatten(state, count), count) for state, count in zip(states, counts, strict=True)]
    return [lambda model=model: [model] for model in models]


@pytest.mark.parametrize("num_classes", [2, 7, 10])
def test_inverse(num_classes):
    normalizer = Normalizer.fit(SPEC, random_state(20, 0), read(random_state(num_classes, 1)))
    flat = torch.randn(3, SPEC.num_parameters(num_classes))
    back = normalizer.denormalize(normalizer.normalize(flat, num_classes), num_classes)
    torch.testing.assert_close(back, flat, atol=1e-5, rtol=1e-5)


def test_tables_are_kept_for_each_class_count_and_type_and_are_not_shared():
    normalizer = Normalizer.fit(SPEC, random_state(20, 0), read(random_state(7, 1)))
    for count in (2, 3, 2):
        for dtype in (torch.float32, torch.float64):
            zero = torch.zeros(SPEC.num_parameters(count), dtype=dtype)
            result = normalizer.denormalize(zero, count)
            assert result.dtype == dtype
            assert torch.equal(result.float(), normalizer.base_flat(count))
            result += 1.0
            normalizer.base_flat(count).zero_()
            normalizer.scale_flat(count).zero_()
            assert torch.equal(normalizer.denormalize(zero, count).float(), normalizer.base_flat(count))


def test_tables_first_made_under_inference_mode_work_in_training():
    normalizer = Normalizer.fit(SPEC, random_state(20, 0))
    with torch.inference_mode():
        normalizer.denormalize(torch.zeros(SPEC.num_parameters(2)), 2)
    flat = torch.randn(SPEC.num_parameters(2), requires_grad=True)
    normalizer.denormalize(flat, 2).sum().backward()
    torch.testing.assert_close(flat.grad, normalizer.scale_flat(2))


def test_zero_is_the_generic_network_with_the_average_row():
    generic = random_state(20, 0)
    normalizer = Normalizer.fit(SPEC, generic)
    state = SPEC.unflatten(normalizer.denormalize(torch.zeros(SPEC.num_parameters(4)), 4), 4)
    assert torch.equal(state["conv2.weight"], generic["conv2.weight"])
    torch.testing.assert_close(state["fc.weight"], generic["fc.weight"].mean(0, keepdim=True).expand(4, 32))


def test_scale_is_the_spread_over_the_zoo():
    generic = random_state(20, 0)
    moved = {n: t.clone() for n, t in SPEC.select_classes(generic, torch.arange(5)).items()}
    moved["conv1.weight"] += 0.25
    normalizer = Normalizer.fit(SPEC, generic, read(moved, moved))
    assert float(normalizer.scale["conv1.weight"]) == pytest.approx(0.25, rel=1e-5)
    standard = SPEC.unflatten(normalizer.normalize(SPEC.flatten(moved, 5), 5), 5)
    torch.testing.assert_close(standard["conv1.weight"], torch.ones(16, 3, 3, 3))


def test_round_trip_through_tensors_and_checks():
    normalizer = Normalizer.fit(SPEC, random_state(20, 0), read(random_state(5, 1)))
    tensors = normalizer.state_dict()
    again = Normalizer.from_tensors(SPEC, tensors)
    assert torch.equal(again.base_flat(7), normalizer.base_flat(7))
    with pytest.raises(CheckpointError, match=r"lacks scale\.fc\.bias"):
        Normalizer.from_tensors(SPEC, {n: t for n, t in tensors.items() if n != "scale.fc.bias"})
    with pytest.raises(CheckpointError, match="not finite"):
        Normalizer.from_tensors(SPEC, tensors | {"base.fc.bias": torch.tensor([float("nan")])})


def test_one_scale_for_all_is_the_root_mean_square_over_all_parameters() -> None:
    base, states = random_state(20, 0), [random_state(5, 1), random_state(7, 2)]
    one = Normalizer.fit(SPEC, base, read(*states), per_tensor=False)
    (scale,) = {float(scale) for scale in one.scale.values()}
    flats = [SPEC.flatten(state, count) - one.base_flat(count) for state, count in zip(states, (5, 7), strict=True)]
    assert scale == pytest.approx(float(torch.cat(flats).square().mean().sqrt()), rel=1e-5)


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("size", [1, 3, 64])
def test_blocks_round_as_one_model_after_the_other(size, threads):
    generic = random_state(20, 0)
    states = [random_state((4, 6, 10)[i % 3], 100 + i) for i in range(70)]
    base = Normalizer.fit(SPEC, generic).base
    expected = {name: torch.zeros(()) for name in base}
    for state in states:
        for name in base:
            expected[name] += (state[name] - base[name]).square().sum()
    models = [reader()[0] for reader in read(*states)]
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        parts = [models[i : i + size] for i in range(0, len(models), size)]
        found = Normalizer.fit(SPEC, generic, [lambda part=part: part for part in parts])
    finally:
        torch.set_num_threads(before)
    for name, axis in SPEC.class_axes.items():
        number = sum(state[name].numel() for state in states)
        assert torch.equal(found.scale[name], (expected[name] / number).sqrt()), (name, axis)


def test_a_tensor_of_one_number_has_a_scale_without_a_zoo() -> None:
    def build(num_classes: int) -> nn.Module:
        return nn.Sequential(nn.Conv2d(3, 4, 1), nn.PReLU(), nn.Flatten(), nn.Linear(4, num_classes))

    spec = ParameterSpec(TargetArchitecture("prelu", build))
    normalizer = Normalizer.fit(spec, build(6).state_dict(), default_scale=0.5)
    assert normalizer.scale["1.weight"] == 0.125  # half of its first value
    assert all(scale.isfinite() and scale > 0 for scale in normalizer.scale.values())
