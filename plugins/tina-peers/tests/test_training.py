"""Every peer trains, gives the same result after a stop, and learns nothing from where it must not."""

from __future__ import annotations

import dataclasses
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from tina_framework.errors import CheckpointError, ConfigError, TrainingError
from tina_framework.storage.digest import renew_digest
from tina_peers.catalogue import PEERS, peer_class
from tina_peers.peer import CHECKPOINT, Peer
from tina_peers.setup import Setup
from tina_peers.training import Run, train

MakePeer = Callable[..., tuple[Peer, Setup]]


def quiet(text: str) -> None:
    """Drop a line of the log."""


@pytest.mark.parametrize("name", PEERS)
def test_a_stopped_run_gives_the_same_peer(name: str, make_peer: MakePeer, tmp_path: Path) -> None:
    whole = train(*make_peer(name, steps=4), tmp_path / "whole", {"zoo": "tiny"}, quiet)
    for _ in range(3):
        assert train(*make_peer(name, steps=4), tmp_path / "parts", {"zoo": "tiny"}, quiet, stop_after=1) is None
        assert [path.name for path in (tmp_path / "parts").iterdir()] == [CHECKPOINT]
    parts = train(*make_peer(name, steps=4), tmp_path / "parts", {"zoo": "tiny"}, quiet)
    assert whole is not None
    assert parts is not None
    for key, tensor in whole.state_dict().items():
        assert torch.equal(tensor, parts.state_dict()[key]), key
    one, two = whole.training_record, parts.training_record
    assert {**one, "seconds": 0} == {**two, "seconds": 0}
    assert (tmp_path / "whole" / "model.safetensors").read_bytes() == (
        tmp_path / "parts" / "model.safetensors"
    ).read_bytes()
    assert not (tmp_path / "parts" / CHECKPOINT).exists()


