"""Mixtures of a generated and a fine-tuned network, and the table of their accuracies."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from benchmarks.choose.parts import main, mixtures
from tests.conftest import TOY_CLASSES
from tina_framework.cli.__main__ import main as tina
from tina_framework.errors import ConfigError
from tina_framework.interfaces.spec import ParameterSpec
from tina_framework.plugin.discovery import registries


def test_each_mixture_takes_its_parts_from_the_other_network() -> None:
    spec = ParameterSpec(registries().architectures.create("cnn-2layer"))
    zeros, ones = torch.zeros(spec.num_parameters(3)), torch.ones(spec.num_parameters(3))
    found = {name: spec.unflatten(flat, 3) for name, flat in mixtures(spec, zeros, ones, 3).items()}
    rows = found["generated, with fine-tuned class rows"]
    shared = found["generated, with fine-tuned shared tensors"]
    first = found["generated, with fine-tuned `conv1.weight`"]
    assert [bool(rows[name].any()) for name in rows] == [name.startswith("fc") for name in rows]
    assert [bool(shared[name].any()) for name in shared] == [not name.startswith("fc") for name in shared]
    assert [bool(first[name].any()) for name in first] == [name == "conv1.weight" for name in first]


def test_the_table_has_a_row_for_each_mixture_and_a_second_call_trains_nothing(
    tiny_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[Any]
) -> None:
    labels = np.repeat(np.arange(12), 20)
    images = np.random.default_rng(0).integers(0, 256, (240, 32, 32, 3), dtype=np.uint8)
    arrays = {"train_images": images, "train_labels": labels, "test_images": images, "test_labels": labels}
    np.savez(tmp_path / "noise.npz", class_names=np.array(TOY_CLASSES), **arrays)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "zoo.toml").write_text("num_models = 0\n[generic]\nepochs = 1\n", encoding="utf-8")
    build = ["zoo", "build", "--out", "zoo", "--dataset", "arrays:noise.npz", "--config", "zoo.toml"]
    with pytest.raises(SystemExit) as ended:
        tina(build)
    assert not ended.value.code
    words = ["--dataset", "arrays:noise.npz", "--model", str(tiny_folder), "--zoo", "zoo", "--tasks", "2"]
    main([*words, "--recipe", "epochs=1", "--out", "parts"])
    first = capsys.readouterr().out
    assert "task 2 of 2" in first
    monkeypatch.setattr("benchmarks.choose.parts.fine_tune", None)
    main([*words, "--recipe", "epochs=1", "--out", "parts"])
    rows = [line.split("|")[1].strip() for line in capsys.readouterr().out.splitlines() if line.startswith("| ")]
    assert rows[1:4] == ["selection", "generated", "fine-tuned"]
    assert "generated, with fine-tuned `conv2.weight`" in rows
    for other, named in (("epochs=2", "another recipe"), ("long:teacher_weight=0", "another recipe")):
        with pytest.raises(ConfigError, match=named):
            main([*words, "--recipe", other, "--out", "parts"])
    with pytest.raises(ConfigError, match="the recipe has no teacher_weight"):
        main([*words, "--teacher", "t.safetensors", "--out", "other"])
