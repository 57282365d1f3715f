"""The table of a teacher: what it holds, whose pictures it fits, and what it refuses."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from tina_framework.errors import CheckpointError, DataError, LeakageError
from tina_framework.interfaces.dataset import LabelledImages
from tina_framework.storage.files import write_safetensors
from tina_framework.zoo.image_bank import ImageBank, load_split
from tina_framework.zoo.subset import without_classes
from tina_framework.zoo.teacher import Teacher


@pytest.fixture(scope="module")
def teacher(dataset):
    data = load_split(dataset, "train")
    logits = torch.randn(2, len(data), len(dataset.class_names), generator=torch.Generator().manual_seed(0))
    return Teacher.of(data, dataset.class_names, logits, "a test", {"validation_accuracy": 0.5})


def test_a_saved_table_is_read_again(tmp_path, teacher):
    sha256 = teacher.save(tmp_path / "t.safetensors")
    again = Teacher.load(tmp_path / "t.safetensors")
    assert torch.equal(again.logits, teacher.logits)
    assert (again.class_names, again.taught_by, again.record) == (teacher.class_names, "a test", teacher.record)
    assert again.sha256 == sha256
    assert teacher.save(tmp_path / "u.safetensors") == sha256


def test_a_bank_gets_the_logits_of_its_pictures(spec, dataset, teacher):
    bank = ImageBank(dataset, "train", spec, teacher=teacher)
    assert torch.equal(bank.teacher, teacher.logits)
    rows = torch.tensor([3, 50])
    assert torch.equal(bank.teacher_rows(rows, [7, 2]), teacher.logits[:, rows][:, :, [7, 2]])
    again = ImageBank.from_contents(bank.class_names, bank.contents())
    assert torch.equal(again.teacher, bank.teacher)


def test_a_reader_without_some_classes_gets_its_part(dataset, teacher):
    names = dataset.class_names
    fewer = without_classes(dataset, names[2:5])
    data = load_split(fewer, "train")
    found = teacher.of_pictures(data, fewer.class_names)
    kept = torch.tensor([i for i in range(len(names)) if i not in (2, 3, 4)])
    assert torch.equal(found, teacher.logits[:, torch.isin(teacher.labels, kept)][:, :, kept])


def test_a_teacher_without_held_out_classes_serves_a_reader_that_has_them(dataset, teacher):
    fewer = without_classes(dataset, dataset.class_names[:2])
    data = load_split(fewer, "train")
    logits = torch.randn(2, len(data), len(fewer.class_names))
    small = Teacher.of(data, fewer.class_names, logits, "a test", {})
    whole = load_split(dataset, "train")
    found = small.of_pictures(whole, dataset.class_names, unseen=dataset.class_names[:2])
    inside = torch.from_numpy(whole.labels >= 2)
    assert torch.equal(found[:, inside][:, :, 2:], small.logits)
    assert not bool(found[:, ~inside].any())
    with pytest.raises(DataError, match="no class"):
        small.of_pictures(whole, dataset.class_names)


@pytest.mark.parametrize("change", ["order", "pictures", "missing"])
def test_other_pictures_are_refused(dataset, teacher, change):
    data = load_split(dataset, "train")
    images, labels = data.images.copy(), data.labels.copy()
    if change == "order":
        images, labels = images[::-1], labels[::-1]
    elif change == "missing":
        images, labels = images[1:], labels[1:]
    else:
        images[5] = 255 - images[5] // 2
    with pytest.raises(DataError, match="tina train-teacher"):
        teacher.of_pictures(LabelledImages(images, labels), dataset.class_names)


def test_pictures_of_another_size_are_recognised(dataset, teacher):
    data = load_split(dataset, "train")
    larger = LabelledImages(np.repeat(np.repeat(data.images, 2, axis=1), 2, axis=2), data.labels)
    assert torch.equal(teacher.of_pictures(larger, dataset.class_names), teacher.logits)


def test_a_teacher_of_held_out_classes_is_refused(dataset, teacher):
    teacher.check_unseen(["unicorn"])
    with pytest.raises(LeakageError, match=dataset.class_names[3]):
        teacher.check_unseen([dataset.class_names[3]])


def test_damaged_and_foreign_files_are_refused(tmp_path, teacher):
    path = tmp_path / "t.safetensors"
    teacher.save(path)
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    with pytest.raises(CheckpointError, match="altered"):
        Teacher.load(path)
    write_safetensors(path, {"logits": torch.zeros(2, 1, 2)}, {"format": "other"}, digest=True)
    with pytest.raises(CheckpointError, match="no table of a teacher"):
        Teacher.load(path)
    with pytest.raises(CheckpointError, match="does not exist"):
        Teacher.load(tmp_path / "absent.safetensors")
