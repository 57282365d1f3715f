from __future__ import annotations

from pathlib import Path

import pytest

from tina_framework.config.training import SECTIONS, TrainingConfig, load_training_config
from tina_framework.errors import ConfigError
from tina_framework.training.arguments import help_text, parse_arguments, settings_tables


def test_all_ways_to_write_a_flag() -> None:
    words = ["--config", "c.toml", "--learning-rate=0.1", "--max_steps", "-3", "--plugin", "p.py", "--plugin=q.py"]
    parsed = parse_arguments([*words, "--overwrite_output_dir", "--no-template-mixing"])
    assert parsed.config_file == Path("c.toml")
    assert parsed.plugins == [Path("p.py"), Path("q.py")]
    assert parsed.flags == {
        "learning_rate": "0.1",
        "max_steps": "-3",
        "overwrite_output_dir": "true",
        "template_mixing": "false",
    }


def test_a_switch_takes_a_value_if_there_is_one() -> None:
    assert parse_arguments(["--template_mixing", "false", "--seed", "1"]).flags == {
        "template_mixing": "false",
        "seed": "1",
    }


def test_a_repeated_list_grows_and_a_repeated_value_replaces() -> None:
    parsed = parse_arguments(["--encoders", "a", "--encoders", "b", "--seed", "1", "--seed", "2"])
    assert parsed.flags == {"encoders": ["a", "b"], "seed": "2"}


def test_unknown_flags_are_left_to_the_check_of_the_settings() -> None:
    assert parse_arguments(["--nope", "1"]).flags == {"nope": "1"}


@pytest.mark.parametrize("words", [["stray"], ["--seed"], ["--seed", "--max_steps", "3"], ["--"]])
def test_words_that_cannot_be_read(words: list[str]) -> None:
    with pytest.raises(ConfigError):
        parse_arguments(words)


def test_help_names_every_setting_and_its_choices() -> None:
    text = help_text("tina train")
    assert all(f"  --{name} " in text for name in TrainingConfig.model_fields)
    assert "--lr_scheduler_type cosine|linear|constant_with_warmup" in text
    assert "[required]" in text
    assert "[default: 0.0003]" in text


def test_help_groups_the_settings_by_section() -> None:
    text = help_text("tina train")
    places = [text.index(f"\n{section.title}:\n") for section in SECTIONS]
    assert places == sorted(places)
    assert text.index("Optimizer:") < text.index("--learning_rate") < text.index("Validation:")


def test_the_documentation_lists_every_setting() -> None:
    text = (Path(__file__).parents[2] / "docs" / "reference" / "settings.md").read_text(encoding="utf-8")
    assert "\n".join(settings_tables()).strip() in text, (
        "paste the lines of `settings_tables` into docs/reference/settings.md"
    )


def test_the_recipe_in_the_documentation_is_valid(tmp_path: Path) -> None:
    text = (Path(__file__).parents[2] / "docs" / "how-to" / "training.md").read_text(encoding="utf-8")
    recipe = tmp_path / "recipe.toml"
    recipe.write_text(text.split("```toml\n")[1].split("```")[0], encoding="utf-8")
    assert load_training_config({}, recipe).class_counts == {10: 2.0, 5: 1.0, 3: 1.0}
