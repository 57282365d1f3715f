"""Copies of a module: as `copy.deepcopy` makes them, but with the parameters that are given."""

from __future__ import annotations

import copy
import io

import pytest
import torch
from torch import nn
from torch.nn.utils import parametrizations

from tina_framework.builtins.architectures.cnn_2layer import CNN2Layer
from tina_framework.targets.module_copies import copy_with_parameters


class Odd(nn.Module):
    """Attributes of many kinds, some of which refer to each other."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Linear(4, 3), nn.GELU(), nn.Dropout(0.5))
        self.first = self.body[0]
        self.pair = [self.body[0].weight, {"layer": self.body}]
        self.sizes = (1, (2, 3))
        self.settings = {"depth": [1, 2]}
        self.nothing: nn.Module | None
        self.register_module("nothing", None)
        self.register_parameter("bias", None)
        self.frozen = nn.Parameter(torch.ones(2), requires_grad=False)
        self.calls: list[int] = []
        self.register_forward_pre_hook(_count)
        self.plain = torch.arange(3)

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        result: torch.Tensor = self.body(inputs) + self.frozen.sum() + self.pair[0].sum() + self.plain
        return result


class OwnCopy(nn.Linear):
    """Says itself how it is copied."""

    def __deepcopy__(self, memo: dict[int, object]) -> OwnCopy:
        made = OwnCopy(self.in_features, self.out_features).train(self.training)
        made.weight, made.bias = copy.deepcopy(self.weight, memo), copy.deepcopy(self.bias, memo)
        made.is_own = True  # type: ignore[assignment]
        return made


def _count(module: Odd, inputs: object) -> None:
    module.calls.append(1)


def values_of(module: nn.Module) -> dict[str, torch.Tensor]:
    torch.manual_seed(0)
    return {name: torch.randn(parameter.shape) for name, parameter in module.named_parameters()}


BUILDERS = {
    "cnn": (lambda: CNN2Layer(3), (2, 3, 32, 32)),
    "odd": (Odd, (2, 4)),
    "own copy": (lambda: OwnCopy(4, 3), (2, 4)),
    "transformer": (lambda: nn.TransformerEncoderLayer(8, 2, 16, batch_first=True), (2, 3, 8)),
    "recurrent": (lambda: nn.Sequential(nn.GRU(4, 3)), (5, 2, 4)),
    "weight norm": (lambda: parametrizations.weight_norm(nn.Linear(4, 3)), (2, 4)),
    "shared": (lambda: (lambda layer: nn.Sequential(layer, nn.ReLU(), layer))(nn.Linear(4, 4)), (2, 4)),
}


@pytest.mark.parametrize("name", BUILDERS)
def test_computes_what_a_deep_copy_with_these_values_computes(name: str) -> None:
    build, shape = BUILDERS[name]
    template = build().eval()
    state = values_of(template)
    expected = copy.deepcopy(template)
    with torch.no_grad():
        for key, parameter in expected.named_parameters():
            parameter.copy_(state[key])
    before = {key: value.clone() for key, value in template.state_dict().items()}
    made = copy_with_parameters(template, state)
    assert type(made) is type(expected)
    assert list(made.state_dict()) == list(expected.state_dict())
    assert [key for key, _ in made.named_modules()] == [key for key, _ in expected.named_modules()]
    result, wanted = made(torch.ones(shape)), expected(torch.ones(shape))
    result, wanted = (result[0], wanted[0]) if isinstance(result, tuple) else (result, wanted)
    assert torch.equal(result, wanted)
    assert all(torch.equal(before[key], value) for key, value in template.state_dict().items())
    assert not any(module.training for module in made.modules())


def test_the_tensors_become_the_parameters_and_nothing_else_is_shared() -> None:
    template = Odd()
    state = values_of(template)
    made = copy_with_parameters(template, state)
    assert isinstance(made, Odd)
    assert made.first is made.body[0]
    assert made.pair[0] is made.body[0].weight
    assert made.pair[1]["layer"] is made.body
    assert made.body[0].weight.data_ptr() == state["body.0.weight"].data_ptr()
    assert (made.frozen.requires_grad, made.body[0].weight.requires_grad) == (False, True)
    made(torch.ones(1, 4))
    assert (made.calls, template.calls) == ([1], [])
    made.settings["depth"].append(3)
    made.register_forward_hook(lambda *_: None)
    made.body[0].register_forward_hook(lambda *_: None)
    assert template.settings == {"depth": [1, 2]}
    assert not template._forward_hooks
    assert not template.body[0]._forward_hooks


def test_a_copy_from_the_meta_device_can_be_trained_moved_saved_and_copied() -> None:
    with torch.device("meta"):
        template = CNN2Layer(3)
    made = copy_with_parameters(template, values_of(template))
    made(torch.randn(2, 3, 32, 32)).sum().backward()
    assert all(parameter.grad is not None for parameter in made.parameters())
    torch.optim.SGD(made.parameters(), 0.1).step()
    file = io.BytesIO()
    torch.save(made.to(torch.float64).state_dict(), file)
    file.seek(0)
    saved = torch.load(file)
    assert all(torch.equal(saved[key], value) for key, value in copy.deepcopy(made).state_dict().items())
    assert {parameter.device.type for parameter in template.parameters()} == {"meta"}


def test_own_ways_to_copy_are_used() -> None:
    assert copy_with_parameters(OwnCopy(4, 3), values_of(OwnCopy(4, 3))).is_own


@pytest.mark.parametrize("change", [{"weight": None}, {"more": torch.ones(1)}, {"bias": torch.ones(4)}])
def test_tensors_that_do_not_fit_are_refused(change: dict[str, torch.Tensor | None]) -> None:
    template = nn.Linear(4, 3)
    state = {name: tensor for name, tensor in {**values_of(template), **change}.items() if tensor is not None}
    with pytest.raises(ValueError, match="do not fit the parameters"):
        copy_with_parameters(template, state)
