"""Oversized prompts end at once with a short sentence."""

from __future__ import annotations

import contextlib
import json
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tina_framework import prompt
from tina_framework.errors import PromptError, TinaError
from tina_framework.generator.generator import Generator
from tina_framework.prompts.limits import MAX_CLASSES, MAX_TASKS, check_class_count, check_task_count
from tina_framework.prompts.notation import read_class
from tina_framework.prompts.read import read_tasks
from tina_framework.prompts.sentence import classes_of

SECONDS, CHARACTERS = 2.0, 500
"""Limits of a refusal. Seconds of the processor are counted, because other programs may keep the machine busy."""
MEGABYTE = 10**6


def test_counts() -> None:
    check_class_count(10, 10, 2)
    check_class_count(MAX_CLASSES)
    check_task_count(MAX_TASKS)
    with pytest.raises(PromptError, match=r"11 classes were named, .* for 2 to 10; leave some out, or compose"):
        check_class_count(11, 10, 2)
    with pytest.raises(PromptError, match=r"1 classes were named, .* for 2 to 10; add some"):
        check_class_count(1, 10, 2)
    with pytest.raises(PromptError, match="at most 1,000 are allowed"):
        check_class_count(1001)
    with pytest.raises(PromptError, match="10,001 tasks were given"):
        check_task_count(10_001)


@pytest.fixture(scope="module")
def bundled() -> Generator:
    generator = Generator.from_pretrained("cifar100-cnn", device="cpu")
    generator(["apple", "bus"])
    return generator


PROMPTS: dict[str, Callable[[], Any]] = {
    "ten thousand classes": lambda: [f"name {k}" for k in range(10_000)],
    "a million classes": lambda: ["x"] * MEGABYTE,
    "ten thousand tasks": lambda: [["apple", "bus"]] * 10_001,
    "long name": lambda: ["x" * 10 * MEGABYTE, "bus"],
    "long name of spaces": lambda: ["a" + " " * MEGABYTE + "b", "bus"],
    "decomposed name": lambda: ["e\u0301" * MEGABYTE, "bus"],
    "long description": lambda: [prompt.text("word " * 2 * MEGABYTE, label="a"), "bus"],
    "long label": lambda: [prompt.text("word", label="a" * MEGABYTE), "bus"],
    "many descriptions": lambda: [prompt.text(*["word"] * 10**5, label="a"), "bus"],
    "long sentence": lambda: "tell " + "apples from " * MEGABYTE,
    "sentence of spaces": lambda: "tell" + " " * MEGABYTE + "apples from bears",
    "sentence of many classes": lambda: "tell " + ", ".join("abcdefgh"[k % 8] for k in range(3000)),
    "sentence of quotes": lambda: "tell " + '"a","b",' * 1200,
    "sentence of requests": lambda: "please " * 1400,
    "sentence with a terminal escape": lambda: "tell \x1b[31m from bears",
    "long list": lambda: [["a"] * 500, "bus"],
    "long value": lambda: [10**4000, "bus"],
}


@pytest.mark.parametrize("make", PROMPTS.values(), ids=list(PROMPTS))
@pytest.mark.parametrize("compose", [False, True])
def test_prompts_that_are_too_large(bundled: Generator, make: Callable[[], Any], compose: bool) -> None:
    def run() -> None:
        prompts = make()
        start = time.process_time()
        try:
            bundled(prompts, compose=compose)
        finally:
            assert time.process_time() - start < SECONDS

    with pytest.raises(TinaError) as refused:
        run()
    assert len(str(refused.value)) < CHARACTERS


WRITTEN = {
    "spaces": "a" + " " * MEGABYTE,
    "spaces and equals signs": "a" + " " * 50_000 + "=" + " " * 50_000 + "b",
    "separators": "a" + " ,+" * 200_000,
    "equals signs": "=" * MEGABYTE,
    "files": "a=" + ",".join("@x" for _ in range(10**5)),
    "long path": "a=@" + "x" * MEGABYTE,
    "null in a path": "a=@x\0y",
}


@pytest.mark.parametrize("written", WRITTEN.values(), ids=list(WRITTEN))
def test_the_notation_is_read_in_linear_time(written: str) -> None:
    start = time.process_time()
    with contextlib.suppress(TinaError):
        read_class(written)
    assert time.process_time() - start < SECONDS


def test_the_longest_sentence_is_read_fast() -> None:
    known = [f"thing of kind {k}" for k in range(1000)]
    for sentence in (
        "tell " + "a from b or " * 800,
        "a with b " * 1100,
        '" ' * 4999,
        "\N{LEFT DOUBLE QUOTATION MARK}" * 9999,
    ):
        start = time.process_time()
        with pytest.raises(PromptError) as refused:
            classes_of(sentence, known)
        assert time.process_time() - start < SECONDS
        assert len(str(refused.value)) < CHARACTERS


def _classes(*classes: Any) -> str:
    return json.dumps({"tasks": [{"classes": list(classes)}]})


FILES: dict[str, Callable[[], str]] = {
    "a million tasks": lambda: '{"tasks": [' + ",".join(['{"classes":["a","b"]}'] * 700_000) + "]}",
    "too large": lambda: " " * (16 * 2**20 + 1),
    "ten thousand classes": lambda: _classes(*map(str, range(10_000))),
    "deep": lambda: "[" * MEGABYTE,
    "deep class": lambda: _classes("a", "b").replace('"b"', "[" * 900 + "]" * 900),
    "long name": lambda: _classes("a", "b" * MEGABYTE),
    "long key": lambda: _classes("a", {"label": "b", "x" * MEGABYTE: 1}),
    "long integer": lambda: _classes("a", 7).replace("7", "7" * 10**5),
    "infinity": lambda: _classes("a", 7).replace("7", "1e999"),
    "twice": lambda: '{"tasks": [], "tasks": []}',
    "many images": lambda: _classes("a", {"label": "b", "images": ["x"] * 10**5}),
    "null in a path": lambda: _classes("a", {"label": "b", "images": ["x\0y"]}),
    "lone surrogate": lambda: _classes("a", "\ud800"),
}


@pytest.mark.parametrize("text", FILES.values(), ids=list(FILES))
def test_task_files_that_are_too_large_or_odd(tmp_path: Path, bundled: Generator, text: Callable[[], str]) -> None:
    path = tmp_path / "tasks.json"
    path.write_text(text())
    start = time.process_time()
    with pytest.raises(TinaError) as refused:
        bundled(path)
    assert time.process_time() - start < SECONDS
    assert len(str(refused.value)) < CHARACTERS + len(str(path))


def test_task_files_with_a_byte_order_mark_and_other_line_ends(tmp_path: Path) -> None:
    path = tmp_path / "tasks.json"
    path.write_bytes(b"\xef\xbb\xbf" + _classes("ant", "bee").replace(" ", "\r\n").encode())
    assert read_tasks(path) == ([["ant", "bee"]], False)
    path.write_bytes(_classes("ant", "bee").encode("utf-16"))
    with pytest.raises(TinaError, match="cannot be read as JSON"):
        read_tasks(path)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
def test_pipes_and_devices_are_no_task_files(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", Path("/dev/zero"), tmp_path):
        with pytest.raises(TinaError, match="cannot be read as JSON"):
            read_tasks(path)
