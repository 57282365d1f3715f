"""The scheduler of a run has the noise process of the settings."""

from __future__ import annotations

from collections.abc import Callable

from tina_framework.config.training import TrainingConfig
from tina_framework.training.run_scheduler import make_sampler, noise_settings

Make = Callable[..., TrainingConfig]


def test_the_scheduler_gets_the_settings_of_its_noise_process(make_config: Make) -> None:
    config = make_config(scheduler="ddim", beta_end=0.03)
    assert noise_settings(config)["beta_end"] == 0.03
    sampler = make_sampler(config)
    assert sampler.config["beta_end"] == 0.03
    assert sampler.config["num_train_timesteps"] == config.num_train_timesteps
    assert "beta_end" not in noise_settings(make_config(scheduler="flow-match-euler"))
