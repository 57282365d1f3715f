"""A tiny CLIP with random weights, saved as transformers saves one."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

WIDTH, PICTURE = 24, 32


def write_clip(folder: Path, seed: int = 0) -> Path:
    """Both towers, 24 wide, for pictures of 32x32; without a tokenizer, which no image needs."""
    import torch
    from transformers import CLIPConfig, CLIPImageProcessor, CLIPModel

    small = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 4}
    config = CLIPConfig(
        text_config={**small, "vocab_size": 99, "bos_token_id": 97, "eos_token_id": 98},
        vision_config={**small, "image_size": PICTURE, "patch_size": 16},
        projection_dim=WIDTH,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        CLIPModel(config).save_pretrained(folder)
    look = CLIPImageProcessor(size={"shortest_edge": PICTURE}, crop_size={"height": PICTURE, "width": PICTURE})
    look.save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_clip(tmp_path_factory.mktemp("clip") / "tiny")


@pytest.fixture(scope="session")
def other(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of the same name and sizes, with other weights."""
    return write_clip(tmp_path_factory.mktemp("clip") / "tiny", seed=1)


@pytest.fixture
def use(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[[Path | None], None]:
    """Sets which folder is taken for CLIP (None: the Hub's); features go to a cache of the test's own."""
    monkeypatch.setenv("TINA_CACHE", str(tmp_path / "cache"))

    def choose(folder: Path | None) -> None:
        if folder is None:
            monkeypatch.delenv("TINA_VIT_HEAD_CLIP", raising=False)
        else:
            monkeypatch.setenv("TINA_VIT_HEAD_CLIP", str(folder))

    return choose
