"""Measure a trained clip-lite: text cosines on held-out names, calibration of its confidence, and accuracy on pictures.

    python examples/clip-lite/evaluate.py --tables CLASSES.npz VOCABULARY.npz --data cifar100.npz [--folder DIR]

Prints JSON. Run it once at the end: it uses test images and held-out names, so no choice may depend on its figures.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from train_image import accuracy
from train_text import text_figures
from vocabulary import HELD_OUT, Vocabulary, cosines, divide, read_vocabulary

from tina_framework.builtins.datasets.arrays import arrays
from tina_framework.builtins.encoders.clip_lite import CLIPLite


def confidence_figures(encoder: CLIPLite, vocabulary: Vocabulary, parts: Any) -> dict[str, Any]:
    """Compare the predicted confidence with the true cosines on the held-out names."""
    rows = np.flatnonzero(parts == HELD_OUT)
    names = [vocabulary.names[row] for row in rows]
    promised = encoder.text_confidence(names).astype(np.float64)
    true = cosines(
        encoder.encode_text(names).astype(np.float64) - encoder.mean, vocabulary.vectors[rows] - encoder.mean
    )
    groups = np.array_split(np.argsort(promised), 5)
    return {
        "correlation": round(float(np.corrcoef(promised, true)[0, 1]), 4),
        "fifths": [[round(float(promised[g].mean()), 3), round(float(true[g].mean()), 3)] for g in groups],
        "warned": round(float((promised < encoder.warn_below).mean()), 4),
        "cosine_warned": round(float(true[promised < encoder.warn_below].mean()), 4),
        "cosine_not_warned": round(float(true[promised >= encoder.warn_below].mean()), 4),
    }


def picture_figures(encoder: CLIPLite, data: Path) -> dict[str, Any]:
    """Return the accuracy over all classes; the answer is the class whose text vector is nearest in direction."""
    dataset = arrays(data)
    tower = encoder.image_tower
    shifts = torch.from_numpy(encoder.encode_text(dataset.class_names) - encoder.mean)
    targets = torch.nn.functional.normalize(shifts, dim=1)
    figures: dict[str, Any] = {"parameters": sum(p.numel() for p in tower.parameters())}
    for split in ("validation", "test"):
        images = dataset.load(split)
        figures[f"{split}_images"] = len(images)
        figures[f"{split}_accuracy"] = round(accuracy(tower, images, targets), 4)
    return figures


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tables", type=Path, nargs="+", required=True, help="the tables that train_text.py was given")
    parser.add_argument("--data", type=Path, help=".npz with images, labels and class names")
    parser.add_argument("--folder", type=Path, help="folder of the encoder; default: the one in the package")
    options = parser.parse_args()
    torch.set_num_threads(1)
    encoder = CLIPLite(options.folder)
    vocabulary = read_vocabulary(options.tables)
    parts = divide(vocabulary)
    report = {
        "text": text_figures(encoder.text_tower, vocabulary, parts),
        "confidence": confidence_figures(encoder, vocabulary, parts),
    }
    if options.data is not None:
        report["image"] = picture_figures(encoder, options.data)
    print(json.dumps(report, indent=2))


if __name__ == "__main__":
    main()
