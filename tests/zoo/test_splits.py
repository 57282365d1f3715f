from __future__ import annotations

from functools import partial

import numpy as np
import pytest

from tina_framework.errors import ConfigError, DataError
from tina_framework.interfaces.dataset import ArrayDataset
from tina_framework.zoo.reservation import check_leakage
from tina_framework.zoo.splits import RESERVED_SPLITS, sample_default_tasks, sample_split_tasks
from tina_framework.zoo.tasks import load_task_file, save_tasks

CLASSES = tuple(f"class {i}" for i in range(30))
SUPERCLASSES = tuple(i // 5 for i in range(30))  # six of five classes each
DATASET = ArrayDataset("drawn", CLASSES, {}, SUPERCLASSES)


class TestReservedSplits:
    @pytest.mark.parametrize("split", RESERVED_SPLITS)
    def test_own_files_pass_the_leakage_check(self, split, tmp_path):
        held_out = CLASSES[::3]
        tasks = sample_split_tasks(DATASET, split, 4, 15, seed=3, held_out=held_out)
        assert len({t.class_set for t in tasks}) == 15
        save_tasks(tmp_path / "tasks.json", tasks)
        file = load_task_file(tmp_path / "tasks.json", class_names=CLASSES)
        trained = set(CLASSES) - set(held_out)
        report = check_leakage(file.tasks, own=file.own, trained_classes=trained)
        assert report.tasks == tuple(tasks)
        assert {t.split for t in tasks} == {split}
        unseen = {"unseen-classes": 4, "two-unseen-classes": 2}.get(split, 0)
        assert all(len(set(t.classes) & set(held_out)) == unseen and len(t.classes) == 4 for t in tasks)

    def test_a_seed_gives_the_same_tasks_and_more_begin_with_fewer(self):
        for split in RESERVED_SPLITS:
            draw = partial(sample_split_tasks, DATASET, split, 4, seed=3, held_out=CLASSES[::3])
            assert draw(num_tasks=12)[:5] == draw(num_tasks=5)
            assert draw(num_tasks=5) != sample_split_tasks(DATASET, split, 4, 5, seed=4, held_out=CLASSES[::3])

    def test_bad_requests(self):
        with pytest.raises(ConfigError, match="Unknown split 'seen'"):
            sample_split_tasks(DATASET, "seen", 5, 1)
        with pytest.raises(ConfigError, match="need held-out classes"):
            sample_split_tasks(DATASET, "unseen-classes", 5, 1)
        with pytest.raises(ConfigError, match="need held-out classes"):
            sample_split_tasks(DATASET, "two-unseen-classes", 5, 1)
        with pytest.raises(ConfigError, match="choose a class count from 3 to 28"):
            sample_split_tasks(DATASET, "two-unseen-classes", 2, 1, held_out=CLASSES[:4])
        with pytest.raises(DataError, match=r"Only \d+ of 10 different tasks"):
            sample_split_tasks(DATASET, "two-unseen-classes", 28, 10, held_out=CLASSES[:4])
        with pytest.raises(DataError, match="held-out class 'nothing'"):
            sample_split_tasks(DATASET, "validation", 5, 1, held_out=["nothing"])

    def test_labels_of_numpy_make_no_difference(self):
        other = ArrayDataset("drawn", CLASSES, {}, tuple(np.asarray(SUPERCLASSES)))
        assert sample_split_tasks(other, "two-superclasses", 5, 5) == sample_split_tasks(
            DATASET, "two-superclasses", 5, 5
        )


class TestDefaultTasks:
    @pytest.mark.parametrize(("number", "count"), [(10, 8), (7, 4), (19, 10)])
    def test_few_classes_have_tasks_of_the_largest_reserved_count(self, number, count):
        few = ArrayDataset("few", CLASSES[:number], {})
        tasks = sample_default_tasks(few, "unseen-combination")
        assert tasks
        assert {len(task.classes) for task in tasks} <= {count, count + 1}
        report = check_leakage(tasks, own=True, trained_classes=CLASSES[:number])
        assert {task.split for task in report.tasks} == {"unseen-combination"}

    def test_many_classes_have_a_hundred_tasks_of_ten(self):
        assert sample_default_tasks(DATASET, "validation") == sample_split_tasks(DATASET, "validation", 10, 100)

    def test_unseen_classes_may_be_few(self):
        tasks = sample_default_tasks(DATASET, "unseen-classes", held_out=CLASSES[:4])
        assert [sorted(task.classes) for task in tasks] == [sorted(CLASSES[:4])]

    def test_a_number_of_tasks_that_the_user_gives_is_kept_or_refused(self):
        few = ArrayDataset("few", CLASSES[:10], {})
        assert len(sample_default_tasks(few, "unseen-combination", 2)) == 2
        with pytest.raises(DataError, match="too few sets to reserve so many"):
            sample_default_tasks(few, "unseen-combination", 1000)
        with pytest.raises(ConfigError, match="need held-out classes"):
            sample_default_tasks(few, "two-unseen-classes")

    def test_too_few_classes_give_the_reason(self):
        with pytest.raises(DataError, match="3 classes have too few sets to reserve any for the split 'validation'"):
            sample_default_tasks(ArrayDataset("three", CLASSES[:3], {}), "validation")
