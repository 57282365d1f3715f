"""What is registered, what that costs at start-up, and the message if diffusers is missing."""

from __future__ import annotations

import re
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import diffusers
import pytest

from tina_diffusers import plugin, samplers
from tina_framework import list_schedulers, registries
from tina_framework.errors import DependencyError

README = Path(__file__).parents[1] / "README.md"


class _Recorder:
    """Records what the hook registers."""

    def __init__(self) -> None:
        self.schedulers = self
        self.targets: dict[str, str] = {}

    def add(self, name: str, target: str) -> None:
        self.targets[name] = target


@pytest.fixture
def targets() -> dict[str, str]:
    """Return name -> target of everything that the plugin registers."""
    recorder = _Recorder()
    plugin.tina_register(recorder)  # type: ignore[arg-type]
    return recorder.targets


def test_every_sampler_is_registered_once_under_the_name_in_its_docstring(targets: dict[str, str]) -> None:
    named = {}
    for name, target in targets.items():
        module, _, attribute = target.partition(":")
        named[name] = getattr(import_module(module), attribute)
        assert named[name].__doc__.startswith(f"`{name}`: ")
    assert sorted(cls.__name__ for cls in named.values()) == sorted(samplers.__all__)
    assert set(targets) <= set(list_schedulers())


def test_loading_the_plugin_imports_nothing_heavy() -> None:
    code = "import sys, tina_diffusers.plugin; print([m for m in ('torch', 'numpy', 'diffusers') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_without_diffusers_one_sentence_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, targets: dict[str, str]
) -> None:
    monkeypatch.setitem(sys.modules, "diffusers", None)
    for module in ("tina_diffusers.samplers", "tina_diffusers.adapter"):
        monkeypatch.delitem(sys.modules, module)
    for name in targets:
        with pytest.raises(DependencyError, match=f"Scheduler '{name}' .* needs the module 'diffusers'") as caught:
            registries().schedulers.create(name)
        assert "\n" not in str(caught.value)


def test_the_readme_names_every_sampler(targets: dict[str, str]) -> None:
    table = README.read_text(encoding="utf-8").partition("## Left out")[0]
    assert set(re.findall(r"^\| `([\w.-]+)` \| `\w+Scheduler` \|", table, re.MULTILINE)) == set(targets)


@pytest.mark.skipif(not diffusers.__version__.startswith("0.42."), reason="the README speaks of diffusers 0.42")
def test_the_readme_decides_about_every_scheduler_of_diffusers() -> None:
    text = README.read_text(encoding="utf-8")
    offered = [name for name in dir(diffusers) if name.endswith("Scheduler") and not name.startswith("Flax")]
    assert [name for name in offered if f"`{name}`" not in text] == []


@pytest.mark.parametrize(
    ("name", "settings", "evaluations"),
    [
        ("HeunDiscreteScheduler", {}, 19),
        ("FlowMatchHeunDiscreteScheduler", {}, 19),
        ("KDPM2DiscreteScheduler", {}, 19),
        ("KDPM2AncestralDiscreteScheduler", {}, 19),
        ("PNDMScheduler", {"skip_prk_steps": True}, 11),
        ("PNDMScheduler", {}, 19),
    ],
)
@pytest.mark.filterwarnings("ignore:__array:DeprecationWarning")
def test_those_left_out_for_their_cost_do_cost_more(name: str, settings: dict[str, bool], evaluations: int) -> None:
    made = getattr(diffusers, name)(**settings)
    made.set_timesteps(10)
    assert len(made.timesteps) == evaluations
