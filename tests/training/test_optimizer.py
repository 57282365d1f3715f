from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch

from tina_framework.config.training import TrainingConfig
from tina_framework.denoiser.presets import build_config
from tina_framework.denoiser.transformer import Denoiser
from tina_framework.errors import CheckpointError
from tina_framework.interfaces.spec import ParameterSpec
from tina_framework.plugin.discovery import registries
from tina_framework.training.optimizer import decays, learning_rate, load_optimizer, make_optimizer, optimizer_tensors

Make = Callable[..., TrainingConfig]


def denoiser(tokenizer: str = "class-row", **settings: int) -> Denoiser:
    spec = ParameterSpec(registries().architectures.create("cnn-2layer"))
    layout = registries().tokenizers.create(tokenizer).layout(spec, 4, 4)
    return Denoiser(build_config("tiny", condition_dim=8, layout=layout, max_classes=4, **settings))


def test_warm_up_then_cosine_to_zero(make_config: Make) -> None:
    config = make_config(learning_rate=1.0, lr_warmup_steps=4, max_steps=12)
    rates = [learning_rate(config, step) for step in range(13)]
    assert rates[:4] == [0.25, 0.5, 0.75, 1.0]
    assert rates[4] == 1.0
    assert rates[8] == pytest.approx(0.5)
    assert rates[10] == pytest.approx(0.5 * (1 + math.cos(math.pi * 0.75)))
    assert rates[12] == pytest.approx(0.0)


def test_linear_and_constant(make_config: Make) -> None:
    linear = make_config(learning_rate=1.0, lr_warmup_steps=0, max_steps=10, lr_scheduler_type="linear")
    constant = make_config(learning_rate=1.0, lr_warmup_steps=2, max_steps=10, lr_scheduler_type="constant_with_warmup")
    assert [learning_rate(linear, step) for step in (0, 5, 10)] == [1.0, 0.5, 0.0]
    assert [learning_rate(constant, step) for step in (0, 2, 10)] == [0.5, 1.0, 1.0]


@pytest.mark.parametrize("tokenizer", ["class-row", "chunk"])
def test_only_matrices_of_the_network_decay(tokenizer: str) -> None:
    decayed = {name for name, p in denoiser(tokenizer).named_parameters() if decays(name, p)}
    assert "encoder.blocks.0.mlp_in.weight" in decayed
    assert "tokens.into.0.weight" in decayed
    forbidden = ("bias", "norm", "position", "slot", "skip")
    assert not [name for name in decayed if any(word in name for word in forbidden)]


def test_the_pooled_forecast_does_not_decay() -> None:
    names = [name for name, _ in denoiser(pool_rank=3).named_parameters() if name.startswith("pooled.")]
    assert len(names) == 3
    assert not any(decays(name, torch.zeros(2, 2)) for name in names)


def test_every_parameter_is_in_exactly_one_group(make_config: Make) -> None:
    module = denoiser()
    groups = make_optimizer(module, make_config(weight_decay=0.3)).param_groups
    held = [id(p) for group in groups for p in group["params"]]
    assert sorted(held) == sorted(id(p) for p in module.parameters())
    assert [group["weight_decay"] for group in groups] == [0.3, 0.0]


@pytest.mark.parametrize(("optim", "moment"), [("adamw", "exp_avg"), ("adafactor", "row_var")])
def test_state_travels_by_name(make_config: Make, optim: str, moment: str) -> None:
    module = denoiser()
    config = make_config(optim=optim)
    optimizer = make_optimizer(module, config)
    for parameter in module.parameters():
        parameter.grad = torch.randn_like(parameter)
    optimizer.step()
    tensors = optimizer_tensors(optimizer, module)
    other = make_optimizer(module, config)
    load_optimizer(other, module, tensors)
    again = optimizer_tensors(other, module)
    assert tensors.keys() == again.keys()
    assert all(torch.equal(tensors[name], again[name]) for name in tensors)
    misshapen = tensors | {f"condition.weight/{moment}": torch.zeros(3)}
    with pytest.raises(CheckpointError, match=rf"condition\.weight/{moment}' has shape \(3,\)"):
        load_optimizer(other, module, misshapen)
    del tensors[f"condition.weight/{moment}"]
    with pytest.raises(CheckpointError, match=rf"condition\.weight/{moment}"):
        load_optimizer(other, module, tensors)


def test_a_state_is_placed_as_torch_places_it(make_config: Make) -> None:
    # The device "meta" plays a GPU. There, a fused optimizer refuses a step count that lies on the CPU.
    module = denoiser()
    optimizer = make_optimizer(module, make_config())
    for parameter in module.parameters():
        parameter.grad = torch.randn_like(parameter)
    optimizer.step()
    tensors = {name: tensor.double() for name, tensor in optimizer_tensors(optimizer, module).items()}
    there = denoiser().to("meta")
    for fused, device in ((True, "meta"), (False, "cpu")):
        other = torch.optim.AdamW(there.parameters())
        other.param_groups[0]["fused"] = fused
        load_optimizer(other, there, tensors)
        for parameter in there.parameters():
            state = other.state[parameter]
            assert state["step"].device.type == device
            assert state["exp_avg"].device.type == state["exp_avg_sq"].device.type == "meta"
            assert state["exp_avg"].dtype == parameter.dtype
    again = make_optimizer(module, make_config())
    load_optimizer(again, module, tensors)
    assert {tensor.dtype for tensor in optimizer_tensors(again, module).values()} == {torch.float32}
    before = again.state_dict()["param_groups"]
    load_optimizer(again, module, {})
    assert again.state_dict()["param_groups"] == before


def test_adafactor_keeps_next_to_nothing(make_config: Make) -> None:
    module = denoiser()
    optimizer = make_optimizer(module, make_config(optim="adafactor"))
    for parameter in module.parameters():
        parameter.grad = torch.randn_like(parameter)
    optimizer.step()
    kept = sum(tensor.numel() for tensor in optimizer_tensors(optimizer, module).values())
    assert kept < 0.1 * sum(p.numel() for p in module.parameters())
