from __future__ import annotations

import copy

import pytest
import torch
from torch import Tensor, nn

from tina_framework.builtins.architectures.cnn_2layer import CNN2Layer
from tina_framework.classifier.fine_tuning.loop import _batches, _shifted, fit
from tina_framework.classifier.fine_tuning.settings import FineTuneSettings
from tina_framework.errors import TrainingError

HEAD = ("fc.weight", "fc.bias")


@pytest.fixture
def network() -> CNN2Layer:
    torch.manual_seed(1)
    return CNN2Layer(2)


def pictures(count: int) -> tuple[Tensor, Tensor]:
    labels = torch.arange(count) % 2
    draws = torch.Generator().manual_seed(0)
    return torch.randn(count, 3, 32, 32, generator=draws) + labels.view(-1, 1, 1, 1) - 0.5, labels


def moved(before: nn.Module, after: nn.Module) -> dict[str, float]:
    """How far each tensor has gone, in units of its own size."""
    pairs = zip(before.named_parameters(), after.parameters(), strict=True)
    return {name: float(((b - a).norm() / a.norm()).detach()) for (name, a), b in pairs}


def test_it_learns(network: CNN2Layer) -> None:
    images, labels = pictures(20)
    fit(network, images, labels, HEAD, FineTuneSettings(60, 0.05))
    assert (network(images).argmax(1) == labels).float().mean() == 1
    assert not network.eval().training


def test_the_same_seed_gives_the_same_network_and_leaves_the_callers_draws_alone(network: CNN2Layer) -> None:
    images, labels = pictures(40)
    results = []
    for seed in (3, 3, 4):
        copied = copy.deepcopy(network)
        torch.manual_seed(9)
        fit(copied, images, labels, HEAD, FineTuneSettings(5, 0.05), seed=seed)
        results.append((copied.fc.weight.detach(), float(torch.rand(()))))
    assert torch.equal(results[0][0], results[1][0])
    assert not torch.equal(results[0][0], results[2][0])
    assert len({after for _, after in results}) == 1


def test_rows_alone(network: CNN2Layer) -> None:
    start = copy.deepcopy(network)
    fit(network, *pictures(10), HEAD, FineTuneSettings(5, 0.05, shared=0.0))
    found = moved(start, network)
    assert found["conv1.weight"] == found["conv2.weight"] == 0
    assert found["fc.weight"] > 0.01


def test_the_learning_rate_counts_in_units_of_each_tensor(network: CNN2Layer) -> None:
    with torch.no_grad():
        network.conv2.weight.mul_(10)
    start = copy.deepcopy(network)
    fit(network, *pictures(10), HEAD, FineTuneSettings(1, 0.02))
    found = moved(start, network)
    # Adam's first step has the size of the learning rate wherever there is a gradient.
    assert found["conv1.weight"] == pytest.approx(0.02, rel=0.1)
    assert found["conv2.weight"] == pytest.approx(0.02, rel=0.3)


def distance_moved(network: CNN2Layer, images: Tensor, labels: Tensor, pull: float, steps: int = 60) -> float:
    """How far the rows go."""
    copied = copy.deepcopy(network)
    fit(copied, images, labels, HEAD, FineTuneSettings(steps, 0.05, pull=pull))
    return moved(network, copied)["fc.weight"]


def test_the_pull_holds_back_and_many_pictures_overcome_it(network: CNN2Layer) -> None:
    few, many = pictures(10), tuple(torch.cat([part] * 20) for part in pictures(10))
    free, held = distance_moved(network, *few, pull=0.0), distance_moved(network, *few, pull=40.0)
    assert held < 0.3 * free
    assert distance_moved(network, *many, pull=40.0) > 1.5 * held


def test_with_a_pull_a_network_that_fits_hardly_changes(network: CNN2Layer) -> None:
    """Adam's steps do not shrink with the gradient; it is the pull that keeps a good network where it is."""
    images, labels = pictures(10)
    fit(network, images, labels, HEAD, FineTuneSettings(80, 0.05))
    fitting = distance_moved(network, images, labels, pull=400.0)
    assert fitting < 0.5 * distance_moved(network, images, 1 - labels, pull=400.0)


def test_every_class_weighs_the_same(network: CNN2Layer) -> None:
    """Thirty pictures of one class and one of the other, all alike: the answer has to stay undecided."""
    images = pictures(1)[0].expand(31, 3, 32, 32)
    labels = torch.tensor([0] * 30 + [1])
    fit(network, images, labels, HEAD, FineTuneSettings(40, 0.02, batch_size=31, flip=False, shift=0.0))
    with torch.no_grad():
        assert float(network(images[:1]).softmax(1)[0, 0]) == pytest.approx(0.5, abs=0.1)


def test_features_are_neither_shifted_nor_flipped_but_replaced_by_those_of_mirrored_pictures() -> None:
    seen: list[Tensor] = []

    class Watching(nn.Linear):
        def forward(self, input: Tensor) -> Tensor:
            seen.append(input)
            return super().forward(input)

    features, labels = torch.arange(12.0).view(4, 3), torch.tensor([0, 1, 0, 1])
    for mirrored in (None, -features):
        seen.clear()
        fit(
            Watching(3, 2),
            features,
            labels,
            ("weight", "bias"),
            FineTuneSettings(8, 0.1),
            pictures=False,
            mirrored=mirrored,
        )
        rows = torch.cat(seen)
        allowed = features if mirrored is None else torch.cat([features, mirrored])
        assert all(any(torch.equal(row, known) for known in allowed) for row in rows)
        assert bool((rows < 0).any()) == (mirrored is not None)


def test_shifts_repeat_the_edge() -> None:
    column = torch.arange(8.0).view(1, 1, 1, 8).expand(50, 1, 8, 8)
    moved_pictures = _shifted(column, 0.25, torch.Generator().manual_seed(0))
    firsts = {tuple(row) for row in moved_pictures[:, 0, 0].tolist()}
    assert firsts == {tuple(float(min(max(x + by, 0), 7)) for x in range(8)) for by in range(-2, 3)}
    assert torch.equal(moved_pictures[:, :, :1].expand_as(column), moved_pictures)


def test_batches_are_whole_passes_over_all_pictures() -> None:
    batches = _batches(10, FineTuneSettings(5, 0.1, batch_size=4), torch.Generator().manual_seed(0))
    assert [len(rows) for rows in batches] == [4] * 5
    rows = torch.cat(batches).tolist()
    assert sorted(rows[:10]) == sorted(rows[10:]) == list(range(10))


def test_progress_and_a_loss_that_is_not_finite(network: CNN2Layer) -> None:
    images, labels = pictures(4)
    steps: list[tuple[int, int]] = []
    fit(
        network,
        images,
        labels,
        HEAD,
        FineTuneSettings(3, 0.01),
        on_progress=lambda done, total: steps.append((done, total)),
    )
    assert steps == [(1, 3), (2, 3), (3, 3)]
    with pytest.raises(TrainingError, match="in step 1 of 3; lower the learning rate"):
        fit(network, images * float("inf"), labels, HEAD, FineTuneSettings(3, 0.01))
