"""The peers as methods of `tina evaluate`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import tina_peers
from tina_framework import Generator
from tina_framework.interfaces.method import Context, Method, MethodUnavailable, Network
from tina_framework.plugin.discovery import registries
from tina_framework.testing import MethodTests, noise_dataset
from tina_framework.zoo.tasks import Task
from tina_peers.catalogue import PEERS
from tina_peers.method import PeerMethod, shipped
from tina_peers.peer import Peer
from tina_peers.setup import Setup
from tina_peers.train import parse

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
    # The column `prompt` of `tina bench` is about shared tensors, and in those of five-pictures text has no effect.
    assert method.reads_text == (name != "five-pictures")
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


def test_validation_reads_the_pictures_of_the_evaluation(
    make_peer: MakePeer, context: Context, tasks: list[Task], tmp_path: Path
) -> None:
    _, setup = make_peer("five-pictures", seed=3)
    method = made("five-pictures", context, saved(make_peer, "five-pictures", tmp_path / "peer"))
    method.prepare(setup.tasks)
    assert setup.examples.keys() == method._examples.keys() == {name for task in setup.tasks for name in task.classes}
    for name, pictures in setup.examples.items():
        assert pictures.shape == (5, 3, 32, 32)
        assert torch.equal(pictures, method._examples[name])
    assert len({pictures.sum().item() for pictures in setup.examples.values()}) == len(setup.examples)


README = Path(__file__).resolve().parent.parent / "README.md"


def published_words(name: str) -> list[str]:
    """Return the words of the command with which README trains a peer, from the name on."""
    _, _, section = README.read_text(encoding="utf-8").partition("### All seven, at equal budgets")
    lines = section.split("```console\n")[1].split("```")[0].splitlines()
    variables = {
        key: value.strip('"') for key, _, value in (line.partition("=") for line in lines if line[0].isupper())
    }
    [line] = [line for line in lines if line.startswith(f"python -m tina_peers.train {name} ")]
    for key, value in variables.items():
        line = line.replace(f"${key}", value)
    assert "$" not in line
    return line.split()[3:]


@pytest.mark.parametrize("name", PEERS)
def test_the_published_commands_have_one_budget(name: str) -> None:
    _, _, recipe = parse(published_words(name))
    if name in ("p-diff", "weight-flow"):
        assert (recipe.objective, recipe.batch_size, recipe.whitening) == ("weights", 32, 0)
        assert recipe.steps == {"p-diff": 2400, "weight-flow": 30_000}[name]
    else:
        assert (recipe.objective, recipe.steps, recipe.batch_size, recipe.images_per_task) == ("task", 3000, 16, 192)
        assert recipe.image_shift == 2
        assert recipe.whitening == (0 if name == "norm-only" else 0.03)


@pytest.mark.parametrize("name", PEERS)
def test_shipped_weights(name: str, context: Context) -> None:
    names = ("apple", "bear", "bicycle")
    # One of the peers reads training pictures of the classes.
    context = replace(context, dataset=noise_dataset(context.generator.config.class_names))
    method = made(name, context, None)
    method.prepare([Task(names)])
    [answer] = method.parameters([Task(names)])
    assert bool(answer.flat.isfinite().all())
    peer, conditions = method.peer, torch.zeros(1, 3, method.peer.space.dim)
    differences = peer.differences
    shared, _ = differences.split(answer.flat, 3)
    assert not torch.allclose(shared, differences.base_S, atol=1e-4), "the network is that of no training"
    zeros = torch.zeros(1, differences.shared), torch.zeros(1, 3, differences.row)
    assert torch.equal(differences.split(differences.networks(*zeros, conditions)[0], 3)[0], differences.base_S)
    # The options of README's command, except where data and output are.
    words, recorded = published_words(name), f"{peer.training_record['command']} "
    options = dict(zip(words[1::2], words[2::2], strict=True))
    for option in ("--dataset", "--zoo", "--out"):
        del options[option]
    assert options.keys() >= {"--encoder"}
    for option, value in options.items():
        assert f" {option} {value} " in recorded
    assert peer.training_record["recipe"] == vars(parse(words)[2])
    assert sum(path.stat().st_size for path in shipped(name).iterdir()) <= 4_500_000


def test_nothing_else_is_shipped() -> None:
    folder = Path(tina_peers.__file__).parent / "weights"
    found = {path.name for path in folder.iterdir() if path.is_dir()} if folder.is_dir() else set()
    assert set(PEERS) == found
