"""Classifiers on the Hub: pushed, pulled, pinned and refused. A server on the loopback plays the Hub."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from huggingface_hub import ModelCard

from tests.fake_hub import READER, WRITER, FakeHub
from tina_framework.classifier.classifier import GeneratedClassifier
from tina_framework.errors import CheckpointError, ConfigError, DownloadError
from tina_framework.generator.generator import Generator


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeHub]:
    with FakeHub() as server:
        monkeypatch.setenv("HF_ENDPOINT", server.url)
        monkeypatch.setenv("HF_TOKEN", WRITER)
        yield server


def test_it_is_pushed_and_pulled(
    classifier: GeneratedClassifier, pixels: np.ndarray, hub: FakeHub, tmp_path: Path
) -> None:
    address = classifier.push_to_hub("me/mine", private=True, dtype="float16")
    assert address == f"{hub.url}/me/mine/commit/{hub.repos['me/mine']['main']}"
    assert set(hub.files("me/mine")) == {".gitattributes", "README.md", "config.json", "model.safetensors"}
    card = ModelCard(hub.files("me/mine")["README.md"].decode())
    assert card.data.pipeline_tag == "image-classification"
    assert 'GeneratedClassifier.from_pretrained("me/mine")' in card.text
    loaded = GeneratedClassifier.from_pretrained("me/mine", device="auto", token=READER, cache_dir=tmp_path)
    assert loaded.class_names == classifier.class_names
    np.testing.assert_allclose(loaded.predict_proba(pixels), classifier.predict_proba(pixels), atol=1e-2)


def test_revisions_and_what_was_downloaded_before(
    classifier: GeneratedClassifier, hub: FakeHub, tmp_path: Path
) -> None:
    classifier.push_to_hub("me/mine")
    other = GeneratedClassifier(
        classifier.network, "cnn-2layer", ["sun", "moon", "star"], classifier.preprocessing, {"seed": 6}
    )
    other.push_to_hub("me/mine", revision="sky", commit_message="Other names")
    assert hub.messages[hub.repos["me/mine"]["sky"]] == "Other names"
    assert GeneratedClassifier.from_pretrained("me/mine", cache_dir=tmp_path).class_names == ("ant", "bee", "cat")
    for name, revision in (("me/mine@sky", None), ("me/mine", "sky"), ("me/mine", hub.repos["me/mine"]["sky"])):
        loaded = GeneratedClassifier.from_pretrained(name, revision=revision, cache_dir=tmp_path)
        assert loaded.class_names == ("sun", "moon", "star")
    hub.asked.clear()
    GeneratedClassifier.from_pretrained("me/mine@sky", cache_dir=tmp_path, local_files_only=True)
    assert hub.asked == []
    assert other.push_to_hub("me/mine", create_pr=True).endswith("/me/mine/discussions/1")


def test_a_folder_that_is_no_classifier(tiny_generator: Generator, hub: FakeHub, tmp_path: Path) -> None:
    tiny_generator.push_to_hub("me/generator")
    with pytest.raises(CheckpointError, match=r"does not belong to a tina-classifier folder \(its format is 'tina-gen"):
        GeneratedClassifier.from_pretrained("me/generator", cache_dir=tmp_path)
    assert not any(path.endswith("/model.safetensors") for _, path, _ in hub.asked)
    hub.commit("me/empty", "main", {})
    with pytest.raises(CheckpointError, match=r"has no config\.json, so it is not a tina-classifier folder"):
        GeneratedClassifier.from_pretrained("me/empty", cache_dir=tmp_path)
    with pytest.raises(DownloadError, match="the Hub has no repository of that name that you may read"):
        GeneratedClassifier.from_pretrained("me/absent", cache_dir=tmp_path)


def test_names_that_are_no_repository(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigError, match="only models on the Hub"):
        GeneratedClassifier.from_pretrained(folder, revision="v1")
    with pytest.raises(CheckpointError, match="is not a folder; a classifier folder holds"):
        GeneratedClassifier.from_pretrained(Path("owner/name"))
    for name in ("name", "./owner/name", "owner/name@", "owner/name@a@b"):
        with pytest.raises(
            CheckpointError, match=r"is not a folder, and no Hub id \('owner/name' or 'owner/name@revision'\)"
        ):
            GeneratedClassifier.from_pretrained(name)
    for wrong in ("", None, b"name", "a\0b"):
        with pytest.raises(ConfigError, match="give a folder or a Hub id"):
            GeneratedClassifier.from_pretrained(wrong)  # type: ignore[arg-type]
    for revision in ("", " ", 5):
        with pytest.raises(ConfigError, match="give a branch, a tag or a commit, or leave it out"):
            GeneratedClassifier.from_pretrained("owner/name", revision=revision)  # type: ignore[arg-type]
    # A folder comes first.
    monkeypatch.chdir(folder.parent.parent)
    assert GeneratedClassifier.from_pretrained(f"{folder.parent.name}/model").class_names == ("ant", "bee", "cat")


def test_in_a_process_of_its_own(folder: Path, hub: FakeHub, tmp_path: Path) -> None:
    """As a user runs it: the client's own settings come from the environment."""
    script = (
        "import sys\nfrom tina_framework import GeneratedClassifier\n"
        "GeneratedClassifier.from_pretrained(sys.argv[1]).push_to_hub('me/mine')\n"
        "print(GeneratedClassifier.from_pretrained('me/mine').class_names)\n"
    )
    environment = {**os.environ, "HF_HOME": str(tmp_path / "home"), "HF_HUB_DISABLE_PROGRESS_BARS": "1"}
    done = subprocess.run(
        [sys.executable, "-c", script, folder], env=environment, capture_output=True, text=True, check=True, timeout=300
    )
    assert done.stdout.strip() == "('ant', 'bee', 'cat')"
    assert (tmp_path / "home" / "hub" / "models--me--mine").is_dir()
