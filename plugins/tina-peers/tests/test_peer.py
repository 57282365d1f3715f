"""The folder of a peer: written and read back without a change, refused if it was altered or is another's."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from tina_framework.errors import CheckpointError, ConfigError
from tina_framework.storage.digest import renew_digest
from tina_framework.storage.files import read_safetensors
from tina_peers.catalogue import PEERS, peer_class
from tina_peers.inputs import TaskInputs
from tina_peers.peer import Peer
from tina_peers.setup import Setup

SETTINGS = {"hidden": 16, "depth": 1, "scale_inputs": True, "strength": 0.3, "row_strength": 1.0}

MakePeer = Callable[..., tuple[Peer, Setup]]


def tasks_of(setup: Setup, peer: Peer) -> TaskInputs:
    """Two tasks of three classes."""
    classes = [setup.class_names[:3], setup.class_names[5:8]]
    conditions = torch.stack([setup.conditions.of(names) for names in classes])
    pictures = torch.rand(2, 3, peer.shots, 3, 32, 32) if peer.shots else None
    return TaskInputs(classes, conditions, [torch.Generator().manual_seed(i) for i in range(2)], pictures)


@pytest.mark.parametrize(
    ("name", "changes"),
    [*((name, {}) for name in PEERS), ("t2m-hn", {"whitening": 0.1}), ("p-diff", {"whitening": 1.0})],
)
def test_a_folder_gives_the_same_networks(
    name: str, changes: dict[str, float], make_peer: MakePeer, tmp_path: Path
) -> None:
    peer, setup = make_peer(name, **changes)
    with torch.no_grad():
        for parameter in peer.parameters():  # last layers may start at zero
            parameter.add_(0.01 * torch.randn(parameter.shape, generator=torch.Generator().manual_seed(0)))
    peer.begin_phase(peer.phases - 1, setup.all_p_models())
    peer.eval().round()
    peer.training_record = {"gain": 1.5}
    peer.save(tmp_path / "peer")
    loaded = type(peer).load(tmp_path / "peer", setup.spec)
    assert loaded.training_record == {"gain": 1.5}
    inputs = tasks_of(setup, peer)
    with torch.no_grad():
        before = peer.networks(inputs)
        again = loaded.networks(
            TaskInputs(inputs.classes, inputs.conditions, tasks_of(setup, peer).draws, inputs.pictures)
        )
    assert before.shape == (2, setup.spec.num_parameters(3))
    assert torch.equal(before, again)
    assert not loaded.training
    learned = {key for key, _ in peer.named_parameters()}
    stored = read_safetensors(tmp_path / "peer" / "model.safetensors")
    assert {stored[key].dtype for key in learned} == {torch.float16}


@pytest.fixture
def folder(make_peer: MakePeer, tmp_path: Path) -> tuple[Path, Setup]:
    peer, setup = make_peer("norm-only")
    peer.save(tmp_path / "peer")
    return tmp_path / "peer", setup


def test_an_altered_folder_is_refused(folder: tuple[Path, Setup]) -> None:
    path, setup = folder
    weights = path / "model.safetensors"
    data = bytearray(weights.read_bytes())
    data[-1] ^= 1
    weights.write_bytes(data)
    with pytest.raises(CheckpointError, match="altered"):
        peer_class("norm-only").load(path, setup.spec)


@pytest.mark.parametrize(
    ("key", "value", "match"),
    [
        ("name", "p-diff", "holds the peer 'p-diff'"),
        ("architecture", "other", "'cnn-2layer' is evaluated"),
        ("settings", {"hidden": 8}, "lacks"),
        ("settings", {**SETTINGS, "hidden": 9}, "shape"),
        ("settings", {**SETTINGS, "hidden": 10**12}, "65,536"),
        ("condition", {"space": "x"}, "wrong"),
        ("more", 1, "does not know more"),
    ],
)
def test_odd_settings_are_refused(folder: tuple[Path, Setup], key: str, value: object, match: str) -> None:
    path, setup = folder
    values = json.loads((path / "config.json").read_text())
    (path / "config.json").write_text(json.dumps({**values, key: value}))
    with pytest.raises(CheckpointError, match="changed"):
        peer_class("norm-only").load(path, setup.spec)
    renew_digest(path / "config.json")
    with pytest.raises(CheckpointError, match=match):
        peer_class("norm-only").load(path, setup.spec)


def test_no_folder(folder: tuple[Path, Setup]) -> None:
    path, setup = folder
    with pytest.raises(CheckpointError, match=r"python -m tina_peers\.train norm-only"):
        peer_class("norm-only").load(path / "none", setup.spec)


def test_other_files_are_not_replaced(make_peer: MakePeer, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(ConfigError, match="nothing was changed"):
        make_peer("norm-only")[0].save(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]
