"""Which schedulers sample a generator."""

from __future__ import annotations

import dataclasses
from types import SimpleNamespace
from typing import Any

import diffusers
import pytest
import torch

from tests.generator.comparison import assert_same
from tina_framework.builtins.schedulers.ddim import DDIMScheduler
from tina_framework.errors import ConfigError, PluginError, UnknownNameError
from tina_framework.generator.generator import Generator
from tina_framework.generator.scheduler import make_scheduler, noise_process_named, schedulers_of, trained_process
from tina_framework.interfaces.noise_process import DiffusionProcess, FlowProcess
from tina_framework.plugin.discovery import registries

NAMES = ["dog", "ant", "fox", "bee"]

METHODS = ("set_timesteps", "scale_model_input", "add_noise", "step")


@pytest.mark.parametrize("name", ["ddpm", "ddim"])
def test_a_named_scheduler_gets_the_trained_noise_process(tiny_generator: Generator, name: str) -> None:
    config = dataclasses.replace(
        tiny_generator.config,
        scheduler={
            "name": "ddim",
            "config": {"num_train_timesteps": 50, "beta_end": 0.3, "prediction_type": "epsilon"},
        },
    )
    made = make_scheduler(config, name)
    assert made.config["num_train_timesteps"] == 50
    assert made.config["beta_end"] == 0.3
    assert made.config["prediction_type"] == "epsilon"


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("DDIMScheduler", {"clip_sample": False, "timestep_spacing": "trailing"}),
        ("DDPMScheduler", {"clip_sample": False, "timestep_spacing": "trailing"}),
        ("DPMSolverMultistepScheduler", {"timestep_spacing": "trailing"}),
        ("EulerDiscreteScheduler", {"timestep_spacing": "trailing"}),
        ("UniPCMultistepScheduler", {"timestep_spacing": "trailing"}),
    ],
)
def test_diffusers_schedulers_fit(tiny_generator: Generator, name: str, settings: dict[str, Any]) -> None:
    made = getattr(diffusers, name)(
        num_train_timesteps=1000, beta_start=1e-4, beta_end=0.02, prediction_type="sample", **settings
    )
    model = tiny_generator(NAMES, scheduler=made, num_inference_steps=5)
    assert model.provenance["scheduler"] == name
    assert_same(
        model, tiny_generator([["ant", "cat", "eel", "gnu"], NAMES[::-1]], scheduler=made, num_inference_steps=5)[1]
    )
    if name == "DDIMScheduler":
        assert_same(model, tiny_generator(NAMES, num_inference_steps=5))


def test_schedulers_that_do_not_fit_are_refused(tiny_generator: Generator) -> None:
    fitting = {"beta_start": 1e-4, "beta_end": 0.02, "prediction_type": "sample"}
    with pytest.raises(ConfigError, match=r"prediction_type='epsilon', but this generator was trained with 'sample'"):
        tiny_generator(NAMES, scheduler=diffusers.DDIMScheduler(beta_start=1e-4, beta_end=0.02, clip_sample=False))
    with pytest.raises(ConfigError, match="clip_sample=True, which cuts off weights"):
        tiny_generator(NAMES, scheduler=diffusers.DDIMScheduler(**fitting))
    with pytest.raises(ConfigError, match="The scheduler is 5; give the name of one"):
        tiny_generator(["ant", "bee"], scheduler=5)
    with pytest.raises(
        ConfigError,
        match="FlowMatchEulerDiscreteScheduler samples rectified flow, but this generator was trained for diff",
    ):
        tiny_generator(NAMES, scheduler=diffusers.FlowMatchEulerDiscreteScheduler())
    with pytest.raises(ConfigError, match=r"flow-match-euler samples rectified flow, .* use one of: ddim, ddpm"):
        tiny_generator(NAMES, scheduler="flow-match-euler")
    with pytest.raises(ConfigError, match="EDMEulerScheduler has noise_process=None"):
        tiny_generator(NAMES, scheduler=diffusers.EDMEulerScheduler())
    with pytest.raises(UnknownNameError, match="Did you mean 'ddim'"):
        tiny_generator(NAMES, scheduler="ddimm")


