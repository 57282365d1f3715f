"""Trunks whose weights come from a file."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from tina_framework.errors import CheckpointError, PluginError
from tina_framework.interfaces.architecture import FrozenTrunk, TargetArchitecture
from tina_framework.targets.saved_trunk import SavedTrunk, with_saved_trunk
from tina_framework.targets.trunk import load_trunk, trunk_features, trunk_record, trunk_state


class Net(nn.Module):
    """(N, 3, 4, 4) -> (N, 2)."""

    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(3)
        self.fc = nn.Linear(48, 2)

    def forward(self, pictures: Tensor) -> Tensor:
        return self.fc(self.norm(pictures).flatten(1))


def trained() -> nn.Module:
    torch.manual_seed(1)
    return Net()


def skeleton() -> nn.Module:
    with torch.device("meta"):
        return Net()


def no_package() -> nn.Module:
    raise PluginError("The package with the weights is missing.")


def head(trunk: FrozenTrunk) -> TargetArchitecture:
    return TargetArchitecture("toy-head", lambda count: nn.Linear(2, count), (3, 4, 4), trunk=trunk)


def saved(state: dict[str, Tensor], skeleton: object = skeleton) -> TargetArchitecture:
    plugin = FrozenTrunk("toy", no_package, (2,), skeleton=skeleton)  # type: ignore[arg-type]
    return with_saved_trunk(head(plugin), "0" * 64, state, "1" * 64, "'trunk.safetensors'")


@pytest.fixture
def state() -> dict[str, Tensor]:
    return trunk_state(FrozenTrunk("toy", trained, (2,)))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16])
def test_features_are_those_of_the_saved_weights(state: dict[str, Tensor], dtype: torch.dtype) -> None:
    pictures = torch.rand(5, 3, 4, 4)
    stored = {name: t.to(dtype) if t.is_floating_point() else t for name, t in state.items()}
    architecture = saved(stored)
    found = trunk_features(architecture, pictures)
    assert found.dtype == torch.float32
    torch.testing.assert_close(found, trained().eval()(pictures).detach(), atol=2e-3, rtol=0)
    assert architecture.trunk is not None
    module = load_trunk(architecture.trunk, torch.device("cpu"))
    assert {t.dtype for t in module.state_dict().values()} == {torch.float32, torch.int64}


def test_the_record_stays_that_of_the_original(state: dict[str, Tensor]) -> None:
    assert trunk_record(saved(state)) == {"name": "toy", "sha256": "0" * 64}


def test_one_network_serves_equal_files(state: dict[str, Tensor]) -> None:
    first, second = saved(state).trunk, saved({name: t.clone() for name, t in state.items()}).trunk
    assert first is not None
    assert second is not None
    assert first == second
    assert load_trunk(first, torch.device("cpu")) is load_trunk(second, torch.device("cpu"))
    assert isinstance(first.build, SavedTrunk)
    assert first.build() is not first.build()


def test_without_a_skeleton_the_trunk_is_built_as_ever(state: dict[str, Tensor]) -> None:
    plugin = FrozenTrunk("toy", Net, (2,))
    architecture = with_saved_trunk(head(plugin), "0" * 64, state, "2" * 64, "'trunk.safetensors'")
    assert architecture.trunk is not None
    assert torch.equal(architecture.trunk.build().fc.weight, state["fc.weight"])  # type: ignore[union-attr]


def test_weights_read_in_inference_mode_can_be_used_outside(state: dict[str, Tensor]) -> None:
    with torch.inference_mode():
        read = {name: tensor.clone() for name, tensor in state.items()}
        architecture = saved(read)
        assert architecture.trunk is not None
        module = load_trunk(architecture.trunk, torch.device("cpu"))
    assert not any(tensor.is_inference() for tensor in module.state_dict().values())


def test_other_tensors_are_refused(state: dict[str, Tensor]) -> None:
    for odd, sentence in (
        ({**state, "more": torch.zeros(1)}, "'trunk.safetensors' has unknown more"),
        ({name: t for name, t in state.items() if name != "fc.bias"}, "lacks fc.bias"),
        ({**state, "fc.bias": torch.zeros(3)}, r"'fc.bias' has shape \(3,\), expected \(2,\)"),
        ({**state, "fc.bias": torch.full((2,), float("nan"))}, "not finite"),
    ):
        trunk = saved(odd).trunk
        assert trunk is not None
        with pytest.raises(CheckpointError, match=sentence):
            trunk.build()


def test_a_tensor_that_nobody_saved_is_refused(state: dict[str, Tensor]) -> None:
    class Ramp(Net):
        def __init__(self) -> None:
            super().__init__()
            self.register_buffer("ramp", torch.arange(3.0), persistent=False)

    def on_meta() -> nn.Module:
        with torch.device("meta"):
            return Ramp()

    trunk = saved(state, on_meta).trunk
    assert trunk is not None
    with pytest.raises(PluginError, match="skeleton of trunk 'toy' leaves 'ramp' without values"):
        trunk.build()
