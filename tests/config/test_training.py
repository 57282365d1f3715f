"""The composed training settings: sections, hash, help texts."""

from __future__ import annotations

import subprocess
import sys

from tina_framework.config.training import SECTIONS, TrainingConfig, load_training_config

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


def test_every_field_has_a_help_text() -> None:
    assert all(info.description for info in TrainingConfig.model_fields.values())


def test_no_torch_is_imported() -> None:
    code = "import sys, tina_framework.config.training, tina_framework.training.arguments; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
