"""The first stage: a generic model that is trained or taken over, and what is measured of it."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from tina_framework.errors import CheckpointError, ConfigError
from tina_framework.zoo.generic_stage import generic_figures, has_generic, make_generic, read_generic
from tina_framework.zoo.image_bank import ImageBank
from tina_framework.zoo.store import Zoo


def test_figures_of_the_generic_model_leave_out_classes_without_images(spec, zoo_folder, dataset):
    bank = ImageBank(dataset, "validation", spec)
    kept = bank.labels == 0
    bank.images, bank.labels = bank.images[kept], bank.labels[kept]
    figures = generic_figures(spec, Zoo.open(zoo_folder).generic, bank)
    assert figures["selection_10_of_all"] == 1, "only one class is left to choose from"
    assert 0 <= figures["accuracy"] <= 1


def test_a_generic_model_is_trained_and_read(tmp_path, plan, zoo_folder):
    planned = plan(tmp_path / "zoo")
    assert not has_generic(planned)
    with pytest.raises(CheckpointError):
        read_generic(planned)
    make_generic(planned, None)
    assert has_generic(planned)
    expected = Zoo.open(zoo_folder).generic
    assert all(torch.equal(tensor, expected[name]) for name, tensor in read_generic(planned).items())


def test_a_generic_model_is_taken_over_only_if_it_is_the_same(tmp_path, plan, config, zoo_folder):
    planned = plan(tmp_path / "two", settings=replace(config, num_models=2))
    make_generic(planned, zoo_folder)
    assert (tmp_path / "two" / "generic.safetensors").read_bytes() == (zoo_folder / "generic.safetensors").read_bytes()
    other = plan(tmp_path / "no", settings=replace(config, generic={**config.generic, "epochs": 1}))
    with pytest.raises(ConfigError, match=r"other settings \(generic\)"):
        make_generic(other, zoo_folder)
    assert not has_generic(other)
