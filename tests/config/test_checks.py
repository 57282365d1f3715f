"""Training settings that do not go together."""

from __future__ import annotations

import pytest

from tina_framework.config.training import load_training_config
from tina_framework.errors import ConfigError

REQUIRED = {"output_dir": "out", "dataset": "shapes", "zoo": "zoo", "encoders": "clip-lite"}


def test_contradictions_are_collected() -> None:
    with pytest.raises(ConfigError) as caught:
        load_training_config(
            {
                **REQUIRED,
                "class_counts": "12",
                "max_classes": "10",
                "task_weight": "0",
                "denoise_weight": "0",
                "images_per_task": "2",
            }
        )
    assert str(caught.value).startswith("3 settings are wrong:")
    assert "class_counts = {12: 1.0} (flag --class_counts): expected class counts from 2 to max_classes=10" in str(
        caught.value
    )


def test_names_that_nobody_provides_are_mistakes_like_any_other() -> None:
    names = {"scheduler": "dimm", "tokenizer": "class-rows", "encoders": "clip-light", "default_encoder": "none-such:x"}
    with pytest.raises(ConfigError) as caught:
        load_training_config(
            {**REQUIRED, **names, "schemes": "randum", "beta_schedule": "cosine", "dataset": "shapez:3"}
        )
    text = str(caught.value)
    assert text.startswith("7 settings are wrong:")
    assert "scheduler = 'dimm' (flag --scheduler): Unknown scheduler 'dimm'. Did you mean 'ddim'?" in text
    for name in ("class-rows", "clip-light", "none-such", "randum", "cosine", "shapez"):
        assert name in text


@pytest.mark.parametrize(
    ("settings", "field"),
    [
        ({"prediction_type": "flow_prediction"}, "prediction_type"),
        ({"scheduler": "flow-match-euler", "prediction_type": "epsilon"}, "prediction_type"),
        ({"shift": "3"}, "shift"),
        ({"regression": "true"}, "denoise_weight"),
        ({"input_floor": "0.5", "prediction_type": "epsilon"}, "input_floor"),
        ({"teacher": "t.safetensors", "teacher_weight": "0"}, "teacher"),
        ({"teacher": "t.safetensors", "task_weight": "0"}, "teacher"),
        ({"task_batch_size": "8", "draws_per_task": "4"}, "input_floor"),
        ({"task_batch_size": "6", "draws_per_task": "4"}, "task_batch_size"),
        ({"torch_compile_mode": "max-autotune"}, "torch_compile_mode"),
        ({"torch_compile_backend": "eager"}, "torch_compile_backend"),
        ({"unseen_class_probability": "0.5"}, "unseen_class_probability"),
        ({"beta_start": "0.5", "beta_end": "0.1"}, "beta_end"),
        ({"num_train_timesteps": "5", "num_inference_steps": "6"}, "num_inference_steps"),
    ],
)
def test_each_is_named(settings: dict[str, str], field: str) -> None:
    with pytest.raises(ConfigError, match=rf"{field} = .*expected"):
        load_training_config({**REQUIRED, **settings})


def test_flow_and_its_settings_go_together() -> None:
    config = load_training_config(
        {
            **REQUIRED,
            "scheduler": "flow-match-euler",
            "prediction_type": "flow_prediction",
            "shift": "3",
            "pool_rank": "0",
        }
    )
    assert config.contradictions() == []


def test_settings_of_the_pooled_forecast_must_agree() -> None:
    with pytest.raises(ConfigError, match=r"pool_moments = 3 .*expected at most pool_rank=2"):
        load_training_config({**REQUIRED, "pool_rank": "2", "pool_moments": "3"})
    with pytest.raises(ConfigError, match=r"pool_rank = 2 .*expected 0 unless prediction_type is sample"):
        load_training_config({**REQUIRED, "pool_rank": "2", "prediction_type": "epsilon"})


def test_class_counts_and_max_classes_contradict_each_other_only_if_both_are_given() -> None:
    assert load_training_config({**REQUIRED, "class_counts": "30"}).class_counts == {30: 1.0}
    assert load_training_config({**REQUIRED, "max_classes": "5"}).max_classes == 5
    with pytest.raises(ConfigError, match=r"class_counts = \{30: 1.0\}.*expected class counts from 2 to max_classes=5"):
        load_training_config({**REQUIRED, "class_counts": "30", "max_classes": "5"})
    with pytest.raises(ConfigError, match="expected class counts of at least 2"):
        load_training_config({**REQUIRED, "class_counts": "1"})


def test_a_width_is_looked_up_by_its_family() -> None:
    load_training_config({**REQUIRED, "architecture": "cnn-2layer@1.5"})
    with pytest.raises(ConfigError, match="'cnn-2layer@wide' has the width 'wide', which is no number"):
        load_training_config({**REQUIRED, "architecture": "cnn-2layer@wide"})


SEVERAL = {"architectures": "cnn-2layer:1,cnn-2layer@0.5:0", "tokenizer": "filter:288", "denoise_weight": "0"}


def test_several_architectures_are_read_with_their_weights() -> None:
    config = load_training_config({**REQUIRED, **SEVERAL, "zoos": "a,b"})
    assert config.architectures == {"cnn-2layer": 1.0, "cnn-2layer@0.5": 0.0}
    assert config.zoos == ["a", "b"]
    assert load_training_config(REQUIRED).architectures == {}


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"architectures": "cnn-2layer:0,cnn-2layer@2:0"}, "architectures.*expected at least one weight above 0"),
        ({"architectures": "cnn-2layer:-1"}, "architectures"),
        ({"architectures": "cnn-2layer:inf"}, "architectures"),
        ({"architectures": "cnn-2leyer:1"}, "Unknown architecture 'cnn-2leyer'. Did you mean 'cnn-2layer'"),
        ({"architecture": "cnn-2layer"}, "architecture = 'cnn-2layer'.*: expected none if architectures is set"),
        ({"denoise_weight": "0.1"}, r"denoise_weight = 0\.1.*: expected 0: p-Models are networks of one architecture"),
        ({"retrieve_rows": "true"}, r"retrieve_rows = True.*: expected false: retrieved .* \(architectures is set\)"),
        ({"kernel_ridge": "0.1"}, r"kernel_ridge = 0\.1.*: expected none: it forecasts the class rows of one"),
        ({"torch_compile": "true"}, r"torch_compile = True.*: expected false: the denoiser has other shapes"),
        ({"bundle_zoo_reference": "true"}, r"bundle_zoo_reference = True.*: expected false: there are several generic"),
        ({"prediction_type": "epsilon"}, r"prediction_type = 'epsilon'.*: expected sample \(architectures is set\)"),
        ({"forecast_width": "0"}, "forecast_width"),
        ({"output_width": "0"}, "output_width"),
        ({"skip_width": "0"}, "skip_width"),
    ],
)
def test_settings_that_need_one_architecture(settings: dict[str, str], sentence: str) -> None:
    with pytest.raises(ConfigError, match=sentence) as caught:
        load_training_config({**REQUIRED, **SEVERAL, **settings})
    assert "1 setting is wrong" in str(caught.value) or "1 settings" in str(caught.value)


def test_more_zoos_need_several_architectures() -> None:
    with pytest.raises(ConfigError, match=r"architectures = .*: expected several, because zoos is set"):
        load_training_config({**REQUIRED, "zoos": "other"})
    with pytest.raises(ConfigError, match="1 setting is wrong") as caught:  # the weight alone is
        load_training_config({**REQUIRED, "zoos": "other", "architectures": "cnn-2layer:-1"})
    assert "expected several" not in str(caught.value)
