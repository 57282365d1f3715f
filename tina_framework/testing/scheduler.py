"""Standard tests for noise schedulers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from tina_framework.testing._base import ConformanceTests, conforms, for_examples, missing_fixture, pytest, st
from tina_framework.testing.checks import scheduler as checks
from tina_framework.testing.checks import scheduler_sampling as sampling
from tina_framework.testing.checks.scheduler import PREDICTION_TYPES, SchedulerFactory

__all__ = ["SchedulerTests"]


class SchedulerTests(ConformanceTests, standard=True):
    """Subclass it and define the fixture `scheduler`, which returns the class or function that is registered.

    Attributes:
        prediction_types: the kinds of prediction it has; by default those of its noise process.
        steps: numbers of sampling steps it is tried with.
        stochastic: True: it draws random numbers while sampling; False: it draws none; None: not stated.
        variance_exploding: its samples are x0 + sigma noise (Euler), not sqrt(a) x0 + sqrt(1 - a) noise.
        tolerance: how far from x0 a perfect denoiser may lead, for values of about 0.5.
    """

    prediction_types: ClassVar[Sequence[str]] = PREDICTION_TYPES
    steps: ClassVar[Sequence[int]] = (1, 4, 10)
    stochastic: ClassVar[bool | None] = None
    variance_exploding: ClassVar[bool] = False
    tolerance: ClassVar[float] = 5e-3

    @pytest.fixture
    def scheduler(self) -> SchedulerFactory:
        """Raise an error; the subclass defines the fixture."""
        raise missing_fixture("scheduler", "the class or function that is registered")

    def test_interface(self, scheduler: SchedulerFactory) -> None:
        """To fix: write the attributes and methods of NoiseScheduler, noise_process among them, and give every setting a default."""
        conforms(self, checks.check_interface, scheduler)

    def test_settings(self, scheduler: SchedulerFactory) -> None:
        """To fix: take num_train_timesteps, the betas' settings (of flow: shift) and prediction_type, and use them."""
        conforms(self, checks.check_settings, scheduler)

    def test_config_rebuilds(self, scheduler: SchedulerFactory) -> None:
        """To fix: put every setting into `config` as a plain value, and take each as a keyword argument."""
        conforms(self, checks.check_config_rebuilds, scheduler)

    def test_timesteps(self, scheduler: SchedulerFactory) -> None:
        """To fix: let set_timesteps(S) choose S falling int64 timesteps from 0 to T - 1."""
        conforms(self, checks.check_timesteps, scheduler)

    def test_add_noise(self, scheduler: SchedulerFactory) -> None:
        """To fix: return sqrt(a_t) x0 + sqrt(1 - a_t) noise with a_t = alphas_cumprod[t]; of flow (1 - s) x0 + s noise."""

        @for_examples(timestep=st.integers(0, 10**6), seed=st.integers(0, 2**16))
        def holds(timestep: int, seed: int) -> None:
            conforms(self, checks.check_add_noise, scheduler, timestep=timestep, seed=seed)

        holds()

    def test_step_runs(self, scheduler: SchedulerFactory) -> None:
        """To fix: let step(model_output, timestep, sample) return a finite prev_sample, and change no argument."""
        conforms(self, sampling.check_step_runs, scheduler)

    def test_training_input(self, scheduler: SchedulerFactory) -> None:
        """To fix: let scale_model_input make sqrt(a_t) x0 + sqrt(1 - a_t) noise of what add_noise returns."""

        @for_examples(seed=st.integers(0, 2**16))
        def holds(seed: int) -> None:
            conforms(self, sampling.check_training_input, scheduler, seed=seed)

        holds()

    def test_shape_and_dtype(self, scheduler: SchedulerFactory) -> None:
        """To fix: convert coefficients to the sample's type, and let them broadcast over any shape (B, ...)."""
        conforms(self, sampling.check_shape_and_dtype, scheduler)

    def test_oracle(self, scheduler: SchedulerFactory) -> None:
        """To fix: check how a prediction is turned into x0, and that the last step leaves no noise."""

        @for_examples(seed=st.integers(0, 2**16))
        def holds(seed: int) -> None:
            conforms(self, sampling.check_oracle, scheduler, seed=seed)

        holds()

    def test_no_clipping(self, scheduler: SchedulerFactory) -> None:
        """To fix: switch clip_sample and thresholding off, and clamp neither x0 nor samples."""
        conforms(self, sampling.check_no_clipping, scheduler)

    def test_randomness(self, scheduler: SchedulerFactory) -> None:
        """To fix: draw from the keyword `generator` alone, and set the flag `stochastic` accordingly."""
        conforms(self, sampling.check_randomness, scheduler)

    def test_rows_are_independent(self, scheduler: SchedulerFactory) -> None:
        """To fix: take a list of generators, one a row, and mix nothing over rows."""
        conforms(self, sampling.check_rows_are_independent, scheduler)

    def test_instances_are_independent(self, scheduler: SchedulerFactory) -> None:
        """To fix: keep timesteps and histories in the instance, never in the class or module."""
        conforms(self, sampling.check_instances_are_independent, scheduler)
