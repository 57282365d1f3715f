"""Fixtures: a sentence-transformers model of 20 KB with random weights, a table of vectors, and a projection between them."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tina_framework.storage.digest import renew_digest

NAMES = [
    f"{first} {second}"
    for first in ("red", "old", "tiny", "wild", "iron")
    for second in ("cat", "bus", "oak", "sea", "cup")
]
DIM = 8


@pytest.fixture(scope="session")
def model_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    import torch
    from transformers import BertConfig, BertModel, BertTokenizerFast

    folder = tmp_path_factory.mktemp("models") / "tiny"
    letters = "abcdefghijklmnopqrstuvwxyz"
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", ",", ".", *letters, *(f"##{letter}" for letter in letters)]
    folder.mkdir()
    (folder / "vocab.txt").write_text("\n".join(words) + "\n")
    BertTokenizerFast(str(folder / "vocab.txt")).save_pretrained(folder)
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=len(words),
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=16,
        max_position_embeddings=128,
        initializer_range=0.5,
    )
    BertModel(config).save_pretrained(folder)
    (folder / "sentence_bert_config.json").write_text(json.dumps({"max_seq_length": 128, "do_lower_case": False}))
    (folder / "1_Pooling").mkdir()
    (folder / "1_Pooling" / "config.json").write_text(
        json.dumps({"word_embedding_dimension": 16, "pooling_mode_mean_tokens": True})
    )
    parts = [("", "Transformer"), ("1_Pooling", "Pooling")]
    modules = [
        {"idx": i, "name": str(i), "path": path, "type": f"sentence_transformers.models.{kind}"}
        for i, (path, kind) in enumerate(parts)
    ]
    (folder / "modules.json").write_text(json.dumps(modules))
    return folder


@pytest.fixture(scope="session")
def rows_file(tmp_path_factory: pytest.TempPathFactory, model_folder: Path) -> Path:
    """A table whose vectors are a random linear map of the model's own, so that a fit can find it. It has two templates."""
    from tina_sentence_transformers.model import SentenceModel, find_model

    model = SentenceModel(find_model(str(model_folder)))
    rng = np.random.default_rng(0)
    templates = ["{}", "a {}"]
    vectors = [
        1.0
        + 3.0 * model.embed([template.replace("{}", name) for name in NAMES]) @ rng.standard_normal((model.dim, DIM))
        for template in templates
    ]
    path = tmp_path_factory.mktemp("rows") / "rows.npz"
    np.savez(
        path,
        names=np.array(NAMES),
        vectors=np.stack(vectors).astype(np.float32),
        templates=np.array(templates),
        space=np.array("made/up"),
    )
    return path


@pytest.fixture(scope="session")
def projection_folder(tmp_path_factory: pytest.TempPathFactory, model_folder: Path, rows_file: Path) -> Path:
    from tina_sentence_transformers.fitting import Request, fit_projection

    folder = tmp_path_factory.mktemp("projections") / "kernel"
    fit_projection(Request(str(model_folder), None, rows_file, folder, held_out_share=0.2, landmarks=15))
    return folder


@pytest.fixture
def altered() -> Callable[..., Path]:
    """Return a function that copies a projection folder and changes its configuration; None removes an entry."""

    def copy(folder: Path, out: Path, **changes: Any) -> Path:
        shutil.copytree(folder, out)
        config = json.loads((out / "config.json").read_text())
        for key, value in changes.items():
            if value is None:
                del config[key]
            else:
                config[key] = value
        (out / "config.json").write_text(json.dumps(config))
        renew_digest(out / "config.json")
        return out

    return copy
