from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch

from tina_framework.errors import ConfigError, DataError
from tina_framework.interfaces.randomness import generator_at
from tina_framework.interfaces.spec import ParameterSpec
from tina_framework.plugin.discovery import registries
from tina_framework.training.data import ConditionBank, TrainingImages
from tina_framework.zoo.image_bank import load_split

TASK = ("cat", "ant", "lion")


@pytest.fixture
def bank(world: Path) -> TrainingImages:
    dataset = registries().datasets.create(f"arrays:{world / 'data.npz'}")
    return TrainingImages(dataset, "train", ParameterSpec(registries().architectures.create("cnn-2layer")))


@pytest.fixture
def conditions(world: Path) -> ConditionBank:
    names = np.load(world / "table.npz")["names"].tolist()
    return ConditionBank(names, [f"embedding-table:{world / 'table.npz'}"], names[:10])


def test_both_parts_of_the_training_images(world: Path) -> None:
    dataset = registries().datasets.create(f"arrays:{world / 'data.npz'}")
    both = load_split(dataset, "train+validation")
    assert len(both) == 240
    assert Counter(both.labels.tolist()) == dict.fromkeys(range(12), 20)


def test_drawn_images_are_balanced_and_of_their_class(bank: TrainingImages) -> None:
    rows, flips, slots = bank.draw(TASK, 20, generator_at(0, "x", 0))
    assert sorted(Counter(slots.tolist()).values()) == [6, 7, 7]
    assert 0 < int(flips.sum()) < 20
    for row, slot in zip(rows, slots, strict=True):
        assert int(row) in bank.indices_of(TASK[slot]).tolist()


def test_take_mirrors_where_asked(bank: TrainingImages) -> None:
    plain, mirrored = bank.take(torch.tensor([3, 3]), torch.tensor([False, True]))
    assert torch.equal(plain, bank.images[3])
    assert torch.equal(mirrored, plain.flip(2))
    assert not torch.equal(mirrored, plain)


def test_half_precision_is_what_autocast_would_make_of_a_batch(world: Path, bank: TrainingImages) -> None:
    dataset = registries().datasets.create(f"arrays:{world / 'data.npz'}")
    spec = ParameterSpec(registries().architectures.create("cnn-2layer"))
    half = TrainingImages(dataset, "train", spec, dtype=torch.bfloat16)
    rows, flips = torch.tensor([3, 100]), torch.tensor([True, False])
    assert half.fingerprint == bank.fingerprint
    assert torch.equal(half.take(rows, flips), bank.take(rows, flips).bfloat16())


def test_all_images_of_a_task(bank: TrainingImages) -> None:
    rows, slots = bank.rows(TASK)
    assert len(rows) == 54
    for row, slot in zip(rows, slots, strict=True):
        assert bank.class_names[int(bank.labels[row])] == TASK[slot]
    with pytest.raises(DataError, match="no class 'unicorn'"):
        bank.rows(("cat", "unicorn"))
    with pytest.raises(DataError, match="no class 'unicorn'"):
        bank.indices_of("unicorn")


def test_the_fingerprint_sees_one_pixel(world: Path) -> None:
    dataset = registries().datasets.create(f"arrays:{world / 'data.npz'}")
    spec = ParameterSpec(registries().architectures.create("cnn-2layer"))
    before = TrainingImages(dataset, "train", spec).fingerprint
    dataset.load("train").images[5, 0, 0, 0] ^= 1
    assert TrainingImages(dataset, "train", spec).fingerprint != before


def test_conditions_are_centred_on_the_classes_trained_on(conditions: ConditionBank) -> None:
    assert conditions.unit_VKE.shape == (2, 12, 16)
    fitted = torch.cat([conditions.of(conditions.class_names[:10], template) for template in (0, 1)])
    torch.testing.assert_close(fitted.mean(0), torch.zeros(16), atol=1e-5, rtol=0)
    assert float(fitted.norm(dim=1).mean()) == pytest.approx(4.0, abs=1e-4)  # sqrt(E)


