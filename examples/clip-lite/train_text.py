"""Fit the text tower of clip-lite, and measure it on names held out of the fit. About a minute on one CPU core.

    python examples/clip-lite/train_text.py --tables CLASSES.npz VOCABULARY.npz --out DIR

``--compare`` writes nothing. It fits several kernels and prints their figures on the validation names.
"""

from __future__ import annotations

import argparse
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from vocabulary import (
    FIT,
    HELD_OUT,
    VALIDATION,
    Array,
    Vocabulary,
    bucket,
    cosines,
    divide,
    families,
    read_vocabulary,
    sha256_of,
)

from tina_framework.builtins.encoders.clip_lite import FORMAT, FORMAT_VERSION, TEXT_WEIGHTS
from tina_framework.builtins.encoders.clip_lite_text import KernelSettings, TextTower
from tina_framework.storage.files import read_json, write_json, write_safetensors

WARN_BELOW = 0.5
FOLDS = 5

COMPARED = {
    "words only": KernelSettings(ngram=0.0, structure=0.0),
    "n-grams of 3 to 4": KernelSettings(word=0.0, structure=0.0, shortest=3, longest=4),
    "n-grams of 2 to 5": KernelSettings(word=0.0, structure=0.0, shortest=2, longest=5),
    "n-grams of 1 to 6": KernelSettings(word=0.0, structure=0.0),
    "words and n-grams": KernelSettings(structure=0.0),
    "words, n-grams, form (used)": KernelSettings(),
    "the same, n-grams of 2 to 5": KernelSettings(shortest=2, longest=5),
    "the same, twice the n-grams": KernelSettings(ngram=2.0),
    "the same, less smooth (name 0.2)": KernelSettings(name=0.2),
    "the same, smoother (name 1)": KernelSettings(name=1.0),
}


def fit(names: Sequence[str], vectors: Array, settings: KernelSettings) -> dict[str, Any]:
    """Return the tensors of a text tower for these names and their unit vectors (M, E), by kernel ridge regression."""
    mean = vectors.mean(axis=0)
    tensors = TextTower.untrained(names, mean.astype(np.float32), settings)
    tower = TextTower(tensors, settings)
    kernel = np.stack([tower.kernel(name, row)[0] for row, name in enumerate(names)])
    kernel = (kernel + kernel.T) / 2 + settings.noise * np.eye(len(names))
    tensors["coefficients"] = np.linalg.solve(kernel, vectors - mean).astype(np.float16)
    return tensors


def predict(tower: TextTower, names: Sequence[str]) -> Array:
    """Return the predicted shifts (M, E) from the mean vector."""
    return np.stack([tower.read(name).vector for name in names]).astype(np.float64) - tower.mean


def text_figures(tower: TextTower, vocabulary: Vocabulary, parts: Any) -> dict[str, Any]:
    """Return the cosines after subtracting the mean vector, and how often a name's nearest true vector is its own."""
    figures: dict[str, Any] = {}
    held_out = parts == HELD_OUT
    groups = {
        "classes": vocabulary.is_class,
        "held_out": held_out,
        "held_out_single_names": held_out & vocabulary.is_plain,
        "held_out_synonym_lists": held_out & ~vocabulary.is_plain,
    }
    for group, members in groups.items():
        rows = np.flatnonzero(members)
        predicted = predict(tower, [vocabulary.names[row] for row in rows])
        true = vocabulary.vectors[rows] - tower.mean
        similarities = (predicted / np.linalg.norm(predicted, axis=1, keepdims=True)) @ (
            true / np.linalg.norm(true, axis=1, keepdims=True)
        ).T
        own = np.diag(similarities)
        better = (similarities > own[:, None]).sum(axis=1)
        figures[group] = {
            "names": len(rows),
            "cosine_mean": round(float(own.mean()), 4),
            "cosine_min": round(float(own.min()), 4),
            "cosine_quartiles": [round(float(q), 4) for q in np.quantile(own, [0.25, 0.5, 0.75])],
            "nearest_is_own": round(float((better == 0).mean()), 4),
            "own_among_nearest_5": round(float((better < 5).mean()), 4),
        }
    return figures


