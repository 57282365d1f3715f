"""A standard test cannot be taken away unnoticed."""

from __future__ import annotations

import re
import types
from typing import Any, ClassVar

import pytest

from tina_framework.testing import ConformanceError, DatasetTests
from tina_framework.testing.guard import GUARD, standard_tests

pytest_plugins = ["pytester"]


def guard(cls: Any) -> None:
    getattr(cls(), GUARD)()


def refused(cls: Any, words: str) -> None:
    with pytest.raises(ConformanceError, match=words):
        guard(cls)


def test_a_plain_subclass_passes_and_may_add_tests() -> None:
    class Mine(DatasetTests):
        superclasses = True

        def test_of_my_own(self) -> None: ...

    guard(Mine)
    assert len(standard_tests(Mine)) == 11


def test_removed_overridden_and_renamed_tests() -> None:
    class Removed(DatasetTests):
        test_labels = None

    class Overridden(DatasetTests):
        def test_labels(self) -> None: ...

    class Renamed(DatasetTests):
        test_labels = None
        check_later = DatasetTests.test_labels

    class Mixin:
        test_labels = None

    class Inherited(Mixin, DatasetTests):
        pass

    refused(Removed, r'Removed: test_labels is missing .* allowed_overrides = \{"test_labels": "the reason"\}')
    refused(Overridden, "test_labels is overridden")
    refused(Renamed, "test_labels is missing")
    refused(Inherited, "test_labels is missing")


def test_removed_from_the_base_class(monkeypatch: pytest.MonkeyPatch) -> None:
    class Mine(DatasetTests):
        pass

    monkeypatch.delattr(DatasetTests, "test_labels")
    refused(Mine, "test_labels is missing")


def test_reasons_excuse_and_idle_ones_are_refused() -> None:
    class Excused(DatasetTests):
        allowed_overrides: ClassVar = {"test_labels": "labels are read from the network, slowly"}
        test_labels = None

    class Unreasoned(DatasetTests):
        allowed_overrides: ClassVar = {"test_labels": " "}
        test_labels = None

    class Idle(DatasetTests):
        allowed_overrides: ClassVar = {"test_lables": "a misspelling"}

    guard(Excused)
    refused(Unreasoned, "test_labels is missing")
    refused(Idle, "gives a reason for test_lables, which is unchanged")


def test_a_base_class_of_ones_own_excuses_nothing() -> None:
    class Own(DatasetTests, standard=True):
        test_labels = None

        def test_more(self) -> None: ...

    class Mine(Own):
        test_more = None

    refused(Own, "test_labels is missing")
    refused(Mine, "test_labels is missing .*; test_more is missing")


def test_the_guard_itself_stays() -> None:
    class Off(DatasetTests):
        test_no_standard_test_is_missing = None

    class Replaced(DatasetTests):
        def test_no_standard_test_is_missing(self) -> None: ...

    class Later(DatasetTests):
        pass

    Later.test_no_standard_test_is_missing = None  # type: ignore[assignment]
    for cls in (Off, Replaced, Later):
        refused(cls, f"{GUARD} is removed")


@pytest.mark.parametrize("mark", [pytest.mark.skip, pytest.mark.skipif(True, reason="no"), pytest.mark.xfail])
def test_marks_on_the_whole_class(mark: Any) -> None:
    @mark
    class Decorated(DatasetTests):
        pass

    class Assigned(DatasetTests):
        pytestmark: ClassVar = [mark, pytest.mark.usefixtures("tmp_path")]

    class Excused(DatasetTests):
        pytestmark = mark
        allowed_overrides: ClassVar = {"*": "needs a data set that is not public"}

    for cls in (Decorated, Assigned):
        refused(cls, f"the tests are marked {mark.name}")
        assert mark.name not in [kept.name for kept in cls.pytestmark]
    assert [kept.name for kept in Assigned.pytestmark] == ["usefixtures"]
    guard(Excused)
    assert Excused.pytestmark is mark


def test_marks_on_one_test(monkeypatch: pytest.MonkeyPatch) -> None:
    original = DatasetTests.test_labels
    copy = types.FunctionType(original.__code__, original.__globals__, "test_labels")
    pytest.mark.skip(copy)

    class Mine(DatasetTests):
        test_labels = copy

    refused(Mine, "test_labels is overridden")
    monkeypatch.setattr(original, "pytestmark", [pytest.mark.skip.mark], raising=False)

    class Marked(DatasetTests):
        pass

    refused(Marked, "test_labels is marked skip")


PLUGIN_TESTS = """
import numpy as np
import pytest
from tina_framework.interfaces.dataset import ArrayDataset, LabelledImages
from tina_framework.testing import DatasetTests

def part(seed):
    images = np.random.default_rng(seed).integers(0, 256, (6, 4, 4, 3), dtype=np.uint8)
    return LabelledImages(images, np.tile(np.arange(2), 3))

class TestSound(DatasetTests):
    superclasses = False
    @pytest.fixture
    def dataset(self):
        return ArrayDataset("sound", ("a", "b"), {name: part(i) for i, name in enumerate(("train", "validation", "test"))})

class TestLeaking(TestSound):
    @pytest.fixture
    def dataset(self):
        return ArrayDataset("leaking", ("a", "b"), {name: part(0) for name in ("train", "validation", "test")})

@pytest.mark.skip(reason="no time")
class TestSkipped(TestSound):
    pass

class TestWithoutFixture(DatasetTests):
    pass
"""


def test_under_pytest(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(PLUGIN_TESTS)
    result = pytester.runpytest_inprocess("-p", "no:cacheprovider", "-p", "no:xdist", "-rA")
    text = result.stdout.str()
    failed = set(re.findall(r"^FAILED \S+?::(\S+)", text, flags=re.MULTILINE))
    assert failed == {"TestLeaking::test_splits_are_disjoint", f"TestSkipped::{GUARD}"}
    assert "'train' and 'validation' have 6 pictures in common (100.0% of the smaller one, allowed 1.0%)" in text
    assert "TestSkipped: the tests are marked skip, all of them" in text
    assert "Define the fixture `dataset` in your test class" in text
    assert result.parseoutcomes()["errors"] == 10
