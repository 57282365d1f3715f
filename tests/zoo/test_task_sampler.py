from __future__ import annotations

import itertools
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tina_framework.errors import ConfigError, DataError
from tina_framework.zoo.reservation import PARTITIONS, partition_of
from tina_framework.zoo.task_sampler import SCHEMES, TaskSampler

CLASSES = tuple(f"class {i}" for i in range(30))
SUPERCLASSES = tuple(i // 5 for i in range(30))  # six of five classes each
OF = dict(zip(CLASSES, SUPERCLASSES, strict=True))


def sampler(scheme: str = "random", count: int = 6, **settings) -> TaskSampler:
    return TaskSampler(CLASSES, SUPERCLASSES, schemes={scheme: 1.0}, class_counts={count: 1.0}, **settings)


class TestPromises:
    @given(
        st.sampled_from(PARTITIONS),
        st.sampled_from(SCHEMES),
        st.integers(3, 9),
        st.integers(-(2**40), 2**40),
        st.integers(0, 10**9),
    )
    @settings(max_examples=60, deadline=None)
    def test_partition_count_and_classes(self, partition, scheme, count, seed, index):
        task = sampler(scheme, count, partition=partition, seed=seed).task(index)
        assert partition_of(task.classes) == partition
        assert len(set(task.classes)) == len(task.classes) == count
        assert set(task.classes) <= set(CLASSES)

    @given(st.integers(0, 1000), st.lists(st.integers(0, 500), min_size=2, max_size=5))
    @settings(max_examples=20, deadline=None)
    def test_a_task_depends_on_seed_and_index_alone(self, seed, indices):
        one, other = sampler(seed=seed), sampler(seed=seed)
        forward = {index: one.task(index) for index in indices}
        assert {index: other.task(index) for index in reversed(indices)} == forward

    def test_the_stream_is_the_same_for_ever(self):
        # A changed stream would silently change every recipe: on purpose only.
        assert sampler(count=3).task(0).classes == ("class 24", "class 12", "class 17")
        assert sampler("two-superclasses", 4, seed=1).task(5).classes == ("class 28", "class 4", "class 25", "class 2")

    def test_seeds_and_indices_differ(self):
        drawn = {(seed, i): sampler(seed=seed).task(i).classes for seed in range(5) for i in range(20)}
        assert len(set(drawn.values())) == 100

    def test_every_class_comes_equally_often(self):
        counts = Counter(name for i in range(3000) for name in sampler(count=3).task(i).classes)
        assert set(counts) == set(CLASSES)
        # 300 each expected, standard deviation 16
        assert min(counts.values()) > 225
        assert max(counts.values()) < 375

    def test_every_place_in_a_task_is_equally_likely(self):
        """The order says nothing, not even in the schemes that draw by superclass."""
        same = sum(OF[t.classes[0]] == OF[t.classes[1]] for t in map(sampler("two-superclasses", 6).task, range(1000)))
        assert same == pytest.approx(400, abs=60)  # 2 of the 5 others share a superclass; standard deviation 15


class TestSchemes:
    @pytest.mark.parametrize(("count", "superclasses"), [(2, 2), (5, 2), (10, 2), (11, 3), (15, 3), (16, 4), (28, 6)])
    def test_two_superclasses_or_as_few_as_hold_the_classes(self, count, superclasses):
        for i in range(20):
            assert len({OF[name] for name in sampler("two-superclasses", count).task(i).classes}) == superclasses

    def test_two_superclasses_share_equally(self):
        for i in range(20):
            shares = Counter(OF[name] for name in sampler("two-superclasses", 7).task(i).classes)
            assert sorted(shares.values()) == [3, 4]

    @pytest.mark.parametrize(("count", "superclasses"), [(2, 2), (6, 6), (9, 6)])
    def test_ten_superclasses_as_far_as_they_reach(self, count, superclasses):
        for i in range(20):
            shares = Counter(OF[name] for name in sampler("ten-superclasses", count).task(i).classes)
            assert len(shares) == superclasses
            assert max(shares.values()) - min(shares.values()) <= 1

    def test_superclasses_of_unequal_size(self):
        """Only one pair of superclasses holds seven classes."""
        draws = TaskSampler(
            CLASSES[:10],
            [0, 0, 0, 0, 0, 1, 2, 3, 3, 3],
            schemes={"two-superclasses": 1},
            class_counts={7: 1},
        )
        assert {frozenset(draws.task(i).classes) & {"class 5", "class 6"} for i in range(20)} == {frozenset()}

    def test_weights(self):
        mixed = TaskSampler(
            CLASSES,
            SUPERCLASSES,
            schemes={"random": 1.0, "two-superclasses": 3.0, "ten-superclasses": 0.0},
            class_counts={4: 1.0, 5: 4.0},
        )
        tasks = [mixed.task(i) for i in range(2000)]
        fives = [t for t in tasks if len(t.classes) == 5]
        assert len(fives) == pytest.approx(1600, abs=80)  # standard deviation 18
        two = sum(len({OF[name] for name in t.classes}) == 2 for t in fives)
        # Three quarters by the scheme, and 2 % of the random ones by chance.
        assert two / len(fives) == pytest.approx(0.755, abs=0.05)


class TestSequences:
    def test_a_task_depends_on_seed_and_number_alone(self):
        forwards = [sampler().task(i) for i in range(8)]
        one = sampler()
        assert [one.task(i) for i in reversed(range(8))] == forwards[::-1]
        assert [sampler(seed=2).task(i) for i in range(8)] != forwards

    def test_tasks_are_unique_and_longer_lists_begin_alike(self):
        draws = TaskSampler(CLASSES[:8], class_counts={3: 1.0})
        tasks = draws.tasks(40)
        assert len({t.class_set for t in tasks}) == 40
        assert draws.tasks(15) == tasks[:15]

    def test_all_of_a_small_space_is_found_and_no_more(self):
        draws = TaskSampler(CLASSES[:8], class_counts={3: 1.0}, partition="test")
        found = draws.tasks(100, allow_fewer=True)
        everything = {frozenset(c) for c in itertools.combinations(CLASSES[:8], 3) if partition_of(c) == "test"}
        assert {t.class_set for t in found} == everything
        with pytest.raises(DataError, match=f"Only {len(everything)} different tasks found of 100"):
            draws.tasks(100)

    def test_no_tasks_asked_for(self):
        assert sampler().tasks(0) == []


class TestBadSettings:
    @pytest.mark.parametrize(
        ("settings", "words"),
        [
            ({"partition": "dev"}, "Unknown partition 'dev'"),
            ({"schemes": {"randm": 1}}, "Unknown sampling scheme 'randm'"),
            ({"schemes": {}}, "No scheme has a weight above 0"),
            ({"schemes": {"random": 0}}, "No scheme has a weight above 0"),
            ({"schemes": {"random": -1}}, "weight of scheme 'random' is -1"),
            ({"class_counts": {3: float("nan")}}, "weight of class count '3' is nan"),
            ({"class_counts": {1: 1}}, "A task of 1 classes"),
            ({"class_counts": {0: 1}}, "A task of 0 classes"),
            ({"class_counts": {31: 1}}, "from 2 to 30"),
            ({"superclasses": [0, 1]}, "30 classes but 2 superclass entries"),
            ({"superclasses": None, "schemes": {"two-superclasses": 1}}, "needs superclasses"),
        ],
    )
    def test_one_clear_message(self, settings, words):
        with pytest.raises(ConfigError, match=words):
            TaskSampler(CLASSES, **({"superclasses": SUPERCLASSES, "class_counts": {5: 1}} | settings))

    def test_a_space_without_reserved_sets_is_an_error_at_once(self):
        classes = ("ant", "fox", "owl")
        with pytest.raises(DataError, match=r"3 classes allow too few sets of 2 to reserve any.*'test'"):
            TaskSampler(classes, partition="test", class_counts={2: 1})
