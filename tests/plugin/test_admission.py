"""What plugins make is checked where it enters: through `registries`, by name."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from tina_framework.builtins.schedulers.ddim import DDIMScheduler
from tina_framework.builtins.tokenizers.chunk import ChunkTokenizer
from tina_framework.errors import PluginError, TinaError
from tina_framework.interfaces.architecture import TargetArchitecture
from tina_framework.plugin.admission import admit
from tina_framework.plugin.checked_dataset import CheckedDataset
from tina_framework.plugin.checked_tokenizer import CheckedTokenizer
from tina_framework.plugin.discovery import registries

WHAT = "Scheduler 'own' of 'tina-own'"


def altered(**fields: Any) -> Any:
    scheduler = DDIMScheduler()
    vars(scheduler).update(fields)
    return scheduler


class Property:
    name = "x"

    @property
    def config(self) -> Any:
        raise RuntimeError("not ready")

    set_timesteps = scale_model_input = add_noise = step = print


SCHEDULERS = {
    "nothing": (None, r"is None, which has no method set_timesteps\(\)"),
    "a class": (DDIMScheduler, "is <class .*, which has no instance"),
    "no step": (altered(step=None), r"has no method step\(\)"),
    "no config": (altered(config=None), "config is None; it must be a dict of all settings"),
    "a list": (altered(config=[1]), r"config is \[1\]"),
    "no prediction type": (altered(config={"beta_start": 1}), "config has no prediction_type"),
    "no levels": (altered(alphas_cumprod=None), r"alphas_cumprod is None; it must be a tensor \(T,\)"),
    "text levels": (altered(alphas_cumprod="linear"), "alphas_cumprod is 'linear'"),
    "levels that are not finite": (altered(alphas_cumprod=torch.tensor([float("nan")])), "alphas_cumprod is"),
    "levels above 1": (altered(alphas_cumprod=torch.tensor([2.0])), "alphas_cumprod is"),
    "no levels at all": (altered(alphas_cumprod=torch.empty(0)), "alphas_cumprod is"),
    "no sigma": (altered(init_noise_sigma=None), "init_noise_sigma is None; it must be a number above 0"),
    "a sigma that is not finite": (altered(init_noise_sigma=float("inf")), "init_noise_sigma is inf"),
    "another process": (altered(noise_process="other"), "has noise_process='other'"),
    "a property": (Property(), "cannot be used: RuntimeError: not ready"),
}


@pytest.mark.parametrize("case", SCHEDULERS)
def test_a_scheduler_of_another_kind_is_refused(case: str) -> None:
    made, sentence = SCHEDULERS[case]
    with pytest.raises(TinaError, match=sentence) as caught:
        admit("scheduler", WHAT, made)
    assert str(caught.value).startswith(WHAT)


def test_a_scheduler_stays_itself() -> None:
    made = DDIMScheduler()
    assert admit("scheduler", WHAT, made) is made


@pytest.fixture
def own(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Register something under the name `own`, as the plugin tina-own would."""

    def register(kind: str, target: Any) -> Any:
        registry = dict(registries())[kind]
        monkeypatch.setattr(registry, "_entries", dict(registry._entries))
        registry.add("own", target, distribution="tina-own")
        return registry

    return register


def test_things_of_a_plugin_are_wrapped_and_built_ins_are_not(own: Any) -> None:
    registry = own("tokenizers", ChunkTokenizer)
    assert isinstance(registry.create("own"), CheckedTokenizer)
    assert type(registry.create_unchecked("own")) is ChunkTokenizer
    assert type(registries().tokenizers.create("chunk")) is ChunkTokenizer
    toys = SimpleNamespace(name="toys", class_names=["ant"], load=lambda split: (np.zeros((1, 8, 8, 3), np.uint8), [0]))
    assert isinstance(own("datasets", lambda: toys).create("own"), CheckedDataset)


@pytest.mark.parametrize(
    ("target", "sentence"),
    [
        (lambda: {"a": 1}, r"Architecture 'own' of 'tina-own' is \{'a': 1\}; return a TargetArchitecture"),
        (nn.Linear(3, 3).eval, "Architecture 'own' of 'tina-own' is Linear"),
        (
            lambda: TargetArchitecture("own", lambda k: nn.Linear(32, k).half()),
            r"Architecture 'own' of 'tina-own': its parameter 'weight' is float16",
        ),
        (lambda: 1 / 0, r"Architecture 'own' of 'tina-own' cannot be made: ZeroDivisionError: division by zero\."),
        (lambda: exit(0), r"Architecture 'own' of 'tina-own' cannot be made: it ends the program \(SystemExit: 0\)\."),
        (lambda: __import__("os")._exit(0), r"Architecture 'own' of 'tina-own' cannot be made: it calls os\._exit"),
    ],
)  # fmt: skip
def test_an_architecture_is_tried_when_it_is_made(own: Any, target: Any, sentence: str) -> None:
    with pytest.raises(PluginError, match=sentence):
        own("architectures", target).create("own")


def test_a_finished_architecture_is_tried_once(own: Any) -> None:
    calls = []

    def build(num_classes: int) -> nn.Module:
        calls.append(num_classes)
        return nn.Sequential(nn.Flatten(), nn.Linear(48, num_classes))

    made = TargetArchitecture("own", build, (3, 4, 4))
    registry = own("architectures", made)
    assert registry.create("own") is made
    number = len(calls)
    assert registry.create("own") is made
    assert len(calls) == number


def test_what_a_plugin_prints_while_it_makes_something_stays_off_the_output(own: Any, capfd: Any) -> None:
    import os

    own("tokenizers", lambda: os.write(1, b"noise") and ChunkTokenizer()).create("own")
    assert capfd.readouterr().out == ""
