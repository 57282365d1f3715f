"""Settings from flags, environment variables and files: precedence, text values, and all mistakes in one message."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest

from tina_framework.config.training import TrainingConfig, load_training_config
from tina_framework.errors import ConfigError

REQUIRED = {"output_dir": "out", "dataset": "shapes", "zoo": "zoo", "encoders": "clip-lite"}


def write(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


def test_flag_over_environment_over_file_over_default(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = write(tmp_path / "c.toml", "seed = 1\nmax_steps = 1\nlearning_rate = 0.1")
    monkeypatch.setenv("TINA_SEED", "2")
    monkeypatch.setenv("TINA_MAX_STEPS", "2")
    config = load_training_config({**REQUIRED, "seed": "3"}, file)
    assert (config.seed, config.max_steps, config.learning_rate, config.adam_beta1) == (3, 2, 0.1, 0.9)


def test_a_table_replaces_the_table_below_it(tmp_path: Path) -> None:
    file = write(tmp_path / "c.toml", "class_counts = {10 = 1, 5 = 1}")
    assert load_training_config(REQUIRED, file).class_counts == {10: 1.0, 5: 1.0}
    assert load_training_config({**REQUIRED, "class_counts": "3:2"}, file).class_counts == {3: 2.0}


@pytest.mark.parametrize("text", ['{"10": 2, "5": 1}', "10:2,5:1", " 10:2 , 5 "])
def test_tables_on_the_command_line(text: str) -> None:
    assert load_training_config({**REQUIRED, "class_counts": text}).class_counts == {10: 2.0, 5: 1.0}


@pytest.mark.parametrize(
    "value", ["embedding-table:1,clip-lite", '["embedding-table:1", "clip-lite"]', ["embedding-table:1", "clip-lite"]]
)
def test_lists(value: object) -> None:
    assert load_training_config({**REQUIRED, "encoders": value}).encoders == ["embedding-table:1", "clip-lite"]


@pytest.mark.parametrize("name", ["snr_gamma", "ridge", "max_seconds", "max_grad_norm", "hidden_size"])
def test_the_text_none_means_none(name: str) -> None:
    assert getattr(load_training_config({**REQUIRED, name: "none"}), name) is None


def test_the_text_none_empties_a_table() -> None:
    assert load_training_config({**REQUIRED, "architectures": "none"}).architectures == {}


def test_all_mistakes_in_one_message_with_value_and_source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = write(tmp_path / "c.toml", 'learnin_rate = 3\npreset = "smal"')
    monkeypatch.setenv("TINA_MAX_STEPS", "many")
    with pytest.raises(ConfigError) as caught:
        load_training_config({**REQUIRED, "dropout": "1.5"}, file)
    text = str(caught.value)
    assert text.startswith("4 settings are wrong:")
    assert "max_steps = 'many' (environment TINA_MAX_STEPS): expected a valid integer" in text
    assert "dropout = '1.5' (flag --dropout): expected less than 1." in text
    assert f"learnin_rate = 3 (file {file}): there is no such setting. Did you mean 'learning_rate'?" in text
    assert f"preset = 'smal' (file {file}): expected one of tina" in text
    assert "Did you mean 'small'?" in text


def test_a_missing_setting_is_named_with_its_meaning() -> None:
    with pytest.raises(ConfigError) as caught:
        load_training_config({"dataset": "shapes"})
    assert str(caught.value).startswith("2 settings are wrong:")
    assert "zoo is not set (Folder of a zoo" in str(caught.value)


def test_a_wrong_entry_is_named() -> None:
    with pytest.raises(ConfigError, match=r"class_counts = .*entry 5: expected greater than 0"):
        load_training_config({**REQUIRED, "class_counts": "10:1,5:-1"})


def test_contradictions_come_with_the_other_mistakes() -> None:
    with pytest.raises(ConfigError) as caught:
        load_training_config(
            {
                "dataset": "shapes",
                "encoders": "clip-lite",
                "output_dir": "x",
                "learning_rate": "-1",
                "class_counts": "20:1",
                "max_classes": "10",
            }
        )
    text = str(caught.value)
    assert text.startswith("3 settings are wrong:")
    assert "zoo is not set" in text
    assert "learning_rate = '-1'" in text
    assert "class_counts = {20: 1.0}" in text


def test_a_misspelt_variable_is_a_mistake_but_others_are_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TINA_TEST_CIFAR100", "somewhere")
    monkeypatch.setenv("TINA_STRICT_PLUGINS", "1")
    load_training_config(REQUIRED)
    monkeypatch.setenv("TINA_LEARNING_RAT", "1")
    with pytest.raises(
        ConfigError, match=r"TINA_LEARNING_RAT\): there is no such setting. Did you mean 'learning_rate'"
    ):
        load_training_config(REQUIRED)


@pytest.mark.parametrize(("text", "message"), [(None, "does not exist"), ("seed = ", "is not valid TOML")])
def test_unreadable_files(tmp_path: Path, text: str | None, message: str) -> None:
    file = tmp_path / "c.toml"
    if text is not None:
        write(file, text)
    with pytest.raises(ConfigError, match=message):
        load_training_config(REQUIRED, file)


ODD_VALUES: list[Any] = [
    *(10**400, -(10**400), math.inf, math.nan, 1e308, -1, 2**63, True, None, "", "x" * 10**5, "\0", "\ud800", "["),
    *("[" * 10**5, "9" * 10**4, [], [[]], [None], [10**400], {}, {"a": 10**400}, {"a": []}, {10**400: 1}, b"x"),
    *("1e999", "a:1e999", "[1e999]", [{}], ["x" * 10**5], "a," * 10**5),
]


@pytest.mark.parametrize("field", TrainingConfig.model_fields)
def test_odd_values_are_accepted_or_refused_with_a_sentence(field: str) -> None:
    for value in ODD_VALUES:
        try:
            load_training_config({**REQUIRED, field: value})
        except ConfigError as error:
            found = str(error)
        else:
            found = ""
        assert len(found) < 1000


def test_many_mistakes_are_cut(tmp_path: Path) -> None:
    file = write(tmp_path / "c.toml", "\n".join(f"setting_{k} = 1" for k in range(900)))
    with pytest.raises(ConfigError) as caught:
        load_training_config(REQUIRED, file)
    assert str(caught.value).startswith("900 settings are wrong:")
    assert str(caught.value).endswith("and 880 more.")
    write(file, "\n".join(f"s{k} = 1" for k in range(60_000)))
    with pytest.raises(ConfigError, match="has 60,000 settings, but there are"):
        load_training_config(REQUIRED, file)
