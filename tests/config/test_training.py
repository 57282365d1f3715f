"""The composed training settings: sections, hash, help texts."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

from tina_framework.config.training import SECTIONS, TrainingConfig, load_training_config
from tina_framework.errors import ConfigError

REQUIRED = {"output_dir": "out", "dataset": "shapes", "zoo": "zoo", "encoders": "clip-lite"}


def test_the_settings_are_those_of_the_sections_in_their_order() -> None:
    names = [name for section in SECTIONS for name in section.model_fields]
    assert len(names) == len(set(names))
    assert list(TrainingConfig.model_fields) == names


def test_every_section_has_a_title_and_a_description() -> None:
    titles = [section.title for section in SECTIONS]
    assert len(titles) == len(set(titles))
    assert all(section.__doc__ for section in SECTIONS)


def test_the_hash_follows_the_values() -> None:
    one, same, other = (load_training_config({**REQUIRED, "seed": seed}) for seed in ("1", "1", "2"))
    assert one.sha256() == same.sha256() != other.sha256()
    assert TrainingConfig(**one.to_json()).sha256() == one.sha256()


@pytest.mark.parametrize(
    ("changes", "steps"),
    [
        ({}, 1),
        ({"num_inference_steps": "4"}, 4),
        ({"prediction_type": "epsilon", "pool_rank": "0"}, 10),
        ({"prediction_type": "epsilon", "pool_rank": "0", "num_train_timesteps": "6"}, 6),
        ({"regression": "true", "denoise_weight": "0", "num_inference_steps": "4"}, 1),
    ],
)
def test_a_clean_prediction_is_sampled_in_one_step(changes: dict[str, str], steps: int) -> None:
    assert load_training_config({**REQUIRED, **changes}).sampling_steps == steps


def test_every_field_has_a_help_text() -> None:
    assert all(info.description for info in TrainingConfig.model_fields.values())


def test_no_torch_is_imported() -> None:
    code = "import sys, tina_framework.config.training, tina_framework.training.arguments; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("max_classes", 10**7),
        ("hidden_size", 10**7),
        ("num_decoder_layers", 10**6),
        ("num_attention_heads", 10**6),
        ("num_train_timesteps", 10**9),
        ("task_batch_size", 10**9),
        ("pool_moments", 10**6),
        ("max_steps", 10**12),
        ("seed", 2**70),
        ("seed", True),
        ("seed", -1),
        ("seed", 1.5),
    ],
)
def test_values_without_bounds_are_mistakes(name: str, value: object) -> None:
    with pytest.raises(ConfigError, match=rf"^1 setting is wrong:\n  - {name} = {value} \(flag --{name}\): expected"):
        load_training_config({**REQUIRED, name: value})


def test_settings_may_be_scalars_of_numpy() -> None:
    config = load_training_config({**REQUIRED, "seed": np.int64(3), "learning_rate": np.float32(0.5)})
    assert (config.to_json()["seed"], config.to_json()["learning_rate"]) == (3, 0.5)
