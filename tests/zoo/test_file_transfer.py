"""A build tells what it looks for and what is complete, so that a zoo can be kept elsewhere."""

from __future__ import annotations

import shutil

import pytest

from tina_framework.zoo.file_transfer import FileTransfer, NoTransfer
from tina_framework.zoo.stages import build_generic, build_index, build_models
from tina_framework.zoo.store import Zoo


class Mirror:
    """Keeps whole files in another folder, as a bucket would."""

    def __init__(self, here, elsewhere):
        self.here, self.elsewhere = here, elsewhere
        self.sent, self.fetched = [], []

    def fetch(self, path):
        source = self.elsewhere / path.relative_to(self.here)
        if not path.exists() and source.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source, path)
            self.fetched.append(str(path.relative_to(self.here)))

    def send(self, path):
        target = self.elsewhere / path.relative_to(self.here)
        if target.exists() and target.read_bytes() == path.read_bytes():
            return
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, target)
        self.sent.append(str(path.relative_to(self.here)))


def names(folder):
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


def test_every_stage_can_run_on_a_machine_of_its_own(tmp_path, plan, zoo_folder):
    bucket = tmp_path / "bucket"

    def on(machine):
        mirror = Mirror(tmp_path / machine, bucket)
        return mirror, plan(tmp_path / machine, transfer=mirror)

    one, planned = on("one")
    build_generic(planned)
    assert one.sent == ["generic.safetensors", "zoo.json"]
    for machine, shards, models in (("two", [0, 2], 3), ("three", [1], 2)):
        mirror, planned = on(machine)
        assert build_models(planned, shards) == models
        assert mirror.fetched == ["zoo.json", "generic.safetensors"]
        assert mirror.sent == [f"shards/shard-{shard:05d}.safetensors" for shard in shards]
    four, planned = on("four")
    assert build_models(planned, [0, 1, 2]) == 0
    assert build_index(planned) == 5
    assert four.sent == ["index.json"]
    assert names(bucket) == names(zoo_folder) - {".lock"}
    assert all((bucket / name).read_bytes() == (zoo_folder / name).read_bytes() for name in names(bucket))
    assert len(Zoo.open(bucket)) == 5


def test_generic_models_of_all_widths_are_kept_elsewhere(tmp_path, wide_plan):
    files = ["generic.safetensors", "generic-0.5.safetensors", "generic-1.safetensors"]
    one, two = (Mirror(tmp_path / name, tmp_path / "bucket") for name in ("one", "two"))
    build_generic(wide_plan(tmp_path / "one", transfer=one))
    assert one.sent == [*files, "zoo.json"]
    assert build_models(wide_plan(tmp_path / "two", transfer=two), [0]) == 1
    assert two.fetched == ["zoo.json", *files]


def test_a_file_that_was_written_but_not_sent_is_sent_the_next_time(tmp_path, plan):
    def cut(path):
        if path.parent.name == "shards":
            raise KeyboardInterrupt

    mirror = Mirror(tmp_path / "zoo", tmp_path / "bucket")
    build_generic(plan(tmp_path / "zoo", transfer=mirror))
    send, mirror.send = mirror.send, cut
    with pytest.raises(KeyboardInterrupt):
        build_models(plan(tmp_path / "zoo", transfer=mirror), [1])
    mirror.send = send
    assert build_models(plan(tmp_path / "zoo", transfer=mirror), [1]) == 0
    assert "shards/shard-00001.safetensors" in mirror.sent


def test_without_a_place_elsewhere_nothing_happens(tmp_path):
    transfer: FileTransfer = NoTransfer()
    transfer.fetch(tmp_path / "zoo.json")
    transfer.send(tmp_path / "zoo.json")
    assert list(tmp_path.iterdir()) == []
