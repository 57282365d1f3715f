"""Draws are averaged as the tables say, and the heads of a regressor are those that training used."""

from __future__ import annotations

import copy
import dataclasses
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from benchmarks.choose.noise import Figures, accuracies, main, networks, row_name, table
from tests.conftest import TOY_CLASSES
from tina_framework.errors import ConfigError
from tina_framework.generator.generator import Generator
from tina_framework.prompts.encoded_task import encode_task
from tina_framework.training.regressor_heads import head_inputs

NAMES = sorted(TOY_CLASSES[:4])


def test_mean_probabilities_of_disjoint_draws() -> None:
    # The label is 0. The first pair is right together, the second is wrong, and all four are right.
    logits = torch.tensor([[[3.0, 0.0]], [[0.0, 1.0]], [[0.0, 3.0]], [[2.0, 0.0]]])
    assert accuracies(logits, torch.tensor([0])) == {1: 50.0, 2: 50.0, 4: 100.0}
    sure = torch.tensor([[[3.0, 0.0]], [[0.0, 1.0]]])
    assert accuracies(sure, torch.tensor([0])) == {1: 50.0, 2: 100.0}
    figures = Figures()
    figures.add(sure, torch.tensor([0]))
    assert figures.disagreement == [100.0]
    assert figures.spread == [pytest.approx(70.71, abs=0.01)]


def regressor(generator: Generator, heads: int) -> Generator:
    made = copy.deepcopy(generator)
    made.denoiser.config = dataclasses.replace(generator.denoiser.config, input_floor=1.0)
    training = {"recipe": {"draws_per_task": heads, "seed": 5}}
    made.config = dataclasses.replace(generator.config, initial_noise=False, num_inference_steps=1, training=training)
    return made


def test_heads_read_what_training_gave_them(tiny_generator: Generator) -> None:
    generator = regressor(tiny_generator, 3)
    condition = encode_task(NAMES, generator.encoder)
    [flats] = networks(generator, [condition], 1)
    assert torch.equal(flats[0], generator.generate_parameters([condition])[0])
    layout = generator.layout(4)
    vectors, last = generator.condition_space.apply(condition.vectors)[None], torch.tensor([999])
    for flat, head in zip(flats, head_inputs(5, 3, layout.token_width), strict=True):
        tokens = head.expand(1, layout.num_tokens, -1)
        with torch.no_grad():
            answer = generator.denoiser(vectors, torch.ones(1, 4, dtype=torch.bool), tokens, last, layout)
        expected = generator.normalizer.denormalize(layout.scatter(answer), 4)[0]
        torch.testing.assert_close(flat, expected, atol=1e-5, rtol=1e-4)
    assert not torch.allclose(flats[0], flats[1], atol=1e-3)


def test_tables_have_a_row_for_each_number_of_draws(
    tiny_generator: Generator, tiny_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    regressor(tiny_generator, 4).save_pretrained(tmp_path / "heads" / "generator")
    labels = np.repeat(np.arange(12), 20)
    images = np.random.default_rng(0).integers(0, 256, (240, 32, 32, 3), dtype=np.uint8)
    arrays = {"train_images": images, "train_labels": labels, "test_images": images, "test_labels": labels}
    np.savez(tmp_path / "noise.npz", class_names=np.array(TOY_CLASSES), **arrays)
    monkeypatch.chdir(tmp_path)
    words = [str(tiny_folder), str(tmp_path / "heads" / "generator"), "--dataset", "arrays:noise.npz", "--tasks", "2"]
    main(words)
    printed = capsys.readouterr().out
    rows = [line.split(" | ")[:3] for line in printed.splitlines() if line.startswith(("| tiny", "| heads"))]
    assert [row[1:] for row in rows if row[0] == "| tiny"][:8] == [
        [str(steps), str(draws)] for steps in (1, 2) for draws in (1, 2, 4, 8)
    ]
    assert [row[1:] for row in rows if row[0] == "| heads"][:3] == [["1", "1"], ["1", "2"], ["1", "4"]]


def test_the_first_generator_is_compared_with() -> None:
    one, two = Figures({1: [50.0, 60.0], 2: [52.0, 62.0]}), Figures({1: [51.0, 61.0], 2: [50.0, 64.0]})
    lines = table({"a": {1: one}, "b": {1: two}}).splitlines()
    assert lines[3] == "| a | 1 | 2 | 57.00 | +2.00 ± 0.00 |  |"
    assert lines[5] == "| b | 1 | 2 | 57.00 | +1.00 ± 2.00 | +0.00 ± 2.00 |"


def test_two_exports_of_one_run_keep_their_rows_apart(tmp_path: Path) -> None:
    def export(folder: str) -> Any:
        return SimpleNamespace(name=Path(folder).name, folder=tmp_path / folder)

    names: list[str] = []
    for folder in ("run/best", "run/generator", "other/best"):
        names.append(row_name(export(folder), names))
    assert names == ["run", "run/generator", "other"]
    with pytest.raises(ConfigError, match="both be called 'run/best'"):
        row_name(export("run/best"), ["run", "run/best"])