def test_without_mixing_every_class_gets_one_template(conditions: ConditionBank) -> None:
    drawn = conditions.draw(TASK * 1, generator_at(0, "c", 1), mixing=False, noise=0.0)
    choices = torch.stack([conditions.of(TASK, template) for template in (0, 1)])
    distance = (drawn - choices).norm(dim=2).min(dim=0).values
    torch.testing.assert_close(distance, torch.zeros(3), atol=1e-4, rtol=0)


def test_mixing_draws_points_between_templates(conditions: ConditionBank) -> None:
    between = 0
    choices = torch.stack([conditions.of(TASK, template) for template in (0, 1)])
    for i in range(40):
        drawn = conditions.draw(TASK, generator_at(0, "c", i), mixing=True, noise=0.0)
        between += int(((drawn - choices).norm(dim=2).min(dim=0).values > 1e-3).sum())
    assert 35 < between < 85  # half of 120


def test_a_class_keeps_its_vector_if_all_shares_are_drawn_as_zero(
    world: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = np.load(world / "table.npz")
    np.savez(
        tmp_path / "one.npz", names=table["names"], vectors=np.random.default_rng(1).normal(size=(12, 16)), space="x"
    )
    names = table["names"].tolist()
    conditions = ConditionBank(names, [f"embedding-table:{tmp_path / 'one.npz'}"], names)
    monkeypatch.setattr(torch, "rand", lambda *size, **options: torch.zeros(*size))  # one draw in 16 million is zero
    drawn = conditions.draw(TASK, generator_at(0, "c", 1), mixing=True, noise=0.0)
    torch.testing.assert_close(drawn, conditions.of(TASK))


def test_noise_has_the_length_asked_for(conditions: ConditionBank) -> None:
    ratios = []
    for i in range(60):
        clean = conditions.draw(TASK, generator_at(0, "c", i), mixing=True, noise=0.0)
        noisy = conditions.draw(TASK, generator_at(0, "c", i), mixing=True, noise=0.3)
        ratios.append((noisy - clean).norm(dim=1) / clean.norm(dim=1))
    assert float(torch.cat(ratios).mean()) == pytest.approx(0.3, rel=0.1)


def test_encoders_of_two_spaces_are_refused(world: Path, tmp_path: Path) -> None:
    names = np.load(world / "table.npz")["names"]
    np.savez(tmp_path / "other.npz", names=names, vectors=np.random.default_rng(1).normal(size=(12, 16)), space="other")
    specs = [f"embedding-table:{world / 'table.npz'}", f"embedding-table:{tmp_path / 'other.npz'}"]
    with pytest.raises(ConfigError, match=r"different embedding spaces: .*toy, 16 wide.*other, 16 wide"):
        ConditionBank(names.tolist(), specs, names.tolist())


def test_left_out_classes_get_rows_as_if_never_seen(conditions: ConditionBank) -> None:
    names = conditions.class_names[:10]

    def drawn(unseen: list[int], noise: float = 0.0) -> torch.Tensor:
        return conditions.draw(
            names[:3], generator_at(0, "x", 0), mixing=False, noise=0.0, unseen=unseen, unseen_noise=noise
        )

    plain, noisy = drawn([]), drawn([1], 0.5)
    assert torch.equal(noisy[[0, 2]], plain[[0, 2]])
    assert not torch.equal(noisy[1], plain[1])
    conditions.enable_row_retrieval(names, torch.randn(10, 6, generator=torch.Generator().manual_seed(0)))
    retrieval = conditions.space.row_retrieval
    assert retrieval is not None
    assert conditions.width == 16 + 7
    mask = torch.zeros(3, 10, dtype=torch.bool)
    torch.testing.assert_close(drawn([]), retrieval.append_rows(plain))
    mask[:, 1] = True
    torch.testing.assert_close(drawn([1]), retrieval.append_rows(plain, mask))
    torch.testing.assert_close(drawn([1], 0.5), retrieval.append_rows(noisy, mask))
    assert float(drawn([])[1, 16]) < float(drawn([1])[1, 16])  # how strange it is
