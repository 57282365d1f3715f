from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from tina_framework.errors import CheckpointError, TrainingError
from tina_framework.storage.digest import renew_digest
from tina_framework.storage.files import read_json, write_safetensors
from tina_framework.storage.temporary import temporary_name
from tina_framework.training import checkpoint


def save(root: Path, step: int) -> Path:
    tensors = {"model": {"w": torch.full((3,), float(step))}}
    return checkpoint.write(root, step, tensors, {"step": step}, [checkpoint.rng_tensors()])


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


def edit(folder: Path, key: str, value: object, *, sign: bool = True) -> None:
    path = folder / "manifest.json"
    path.write_text(json.dumps(read_json(path) | {key: value}))
    if sign:
        renew_digest(path)


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (lambda f: (f / "state.json").unlink(), "state.json is missing"),
        (lambda f: (f / "state.json").write_text("{}"), "bytes instead of"),
        (lambda f: (f / "manifest.json").write_text("[]"), "does not describe a training checkpoint"),
        (lambda f: (f / "manifest.json").write_text("{"), "manifest.json is damaged"),
        (lambda f: edit(f, "files", {}, sign=False), "manifest.json is damaged or was changed"),
        (lambda f: edit(f, "version", 2), "it has version 2, and this program reads 1"),
        (lambda f: edit(f, "format", "zip"), "does not describe a training checkpoint"),
        (lambda f: edit(f, "files", []), "lists no files"),
        (lambda f: edit(f, "files", {"../x": {"size": 1, "sha256": ""}}), "lists no files"),
        (lambda f: edit(f, "files", {"x": {"size": "1", "sha256": ""}}), "lists no files"),
    ],
)
def test_damage_is_described(tmp_path: Path, damage: object, reason: str) -> None:
    folder = save(tmp_path, 1)
    damage(folder)  # type: ignore[operator]
    assert reason in str(checkpoint.problem_with(folder))


@pytest.mark.parametrize("broken", ["write_safetensors", "write_json", "put_in_place"])
def test_stopped_in_mid_write_the_old_one_remains(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, broken: str) -> None:
    save(tmp_path, 1)

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(checkpoint, broken, killed)
    with pytest.raises(KeyboardInterrupt):
        save(tmp_path, 1)
    assert names(tmp_path) == ["step-00000001"]
    assert checkpoint.find_latest(tmp_path) == (tmp_path / "step-00000001", [])


def test_what_killed_runs_left_is_removed(tmp_path: Path) -> None:
    save(tmp_path, 1)
    save(tmp_path, 2).rename(tmp_path / ".step-00000002.0123456789ab.old")
    partial = temporary_name(tmp_path / "step-00000003")
    partial.mkdir()
    (partial / "model.safetensors").write_bytes(b"half")
    checkpoint.clean(tmp_path)
    assert names(tmp_path) == ["step-00000001", "step-00000002"]
    assert checkpoint.find_latest(tmp_path) == (tmp_path / "step-00000002", [])
    checkpoint.clean(tmp_path / "nowhere")


@pytest.mark.parametrize("broken", ["write_safetensors", "put_in_place"])
def test_a_full_disk_is_one_sentence_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, broken: str
) -> None:
    save(tmp_path, 1)

    def full(path: Path, *_: object) -> None:
        raise OSError(28, "No space left on device", str(path))

    monkeypatch.setattr(checkpoint, broken, full)
    with pytest.raises(
        TrainingError, match=r"step-00000002' could not be written \(No space left on device\)"
    ) as caught:
        save(tmp_path, 2)
    assert "partial" not in str(caught.value)
    assert names(tmp_path) == ["step-00000001"]


def test_saving_a_step_again_replaces_it(tmp_path: Path) -> None:
    (save(tmp_path, 1) / "state.json").unlink()
    assert checkpoint.problem_with(save(tmp_path, 1)) is None
    assert names(tmp_path) == ["step-00000001"]


def test_prune_keeps_the_newest_and_drops_what_lies_ahead(tmp_path: Path) -> None:
    for step in (1, 2, 3, 9):
        save(tmp_path, step)
    checkpoint.prune(tmp_path, 3, keep=2)
    assert names(tmp_path) == ["step-00000002", "step-00000003"]


def test_a_checkpoint_that_is_being_removed_is_never_half_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save(tmp_path, 1)
    save(tmp_path, 2)
    save(tmp_path, 3)
    monkeypatch.setattr(checkpoint, "remove", lambda path: None)  # killed before
    checkpoint.prune(tmp_path, 3, keep=2)
    assert [path.name for path in checkpoint.list_checkpoints(tmp_path)] == ["step-00000002", "step-00000003"]
    checkpoint.clean(tmp_path)
    assert names(tmp_path) == ["step-00000002", "step-00000003"]


def test_random_states_go_on_where_they_were(tmp_path: Path) -> None:
    folder = save(tmp_path, 1)
    expected = torch.rand(3)
    torch.manual_seed(99)
    checkpoint.set_rng(checkpoint.read_tensors(folder, "rng-00000", checkpoint.read_manifest(folder)))
    assert torch.equal(torch.rand(3), expected)


def test_a_random_state_needs_all_generators() -> None:
    before = torch.get_rng_state()
    for other in ({}, {**checkpoint.rng_tensors(), "torch_other": before}):
        assert not checkpoint.set_rng(other)
    assert torch.equal(torch.get_rng_state(), before)
    assert checkpoint.set_rng(checkpoint.rng_tensors())


def test_tensors_that_changed_since_they_were_checked_are_refused(tmp_path: Path) -> None:
    folder = save(tmp_path, 1)
    files = checkpoint.read_manifest(folder)
    write_safetensors(folder / "model.safetensors", {"w": torch.zeros(3)})
    with pytest.raises(CheckpointError, match="was changed after it was written"):
        checkpoint.read_tensors(folder, "model", files)
