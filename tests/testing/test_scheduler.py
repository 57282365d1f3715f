"""The standard tests of schedulers hold for the built-in ones, and for those of diffusers."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import diffusers
import pytest

from tina_framework.plugin.discovery import registries
from tina_framework.testing import SchedulerTests

# From numpy.array(tensor) in diffusers; nothing of ours.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")


class TestDDIM(SchedulerTests):
    stochastic = False

    @pytest.fixture
    def scheduler(self):
        return partial(registries().schedulers.create, "ddim")


class TestDDPM(SchedulerTests):
    stochastic = True

    @pytest.fixture
    def scheduler(self):
        return partial(registries().schedulers.create, "ddpm")


class TestFlowMatchEuler(SchedulerTests):
    stochastic = False

    @pytest.fixture
    def scheduler(self):
        return partial(registries().schedulers.create, "flow-match-euler")


def of_diffusers(name: str, **own: Any) -> Callable[..., Any]:
    """A factory as a plugin would register it: weights are predicted, never clipped, and sampling starts at pure noise."""
    unclipped = {"prediction_type": "sample", "timestep_spacing": "trailing", "beta_start": 1e-4, "beta_end": 0.02}

    def make(**settings: Any) -> Any:
        made = getattr(diffusers, name)(**unclipped | own | settings)
        made.noise_process = "diffusion"
        return made

    return make


class TestSecondOrderSolver(SchedulerTests):
    """It remembers its last prediction."""

    stochastic = False

    @pytest.fixture
    def scheduler(self) -> Callable[..., Any]:
        return of_diffusers("DPMSolverMultistepScheduler", final_sigmas_type="zero")


class TestVarianceExploding(SchedulerTests):
    """It scales the network's input, and starts from noise of a deviation far above 1."""

    stochastic = False
    variance_exploding = True

    @pytest.fixture
    def scheduler(self) -> Callable[..., Any]:
        return of_diffusers("EulerDiscreteScheduler")
