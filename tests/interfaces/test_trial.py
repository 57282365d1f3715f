"""Networks that cannot be trained or generated: each is refused with a sentence that its author can act on."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from tina_framework.builtins.architectures.cnn_2layer import cnn_2layer
from tina_framework.errors import PluginError
from tina_framework.interfaces.architecture import TargetArchitecture
from tina_framework.interfaces.spec import ParameterSpec
from tina_framework.interfaces.trial import try_network

SHAPE = (3, 4, 4)


class Net(nn.Module):
    """A linear layer; `then` is applied to its logits and `first` to the pictures."""

    def __init__(
        self, k: int, then: Callable[[Tensor], Any] = lambda x: x, first: Callable[[Tensor], Tensor] = lambda x: x
    ) -> None:
        super().__init__()
        self.head = nn.Linear(48, k)
        self.then, self.first = then, first

    def forward(self, x: Tensor) -> Any:
        return self.then(self.head(self.first(x).flatten(1)))


class Constant(Net):
    """It has a tensor that is no parameter and no buffer."""

    def __init__(self, k: int) -> None:
        super().__init__(k)
        self.scale = torch.ones(1)
        self.then = lambda x: x * self.scale


class Tied(nn.Module):
    def __init__(self, k: int) -> None:
        super().__init__()
        self.a = nn.Linear(48, k)
        self.b = nn.Linear(48, k)
        self.b.weight = self.a.weight


class SharedMemory(Tied):
    def __init__(self, k: int) -> None:
        super().__init__(k)
        self.b.weight = nn.Parameter(self.a.weight.data)


class Statistics(nn.Module):
    def __init__(self, k: int) -> None:
        super().__init__()
        self.norm, self.head = nn.BatchNorm1d(48, track_running_stats=False, affine=False), nn.Linear(48, k)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.norm(x.flatten(1)))


class PictureStatistics(Statistics):
    def __init__(self, k: int) -> None:
        super().__init__(k)
        self.norm = nn.BatchNorm2d(3, track_running_stats=False, affine=False)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.norm(x).flatten(1))


class Index(nn.Module):
    def __init__(self, k: int) -> None:
        super().__init__()
        self.head = nn.Linear(48, k)
        self.index = nn.Parameter(torch.zeros(3, dtype=torch.int64), requires_grad=False)


class Frozen(nn.Module):
    def __init__(self, k: int) -> None:
        super().__init__()
        self.head = nn.Linear(48, k).requires_grad_(False)


class Output(OrderedDict):  # type: ignore[type-arg]
    """As ModelOutput of transformers."""


def raises(k: int) -> nn.Module:
    raise RuntimeError("no weights\n  here\x1b[2J")


def reads(k: int) -> nn.Module:
    net = Net(k)
    assert float(net.head.weight.sum()) != 0
    return net


BAD: dict[str, tuple[Callable[[int], Any], str]] = {
    "a dict": (lambda k: Net(k, lambda x: {"logits": x}), r"returns a dict with the keys 'logits', not logits; .*output\['logits'\]"),
    "another key": (lambda k: Net(k, lambda x: {"out": x}), r"returns a dict with the keys 'out', not logits; .*output\['out'\]"),
    "ModelOutput": (lambda k: Net(k, lambda x: Output(loss=None, logits=x)), r"returns a Output with the keys 'loss', 'logits'"),
    "a tuple": (lambda k: Net(k, lambda x: (x, x)), r"returns a tuple, not logits; return the tensor itself, e\.g\. output\[0\]"),
    "None": (lambda k: Net(k, lambda x: None), r"returns a NoneType, not logits; return one tensor \(N, K\)"),
    "numpy": (lambda k: Net(k, lambda x: x.detach().numpy()), "returns a ndarray, not logits"),
    "too few outputs": (lambda k: Net(k, lambda x: x[:, :2]), r"returns the shape \(2, 2\) for 2 pictures and 3 classes"),
    "one row": (lambda k: Net(k, lambda x: x.mean(0)), r"returns the shape \(3,\) for 2 pictures"),
    "extra axes": (lambda k: Net(k, lambda x: x[..., None]), r"returns the shape \(2, 3, 1\)"),
    "half logits": (lambda k: Net(k, lambda x: x.half()), r"returns logits of the type float16; return float32, e\.g\. output\.float"),
    "double logits": (lambda k: Net(k, lambda x: x.double()), "returns logits of the type float64"),
    "predictions": (lambda k: Net(k, lambda x: x.argmax(1)), r"returns the shape \(2,\)"),
    "NaN": (lambda k: Net(k, lambda x: x / 0 * 0), "returns logits that are not finite"),
    "half": (lambda k: Net(k).half(), r"its parameter 'head\.weight' is float16\. Drop \.half\(\)"),
    "bfloat16": (lambda k: Net(k).bfloat16(), r"its parameter 'head\.weight' is bfloat16"),
    "double": (lambda k: Net(k).double(), r"its parameter 'head\.weight' is float64"),
    "complex": (lambda k: Net(k).to(torch.complex64), r"its parameter 'head\.weight' is complex64"),
    "integers": (Index, "its parameter 'index' is int64"),
    "lazy": (
        lambda k: nn.Sequential(nn.Flatten(), nn.LazyLinear(8), nn.Linear(8, k)),
        r"its parameter '1\.weight' belongs to a lazy layer, .* nn\.Linear\(64, K\) instead of nn\.LazyLinear",
    ),
    "a lazy head": (lambda k: nn.Sequential(nn.Flatten(), nn.LazyLinear(k)), r"'1\.weight' belongs to a lazy layer"),
    "lazy statistics": (lambda k: nn.Sequential(nn.LazyBatchNorm2d(), nn.Flatten(), nn.Linear(48, k)), r"'0\.weight' belongs to a lazy"),
    "frozen": (Frozen, r"its parameter 'head\.weight' is frozen \(requires_grad=False\)"),
    "another device": (lambda k: Net(k).to("cuda"), r"cannot be built for 7 classes on the meta device|is put on the device"),
    "no parameters": (lambda k: nn.Flatten(), "has no parameter; build"),
    "no class axis": (lambda k: nn.Linear(48, 3), "has no parameter that grows with the class count"),
    "tied": (Tied, r"has tied weights: 'a\.weight' and 'b\.weight' are one tensor"),
    "one memory": (SharedMemory, r"has tied weights: 'a\.weight' and 'b\.weight' are one tensor"),
    "batch statistics": (lambda k: nn.Sequential(nn.BatchNorm2d(3), nn.Flatten(), nn.Linear(48, k)), "has buffers .*use GroupNorm"),
    "statistics of the batch": (PictureStatistics, "gives a picture other logits alone .*use GroupNorm"),
    "a single picture": (Statistics, r"fails on 1 pictures of shape \(3, 4, 4\) .*use GroupNorm instead of BatchNorm"),
    "another size": (lambda k: nn.Linear(7, k), r"fails on 2 pictures of shape \(3, 4, 4\) .*Make input_shape and the layers agree"),
    "no forward": (lambda k: Bare(k), "fails on 2 pictures"),
    "in place": (lambda k: Net(k, first=lambda x: x.relu_()), "changes the pictures it is given"),
    "no gradient": (lambda k: Net(k, lambda x: x.detach()), "returns logits without a gradient"),
    "a constant": (Constant, r"fails on 2 pictures .*make constant tensors in forward\(\) instead of __init__"),
    "random": (lambda k: Net(k, lambda x: x + torch.rand(())), "draw no random numbers in evaluation mode"),
    "raises": (raises, r"cannot be built for 7 classes on the meta device.*RuntimeError: no weights here\\x1b\[2J"),
    "reads values": (reads, "cannot be built for 7 classes on the meta device.*without moving them or reading their values"),
    "no module": (lambda k: {"head": k}, r"built a dict; build\(\) must return a torch\.nn\.Module"),
    "a class": (lambda k: nn.Linear, r"built the class Linear; build\(\) must return a torch\.nn\.Module"),
}  # fmt: skip


class Bare(nn.Module):
    def __init__(self, k: int) -> None:
        super().__init__()
        self.head = nn.Linear(48, k)


@pytest.mark.parametrize("case", BAD)
def test_a_network_of_another_kind_is_refused_with_a_sentence(case: str) -> None:
    build, sentence = BAD[case]
    with pytest.raises(PluginError, match=sentence) as caught:
        try_network(ParameterSpec(TargetArchitecture("odd", build, SHAPE)))
    message = str(caught.value)
    assert message.startswith("Architecture 'odd'")
    assert message.endswith(".")
    assert "Unexpected" not in message
    assert "\x1b" not in message
    assert "\n" not in message


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"input_shape": (32, 32)}, r"input_shape is \(32, 32\); give three positive whole numbers"),
        ({"input_shape": (4, 8, 8)}, r"input_shape is \(4, 8, 8\)"),
        ({"input_shape": "3x8x8"}, r"input_shape is '3x8x8'"),
        ({"input_shape": (3, 8.0, 8)}, "input_shape is"),
        ({"input_shape": (3, 0, 8)}, "input_shape is"),
        ({"mean": (0.5,)}, r"mean is \(0\.5,\); give 3 numbers"),
        ({"mean": 0.5}, r"mean is 0\.5; give 3 numbers"),
        ({"std": (0.5, 0.0, 0.5)}, "std is .*; every number must be above 0"),
        ({"std": (0.5, float("nan"), 0.5)}, "std is .*; give 3 numbers"),
        ({"crop_pct": 1.2}, "crop_pct is 1.2; give a number above 0 and at most 1"),
    ],
)  # fmt: skip
def test_a_malformed_description_is_refused(settings: dict[str, Any], sentence: str) -> None:
    with pytest.raises(PluginError, match=f"Architecture 'odd': {sentence}"):
        try_network(ParameterSpec(TargetArchitecture("odd", Net, **settings)))


def test_lists_are_read_as_tuples() -> None:
    architecture = TargetArchitecture("mine", Net, list(SHAPE), [0.5] * 3, [0.5] * 3)  # type: ignore[arg-type]
    assert architecture.input_shape == SHAPE
    try_network(ParameterSpec(architecture))


def test_a_good_network_passes_and_no_random_state_changes() -> None:
    torch.manual_seed(5)
    np.random.seed(5)
    before = torch.get_rng_state()
    try_network(ParameterSpec(cnn_2layer))
    with torch.inference_mode():
        try_network(ParameterSpec(TargetArchitecture("mine", Net, SHAPE)))
    assert torch.equal(torch.get_rng_state(), before)


def test_a_huge_network_is_not_run() -> None:
    try_network(ParameterSpec(TargetArchitecture("huge", lambda k: nn.Linear(10**12, k))))
