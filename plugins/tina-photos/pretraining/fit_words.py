"""Fit the encoder ``photo-words``, and write its files.

    python plugins/tina-photos/pretraining/fit_words.py --vocabulary clip_b32_vocab_a.npz --cifar cifar100_clip_text.npz \
        --wordnet package/dict --out plugins/tina-photos/tina_photos/pretrained/words

Shapes: M names, V senses, D = 384, E = 512.
"""

from __future__ import annotations

import argparse
import hashlib
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from wordnet import Senses, read_nouns, read_words, weigh

from tina_framework.storage.digest import HASHES, with_digest
from tina_framework.storage.files import write_json, write_safetensors
from tina_framework.storage.folders import CONFIG
from tina_photos.words.features import features, read
from tina_photos.words.files import FORMAT, FORMAT_VERSION, LEXICON, REGRESSION, rounded
from tina_photos.words.lexicon import Lexicon, fold, noun_forms
from tina_photos.words.minilm import MiniLM, load_minilm
from tina_photos.words.regression import Confidence, Regression, unit

Floats = npt.NDArray[np.float32]
Arrays = dict[str, npt.NDArray[Any]]

GAMMA, RIDGE = 3.0, 0.1
FOLDS = 5
PARENT_SHARE = 0.3
"""A gerenuk is an antelope: this much of the vector of the more general sense is added to that of a definition."""
_MOST_SENSES = 6
_LEAST_SHARE = 0.04
"""A sense with less than this share of the weight of a noun is left out."""
# Acts, animals and so on: see lexnames(5WN). The other kinds are feelings, motives, relations and the like.
_KINDS = frozenset(("03", "04", "05", "06", "08", "10", "13", "14", "15", "17", "18", "19", "20", "21", "25", "27"))
_NEAR = 0.9
"""Above this cosine a name means nearly the same as another one."""


@dataclass(frozen=True)
class Vocabulary:
    """Names with CLIP vectors.

    Attributes:
        names: M names; those of ImageNet are lists of synonyms ("tench, Tinca tinca").
        directions: (M, E) unit vectors, after the mean was subtracted.
        mean: (E,) mean of the unit vectors of all rows.
    """

    names: list[str]
    directions: Floats
    mean: Floats


def read_vocabulary(vocabulary: Path, cifar: Path) -> Vocabulary:
    """Return the names of both files. Rows of the same name are averaged, and remarks in brackets are left out.

    The first synonym of each ImageNet class is a name of its own, too, unless another source has it.
    """
    with np.load(vocabulary) as file:
        sources, names, vectors = file["source"], file["name"], unit(file["emb"].astype(np.float32))
    mean: Floats = vectors.mean(axis=0)
    rows: dict[str, list[Floats]] = {}
    for source, name, vector in zip(sources, names, vectors, strict=True):
        if source == "imagenet1k":
            # Two of ImageNet's classes have the name "maillot"; "crane" is a bird and a machine. They are averaged.
            rows.setdefault(str(name), []).append(vector)
        elif "," not in name:  # the others are ImageNet's, again
            rows.setdefault(_plain(str(name)), []).append(vector)
    with np.load(cifar) as file:
        for name, vector in zip(file["class_names"], unit(file["a"].astype(np.float32)), strict=True):
            rows.setdefault(_plain(str(name)), []).append(vector)
    for name in [name for name in rows if "," in name]:
        rows.setdefault(_plain(name.split(",")[0]), rows[name])
    directions = unit(np.stack([np.mean(found, axis=0) for found in rows.values()]) - mean)
    return Vocabulary(list(rows), directions, mean)


def _plain(name: str) -> str:
    return fold(name.split("(")[0])


def keys(name: str) -> set[str]:
    """Return the synonyms in a name, and what they may be plurals of."""
    return {form for part in name.split(",") for form in noun_forms(_plain(part)) if form}


def left_out(vocabulary: Vocabulary, listed: Sequence[str]) -> npt.NDArray[np.bool_]:
    """Return which names (M,) share a synonym or plural with a listed name, or have a cosine above 0.9 to such a name."""
    forbidden = set().union(*map(keys, listed))
    shared = np.array([bool(keys(name) & forbidden) for name in vocabulary.names])
    if not shared.any():
        return shared
    near = (vocabulary.directions @ vocabulary.directions[shared].T).max(axis=1) > _NEAR
    result: npt.NDArray[np.bool_] = shared | near
    return result


def folds(vocabulary: Vocabulary) -> npt.NDArray[np.int64]:
    """Return a number (M,) from 0 to 4 for each name. Names that share a synonym or a vector get the same one."""
    group = list(range(len(vocabulary.names)))
    first: dict[str, int] = {}
    same = vocabulary.directions @ vocabulary.directions.T > 1 - 1e-4
    for row, name in enumerate(vocabulary.names):
        for other in [first.setdefault(key, row) for key in sorted(keys(name))] + np.flatnonzero(same[row]).tolist():
            low, high = sorted((group[other], group[row]))
            group = [low if number == high else number for number in group]
    return np.array([hashlib.sha256(vocabulary.names[number].encode()).digest()[0] % FOLDS for number in group])


