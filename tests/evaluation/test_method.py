"""What every method refuses before anything is loaded."""

from __future__ import annotations

import pytest

from tina_framework.errors import ConfigError
from tina_framework.evaluation.methods.chance import Chance
from tina_framework.evaluation.methods.noise import Noise
from tina_framework.evaluation.methods.regressor import Regressor


def test_an_argument_where_none_is_taken() -> None:
    with pytest.raises(ConfigError, match="'chance' takes no argument, but got '@x'; write just 'chance'"):
        Chance.check_argument("x")


def test_an_empty_argument() -> None:
    with pytest.raises(ConfigError, match="write 'noise' or 'noise@SCALE'"):
        Noise.check_argument("")
    with pytest.raises(ConfigError, match="write 'regressor@MODEL'"):
        Regressor.check_argument("")
