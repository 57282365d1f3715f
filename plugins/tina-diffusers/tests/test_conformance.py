"""The standard tests of tina_framework on every sampler, without exceptions and without flags that relax them."""

from __future__ import annotations

import pytest

from tina_diffusers import samplers
from tina_framework.testing import SchedulerTests

# From numpy.array(tensor) in diffusers; nothing of ours.
pytestmark = pytest.mark.filterwarnings("ignore:__array:DeprecationWarning")

Sampler = type[samplers.DiffusersSampler]

DETERMINISTIC: list[Sampler] = [
    samplers.DPMSolverMultistep,
    samplers.DPMSolverSinglestep,
    samplers.UniPC,
    samplers.DEIS,
    samplers.Euler,
    samplers.FlowMatchEuler,
]
STOCHASTIC: list[Sampler] = [samplers.DPMSolverMultistepSDE, samplers.SASolver, samplers.EulerAncestral]


class TestDeterministic(SchedulerTests):
    stochastic = False

    @pytest.fixture(params=DETERMINISTIC, ids=lambda cls: cls.__name__)
    def scheduler(self, request: pytest.FixtureRequest) -> Sampler:
        sampler: Sampler = request.param
        return sampler


class TestStochastic(SchedulerTests):
    stochastic = True

    @pytest.fixture(params=STOCHASTIC, ids=lambda cls: cls.__name__)
    def scheduler(self, request: pytest.FixtureRequest) -> Sampler:
        sampler: Sampler = request.param
        return sampler


def test_none_is_left_untested() -> None:
    written = {getattr(samplers, name) for name in samplers.__all__} - {samplers.DiffusersSampler}
    assert written == {*DETERMINISTIC, *STOCHASTIC}
