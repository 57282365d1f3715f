"""Missing or damaged CLIP models: each gives one sentence that says what to do."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import load_file, save_file

from tina_framework.errors import CheckpointError, DownloadError
from tina_vit_head import clip_folder
from tina_vit_head.architecture import vit_head
from tina_vit_head.tower import load_tower

Use = Callable[[Path | None], None]


def build() -> Any:
    trunk = vit_head().trunk
    assert trunk is not None
    return trunk.build()


def test_unreachable(use: Use, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    import huggingface_hub

    asked: list[dict[str, Any]] = []

    def snapshot(model: str, **options: Any) -> str:
        asked.append({"model": model, **options})
        if options["local_files_only"]:
            raise FileNotFoundError("not in the cache")
        raise ConnectionError("no route to host.\nmore")

    monkeypatch.setattr(huggingface_hub, "snapshot_download", snapshot)
    use(None)
    with pytest.raises(DownloadError) as caught:
        build()
    assert str(caught.value) == (
        "'vit-head' needs CLIP (openai/clip-vit-base-patch32), which is not on this machine and could not be downloaded "
        "(no route to host); go online once, or set TINA_VIT_HEAD_CLIP to a folder with a copy of it."
    )
    assert [call["local_files_only"] for call in asked] == [True, False]
    assert {call["revision"] for call in asked} == {clip_folder.REVISION}
    assert not any("bin" in pattern for pattern in asked[1]["allow_patterns"])
    said = capsys.readouterr()
    assert (said.out, "605 MB" in said.err) == ("", True)


def test_it_is_the_commit_that_the_encoder_takes() -> None:
    from tina_framework.builtins.encoders import clip_vit

    assert (clip_folder.MODEL, clip_folder.REVISION) == (clip_vit._MODEL, clip_vit._REVISION)


def test_what_is_in_the_cache_is_used_silently(
    use: Use, tiny: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    import huggingface_hub

    def snapshot(model: str, **options: Any) -> str:
        assert options["local_files_only"]
        return str(tiny)

    monkeypatch.setattr(huggingface_hub, "snapshot_download", snapshot)
    use(None)
    assert build().state_dict().keys() == load_tower(tiny).state_dict().keys()
    assert "Downloading" not in capsys.readouterr().err


def altered(tiny: Path, place: Path, file: str, change: Callable[[Path], Any]) -> Path:
    folder = place / "altered"
    shutil.copytree(tiny, folder)
    change(folder / file)
    return folder


def without_projection(path: Path) -> None:
    tensors = load_file(path)
    del tensors["visual_projection.weight"]
    save_file(tensors, path, {"format": "pt"})


def set_key(key: str, value: Any) -> Callable[[Path], Any]:
    return lambda path: path.write_text(json.dumps(json.loads(path.read_text()) | {key: value}))


@pytest.mark.parametrize(
    ("file", "change", "message"),
    [
        ("config.json", Path.unlink, r"config\.json' does not exist"),
        ("config.json", set_key("model_type", "bert"), r"does not describe a CLIP model with two towers; TINA_VIT_HEAD_C"),
        ("config.json", set_key("vision_config", 3), "do not state the sizes"),
        ("config.json", set_key("projection_dim", "wide"), "do not state the sizes"),
        ("preprocessor_config.json", Path.unlink, r"preprocessor_config\.json' does not exist"),
        ("preprocessor_config.json", set_key("image_mean", [0.5]), "mean and std of three channels"),
        ("preprocessor_config.json", set_key("image_std", [0, 1, 1]), "mean and std of three channels"),
        ("model.safetensors", Path.unlink, r"has no model\.safetensors; weights in other formats are not loaded"),
        ("model.safetensors", lambda path: path.write_bytes(path.read_bytes()[:-1000]), "cannot be loaded"),
        ("model.safetensors", without_projection, r"lacks visual_projection\.weight; restore it"),
    ],
)  # fmt: skip
def test_a_folder_that_is_no_clip(
    use: Use, tiny: Path, tmp_path: Path, file: str, change: Callable[[Path], Any], message: str
) -> None:
    folder = altered(tiny, tmp_path, file, change)
    (folder / "pytorch_model.bin").write_bytes(b"not to be opened")
    use(folder)
    with pytest.raises(CheckpointError, match=message):
        build()


def test_a_folder_that_is_not_there(use: Use, tmp_path: Path) -> None:
    use(tmp_path / "nothing")
    with pytest.raises(CheckpointError, match=r"TINA_VIT_HEAD_CLIP is '.*nothing', which is not a folder"):
        vit_head()


@pytest.mark.slow
def test_the_commands_say_so_too(tmp_path: Path) -> None:
    environment = {
        **os.environ,
        "HF_HUB_OFFLINE": "1",
        "HF_HOME": str(tmp_path / "hub"),
        "TINA_CACHE": str(tmp_path / "c"),
    }
    environment.pop("TINA_VIT_HEAD_CLIP", None)

    def tina(*words: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "tina_framework.cli", *words]
        return subprocess.run(
            command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=600, check=False
        )

    listed = tina("list", "architectures", "--json")
    assert listed.returncode == 0
    assert "vit-head" in listed.stdout
    build = ("zoo", "build", "--out", "zoo", "--dataset", "shapes:8", "--architecture", "vit-head")
    built = tina(*build, "--num-models", "1", "--workers", "1")
    checked = tina("plugins", "check", "tina-vit-head")
    for done in (built, checked):
        said = " ".join((done.stdout + done.stderr).split())
        assert done.returncode == 1, said
        assert "Traceback" not in said
        assert "'vit-head' needs CLIP (openai/clip-vit-base-patch32), which is not on this machine" in said
    assert not (tmp_path / "zoo" / "zoo.json").exists()
