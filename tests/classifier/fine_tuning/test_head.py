"""Heads on a trunk: which networks count as one, and what the fit does."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from tina_framework.classifier.fine_tuning.head import Head, find_head, fit_head
from tina_framework.classifier.fine_tuning.settings import HeadSettings

NAMES = ("weight", "bias")
WIDTH = 24


class Cosine(nn.Linear):
    """Logits 20 cos(x, w) + b."""

    def forward(self, input: Tensor) -> Tensor:
        return 20 * F.normalize(input, dim=1) @ F.normalize(self.weight, dim=1).T + self.bias


class Squared(nn.Linear):
    def forward(self, input: Tensor) -> Tensor:
        return super().forward(input).square()


def photographs(per_class: int, classes: int = 4, noise: float = 0.4, seed: int = 0) -> tuple[Tensor, Tensor, Tensor]:
    """Features of noisy pictures, labels, and the direction of each class. All features share a large part."""
    directions = torch.eye(WIDTH)[:classes]
    labels = torch.arange(classes).repeat_interleave(per_class)
    draws = torch.Generator().manual_seed(seed)
    noisy = 1.5 + directions[labels] + noise * torch.randn(len(labels), WIDTH, generator=draws)
    return noisy, labels, directions


def head_with(kind: type[nn.Linear], rows: Tensor) -> nn.Linear:
    network = kind(WIDTH, len(rows))
    with torch.no_grad():
        network.weight.copy_(rows)
        network.bias.zero_()
    return network


def accuracy(network: nn.Module, classes: int = 4, seed: int = 99) -> float:
    features, labels, _ = photographs(100, classes, seed=seed)
    return float((network(features).argmax(dim=1) == labels).double().mean())


def fitted(network: nn.Linear, features: Tensor, labels: Tensor, settings: HeadSettings | None = None) -> nn.Linear:
    head = find_head(network, NAMES)
    assert head is not None
    fit_head(network, head, features, labels, settings or HeadSettings())
    return network


def test_linear_and_cosine_heads_are_told_apart() -> None:
    rows = torch.randn(4, WIDTH, generator=torch.Generator().manual_seed(0))
    assert find_head(head_with(nn.Linear, rows), NAMES) == Head("weight", "bias", None)
    found = find_head(head_with(Cosine, 0.01 * rows), NAMES)
    assert found is not None
    assert found.scale == pytest.approx(20.0, rel=1e-4)


def test_other_networks_are_no_heads() -> None:
    rows = torch.ones(4, WIDTH)
    assert find_head(head_with(Squared, rows), NAMES) is None
    assert find_head(nn.Linear(WIDTH, 4, bias=False), ["weight"]) is None
    assert find_head(head_with(nn.Linear, rows), ["weight"]) is None  # the bias is shared by all classes
    layers = nn.Sequential(nn.Linear(WIDTH, 4), nn.Linear(4, 4))
    assert find_head(layers, [name for name, _ in layers.named_parameters()]) is None


@pytest.mark.parametrize("kind", [nn.Linear, Cosine])
@pytest.mark.parametrize("per_class", [1, 2, 5])
def test_name_and_pictures_are_better_than_either_alone(kind: type[nn.Linear], per_class: int) -> None:
    features, labels, directions = photographs(per_class)
    guess = directions + 0.25 * torch.randn(4, WIDTH, generator=torch.Generator().manual_seed(3))
    alone = head_with(kind, guess)
    both = fitted(head_with(kind, guess), features, labels)
    pictures = fitted(head_with(kind, guess), features, labels, HeadSettings(start=0.0))
    assert accuracy(both) > accuracy(alone)
    assert accuracy(both) > accuracy(pictures)


def test_many_pictures_correct_wrong_rows() -> None:
    features, labels, directions = photographs(60)
    network = fitted(head_with(Cosine, directions.roll(1, dims=0)), features, labels)
    assert accuracy(network) > 0.8


def test_the_solution_is_the_same_for_any_order_and_number_of_steps() -> None:
    features, labels, directions = photographs(3)
    order = torch.randperm(len(labels), generator=torch.Generator().manual_seed(1))
    first = fitted(head_with(Cosine, directions), features, labels)
    other = fitted(head_with(Cosine, directions), features[order], labels[order], HeadSettings(steps=400))
    torch.testing.assert_close(first.weight, other.weight, atol=1e-3, rtol=0)
    again = fitted(head_with(Cosine, directions), features, labels)
    assert torch.equal(first.weight, again.weight)
    torch.testing.assert_close(first.weight.norm(dim=1), directions.norm(dim=1))


def test_more_pictures_than_features_and_unequal_counts() -> None:
    features, labels, directions = photographs(40)
    kept = torch.cat([torch.arange(3), torch.arange(40, 160)])  # three pictures of the first class
    network = fitted(head_with(nn.Linear, directions), features[kept], labels[kept])
    shown, labels, _ = photographs(100, seed=99)
    right = (network(shown).argmax(dim=1) == labels).double()
    assert right.mean() > 0.75
    assert right[:100].mean() > 0.3  # the class with three pictures is not given up


def test_classes_without_pictures_keep_their_rows_and_are_still_named() -> None:
    features, labels, directions = photographs(5)
    kept = labels < 3
    guess = directions + 0.25 * torch.randn(4, WIDTH, generator=torch.Generator().manual_seed(3))
    network = fitted(head_with(Cosine, guess), features[kept], labels[kept])
    assert torch.equal(network.weight[3], guess[3])
    shown, labels, _ = photographs(100, seed=99)
    right = (network(shown).argmax(dim=1) == labels).double()
    assert right[300:].mean() > 0.5
    assert right.mean() > accuracy(head_with(Cosine, guess)) + 0.05


def test_one_class_and_rows_of_zeros_are_finite() -> None:
    features, labels, _ = photographs(2, classes=1)
    for rows in (torch.ones(1, WIDTH), torch.zeros(1, WIDTH)):
        network = fitted(head_with(nn.Linear, rows), features, labels)
        assert bool(network.weight.isfinite().all() & network.bias.isfinite().all())
    equal = torch.ones(4, WIDTH)
    network = fitted(head_with(Cosine, torch.eye(WIDTH)[:4]), equal, torch.arange(4))
    assert bool(network.weight.isfinite().all() & network.bias.isfinite().all())


def test_progress_counts_every_step() -> None:
    features, labels, directions = photographs(2)
    network = head_with(Cosine, directions)
    seen: list[tuple[int, int]] = []
    fit_head(
        network,
        Head("weight", "bias", 20.0),
        features,
        labels,
        HeadSettings(steps=25),
        lambda done, total: seen.append((done, total)),
    )
    assert seen == [(done, 25) for done in range(1, 26)]