def lexicon_arrays(wordnet: Path, minilm: MiniLM, components: int, cache: Path | None) -> Arrays:
    """Return the arrays of a `Lexicon`: nouns, and the senses of them that can be photographed."""
    senses, nouns = read_nouns(wordnet)
    entries: list[tuple[str, list[tuple[str, float]]]] = []
    for noun in sorted(nouns):
        weighed = weigh(noun, nouns[noun], senses)[:_MOST_SENSES]
        total = sum(weight for _, weight in weighed)
        kept = [(s, w) for s, w in weighed if w >= _LEAST_SHARE * total and _is_kept(senses, s)]
        if kept:
            entries.append((noun, kept))
    used = sorted({sense for _, kept in entries for sense, _ in kept})
    vectors = _sense_vectors(used, senses, minilm, cache)
    mean = vectors.mean(axis=0)
    # The signs of eigenvectors are arbitrary. Fixed ones give the same file everywhere.
    _, axes = np.linalg.eigh(np.cov((vectors - mean).T.astype(np.float64)))
    basis = axes[:, ::-1][:, :components].T
    basis = (basis * np.sign(basis[np.arange(len(basis)), np.abs(basis).argmax(axis=1)])[:, None]).astype(np.float16)
    coordinates, scales = rounded((vectors - mean) @ basis.T.astype(np.float32))
    number = {sense: row for row, sense in enumerate(used)}
    flat = [pair for _, kept in entries for pair in kept]
    known = {noun for noun, _ in entries}
    return {
        "nouns": _lines([noun for noun, _ in entries]),
        "words": _lines([word for word in read_words(wordnet) if word not in known]),
        "starts": np.cumsum([0, *(len(kept) for _, kept in entries)]).astype(np.int32),
        "rows": np.array([number[sense] for sense, _ in flat], dtype=np.int32),
        "weights": np.array([weight for _, weight in flat], dtype=np.float16),
        "vectors": coordinates,
        "scales": scales.astype(np.float16),
        "basis": basis,
        "mean": mean.astype(np.float32),
    }


def _sense_vectors(used: Sequence[str], senses: Senses, minilm: MiniLM, cache: Path | None) -> Floats:
    """Return unit vectors (V, D): of the definition, and a share of those of the more general senses."""
    parents = {sense: senses[sense].parents for sense in used}
    every = sorted({*used, *(parent for found in parents.values() for parent in found)})
    vectors = dict(zip(every, _embed_cached([senses[sense].text for sense in every], minilm, cache), strict=True))
    return unit(
        np.stack(
            [
                vectors[sense]
                + (PARENT_SHARE * np.mean([vectors[p] for p in parents[sense]], axis=0) if parents[sense] else 0)
                for sense in used
            ]
        )
    )


def _is_kept(senses: Senses, sense: str) -> bool:
    # Thousands of persons have their own entry. A picture of one person is not a class.
    return senses[sense].kind in _KINDS and not (senses[sense].kind == "18" and senses[sense].instance)


def _lines(texts: Sequence[str]) -> npt.NDArray[np.uint8]:
    return np.frombuffer("\n".join(texts).encode(), dtype=np.uint8)


def _embed_cached(texts: Sequence[str], minilm: MiniLM, cache: Path | None) -> Floats:
    """Return the vectors of texts in half precision. Those in the cache file are not computed again."""
    kept: dict[str, Floats] = {}
    if cache is not None and cache.is_file():
        with np.load(cache) as file:
            kept = dict(zip(file["texts"].tolist(), file["vectors"], strict=True))
    new = sorted((text for text in dict.fromkeys(texts) if text not in kept), key=len)
    for start in range(0, len(new), 1024):
        print(f"definitions: {start:,} of {len(new):,}", flush=True)
        part = new[start : start + 1024]
        kept |= dict(zip(part, minilm.embed(part).astype(np.float16), strict=True))
    if cache is not None and new:
        np.savez(cache, texts=np.array(list(kept)), vectors=np.stack(list(kept.values())))
    return np.stack([kept[text] for text in texts]).astype(np.float32)


def fit(vectors: Floats, directions: Floats) -> Regression:
    """Fit the regression to vectors (M, 2, D) of names and their true directions (M, E)."""
    means = vectors.mean(axis=0)
    # Rounded before the fit, so that storing them adds no error.
    coordinates, _ = rounded(unit(vectors - means))
    landmarks = unit(coordinates.astype(np.float32))
    empty = Regression(means, landmarks, np.zeros((len(landmarks), 0), np.float32), GAMMA)
    kernel = empty.kernel(landmarks).astype(np.float64)
    weights = np.linalg.solve(kernel + RIDGE * np.eye(len(kernel)), directions.astype(np.float64))
    return Regression(means, landmarks, weights.astype(np.float16).astype(np.float32), GAMMA)


