"""Entry points of installed plugins, listed without importing them."""

from __future__ import annotations

import os
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from tina_framework.plugin.entry_points import FoundPlugin, find_plugins, is_distribution_name, normal_name

Install = Callable[..., str]


def test_a_source_tree_without_metadata_still_has_the_built_ins(tmp_path: Path) -> None:
    assert [(p.distribution, p.name, p.target) for p in find_plugins([str(tmp_path)])] == [
        ("tina-framework", "builtins", "tina_framework.builtins.plugin")
    ]


def test_an_entry_point_is_found_without_importing_it(install: Install) -> None:
    site = install("fake-bad", "raise RuntimeError('imported')", entry="entry", version="2.1")
    found = find_plugins([site])
    assert [plugin.distribution for plugin in found] == ["tina-framework", "fake-bad"]
    assert found[1] == FoundPlugin("fake-bad", "entry", "fake_bad", "2.1")


def write(site: Path, folder: str, points: bytes | None, metadata: bytes | None = None) -> None:
    """Write the metadata of a distribution into a folder of the search path."""
    (site / folder).mkdir(parents=True)
    if points is not None:
        (site / folder / "entry_points.txt").write_bytes(points)
    if metadata is not None:
        (site / folder / "METADATA").write_bytes(metadata)


def others(site: Path) -> list[FoundPlugin]:
    return find_plugins([str(site)])[1:]


STRANGERS = {
    "not UTF-8": b"# entr\xe9e\n[console_scripts]\nother = other:main\n",
    "cut off": b"[console_scripts\nx =\n",
    "no INI file": b"this is no ini file\n\0\xff",
    "the group's name elsewhere": b"[console_scripts]\ntina_framework = other:main\n",
    "a group with a longer name": b"[tina_framework_of_others]\nx y z\n",
    "empty": b"",
    "the group without brackets": b"tina_framework]\nmine = fake_mine\n",
}


@pytest.mark.parametrize("case", STRANGERS)
def test_a_package_without_the_group_is_passed_over(
    tmp_path: Path, case: str, caplog: pytest.LogCaptureFixture
) -> None:
    write(tmp_path, "stranger-1.0.dist-info", STRANGERS[case])
    write(
        tmp_path, "fake_good-3.0.dist-info", b"[tina_framework]\nmine = fake_good\n", b"Name: fake-good\nVersion: 3.0\n"
    )
    assert others(tmp_path) == [FoundPlugin("fake-good", "mine", "fake_good", "3.0")]
    assert others(tmp_path)[0].problem is None
    assert caplog.text == ""


GOOD = b"[tina_framework]\nmine = fake_mine\n"
NAMED = b"Metadata-Version: 2.1\nName: Fake_Mine\nVersion: 3.0\n\nName: other\n"

