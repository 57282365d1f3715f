from __future__ import annotations

from collections.abc import Callable

import pytest
from torch import nn

import tina_framework as tina
from tina_framework.errors import PluginError
from tina_framework.plugin import discovery
from tina_framework.plugin.discovery import registries


@pytest.fixture(autouse=True)
def fresh(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(discovery, "_host", None)


@pytest.mark.parametrize("kind", ["encoder", "tokenizer", "scheduler", "dataset"])
def test_a_decorator_registers_and_returns_its_target(kind: str) -> None:
    def make(value: str = "default") -> str:
        return value

    decorate: Callable[[object], object] = getattr(tina, f"register_{kind}")("mine-too")
    assert decorate(make) is make
    assert getattr(registries(), f"{kind}s").create_unchecked("mine-too") == "default"
    assert getattr(tina, f"list_{kind}s")("mine-*") == ["mine-too"]


def test_an_architecture_is_one_function() -> None:
    @tina.register_architecture("linear", input_shape=(1, 4, 4), mean=(0.1,), std=(0.2,))
    def linear(num_classes: int) -> nn.Module:
        return nn.Sequential(nn.Flatten(), nn.Linear(16, num_classes))

    assert registries().architectures.create("linear") is linear
    assert (linear.name, linear.input_shape, linear.mean, linear.std) == ("linear", (1, 4, 4), (0.1,), (0.2,))
    assert tina.list_architectures() == ["cnn-2layer", "cnn-3layer", "linear"]


def test_a_method_is_registered_with_its_summary() -> None:
    from tina_framework.interfaces.method import Method

    @tina.register_method("mine-too", summary="A method of mine.", argument="SCALE", argument_required=True)
    class Mine(Method):
        name = "mine-too"

    entry = registries().methods.entry("mine-too")
    assert (entry.usage, entry.summary) == ("mine-too@SCALE", "A method of mine")
    assert registries().methods.method_class("mine-too") is Mine
    assert tina.list_methods("mine-*") == ["mine-too"]


class Tied(nn.Module):
    def __init__(self, num_classes: int) -> None:
        super().__init__()
        self.a = nn.Linear(4, num_classes)
        self.b = nn.Linear(4, num_classes)
        self.b.weight = self.a.weight


@pytest.mark.parametrize(
    ("build", "reason"),
    [
        (lambda k: nn.Sequential(nn.BatchNorm2d(3), nn.Linear(3, k)), "has buffers"),
        (Tied, "has tied weights"),
        (lambda k: nn.Linear(3, 5), "no parameter that grows"),
        (lambda k: nn.Linear(k, k), "Exactly one axis may grow"),
        (lambda k: nn.Linear(3, 2 * k), "Exactly one axis may grow"),
        (lambda k: "module", "must return a torch.nn.Module"),
        (lambda k: nn.Sequential(*[nn.Linear(k, 3) for _ in range(k)]), "other parameters at 7 than at 11"),
    ],
)
def test_what_cannot_be_generated_is_refused_at_registration(build: Callable[[int], nn.Module], reason: str) -> None:
    with pytest.raises(PluginError, match=reason):
        tina.register_architecture("refused")(build)
    assert "refused" not in tina.list_architectures()


def test_a_decorated_function_may_be_a_family() -> None:
    @tina.register_architecture("family", input_shape=(1, 4, 4), mean=(0.1,), std=(0.2,), widths=(0.5, 2))
    def family(num_classes: int, width: float = 1.0) -> nn.Module:
        inside = round(8 * width)
        return nn.Sequential(nn.Flatten(), nn.Linear(16, inside), nn.Linear(inside, num_classes))

    assert registries().architectures.create("family@2") == family.at_width(2)
    with pytest.raises(PluginError, match="cannot be built for 7 classes"):
        tina.register_architecture("no-family", widths=(0.5, 2))(
            lambda k: nn.Sequential(nn.Flatten(), nn.Linear(3072, k))
        )
    assert "no-family" not in tina.list_architectures()
