from __future__ import annotations

from pathlib import Path

import pytest
import torch

from tina_framework.errors import CheckpointError, TrainingError
from tina_framework.storage.files import write_safetensors
from tina_framework.training import checkpoint


def save(root: Path, step: int) -> Path:
    partial = checkpoint.start_writing(root, step)
    write_safetensors(partial / "rng-00000.safetensors", checkpoint.rng_tensors())
    return checkpoint.finish(partial, {"model": {"w": torch.full((3,), float(step))}}, {"step": step})


def names(root: Path) -> list[str]:
    return sorted(path.name for path in root.iterdir())


def test_a_finished_checkpoint_is_complete(tmp_path: Path) -> None:
    folder = save(tmp_path, 7)
    assert folder.name == "step-00000007"
    assert names(folder) == ["manifest.json", "model.safetensors", "rng-00000.safetensors", "state.json"]
    assert checkpoint.problem_with(folder) is None
    assert names(tmp_path) == [folder.name]


def test_the_newest_usable_one_is_found_and_the_damage_told(tmp_path: Path) -> None:
    for step in (1, 2, 3, 4):
        save(tmp_path, step)
    (tmp_path / "step-00000004" / "manifest.json").unlink()
    weights = tmp_path / "step-00000003" / "model.safetensors"
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(bytes(content))
    found, skipped = checkpoint.find_latest(tmp_path)
    assert found == tmp_path / "step-00000002"
    assert len(skipped) == 2
    assert "never finished" in skipped[0]
    assert "model.safetensors was changed" in skipped[1]


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (lambda f: (f / "state.json").unlink(), "state.json is missing"),
        (lambda f: (f / "state.json").write_text("{}"), "bytes instead of"),
        (lambda f: (f / "manifest.json").write_text("[]"), "manifest.json is damaged"),
        (lambda f: (f / "manifest.json").write_text("{"), "manifest.json is damaged"),
    ],
)
def test_damage_is_described(tmp_path: Path, damage: object, reason: str) -> None:
    folder = save(tmp_path, 1)
    damage(folder)  # type: ignore[operator]
    assert reason in str(checkpoint.problem_with(folder))


@pytest.mark.parametrize("broken", ["write_safetensors", "write_json"])
def test_stopped_in_mid_write_the_old_one_remains(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, broken: str) -> None:
    save(tmp_path, 1)

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    partial = checkpoint.start_writing(tmp_path, 2)
    write_safetensors(partial / "rng-00000.safetensors", checkpoint.rng_tensors())
    monkeypatch.setattr(checkpoint, broken, killed)
    with pytest.raises(KeyboardInterrupt):
        checkpoint.finish(partial, {"model": {"w": torch.zeros(3)}}, {})
    assert checkpoint.find_latest(tmp_path) == (tmp_path / "step-00000001", [])
    monkeypatch.undo()
    save(tmp_path, 3)
    assert names(tmp_path) == ["step-00000001", "step-00000003"]


def test_a_full_disk_is_one_sentence_and_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save(tmp_path, 1)

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    partial = checkpoint.start_writing(tmp_path, 2)
    monkeypatch.setattr(checkpoint, "write_safetensors", full)
    with pytest.raises(TrainingError, match="No space left on device"):
        checkpoint.finish(partial, {"model": {}}, {})
    assert names(tmp_path) == ["step-00000001"]


def test_a_disk_that_refuses_tensors_is_one_sentence_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """safetensors reports a failed write by an error of its own."""
    import safetensors.torch

    def refused(*_: object, **__: object) -> None:
        raise safetensors.SafetensorError("I/O error: No space left on device (os error 28)")

    partial = checkpoint.start_writing(tmp_path, 2)
    monkeypatch.setattr(safetensors.torch, "save_file", refused)
    for write in (lambda: checkpoint.write_rng(partial, 0), lambda: checkpoint.finish(partial, {"model": {}}, {})):
        with pytest.raises(TrainingError, match="No space left on device"):
            write()
        assert list(tmp_path.iterdir()) == []


def test_saving_a_step_again_replaces_it(tmp_path: Path) -> None:
    (save(tmp_path, 1) / "state.json").unlink()
    assert checkpoint.problem_with(save(tmp_path, 1)) is None
    assert names(tmp_path) == ["step-00000001"]


def test_prune_keeps_the_newest_and_drops_what_lies_ahead(tmp_path: Path) -> None:
    for step in (1, 2, 3, 9):
        save(tmp_path, step)
    checkpoint.prune(tmp_path, 3, keep=2)
    assert names(tmp_path) == ["step-00000002", "step-00000003"]


def test_random_states_go_on_where_they_were(tmp_path: Path) -> None:
    folder = save(tmp_path, 1)
    expected = torch.rand(3)
    torch.manual_seed(99)
    checkpoint.set_rng(checkpoint.read_rng(folder, 0))
    assert torch.equal(torch.rand(3), expected)


def test_a_missing_random_state_is_an_error(tmp_path: Path) -> None:
    folder = save(tmp_path, 1)
    with pytest.raises(CheckpointError, match="no random state for process 1"):
        checkpoint.read_rng(folder, 1)
    with pytest.raises(CheckpointError, match="lacks a generator"):
        checkpoint.set_rng({})