def calibrate(vocabulary: Vocabulary, rows: Any, settings: KernelSettings) -> dict[str, float]:
    """Fit the line of the confidence by least squares, on families of names that are left out of the fit in turn."""
    keys = families(vocabulary)
    folds = np.array([bucket(keys[row], FOLDS, salt="fold ") for row in rows])
    inputs, targets = [], []
    for fold in range(FOLDS):
        inside, outside = rows[folds != fold], rows[folds == fold]
        tower = TextTower(fit([vocabulary.names[i] for i in inside], vocabulary.vectors[inside], settings), settings)
        readings = [tower.read(vocabulary.names[row]) for row in outside]
        shifts = np.stack([reading.vector for reading in readings]) - tower.mean
        targets.append(cosines(shifts.astype(np.float64), vocabulary.vectors[outside] - tower.mean))
        inputs += [(1.0, reading.length, reading.similarity) for reading in readings]
    matrix, target = np.array(inputs), np.concatenate(targets)
    line = np.linalg.lstsq(matrix, target, rcond=None)[0]
    return {
        "intercept": round(float(line[0]), 4),
        "length": round(float(line[1]), 4),
        "similarity": round(float(line[2]), 4),
        "correlation": round(float(np.corrcoef(matrix @ line, target)[0, 1]), 4),
    }


def compare(vocabulary: Vocabulary, parts: Any) -> None:
    """Print the mean cosine on the validation names for every kernel of `COMPARED`."""
    fitted, validation = np.flatnonzero(parts == FIT), np.flatnonzero(parts == VALIDATION)
    true = vocabulary.vectors[validation] - vocabulary.vectors[fitted].mean(axis=0)
    plain = vocabulary.is_plain[validation]
    print(f"fit on {len(fitted)} names, validation on {len(validation)}; cosine, mean subtracted")
    for label, settings in COMPARED.items():
        tower = TextTower(fit([vocabulary.names[i] for i in fitted], vocabulary.vectors[fitted], settings), settings)
        own = cosines(predict(tower, [vocabulary.names[i] for i in validation]), true)
        print(f"{label:36} {own.mean():.4f}   single names {own[plain].mean():.4f}", flush=True)


def train(files: Sequence[Path], out: Path, settings: KernelSettings) -> Mapping[str, Any]:
    """Fit on all names except the held-out ones, write the text part of the folder, and return its section."""
    import torch

    vocabulary = read_vocabulary(files)
    parts = divide(vocabulary)
    rows = np.flatnonzero(parts != HELD_OUT)
    tensors = fit([vocabulary.names[row] for row in rows], vocabulary.vectors[rows], settings)
    path = out / TEXT_WEIGHTS
    write_safetensors(path, {name: torch.from_numpy(np.ascontiguousarray(array)) for name, array in tensors.items()})

    tower = TextTower(tensors, settings)
    known = cosines(predict(tower, [vocabulary.names[i] for i in rows]), vocabulary.vectors[rows] - tower.mean)
    confidence = {"warn_below": WARN_BELOW, "known": round(float(known.mean()), 4)}
    section = {
        "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
        "num_names": len(rows),
        "sizes": {kind: [len(tensors[f"{kind}.hashes"]), len(tensors[f"{kind}.names"])] for kind in ("word", "ngram")},
        "kernel": asdict(settings),
        "confidence": confidence | calibrate(vocabulary, rows, settings),
        "figures": text_figures(tower, vocabulary, parts),
        "recipe": {"command": command(files), "tables_sha256": sha256_of(files)},
    }
    path = out / "config.json"
    config = read_json(path) if path.exists() else {}
    head = {
        "format": FORMAT,
        "format_version": FORMAT_VERSION,
        "space": "openai/clip-vit-base-patch32",
        "dim": int(vocabulary.vectors.shape[1]),
        "templates": ["a {}"],
    }
    write_json(path, config | head | {"text": section})
    return section


def command(files: Sequence[Path]) -> str:
    """Return the command to run again, without the paths of this machine."""
    return f"python examples/clip-lite/train_text.py --tables {' '.join(file.name for file in files)} --out DIR"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tables", type=Path, nargs="+", required=True, help="cifar100_clip_text.npz and others")
    parser.add_argument("--out", type=Path, help="folder to write to")
    parser.add_argument("--compare", action="store_true", help="compare kernels on the validation names instead")
    options = parser.parse_args()
    if options.compare:
        vocabulary = read_vocabulary(options.tables)
        compare(vocabulary, divide(vocabulary))
    elif options.out is None:
        parser.error("--out is missing; give a folder to write to, or --compare")
    else:
        section = train(options.tables, options.out, KernelSettings())
        for group, figures in section["figures"].items():
            print(f"{group}: {figures}")
        print(f"confidence: {section['confidence']}")


if __name__ == "__main__":
    main()
