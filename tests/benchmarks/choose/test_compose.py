"""Every candidate runs on noise, and ways that must agree do."""

from __future__ import annotations

import argparse
import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from benchmarks.choose import compose
from benchmarks.choose.compose_candidates import ENSEMBLE, MERGED
from benchmarks.choose.compose_setup import Case, Setup
from tina_framework.generator.generator import Generator

CLASSES = ("ant", "bee", "cat", "dog", "eel", "fox", "gnu", "hen", "ibis", "jay", "kite", "lion")


@pytest.fixture
def words(tiny_generator: Generator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Save a generator of at most six classes and noise, and return the command line for them."""
    monkeypatch.chdir(tmp_path)
    config = dataclasses.replace(tiny_generator.config, max_classes=6)
    parts = tiny_generator.denoiser, tiny_generator.normalizer, tiny_generator.condition_space, tiny_generator.generic
    Generator(config, *parts).save_pretrained("small")
    labels = np.repeat(np.arange(12), 40)
    images = np.random.default_rng(0).integers(0, 256, (480, 32, 32, 3), dtype=np.uint8)
    arrays = {"train_images": images, "train_labels": labels, "test_images": images[::20], "test_labels": labels[::20]}
    np.savez("noise.npz", **arrays, class_names=np.array(CLASSES))
    return ["--dataset", "arrays:noise.npz", "--model", "small", "--tasks", "2", "--classes", "8"]


def test_choosing_and_reporting(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    compose.main([*words, "--out", "choice"])
    found = json.loads(Path("choice/compose.json").read_text())
    rows = {row["method"]: row for row in found["rows"]["8"]}
    assert rows[MERGED]["networks"] == rows[ENSEMBLE]["networks"] == 8
    assert rows["selection"]["minus_selection"]["mean"] == 0
    assert rows["pairs of blocks, coupled"]["networks"] == 3
    assert found["setup"]["images"] == "validation, all a class"
    assert f"| {MERGED} |" in capsys.readouterr().out

    compose.main([*words, "--only", "ensemble, 8", "--images", "1", "--out", "few"])
    few = json.loads(Path("few/compose.json").read_text())["rows"]["8"]
    assert [row["method"] for row in few] == ["selection", MERGED, "ensemble, 8 random groupings"]

    compose.main([*words, "--test", "--images", "1", "--out", "report"])
    report = json.loads(Path("report/compose.json").read_text())
    assert report["setup"]["images"] == "test, 1 a class"
    assert {"selection", "direct", MERGED, ENSEMBLE} <= {row["method"] for row in report["rows"]["8"]}
    assert len(report["rows"]["8"]) == 5
    merged, ensemble = report["costs"]["8"]
    assert (merged["parameters"], ensemble["parameters"]) == (5040 + 33 * 8, 8 * (5040 + 33 * 6))
    assert ensemble["bytes"] > merged["bytes"]
    assert all(row[key] > 0 for row in (merged, ensemble) for key in ("generate", "classify_1000"))


def test_the_measured_ways_are_those_of_the_generator(words: list[str]) -> None:
    given: dict[str, Any] = {"encoder": None, "test": False, "seed": 0, "images": 0, "tasks": 1}
    setup = Setup(argparse.Namespace(dataset="arrays:noise.npz", model="small", **given))
    [task] = setup.tasks(8)
    case = Case(setup, task)
    four = case.random(4)
    torch.testing.assert_close(case.merged(four), setup.spec.flatten(case.shipped("merge").network.state_dict(), 8))
    votes = case.mean_vote(four, case.votes(four), lambda vote: vote)
    torch.testing.assert_close(case.answers(case.shipped("ensemble").network), votes, atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(case.answers(case.ensemble(four)), votes, atol=1e-5, rtol=1e-4)
    groups = [list(range(8))]
    vote = torch.randn(len(case.images), 8)
    # With one network that knows all classes, its own probabilities agree best with its pairs.
    torch.testing.assert_close(case.coupled(groups, [vote]), vote.log_softmax(dim=1), atol=1e-4, rtol=1e-3)
