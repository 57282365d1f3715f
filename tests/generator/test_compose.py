"""Composing: how classes are grouped, and what an ensemble and a merged network consist of."""

from __future__ import annotations

from collections import Counter

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tina_framework.errors import ConfigError, PromptError
from tina_framework.generator.compose import GROUPINGS, draw_groups, merge_networks
from tina_framework.generator.generator import Generator
from tina_framework.generator.options import ComposeMethod, SamplingOptions
from tina_framework.interfaces.spec import ParameterSpec
from tina_framework.plugin.discovery import registries
from tina_framework.prompts.encoded_task import encode_task
from tina_framework.targets.ensemble import Ensemble

NAMES = [f"animal {k}" for k in range(23)]
PICTURES = torch.randn(4, 3, 32, 32, generator=torch.Generator().manual_seed(0))


@given(st.integers(2, 12), st.integers(0, 40), st.integers(1, 4), st.integers(), st.randoms(use_true_random=False))
def test_groups_are_full_cover_all_classes_and_do_not_depend_on_the_order(size, more, groupings, seed, rng) -> None:  # type: ignore[no-untyped-def]
    keys = [f"key {k}" for k in range(size + more)]
    groups = draw_groups(keys, size, groupings, seed)
    windows = -(-len(keys) // size)
    assert len(groups) == windows * groupings
    assert all(len(set(group)) == size for group in groups)
    for number in range(groupings):
        held = Counter(k for group in groups[number * windows : (number + 1) * windows] for k in group)
        assert set(held) == set(range(len(keys)))
        assert max(held.values()) <= 2
    shuffled = rng.sample(keys, len(keys))
    again = draw_groups(shuffled, size, groupings, seed)
    assert [[shuffled[k] for k in group] for group in again] == [[keys[k] for k in group] for group in groups]


def test_another_seed_and_another_grouping_draw_other_groups() -> None:
    groups = draw_groups(NAMES, 10, 2, seed=0)
    assert groups[:3] != groups[3:]
    assert groups != draw_groups(NAMES, 10, 2, seed=1)


def test_parts_of_one_network_merge_to_that_network() -> None:
    """Rows go to their own classes, and nothing is rescaled."""
    spec = ParameterSpec(registries().architectures.create("cnn-2layer"))
    torch.manual_seed(0)
    state = spec.architecture.build(23).state_dict()
    groups = draw_groups(NAMES, 10, 3, seed=0)
    parts = [spec.flatten(spec.select_classes(state, torch.tensor(group)), 10) for group in groups]
    torch.testing.assert_close(merge_networks(spec, groups, parts, 23), spec.flatten(state, 23))


def test_shared_tensors_are_averaged_over_groups_and_rows_over_those_of_their_class() -> None:
    spec = ParameterSpec(registries().architectures.create("cnn-2layer"))
    groups = [[0, 1], [1, 2], [2, 1]]
    merged = spec.unflatten(
        merge_networks(spec, groups, [torch.full((5106,), float(value)) for value in (1, 2, 6)], 3), 3
    )
    assert torch.equal(merged["conv1.weight"], torch.full((16, 3, 3, 3), 3.0))
    assert merged["fc.bias"].tolist() == [1.0, 3.0, 4.0]
    assert torch.equal(merged["fc.weight"], merged["fc.bias"][:, None].expand(3, 32))


def test_an_ensemble_holds_the_networks_of_the_groups(tiny_generator: Generator) -> None:
    condition = encode_task(NAMES, tiny_generator.encoder)
    model = tiny_generator(condition, compose=True, seed=5)
    assert model.class_names == tuple(NAMES)
    assert isinstance(model.network, Ensemble)
    groups = draw_groups(condition.keys, 10, GROUPINGS, 5)
    assert model.members == tuple(map(tuple, groups))
    parts = [tiny_generator(encode_task([NAMES[k] for k in g], tiny_generator.encoder), seed=5) for g in groups]
    for member, made in zip(model.network.members, parts, strict=True):
        for name, tensor in made.network.state_dict().items():
            torch.testing.assert_close(member.state_dict()[name], tensor, atol=1e-5, rtol=1e-4)
    assert model.num_parameters == 3 * GROUPINGS * 5370
    assert model.abstention_threshold is None
    expected = {"method": "ensemble", "networks": 3 * GROUPINGS, "classes": 10, "groupings": GROUPINGS}
    assert model.provenance["composed"] == expected
    assert model.provenance["seed"] == 5
    by_name = tiny_generator(condition, compose="ensemble", seed=5)
    assert torch.equal(by_name(PICTURES), model(PICTURES))


def test_a_merged_classifier_is_an_ordinary_one(tiny_generator: Generator) -> None:
    condition = encode_task(NAMES, tiny_generator.encoder)
    model = tiny_generator(condition, compose="merge", seed=5)
    assert model.class_names == tuple(NAMES)
    assert model.num_parameters == 432 + 4608 + 33 * 23
    assert model.architecture == "cnn-2layer"
    assert model.members is None
    assert all(parameter.is_leaf and parameter.isfinite().all() for parameter in model.parameters())
    expected = {"method": "merge", "networks": 3 * GROUPINGS, "classes": 10, "groupings": GROUPINGS}
    assert model.provenance["composed"] == expected
    [flat] = tiny_generator.generate_parameters([condition], SamplingOptions(seed=5, compose="merge"))
    assert torch.equal(flat, tiny_generator.spec.flatten(model.network.state_dict(), 23))
    with pytest.raises(ConfigError, match="an ensemble has no single parameter vector; choose 'merge'"):
        tiny_generator.generate_parameters([condition], SamplingOptions(compose=True))


def test_merged_rows_and_convolutions_are_those_of_the_ensemble(tiny_generator: Generator) -> None:
    condition = encode_task(NAMES, tiny_generator.encoder)
    merged, ensemble = (tiny_generator(condition, compose=how) for how in ("merge", "ensemble"))
    members = ensemble.network.members
    convolutions = torch.stack([member.conv2.weight for member in members]).mean(dim=0)
    torch.testing.assert_close(merged.network.conv2.weight, convolutions, atol=1e-5, rtol=1e-4)
    own = [m.fc.weight[group.index(7)] for m, group in zip(members, ensemble.members, strict=True) if 7 in group]
    assert len(own) >= GROUPINGS
    torch.testing.assert_close(merged.network.fc.weight[7], torch.stack(own).mean(dim=0), atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("how", ["ensemble", "merge"])
@pytest.mark.filterwarnings("ignore::tina_framework.errors.PromptWarning")
def test_the_order_of_classes_and_other_tasks_do_not_matter(tiny_generator: Generator, how: ComposeMethod) -> None:
    first = tiny_generator(NAMES, compose=how)
    plain, other = tiny_generator([["ant", "bee"], NAMES[::-1]], compose=how)
    torch.testing.assert_close(first(PICTURES), other(PICTURES).flip(1), atol=1e-5, rtol=1e-4)
    assert "composed" not in plain.provenance
    assert plain.members is None
    assert other.class_names == tuple(NAMES[::-1])
    assert not torch.allclose(first(PICTURES), tiny_generator(NAMES, compose=how, seed=1)(PICTURES))


@pytest.mark.parametrize("how", ["ensemble", "merge"])
def test_samples_do_not_depend_on_their_number(tiny_generator: Generator, how: ComposeMethod) -> None:
    condition = encode_task(NAMES, tiny_generator.encoder)
    both = tiny_generator(condition, compose=how, num_samples=2)
    alone = tiny_generator(condition, compose=how)
    torch.testing.assert_close(both[0](PICTURES), alone(PICTURES), atol=1e-5, rtol=1e-4)
    assert not torch.allclose(both[0](PICTURES), both[1](PICTURES))
    assert [model.provenance["sample"] for model in both] == [0, 1]


@pytest.mark.parametrize("count", [2, 9, 10])
def test_what_can_be_generated_is_not_composed(tiny_generator: Generator, count: int) -> None:
    condition = encode_task(NAMES[:count], tiny_generator.encoder)
    plain, *others = (tiny_generator(condition, compose=how) for how in (False, "ensemble", "merge"))
    for model in others:
        assert model.network.state_dict().keys() == plain.network.state_dict().keys()
        for name, tensor in plain.network.state_dict().items():
            assert torch.equal(tensor, model.network.state_dict()[name])
        assert model.provenance == plain.provenance


def test_too_few_and_too_many_classes_are_refused(tiny_generator: Generator) -> None:
    with pytest.raises(PromptError, match="Only one class"):
        tiny_generator(["ant"], compose=True)
    with pytest.raises(PromptError, match=r"23 classes were named.*compose=True, tina generate --compose"):
        tiny_generator(NAMES)
    with pytest.raises(PromptError, match="23 classes were named"):
        tiny_generator.generate_parameters([encode_task(NAMES, tiny_generator.encoder)])
    with pytest.raises(ConfigError, match="compose is 'both'"):
        tiny_generator(NAMES, compose="both")  # type: ignore[arg-type]


def test_progress_ends_at_the_number_of_models(tiny_generator: Generator) -> None:
    calls: list[tuple[int, int]] = []
    tiny_generator([NAMES, NAMES[:3]], compose=True, batch_size=4, on_progress=lambda *now: calls.append(now))
    assert calls == sorted(calls)
    assert calls[-1] == (2, 2)
