"""Settings of the data."""

from __future__ import annotations

from typing import get_args

from tina_framework.config.sections.data import DataSettings, Scheme
from tina_framework.zoo.task_sampler import SCHEMES


def test_the_schemes_are_those_of_the_task_sampler() -> None:
    assert get_args(Scheme) == SCHEMES


def test_class_counts_and_schemes_have_weights() -> None:
    settings = DataSettings(dataset="shapes", zoo="zoo", class_counts="10:2,5", schemes="random:3")
    assert settings.class_counts == {10: 2.0, 5: 1.0}
    assert settings.schemes == {"random": 3.0}
