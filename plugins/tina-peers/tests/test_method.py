"""The peers as methods of `tina evaluate`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tina_framework import Generator
from tina_framework.interfaces.method import Context, Method, MethodUnavailable, Network
from tina_framework.plugin.discovery import registries
from tina_framework.testing import MethodTests, noise_dataset
from tina_framework.zoo.tasks import Task
from tina_peers.catalogue import PEERS
from tina_peers.method import PeerMethod, shipped
from tina_peers.peer import Peer
from tina_peers.setup import Setup

MakePeer = Callable[..., tuple[Peer, Setup]]
DATASET = "shapes:6"


@pytest.fixture(scope="module")
def context() -> Context:
    generator = Generator.from_pretrained("cifar100-cnn", device="cpu")
    return Context(generator, registries().datasets.create(DATASET))


@pytest.fixture
def tasks(context: Context) -> list[Task]:
    names = context.dataset.class_names
    return [Task(names[:3]), Task(names[4:7]), Task((names[2], names[0], names[1]))]


def saved(make_peer: MakePeer, name: str, folder: Path) -> Path:
    """Save a peer with random weights, and return its folder."""
    peer, setup = make_peer(name)
    with torch.no_grad():
        for parameter in peer.parameters():
            parameter.add_(0.01 * torch.randn(parameter.shape, generator=torch.Generator().manual_seed(0)))
    peer.begin_phase(peer.phases - 1, setup.all_p_models())
    peer.save(folder)
    return folder


def made(name: str, context: Context, folder: Path | None) -> Any:
    """Make a method of the plugin, without the checks of the framework around it."""
    return registries().methods.target(name)(context, None if folder is None else str(folder))


@pytest.mark.parametrize("name", PEERS)
def test_answers(name: str, make_peer: MakePeer, context: Context, tasks: list[Task], tmp_path: Path) -> None:
    method = made(name, context, saved(make_peer, name, tmp_path / "peer"))
    assert isinstance(method, PeerMethod)
    assert method.name == name
    assert method.reads_text
    method.prepare(tasks)
    assert "parameters" in method.describe()
    answers = method.parameters(tasks)
    for task, answer in zip(tasks, answers, strict=True):
        assert isinstance(answer, Network)
        assert set(answer.outputs) == set(task.classes)
        assert answer.flat.shape == (context.spec.num_parameters(3),)
        [alone] = method.parameters([task])
        torch.testing.assert_close(alone.flat, answer.flat, atol=1e-4, rtol=1e-3)
    # Another order of the classes gives the same network.
    assert answers[0].outputs == answers[2].outputs
    torch.testing.assert_close(answers[0].flat, answers[2].flat)
    assert not torch.allclose(answers[0].flat, answers[1].flat)


class TestStandard(MethodTests):
    class_count = 4

    @pytest.fixture(params=list(PEERS))
    def method(
        self, request: pytest.FixtureRequest, make_peer: MakePeer, context: Context, tmp_path: Path
    ) -> Callable[[], Method]:
        # One of the peers reads training pictures of the classes that the tests draw.
        pictures = noise_dataset(context.generator.config.class_names)
        context = replace(context, dataset=pictures)
        folder = saved(make_peer, request.param, tmp_path / "peer")
        # As `tina evaluate` does, so what checks the answers of plugins is around the method.
        return lambda: registries().methods.create(request.param, context=context, argument=str(folder))


class Shuffled:
    """Another encoder: gives every text the vector of another one."""

    def __init__(self, encoder: Any) -> None:
        self._encoder = encoder

    def __getattr__(self, name: str) -> Any:
        return getattr(self._encoder, name)

    def encode_text(self, texts: list[str], template: int = 0) -> Any:
        vectors = self._encoder.encode_text(texts, template=template)
        return np.roll(vectors, 1, axis=1)


@pytest.mark.parametrize("name", PEERS)
def test_it_reads_the_encoder_of_the_context(
    name: str, make_peer: MakePeer, context: Context, tasks: list[Task], tmp_path: Path
) -> None:
    other = Context(context.generator, context.dataset)
    method = made(name, other, saved(make_peer, name, tmp_path / "peer"))
    method.prepare(tasks)
    [before] = method.parameters(tasks[:1])
    other.replaced_encoder = Shuffled(context.encoder)
    [after] = method.parameters(tasks[:1])
    assert not torch.allclose(before.flat, after.flat, atol=1e-3)


def test_a_peer_of_another_encoder_is_left_out(
    make_peer: MakePeer, context: Context, tasks: list[Task], tmp_path: Path
) -> None:
    peer, _ = make_peer("norm-only")
    peer.space.space = "another"
    peer.save(tmp_path / "peer")
    with pytest.raises(MethodUnavailable, match="another"):
        made("norm-only", context, tmp_path / "peer").prepare(tasks)


def test_without_shipped_weights_it_says_how_to_train(
    context: Context, tasks: list[Task], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("tina_peers.method.shipped", lambda name: tmp_path / name)
    with pytest.raises(MethodUnavailable, match=r"python -m tina_peers\.train norm-only"):
        made("norm-only", context, None).prepare(tasks)


@pytest.mark.parametrize("name", [name for name in PEERS if shipped(name).is_dir()])
def test_shipped_weights_load(name: str, context: Context) -> None:
    names = ("apple", "bear", "bicycle")
    method = made(name, context, None)
    method.prepare([Task(names)])
    [answer] = method.parameters([Task(names)])
    assert bool(answer.flat.isfinite().all())
    assert sum(path.stat().st_size for path in shipped(name).iterdir()) <= 4_000_000