@pytest.mark.parametrize("name", PEERS)
def test_training_lowers_the_loss(name: str, make_peer: MakePeer) -> None:
    peer, setup = make_peer(name, steps=60)
    run = Run(peer, setup, {})
    if setup.recipe.objective == "task":
        # The same tasks and pictures in every step.
        batch = setup.task_batch(0)
        setup.task_batch = lambda step: batch  # type: ignore[method-assign]
    else:
        setup.recipe = dataclasses.replace(setup.recipe, batch_size=8)
    losses = [run.advance() for _ in range(60 // peer.phases)]
    assert sum(losses[-5:]) < 0.97 * sum(losses[:5])


@pytest.mark.parametrize("name", PEERS)
def test_all_parameters_are_trained(name: str, make_peer: MakePeer) -> None:
    peer, setup = make_peer(name, steps=12)
    before = {key: p.detach().clone() for key, p in peer.named_parameters()}
    run = Run(peer, setup, {})
    for _ in range(12):
        run.advance()
    assert [key for key, p in peer.named_parameters() if torch.equal(p, before[key])] == []


def test_training_from_weights_reads_no_training_picture(make_peer: MakePeer) -> None:
    peer, setup = make_peer("p-diff", steps=2)
    run = Run(peer, setup, {})
    run.advance()
    assert "images" not in vars(setup)
    assert "training_pictures_sha256" not in setup.identity
    assert "training_pictures_sha256" in make_peer("t2m-hn")[1].identity


def test_a_checkpoint_of_other_settings_is_refused(make_peer: MakePeer, tmp_path: Path) -> None:
    train(*make_peer("norm-only", steps=4), tmp_path, {"zoo": "one"}, quiet, stop_after=1)
    with pytest.raises(CheckpointError, match=r"other settings or data \(zoo differ"):
        train(*make_peer("norm-only", steps=4), tmp_path, {"zoo": "other"}, quiet)
    with pytest.raises(CheckpointError, match=r"\(recipe\.lr, recipe\.seed differ"):
        train(*make_peer("norm-only", steps=4, lr=1e-4, seed=5), tmp_path, {"zoo": "one"}, quiet)
    with pytest.raises(CheckpointError, match=r"\(settings\.hidden differ"):
        train(*make_peer("norm-only", steps=4), tmp_path, {"zoo": "one", "settings": {"hidden": 8}}, quiet)
    # Another spelling of the command is no other run.
    train(*make_peer("norm-only", steps=4), tmp_path, {"zoo": "one", "command": "x"}, quiet, stop_after=1)


@pytest.mark.parametrize(
    ("change", "differs"),
    [
        ({"zoo": True}, "zoo_sha256"),
        ({"dataset": "shapes:7"}, "training_pictures_sha256"),
        ({"encoder": True}, "conditions_sha256"),
        ({"tasks": 1}, "tasks"),
        ({"classes": 3}, "classes"),
    ],
)
def test_a_checkpoint_of_other_data_is_refused(
    change: dict[str, Any], differs: str, make_peer: MakePeer, zoo: Path, tmp_path: Path
) -> None:
    train(*make_peer("norm-only", steps=4), tmp_path / "out", {}, quiet, stop_after=1)
    if "zoo" in change:
        shutil.copytree(zoo, tmp_path / "zoo")
        manifest = json.loads((tmp_path / "zoo" / "zoo.json").read_text())
        (tmp_path / "zoo" / "zoo.json").write_text(json.dumps({**manifest, "note": 1}))
        renew_digest(tmp_path / "zoo" / "zoo.json")
        change = {"zoo": str(tmp_path / "zoo")}
    data = {key: value for key, value in change.items() if key != "encoder"}
    peer, setup = make_peer("norm-only", data, steps=4)
    if "encoder" in change:
        setup.conditions.fingerprint = "another"
    with pytest.raises(CheckpointError, match=rf"\({differs} differ"):
        train(peer, setup, tmp_path / "out", {}, quiet)


def test_a_loss_that_is_not_finite_stops_it(make_peer: MakePeer) -> None:
    peer, setup = make_peer("norm-only", steps=4)
    with torch.no_grad():
        peer.get_parameter("hypernetwork.write_class.bias").fill_(float("nan"))
    with pytest.raises(TrainingError, match="lower lr"):
        Run(peer, setup, {}).advance()


def test_images_are_shifted_and_nothing_else(make_setup: Callable[..., Setup]) -> None:
    still, images, labels = make_setup("t2m-hn").task_batch(3)
    moved, shifted_images, shifted_labels = make_setup("t2m-hn", image_shift=2).task_batch(3)
    assert moved.classes == still.classes
    assert torch.equal(shifted_labels, labels)
    assert shifted_images.shape == images.shape
    assert not torch.equal(shifted_images, images)


def test_a_peer_that_scales_channels_cannot_whiten(make_setup: Callable[..., Setup]) -> None:
    with pytest.raises(ConfigError, match="'norm-only' cannot write whitened differences"):
        make_setup("norm-only", whitening=0.03)


@pytest.mark.parametrize(("shift", "match"), [(32, "32 x 32 pixels"), (100, "Set it below 32")])
def test_a_shift_beyond_the_picture_is_refused(make_setup: Callable[..., Setup], shift: int, match: str) -> None:
    with pytest.raises(ConfigError, match=match):
        make_setup("t2m-hn", image_shift=shift)


def test_validation_tasks_do_not_depend_on_the_seed(make_peer: MakePeer) -> None:
    (peer, one), (_, other) = make_peer("five-pictures"), make_peer("five-pictures", seed=1)
    assert [task.classes for task in one.tasks] == [task.classes for task in other.tasks]
    assert one.task_batch(0)[0].classes != other.task_batch(0)[0].classes
    assert one.gains(peer.eval()) == other.gains(peer.eval())


def test_validation_tasks_and_training_tasks_do_not_meet(make_setup: Callable[..., Setup]) -> None:
    setup = make_setup("norm-only", steps=4)
    held_back = {frozenset(task.classes) for task in setup.tasks}
    for step in range(20):
        inputs, images, labels = setup.task_batch(step)
        assert not held_back & {frozenset(names) for names in inputs.classes}
        assert 2 <= inputs.num_classes <= 4
        assert images.shape[:2] == labels.shape == (3, 12)


@pytest.mark.parametrize("name", PEERS)
def test_initial_weights_depend_on_the_seed_alone(name: str, make_peer: MakePeer) -> None:
    one, two, other = make_peer(name)[0], make_peer(name)[0], make_peer(name, seed=1)[0]
    pairs = list(zip(one.parameters(), two.parameters(), other.parameters(), strict=True))
    assert all(torch.equal(a, b) for a, b, _ in pairs)
    assert not all(torch.equal(a, c) for a, _, c in pairs)
    assert peer_class(name).name == name
