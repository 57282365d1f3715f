"""Tasks, and the files that hold them."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tina_framework.errors import DataError
from tina_framework.zoo.tasks import Task, load_task_file, load_tasks, save_tasks

NAMES = st.lists(st.text("abcdefghij é", min_size=1).map(str.strip).filter(bool), min_size=2, max_size=8, unique=True)


class TestTask:
    @pytest.mark.parametrize(
        ("classes", "words"),
        [((), "at least two"), (("apple",), "at least two"), (("a", " "), "empty"), (("a", "b", "a"), "'a' twice")],
    )
    def test_what_is_no_task(self, classes, words):
        with pytest.raises(DataError, match=words):
            Task(classes)

    def test_the_same_name_in_upper_case_is_the_same_class(self):
        with pytest.raises(DataError, match="twice"):
            Task(("apple", "Apple"))


class TestFiles:
    @given(st.lists(st.tuples(NAMES, st.sampled_from([None, "seen", "my own"])), min_size=1, max_size=5))
    def test_round_trip(self, tmp_path_factory, content):
        path = tmp_path_factory.getbasetemp() / "tasks.json"
        tasks = [Task(tuple(names), split) for names, split in content]
        save_tasks(path, tasks)
        assert load_tasks(path) == tasks
        assert load_task_file(path).own

    def test_a_file_of_others_is_foreign_and_keeps_its_order(self, tmp_path):
        path = tmp_path / "tasks.json"
        path.write_text('{"tasks": [{"classes": ["pear", "apple"], "split": "unseen-combination"}]}')
        file = load_task_file(path)
        assert not file.own
        assert file.tasks == (Task(("pear", "apple"), "unseen-combination"),)

    @pytest.mark.parametrize(
        ("content", "words"),
        [
            ([], "no list under the key 'tasks'"),
            ({}, "no list under the key 'tasks'"),
            ({"tasks": {}}, "no list under the key 'tasks'"),
            ({"tasks": []}, "has no tasks"),
            ({"tasks": [["apple", "bear"]]}, "task 0.*key 'classes'"),
            ({"tasks": [{"classes": ["a", "b"]}, {"split": "seen"}]}, "task 1.*key 'classes'"),
            ({"tasks": [{"classes": "apple"}]}, "task 0.*key 'classes'"),
            ({"tasks": [{"classes": []}]}, "task 0.*at least two"),
            ({"tasks": [{"classes": ["apple"]}]}, "task 0.*at least two"),
            ({"tasks": [{"classes": ["apple", 3]}]}, "task 0.*3 is not a string"),
            ({"tasks": [{"classes": ["apple", "apple"]}]}, "task 0.*'apple' twice"),
            ({"tasks": [{"classes": ["apple", ""]}]}, "task 0.*empty"),
            ({"tasks": [{"classes": ["apple", "bear"], "split": 1}]}, "task 0.*'split' is 1"),
        ],
    )
    def test_malformed_files(self, tmp_path, content, words):
        path = tmp_path / "tasks.json"
        path.write_text(json.dumps(content))
        with pytest.raises(DataError, match=words) as caught:
            load_tasks(path)
        assert str(path) in str(caught.value)

    def test_no_file_and_no_json(self, tmp_path):
        with pytest.raises(DataError, match="does not exist"):
            load_tasks(tmp_path / "absent.json")
        path = tmp_path / "broken.json"
        path.write_text("{")
        with pytest.raises(DataError, match="cannot be read as JSON"):
            load_tasks(path)

    def test_unknown_classes_are_refused_with_a_suggestion(self, tmp_path):
        path = tmp_path / "tasks.json"
        save_tasks(path, [Task(("apple", "aquarium_fish"))])
        with pytest.raises(DataError, match="no class 'aquarium_fish'; did you mean 'aquarium fish'"):
            load_tasks(path, class_names=("apple", "aquarium fish", "bear"))
        assert len(load_tasks(path, class_names=("apple", "aquarium_fish"))) == 1

    def test_the_format_is_the_documented_one(self, tmp_path):
        save_tasks(tmp_path / "t.json", [Task(("pear", "apple"), "seen"), Task(("bus", "sea"))])
        assert json.loads((tmp_path / "t.json").read_text()) == {
            "generator": "tina tasks",
            "tasks": [{"classes": ["pear", "apple"], "split": "seen"}, {"classes": ["bus", "sea"]}],
        }


def test_tasks_and_sampling_import_no_torch():
    code = "import sys, tina_framework.zoo.task_sampler; print(sorted({'torch', 'transformers'} & set(sys.modules)))"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=Path.cwd())
    assert result.stdout.strip() == "[]"


def test_a_linked_task_file_stays_a_link(tmp_path: Path) -> None:
    real, link = tmp_path / "real.json", tmp_path / "link.json"
    task = Task(("ant", "bee"))
    save_tasks(real, [])
    link.symlink_to(real)
    save_tasks(link, [task])
    assert link.is_symlink()
    assert [found.classes for found in load_tasks(real)] == [("ant", "bee")]
