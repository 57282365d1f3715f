"""The rule that reserves class sets, and the check that no reported task was trained on."""

from __future__ import annotations

import hashlib
import itertools
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tina_framework.errors import LeakageError
from tina_framework.zoo.reservation import check_leakage, class_set_hash, partition_of, reserves
from tina_framework.zoo.tasks import Task

NAMES = st.lists(st.text("abcdefghij é", min_size=1).map(str.strip).filter(bool), min_size=2, max_size=8, unique=True)


def in_partition(partition: str, prefix: str = "class", number: int = 3) -> tuple[str, ...]:
    """Some class set of the wanted partition."""
    names = (tuple(f"{prefix} {i} {j}" for j in range(number)) for i in itertools.count())
    return next(classes for classes in names if partition_of(classes) == partition)


class TestRule:
    @given(NAMES, st.randoms())
    def test_the_order_of_the_classes_does_not_matter(self, names, random):
        shuffled = random.sample(names, len(names))
        assert class_set_hash(shuffled) == class_set_hash(names)
        assert partition_of(shuffled) == partition_of(names)

    def test_it_is_the_rule_of_the_documentation(self):
        names = ["bear", "apple", "aquarium fish"]
        expected = int(hashlib.sha256(b"apple\naquarium fish\nbear").hexdigest(), 16)
        assert class_set_hash(names) == expected

    @pytest.mark.parametrize(
        ("classes", "bucket", "partition"),
        [
            (("apple", "bear"), 9, "train"),
            (("bear", "castle", "clock"), 3, "validation"),
            (("apple", "castle"), 0, "test"),
        ],
    )
    def test_known_values(self, classes, bucket, partition):
        assert (class_set_hash(classes) % 20, partition_of(classes)) == (bucket, partition)

    def test_upper_case_does_not_move_a_class_set(self):
        assert class_set_hash(["Apple", "bear"]) == class_set_hash(["apple", "bear"])

    def test_the_parts_are_15_5_and_80_percent(self):
        pool = [f"class {i}" for i in range(24)]
        counts = Counter(map(partition_of, itertools.combinations(pool, 4)))
        total = sum(counts.values())
        assert total == 10626
        # Three standard deviations of a binomial share are 0.010, 0.006 and 0.012 here.
        assert counts["test"] / total == pytest.approx(0.15, abs=0.011)
        assert counts["validation"] / total == pytest.approx(0.05, abs=0.007)
        assert counts["train"] / total == pytest.approx(0.80, abs=0.012)


class TestFewClasses:
    @pytest.mark.parametrize(
        ("num_classes", "reserved"),
        [(3, []), (5, []), (6, [3]), (10, [2, 3, 4, 5, 6, 7, 8]), (100, list(range(2, 100)))],
    )
    def test_counts_with_fewer_than_twenty_sets_have_none_reserved(self, num_classes, reserved):
        assert [count for count in range(2, num_classes + 1) if reserves(num_classes, count)] == reserved

    def test_such_a_set_is_for_training_whatever_its_hash(self):
        classes = in_partition("test")
        assert partition_of(classes, 100) == "test"
        assert partition_of(classes, 3) == "train"

    def test_a_task_of_all_trained_classes_is_seen(self):
        task = Task(in_partition("test"))
        assert check_leakage([task], own=True, trained_classes=task.classes).tasks[0].split == "seen"
        with pytest.raises(LeakageError, match="train partition"):
            check_leakage([Task(task.classes, "unseen-combination")], own=True, trained_classes=task.classes)


UNSEEN = ["unseen-combination", "unseen-anything", "two-superclasses", "ten-superclasses"]


class TestLeakage:
    @pytest.mark.parametrize("split", UNSEEN)
    def test_our_own_file_must_not_call_a_training_task_unseen(self, split):
        with pytest.raises(LeakageError, match=r"Task 1 .*train partition"):
            check_leakage([Task(in_partition("test"), split), Task(in_partition("train"), split)], own=True)

    @pytest.mark.parametrize("split", UNSEEN)
    def test_nor_one_that_checkpoints_are_chosen_on(self, split):
        with pytest.raises(LeakageError, match="validation partition"):
            check_leakage([Task(in_partition("validation"), split)], own=True)

    def test_nor_one_that_the_zoo_holds(self):
        task = Task(in_partition("test"), "unseen-combination")
        with pytest.raises(LeakageError, match="list of what was trained on"):
            check_leakage([task], own=True, trained_class_sets=[reversed(task.classes)])

    def test_our_own_validation_tasks_must_not_be_training_tasks(self):
        with pytest.raises(LeakageError, match="called 'validation'"):
            check_leakage([Task(in_partition("train"), "validation")], own=True)

    def test_correct_files_of_our_own_pass_unchanged(self):
        tasks = (
            Task(in_partition("test"), "unseen-combination"),
            Task(in_partition("test", "other"), "two-superclasses"),
            Task(in_partition("validation"), "validation"),
            Task(in_partition("train"), "seen"),
        )
        report = check_leakage(tasks, own=True)
        assert report.tasks == tasks
        assert (report.relabelled_seen, report.relabelled_validation, report.unseen_classes) == (0, 0, 0)

    def test_foreign_tasks_that_training_could_have_seen_are_relabelled_and_counted(self):
        held, zoo = Task(in_partition("test"), "unseen-combination"), Task(in_partition("test", "zoo"), "hard")
        tasks = [
            Task(in_partition("train"), "unseen-combination"),
            Task(in_partition("train"), "hard"),
            Task(in_partition("validation"), "unseen-combination"),
            held,
            zoo,
        ]
        report = check_leakage(tasks, own=False, trained_class_sets=[zoo.classes])
        assert [t.split for t in report.tasks] == ["seen", "seen", "validation", "unseen-combination", "seen"]
        assert [t.classes for t in report.tasks] == [t.classes for t in tasks]
        assert (report.relabelled_seen, report.relabelled_validation) == (3, 1)

    def test_tasks_without_a_split_get_the_true_one(self):
        tasks = [Task(in_partition(partition)) for partition in ("train", "validation", "test")]
        report = check_leakage(tasks, own=False)
        assert [t.split for t in report.tasks] == ["seen", "validation", "unseen-combination"]

    @pytest.mark.parametrize("own", [True, False])
    def test_classes_that_were_never_trained_on(self, own):
        train = in_partition("train")
        tasks = [Task((*train[:-1], "never"), "unseen-combination"), Task(("never", "ever"), "unseen-classes")]
        report = check_leakage(tasks, own=own, trained_classes=train)
        assert [t.split for t in report.tasks] == ["unseen-classes", "unseen-classes"]
        assert report.unseen_classes == 1

    def test_two_unseen_classes_means_two(self):
        train = in_partition("train")
        task = Task((*train, "never", "ever"), "two-unseen-classes")
        one, three = Task((*train, "never"), task.split), Task((*train, "never", "ever", "once"), task.split)
        alone = Task(("never", "ever"), task.split)
        report = check_leakage([task, one, three, alone], own=True, trained_classes=train)
        assert [t.split for t in report.tasks] == ["two-unseen-classes", *["unseen-classes"] * 3]
        assert report.unseen_classes == 3

    @pytest.mark.parametrize("split", ["unseen-classes", "two-unseen-classes"])
    def test_classes_called_unseen_that_were_trained_on(self, split):
        task = Task(in_partition("train"), split)
        with pytest.raises(LeakageError):
            check_leakage([task], own=True, trained_classes=task.classes)
        assert check_leakage([task], own=False, trained_classes=task.classes).tasks[0].split == "seen"
