"""The played device: what it logs, what it refuses, and that it computes what the host computes."""

from __future__ import annotations

import copy
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.func import functional_call, vmap

from tests.playing_device import DEVICE, MixedDevices, PlayedDevice, on_device

HOST = torch.tensor([3.0, -1.0, 2.0])


def uploaded() -> Tensor:
    return HOST.to(DEVICE)


def kinds(played: PlayedDevice) -> list[tuple[str, str]]:
    return [(crossing.kind, crossing.what) for crossing in played.crossings]


CROSSINGS: dict[str, tuple[Callable[[Tensor], object], list[tuple[str, str]]]] = {
    "item": (lambda x: float(x.sum()), [("download", "item")]),
    "bool": (lambda x: bool(x.isfinite().all()), [("download", "item")]),
    "list": (lambda x: x.tolist(), [("download", "tolist")]),
    "cpu": (lambda x: x.cpu(), [("download", "cpu")]),
    "to": (lambda x: x.to("cpu", torch.float64), [("download", "to")]),
    "nonzero": (lambda x: torch.nonzero(x > 0), [("sync", "nonzero")]),
    "mask": (lambda x: x[x > 0], [("sync", "boolean mask")]),
    "fill": (lambda x: x.masked_fill(x > 0, 1.0), []),
    "index": (lambda x: x[[0, 2]], [("upload", "index of the host")]),
    "index there": (lambda x: x[torch.arange(2, device=x.device)], []),
    "constant": (lambda x: torch.tensor([1.0], device=x.device), [("upload", "tensor")]),
    "zeros": (lambda x: torch.zeros(4, device="cuda") + x.sum(), []),
    "copy": (lambda x: x.copy_(HOST), [("upload", "copy_")]),
    "scalar": (lambda x: x * torch.tensor(2.0), []),
    "there already": (lambda x: torch.as_tensor(x, device=DEVICE).to(DEVICE), []),
}


@pytest.mark.parametrize("name", CROSSINGS)
def test_every_crossing_is_logged(name: str) -> None:
    act, expected = CROSSINGS[name]
    with PlayedDevice() as played:
        x = uploaded()
        with played.watching() as watched:
            act(x)
    assert kinds(watched) == expected
    assert all("test_playing_device" in crossing.where for crossing in watched.crossings)
    assert kinds(played) == [("upload", "to"), *expected]


MIXED: dict[str, Callable[[Tensor], object]] = {
    "add": lambda x: x + HOST,
    "in place": lambda x: HOST.clone().add_(x),
    "cat": lambda x: torch.cat([x, HOST]),
    "stack of numbers": lambda x: torch.stack([x[0], torch.tensor(1.0)]),
    "place of the device in the host": lambda x: HOST[x.argmax()[None]],
    "write": lambda x: x.index_put_((torch.tensor([0, 1], device=DEVICE),), HOST[:2]),
    "module": lambda x: nn.Linear(3, 2)(x),
}


@pytest.mark.parametrize("name", MIXED)
def test_what_mixes_devices_is_refused(name: str) -> None:
    with PlayedDevice(), pytest.raises(MixedDevices, match=r"test_playing_device"):
        MIXED[name](uploaded())
    with PlayedDevice(), pytest.raises(TypeError, match="numpy"):
        uploaded().numpy()


def test_marks_follow_views_copies_modules_and_gradients() -> None:
    with PlayedDevice():
        x = uploaded()
        assert x.device == DEVICE
        assert x.is_cuda
        assert HOST.device.type == "cpu"
        for made in (
            x[1:],
            x.view(3, 1),
            x.detach(),
            copy.deepcopy(x),
            torch.zeros_like(x),
            x.new_zeros(2),
            x.double(),
        ):
            assert made.device == DEVICE
        module = nn.Linear(3, 2).to(DEVICE)
        other = copy.deepcopy(module)
        other(x).sum().backward()
        assert all(p.device == DEVICE and p.grad is not None and p.grad.is_cuda for p in other.parameters())
        assert next(other.cpu().parameters()).device.type == "cpu"
        assert next(module.parameters()).is_cuda


@pytest.mark.parametrize("fused", [False, True])
def test_training_on_the_device_computes_what_the_host_computes(fused: bool) -> None:
    def train(device: torch.device) -> list[Tensor]:
        torch.manual_seed(0)
        module = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2)).to(device)
        optimizer = torch.optim.AdamW(module.parameters(), fused=fused)
        rows = torch.randn(8, 5, 3, generator=torch.Generator().manual_seed(1)).to(device)
        for part in rows:
            optimizer.zero_grad()
            module(part).square().mean().backward()
            nn.utils.clip_grad_norm_(module.parameters(), 0.1)
            optimizer.step()
        return [p.detach().cpu() for p in module.parameters()]

    expected = train(torch.device("cpu"))
    with PlayedDevice() as played:
        found = train(DEVICE)
        assert all(torch.equal(ours, theirs) for ours, theirs in zip(found, expected, strict=True))
        downloads = [crossing for crossing in played.crossings if crossing.kind != "upload"]
    assert len(downloads) == 4  # the parameters at the end


def test_an_optimizer_state_on_the_host_is_refused() -> None:
    """As `torch.optim.AdamW` with ``fused=True`` does on CUDA, if its step count was left on the CPU."""
    with PlayedDevice():
        module = nn.Linear(3, 2).to(DEVICE)
        optimizer = torch.optim.AdamW(module.parameters(), fused=True)
        module(uploaded()).sum().backward()
        optimizer.step()
        for state in optimizer.state.values():
            state["step"] = state["step"].cpu()
        with pytest.raises(MixedDevices, match="_fused_adamw_"):
            optimizer.step()


def test_vmap_and_gradients_of_many_networks() -> None:
    module = nn.Linear(3, 2)
    weights, rows = torch.randn(4, 2, 3), torch.randn(4, 5, 3)

    def run(weights: Tensor, rows: Tensor) -> tuple[Tensor, Tensor]:
        leaf = weights.requires_grad_(True)
        bias = torch.zeros(2, device=rows.device)
        out = vmap(lambda w, x: functional_call(module, {"weight": w, "bias": bias}, (x,)))(leaf, rows)
        return out.detach(), torch.autograd.grad(out.square().sum(), leaf)[0]

    expected = run(weights.clone(), rows)
    with PlayedDevice() as played:
        found = run(weights.to(DEVICE), rows.to(DEVICE))
        assert all(map(on_device, found))
        assert len(played.crossings) == 2
        with pytest.raises(MixedDevices):
            vmap(lambda x: x + HOST)(rows.to(DEVICE))
    assert all(torch.equal(ours, theirs) for ours, theirs in zip(found, expected, strict=True))


def test_outside_of_the_context_nothing_is_played() -> None:
    with PlayedDevice():
        x = uploaded()
    assert x.device.type == "cpu"
    assert torch.equal(x + HOST, 2 * HOST)