def cross_validate(vectors: Floats, directions: Floats, fold: npt.NDArray[np.int64]) -> tuple[Floats, Floats, Floats]:
    """Return, for each name by the fit without its fold: the cosine, the length of the prediction, and the similarity."""
    found = np.zeros((3, len(vectors)), dtype=np.float32)
    for number in range(FOLDS):
        test = fold == number
        regression = fit(vectors[~test], directions[~test])
        kernel = regression.kernel(regression.centred(vectors[test]))
        predicted = kernel @ regression.weights
        found[0, test] = (unit(predicted) * directions[test]).sum(axis=1)
        found[1, test] = np.linalg.norm(predicted, axis=1)
        found[2, test] = kernel.max(axis=1)
        print(f"fold {number + 1} of {FOLDS}: mean cosine {found[0, test].mean():.4f}", flush=True)
    return found[0], found[1], found[2]


def confidence(cosines: Floats, lengths: Floats, similarities: Floats) -> Confidence:
    """Fit the expected cosine by least squares."""
    inputs = np.stack([np.ones_like(lengths), lengths, similarities], axis=1)
    found = np.linalg.lstsq(inputs.astype(np.float64), cosines.astype(np.float64), rcond=None)[0]
    return Confidence(*(round(float(value), 6) for value in found))


def main() -> None:
    parser = argparse.ArgumentParser(description="Fit the encoder photo-words.")
    parser.add_argument("--vocabulary", type=Path, required=True, help=".npz with name, emb and source (CLIP ViT-B/32)")
    parser.add_argument("--cifar", type=Path, required=True, help=".npz with class_names and a (CLIP ViT-B/32)")
    parser.add_argument("--wordnet", type=Path, required=True, help="folder with data.noun of WordNet 3.1")
    parser.add_argument("--out", type=Path, required=True, help="folder to write")
    parser.add_argument("--leave-out", type=Path, help="text file: names, one a line, that must stay unseen")
    parser.add_argument("--components", type=int, default=128, help="principal components of the definitions")
    parser.add_argument("--cache", type=Path, help=".npz that keeps the vectors of the definitions between runs")
    given = parser.parse_args()

    minilm = load_minilm()
    arrays = lexicon_arrays(given.wordnet, minilm, given.components, given.cache)
    lexicon = Lexicon(arrays)
    vocabulary = read_vocabulary(given.vocabulary, given.cifar)
    listed = [] if given.leave_out is None else given.leave_out.read_text(encoding="utf-8").split("\n")
    listed = [name.strip() for name in listed if name.strip()]
    kept = ~left_out(vocabulary, listed) if listed else np.ones(len(vocabulary.names), dtype=bool)
    names = [name for name, keep in zip(vocabulary.names, kept, strict=True) if keep]
    directions = vocabulary.directions[kept]
    print(f"{len(names):,} names ({(~kept).sum()} left out), {len(arrays['scales']):,} senses", flush=True)
    vectors = features([read(name, lexicon) for name in names], minilm, lexicon)
    cosines, lengths, similarities = cross_validate(
        vectors, directions, folds(Vocabulary(names, directions, vocabulary.mean))
    )
    expected = confidence(cosines, lengths, similarities)
    regression = fit(vectors, directions)
    predicted = unit(regression.kernel(regression.centred(vectors)) @ regression.weights)
    parts: Arrays = {
        "means": regression.means,
        "landmarks": rounded(unit(vectors - regression.means))[0],
        "weights": regression.weights.astype(np.float16),
        "known": (predicted * directions).sum(axis=1).astype(np.float16),
        "mean": vocabulary.mean,
    }
    given.out.mkdir(parents=True, exist_ok=True)
    hashes = {file: _write(given.out / file, tensors) for file, tensors in ((LEXICON, arrays), (REGRESSION, parts))}
    guess = np.stack([np.ones_like(lengths), lengths, similarities], axis=1) @ list(asdict(expected).values())
    settings = {
        "format": FORMAT,
        "format_version": FORMAT_VERSION,
        "gamma": GAMMA,
        "confidence": asdict(expected),
        "record": {
            "names": len(names),
            "left_out": int((~kept).sum()),
            "ridge": RIDGE,
            "components": given.components,
            "cross_validated_cosine": round(float(cosines.mean()), 4),
            "known_cosine": round(float(parts["known"].astype(np.float32).mean()), 4),
            "confidence_correlation": round(float(np.corrcoef(guess, cosines)[0, 1]), 4),
            "vocabulary_sha256": hashlib.sha256(given.vocabulary.read_bytes()).hexdigest(),
            "cifar_sha256": hashlib.sha256(given.cifar.read_bytes()).hexdigest(),
        },
        HASHES: hashes,
    }
    write_json(given.out / CONFIG, with_digest(settings, CONFIG))
    for key, value in settings["record"].items():
        print(f"{key}: {value}")
    print(f"confidence, first and fiftieth of a hundred parts: {np.percentile(guess, (1, 50)).round(3).tolist()}")


def _write(path: Path, arrays: Arrays) -> str:
    return write_safetensors(
        path, {name: torch.from_numpy(np.array(array, order="C")) for name, array in arrays.items()}, digest=True
    )


if __name__ == "__main__":
    main()
