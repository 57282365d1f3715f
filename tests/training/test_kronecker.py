"""Kronecker factors of the Fisher information, against direct computations."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from tina_framework.builtins.architectures.cnn_2layer import cnn_2layer
from tina_framework.interfaces.architecture import TargetArchitecture
from tina_framework.interfaces.spec import ParameterSpec
from tina_framework.training.kronecker import fit_whitening, inverse_root

SPEC = ParameterSpec(cnn_2layer)
GENERIC = {p.name: 0.2 * torch.randn(p.shape, generator=torch.Generator().manual_seed(3)) for p in SPEC.parameters(6)}


def draw(number: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(number)
    rows = torch.randperm(6, generator=generator)[: 2 + number % 3]
    images = torch.randn(12, 3, 32, 32, generator=generator)
    return rows, images, torch.randint(len(rows), (12,), generator=generator)


def test_the_root_of_a_matrix() -> None:
    random = torch.randn(5, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    matrix = random @ random.T
    root = inverse_root(matrix, 0.1).double()
    damped = matrix + 0.1 * matrix.trace() / 5 * torch.eye(5, dtype=torch.float64)
    product = root @ damped @ root
    torch.testing.assert_close(product / product[0, 0], torch.eye(5, dtype=torch.float64), atol=1e-5, rtol=1e-5)
    assert float((root @ root).trace() / 5) == pytest.approx(1.0, rel=1e-5)


def test_the_factors_of_a_convolution() -> None:
    """The input's factor, computed from all patches by hand, for one task."""
    found = fit_whitening(SPEC, GENERIC, draw, 1, 0.05)
    assert found is not None
    _, images, _ = draw(0)
    patches = F.unfold(images, 3, padding=1, stride=2).transpose(1, 2).reshape(-1, 27).double()
    expected = inverse_root(patches.T @ patches, 0.05)
    torch.testing.assert_close(found.factors["right.conv1.weight"], expected, atol=1e-4, rtol=1e-4)


def test_the_factor_of_the_derivatives() -> None:
    """The output's factor, from derivatives by the outputs that autograd gives."""
    found = fit_whitening(SPEC, GENERIC, draw, 1, 0.05)
    rows, images, labels = draw(0)
    outputs = F.conv2d(images, GENERIC["conv1.weight"], stride=2, padding=1).requires_grad_(True)
    hidden = F.relu(F.conv2d(F.relu(outputs), GENERIC["conv2.weight"], padding=1)).mean((2, 3))
    logits = hidden @ GENERIC["fc.weight"][rows].T + GENERIC["fc.bias"][rows]
    (gradient,) = torch.autograd.grad(F.cross_entropy(logits, labels, reduction="sum"), outputs)
    by_channel = gradient.transpose(0, 1).flatten(1).double()
    assert found is not None
    expected = inverse_root(by_channel @ by_channel.T, 0.05)
    torch.testing.assert_close(found.factors["left.conv1.weight"], expected, atol=1e-3, rtol=1e-3)


def test_all_tasks_count_whatever_their_number_of_classes() -> None:
    one, three = (fit_whitening(SPEC, GENERIC, draw, tasks, 0.05) for tasks in (1, 3))
    assert one is not None
    assert three is not None
    assert one.names == three.names == ("conv1.weight", "conv2.weight", "fc.weight")
    assert not torch.allclose(one.factors["right.fc.weight"], three.factors["right.fc.weight"])


class Grouped(nn.Module):
    """A layer with groups, and one that is wider than a factor may be."""

    def __init__(self, num_classes: int) -> None:
        super().__init__()
        self.depthwise = nn.Conv2d(3, 3, 3, groups=3)
        self.fc = nn.Linear(3 * 30 * 30, num_classes)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        logits: torch.Tensor = self.fc(self.depthwise(images).flatten(1))
        return logits


def test_layers_without_factors() -> None:
    spec = ParameterSpec(TargetArchitecture(name="grouped", build=Grouped, input_shape=(3, 32, 32)))
    generic = {p.name: 0.1 * torch.randn(p.shape) for p in spec.parameters(6)}
    assert fit_whitening(spec, generic, draw, 2, 0.05) is None


@pytest.mark.parametrize("padding", ["same", "valid", 1])
def test_padding_by_name(padding: str | int) -> None:
    class Padded(nn.Module):
        def __init__(self, num_classes: int) -> None:
            super().__init__()
            self.conv = nn.Conv2d(3, 4, 3, padding=padding)
            self.fc = nn.Linear(4, num_classes)

        def forward(self, images: torch.Tensor) -> torch.Tensor:
            logits: torch.Tensor = self.fc(F.relu(self.conv(images)).mean((2, 3)))
            return logits

    spec = ParameterSpec(TargetArchitecture(name="padded", build=Padded, input_shape=(3, 32, 32)))
    generic = {p.name: 0.1 * torch.randn(p.shape) for p in spec.parameters(6)}
    found = fit_whitening(spec, generic, draw, 1, 0.05)
    assert found is not None
    amount = {"same": 1, "valid": 0}.get(str(padding), 1)
    patches = F.unfold(draw(0)[1], 3, padding=amount).transpose(1, 2).reshape(-1, 27).double()
    torch.testing.assert_close(
        found.factors["right.conv.weight"], inverse_root(patches.T @ patches, 0.05), atol=1e-4, rtol=1e-4
    )


def test_dropout_is_off_and_the_random_state_stays() -> None:
    class Dropping(nn.Module):
        def __init__(self, count: int) -> None:
            super().__init__()
            self.fc = nn.Linear(3, count)

        def forward(self, images: torch.Tensor) -> torch.Tensor:
            logits: torch.Tensor = self.fc(F.dropout(images.mean((2, 3)), 0.9, self.training))
            return logits

    spec = ParameterSpec(TargetArchitecture(name="dropping", build=Dropping, input_shape=(3, 32, 32)))
    generic = {p.name: 0.1 * torch.randn(p.shape) for p in spec.parameters(6)}
    before = torch.get_rng_state()
    found = [fit_whitening(spec, generic, draw, 1, 0.05) for _ in range(2)]
    assert torch.equal(torch.get_rng_state(), before)
    inputs = draw(0)[1].mean((2, 3)).double()
    expected = inverse_root(inputs.T @ inputs, 0.05)
    for whitening in found:
        assert whitening is not None
        torch.testing.assert_close(whitening.factors["right.fc.weight"], expected, atol=1e-4, rtol=1e-4)
