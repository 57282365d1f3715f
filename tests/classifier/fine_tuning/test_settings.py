from __future__ import annotations

from typing import Any

import pytest

from tina_framework.classifier.fine_tuning.settings import FineTuneSettings, HeadSettings
from tina_framework.errors import ConfigError


def test_more_pictures_are_given_more_steps() -> None:
    chosen = [FineTuneSettings.for_pictures(n) for n in (1, 5, 20, 100, 10_000)]
    assert [s.steps for s in chosen] == sorted(s.steps for s in chosen)
    assert chosen[0].steps < chosen[3].steps
    assert chosen[3] == chosen[4]
    assert FineTuneSettings.for_pictures(2) == chosen[0]
    assert FineTuneSettings.for_pictures(3) == chosen[1]


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"steps": 0}, "steps is 0"),
        ({"steps": 2.5}, "steps is 2.5"),
        ({"steps": True}, "steps is True"),
        ({"batch_size": 0}, "batch_size is 0"),
        ({"lr": 0.0}, "lr is 0.0"),
        ({"lr": float("nan")}, "lr is nan"),
        ({"lr": "fast"}, "lr is 'fast'"),
        ({"pull": -1.0}, "pull is -1.0"),
        ({"lr": 1.5}, "lr must be above 0 and at most 1"),
        ({"flip": "no"}, "flip is 'no'; it must be True or False"),
        ({"lr": 10**400}, r"lr is 10+\.\.\. and"),
        ({"shift": 0.6}, "shift at most 0.5"),
    ],
)
def test_settings_out_of_range_are_refused(changes: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ConfigError, match=sentence):
        FineTuneSettings(**{"steps": 10, "lr": 0.01, **changes})


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"start": -0.1}, "start is -0.1; it must be a number of at least 0"),
        ({"pull": 0}, "pull is 0; it must be a number of at least 1e-06"),
        ({"pull": float("inf")}, "pull is inf"),
        ({"start": "much"}, "start is 'much'"),
        ({"steps": 0}, "steps is 0"),
    ],
)
def test_head_settings_out_of_range_are_refused(changes: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ConfigError, match=sentence):
        HeadSettings(**changes)