PLUGINS: dict[str, tuple[str, bytes, bytes | None, FoundPlugin, str]] = {
    "all right": ("fake_mine-3.0.dist-info", GOOD, NAMED, FoundPlugin("fake-mine", "mine", "fake_mine", "3.0"), ""),
    "no METADATA": (
        "fake_mine-3.0.dist-info", GOOD, None,
        FoundPlugin("fake-mine", "mine", "fake_mine", "3.0"), "has no METADATA that names it",
    ),
    "METADATA that is no text": (
        "fake_mine-3.0.dist-info", GOOD, b"\xff\0\n\n",
        FoundPlugin("fake-mine", "mine", "fake_mine", "3.0"), "has no METADATA that names it",
    ),
    "a crafted name": (
        "fake_mine-3.0.dist-info", GOOD, b"Name: x; rm -rf ~\nVersion: 1 \x1b[2J\n",
        FoundPlugin("fake-mine", "mine", "fake_mine", ""), "has no METADATA that names it",
    ),
    "an empty name": (
        "-3.0.dist-info", GOOD, b"Name:\nVersion: 3.0\n",
        FoundPlugin("-3-0", "mine", "fake_mine", "3.0"), "has no METADATA that names it",
    ),
    "a byte-order mark": (
        "fake_mine-3.0.dist-info", b"\xef\xbb\xbf" + GOOD, NAMED, FoundPlugin("fake-mine", "mine", "fake_mine", "3.0"), "",
    ),
    "a comment in Latin-1": (
        "fake_mine-3.0.dist-info", b"# entr\xe9e\n" + GOOD, NAMED,
        FoundPlugin("fake-mine", "mine", "fake_mine", "3.0"), "not UTF-8",
    ),
    "UTF-16": (
        "fake_mine-3.0.dist-info", GOOD.decode().encode("utf-16"), NAMED,
        FoundPlugin("fake-mine", "mine", "fake_mine", "3.0"), "not UTF-8",
    ),
    "an egg-info folder": (
        "fake_mine.egg-info", GOOD, None, FoundPlugin("fake-mine", "mine", "fake_mine", ""), "has no METADATA",
    ),
    "extras and spaces": (
        "fake_mine-3.0.dist-info", b" [ tina_framework ]\n ; no\n  mine=fake_mine : plugin [audio, x]\n[other]\nx\n", NAMED,
        FoundPlugin("fake-mine", "mine", "", "3.0"), "has the line 'mine=fake_mine : plugin [audio, x]'",
    ),
    "an extra": (
        "fake_mine-3.0.dist-info", b"[tina_framework]\nmine = fake_mine:plugin.x [audio]\n", NAMED,
        FoundPlugin("fake-mine", "mine", "fake_mine:plugin.x", "3.0"), "",
    ),
    "no equals sign": (
        "fake_mine-3.0.dist-info", b"[tina_framework]\nmine\n", NAMED,
        FoundPlugin("fake-mine", "", "", "3.0"), "has the line 'mine', which is not 'name = package.module'",
    ),
    "an unfinished section": (
        "fake_mine-3.0.dist-info", b"[tina_framework\nmine = fake_mine\n", NAMED,
        FoundPlugin("fake-mine", "mine", "fake_mine", "3.0"), "",
    ),
    "no name": (
        "fake_mine-3.0.dist-info", b"[tina_framework]\n = fake_mine\n", NAMED,
        FoundPlugin("fake-mine", "", "", "3.0"), "has the line '= fake_mine'",
    ),
    "escapes": (
        "fake_mine-3.0.dist-info", b"[tina_framework]\n\x1b[2J = fake_mine\n", NAMED,
        FoundPlugin("fake-mine", "", "", "3.0"), r"has the line '\x1b[2J = fake_mine'",
    ),
    "a target that is no module": (
        "fake_mine-3.0.dist-info", b"[tina_framework]\nmine = fake mine!\n", NAMED,
        FoundPlugin("fake-mine", "mine", "", "3.0"), "has the line 'mine = fake mine!'",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", PLUGINS)
def test_a_package_with_the_group_is_found_whatever_is_wrong(tmp_path: Path, case: str) -> None:
    folder, points, metadata, expected, sentence = PLUGINS[case]
    write(tmp_path, folder, points, metadata)
    [found] = others(tmp_path)
    assert found == expected
    told = " ".join((found.problem or "", *found.notes))
    assert sentence in told
    assert bool(sentence) == bool(told)
    assert (found.problem is None) == bool(found.target)


def test_what_pip_left_behind_is_no_plugin(tmp_path: Path) -> None:
    """pip renames a package that it removes to ~ame. If it is stopped, the folder stays."""
    write(tmp_path, "fake_mine-3.0.dist-info", GOOD, NAMED)
    write(tmp_path, "~ake_mine-3.0.dist-info", GOOD, NAMED)
    write(tmp_path, "~ake_mine-2.0.dist-info", GOOD, None)
    assert others(tmp_path) == [FoundPlugin("fake-mine", "mine", "fake_mine", "3.0")]
    assert others(tmp_path)[0].notes == ()


def test_of_two_versions_in_one_folder_the_newer_counts(tmp_path: Path) -> None:
    write(
        tmp_path, "fake_mine-9.0.dist-info", b"[tina_framework]\nold = fake_old\n", b"Name: fake-mine\nVersion: 9.0\n"
    )
    write(tmp_path, "fake_mine-10.0.dist-info", GOOD, b"Name: fake-mine\nVersion: 10.0\n")
    [found] = others(tmp_path)
    assert found == FoundPlugin("fake-mine", "mine", "fake_mine", "10.0")
    assert "is installed in several versions (9.0, 10.0)" in found.notes[0]


def test_the_first_folder_wins_as_for_imports(tmp_path: Path) -> None:
    for number in ("1.0", "2.0"):
        write(
            tmp_path / number, f"fake_mine-{number}.dist-info", GOOD, f"Name: fake-mine\nVersion: {number}\n".encode()
        )
    found = find_plugins([str(tmp_path / "1.0"), str(tmp_path / "2.0")])
    assert found[1:] == [FoundPlugin("fake-mine", "mine", "fake_mine", "1.0")]


def test_a_name_twice_in_one_file_is_reported_once(tmp_path: Path) -> None:
    write(tmp_path, "fake_mine-3.0.dist-info", GOOD + b"mine = fake_mine\nmine = other\n", NAMED)
    first, second = sorted(others(tmp_path), key=lambda plugin: plugin.problem is not None)
    assert first.problem is None
    assert "has the name 'mine' twice" in str(second.problem)


def test_odd_files_and_folders_on_the_path_are_passed_over(tmp_path: Path) -> None:
    write(tmp_path, "pipe-1.0.dist-info", None)
    os.mkfifo(tmp_path / "pipe-1.0.dist-info" / "entry_points.txt")
    write(tmp_path, "folder-1.0.dist-info", None)
    (tmp_path / "folder-1.0.dist-info" / "entry_points.txt").mkdir()
    (tmp_path / "file-1.0.dist-info").write_text("")
    (tmp_path / "damaged.zip").write_bytes(b"PK\x03\x04 and no more")
    path = [str(tmp_path), str(tmp_path / "damaged.zip"), str(tmp_path / "missing"), "a\0b"]
    assert [plugin.distribution for plugin in find_plugins(path)] == ["tina-framework"]


def test_a_plugin_in_a_zip_file_is_found(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "all.zip", "w") as archive:
        archive.writestr("fake_mine-3.0.dist-info/entry_points.txt", GOOD)
        archive.writestr("fake_mine-3.0.dist-info/METADATA", NAMED)
    found = find_plugins([str(tmp_path / "all.zip")])
    assert found[1:] == [FoundPlugin("fake-mine", "mine", "fake_mine", "3.0")]


@pytest.mark.parametrize("name", ["Tina_Sounds", "tina.sounds", "tina--sounds", "tina-sounds"])
def test_names_of_distributions_are_normalised(name: str) -> None:
    assert normal_name(name) == "tina-sounds"


@pytest.mark.parametrize(
    ("name", "good"),
    [("tina-sounds", True), ("x", True), ("a" * 100, True), ("a" * 101, False), ("-x", False), ("", False),
     ("x --index-url http://a", False), ("x;y", False), ("x\n", False), ("\x1b[2J", False), ("tina-\u0455ounds", False)],
)  # fmt: skip
def test_what_can_be_the_name_of_a_package(name: str, good: bool) -> None:
    assert is_distribution_name(name) == good
