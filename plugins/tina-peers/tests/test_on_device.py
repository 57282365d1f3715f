"""Training on a played GPU: no operation mixes devices, and validation gives what it gives on a CPU."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest
import torch

from tina_framework.errors import ConfigError
from tina_peers.catalogue import PEERS, peer_class
from tina_peers.peer import Peer
from tina_peers.setup import Setup
from tina_peers.training import train

PLAYED = Path(__file__).resolve().parents[3] / "tests" / "playing_device.py"


@pytest.fixture(scope="module")
def playing() -> ModuleType:
    """The module of the framework's tests that plays a device."""
    if not PLAYED.is_file():
        pytest.skip("this is not the repository of the framework")
    spec = importlib.util.spec_from_file_location("played_device_for_peers", PLAYED)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("name", PEERS)
def test_a_run_on_a_gpu(
    name: str,
    make_peer: Callable[..., tuple[Peer, Setup]],
    playing: ModuleType,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    monkeypatch.setattr("tina_peers.setup.WHITENING_TASKS", 2)
    changes = {} if name == "norm-only" else {"whitening": 0.1}
    expected, _ = make_peer(name, steps=2, image_shift=2, **changes)
    with playing.PlayedDevice() as played:
        peer, setup = make_peer(name, {"device": "cuda"}, steps=2, image_shift=2, **changes)
        assert peer.differences is not setup.differences
        assert peer.differences.base_S.device == playing.DEVICE
        assert setup.differences.base_S.device.type == "cpu"
        assert setup.validation.images.device == playing.DEVICE
        assert len(setup.gains(peer.eval())) == 2
        train(peer, setup, tmp_path / "peer", {}, lambda text: None, stop_after=1)
        again, setup = make_peer(name, {"device": "cuda"}, steps=2, image_shift=2, **changes)
        found = train(again, setup, tmp_path / "peer", {}, lambda text: None)
        assert found is not None
    assert played.device_operations > 0
    assert peer.training_record == {}
    kept = peer_class(name).load(tmp_path / "peer", expected.spec)
    for key, tensor in expected.differences.state_dict().items():
        # A GPU may keep pictures in half precision, so the whitening is a little different.
        tolerance = 0.02 if key.startswith(("factor", "scale", "row_scale")) else 1e-6
        torch.testing.assert_close(kept.differences.state_dict()[key], tensor, atol=tolerance, rtol=tolerance)


def test_a_device_that_is_not_there_is_refused(make_setup: Callable[..., Setup]) -> None:
    with pytest.raises(ConfigError, match="Device 'no-such' cannot be used"):
        make_setup("norm-only", {"device": "no-such"})


def test_auto_is_resolved(make_setup: Callable[..., Setup], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tina_peers.setup.resolve_device", lambda device: torch.device({"auto": "cpu"}[device]))
    assert make_setup("norm-only", {"device": "auto"}).device == torch.device("cpu")