def test_registered_schedulers_by_noise_process(monkeypatch: pytest.MonkeyPatch) -> None:
    schedulers = registries().schedulers
    monkeypatch.setattr(schedulers, "_entries", dict(schedulers._entries))
    schedulers.add("needs-something", "no_such_package:Thing")
    schedulers.add("says-nothing", lambda: SimpleNamespace(config={}, **dict.fromkeys(METHODS, print)))
    diffusion, flow = schedulers_of("diffusion"), schedulers_of("flow")
    assert {"ddim", "ddpm"} <= set(diffusion)
    assert "flow-match-euler" in flow
    assert not {"needs-something", "says-nothing"} & {*diffusion, *flow}
    assert noise_process_named("ddim") == "diffusion"
    with pytest.raises(ConfigError, match=r"'says-nothing' of this program: .* has noise_process=None"):
        noise_process_named("says-nothing")


def test_a_scheduler_whose_constructor_fails_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken() -> None:
        raise KeyError("oops")

    registry = registries().schedulers
    monkeypatch.setattr(registry, "_entries", dict(registry._entries))
    registry.add("broken", broken)
    assert {"ddim", "ddpm"} <= set(schedulers_of("diffusion")) < set(registry.names())
    assert "broken" not in schedulers_of("flow")


def test_the_trained_process_has_the_stored_settings(tiny_generator: Generator) -> None:
    made = trained_process(tiny_generator.config)
    assert isinstance(made, DiffusionProcess)
    assert made.prediction_type == "sample"
    flow = {
        "name": "flow-match-euler",
        "config": {"num_train_timesteps": 30, "shift": 2.0, "prediction_type": "sample"},
    }
    process = trained_process(dataclasses.replace(tiny_generator.config, scheduler=flow))
    assert isinstance(process, FlowProcess)
    assert torch.equal(process.alphas_cumprod, FlowProcess(30, 2.0).alphas_cumprod)


def test_no_scheduler_means_the_own_one(tiny_generator: Generator) -> None:
    made: Any = make_scheduler(tiny_generator.config, None)
    assert dict(made.config) == dict(tiny_generator.config.scheduler["config"])
    other: Any = make_scheduler(tiny_generator.config, "ddpm")
    assert type(other).__name__ == "DDPMScheduler"


def test_an_object_with_betas_of_its_own_is_refused(tiny_generator: Generator) -> None:
    own = tiny_generator.config.scheduler["config"]
    settings = {name: own[name] for name in DiffusionProcess.settings}
    fitting = diffusers.DDIMScheduler(**settings, clip_sample=False)
    assert make_scheduler(tiny_generator.config, fitting) is fitting
    trained = diffusers.DDIMScheduler(**settings, clip_sample=False, rescale_betas_zero_snr=True)
    with pytest.raises(ConfigError, match="alphas_cumprod of DDIMScheduler is not that of the noise process"):
        make_scheduler(tiny_generator.config, trained)


def test_a_named_scheduler_with_other_noise_levels_is_refused(
    tiny_generator: Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Other(DDIMScheduler):
        def __init__(self, **settings: Any) -> None:
            super().__init__(**settings)
            self.alphas_cumprod = torch.linspace(0.99, 0.01, len(self.alphas_cumprod))

    registry = registries().schedulers
    monkeypatch.setattr(registry, "_entries", dict(registry._entries))
    registry.add("other-levels", Other)
    with pytest.raises(PluginError, match="its alphas_cumprod does not follow from its settings"):
        make_scheduler(tiny_generator.config, "other-levels")


def test_unknown_names_and_false_statements(tiny_generator: Generator, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UnknownNameError, match="Unknown scheduler 'dimm'"):
        make_scheduler(tiny_generator.config, "dimm")
    monkeypatch.setattr(DiffusionProcess, "noise_process", "flow")
    with pytest.raises(PluginError, match="states noise_process='flow', but its alphas_cumprod does not follow"):
        trained_process(tiny_generator.config)
