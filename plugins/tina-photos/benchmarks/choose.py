"""Compare the closed forms of the tables on classes for choosing alone: held-out ImageNet classes, and half of the photographs.

    python plugins/tina-photos/benchmarks/choose.py --tiny tiny_imagenet_part.tar --pictures caltech_photos.tar \\
        --vectors clip_b32_vocab_a.npz --out results

The classes of the archive `--tiny` are ImageNet's. They are divided into five folds, and the rows of a fold are predicted from the
other rows, without labels that the leak rule of ``photo_tables/names.py`` finds near the fold. It writes ``choose.md``.
"""

from __future__ import annotations

import argparse
import random
import sys
from collections.abc import Sequence
from pathlib import Path
from statistics import fmean

import numpy as np
import torch
from photo_tables.closed_form import Fit, kernel, mlp, nearest, ridge
from photo_tables.methods import Texts, Truth, by_cosine
from photo_tables.names import halves, leaks, read_names, synonyms
from photo_tables.photographs import Photographs, features_of, read_classes
from photo_tables.tasks import accuracies, draw_tasks
from photo_tables.vocabulary import Vocabulary

from tina_framework.errors import explain, printable
from tina_framework.interfaces.class_names import fold
from tina_framework.storage.paths import user_path
from tina_photos.architecture import photo_head
from tina_photos.weights import imagenet_head
from tina_photos.words.minilm import load_minilm

FOLDS, TASKS, SIZE = 5, 200, 128

FITS: dict[str, Fit] = {
    **{f"ridge, {strength:g}": ridge(strength) for strength in (0.3, 1.0, 3.0, 10.0, 30.0)},
    **{f"kernel, {sharp:g}, {strength:g}": kernel(sharp, strength) for sharp in (1, 2, 4) for strength in (0.1, 0.3)},
    "nearest": nearest,
    "MLP": mlp,
}


def label_numbers(folders: Sequence[str], labels: Sequence[str]) -> dict[int, int]:
    """Return class number -> number of ImageNet's label, for folders that one label alone has as its first synonym."""
    first: dict[str, list[int]] = {}
    for number, label in enumerate(labels):
        first.setdefault(fold(synonyms(label)[0]), []).append(number)
    found = {place: first.get(fold(folder), []) for place, folder in enumerate(folders)}
    return {place: numbers[0] for place, numbers in found.items() if len(numbers) == 1}


def held_out(fit: Fit, tiny: Photographs, numbers: dict[int, int], vocabulary: Vocabulary, truth: Truth) -> float:
    """Return the mean accuracy on ten-class tasks of classes whose rows are predicted without them."""
    draws = random.Random(1)
    folds: list[list[int]] = [[] for _ in range(FOLDS)]
    for place in numbers:
        folds[draws.randrange(FOLDS)].append(place)
    rows = torch.zeros(len(tiny.classes), truth.weight_MD.shape[1])
    for part in folds:
        names = [tiny.classes[place] for place in part]
        vectors = np.stack([vocabulary.vector(vocabulary.entries(name)) for name in names])
        near = leaks(vocabulary.labels, vocabulary.label_vectors_ME, names, vectors)
        near[[numbers[place] for place in part]] = True
        rows[part] = Texts(vocabulary.label_vectors_ME, vectors).fitted(fit, truth, near)
    tasks = draw_tasks(list(numbers), 10, TASKS, 0)
    return fmean(accuracies(by_cosine(rows), tasks, tiny))


def photographs(fit: Fit, texts: Texts, classes: Sequence[int], shown: Photographs, truth: Truth) -> float:
    """Return the mean accuracy on ten-class tasks of `classes`."""
    tasks = draw_tasks(classes, 10, TASKS, 0)
    return fmean(accuracies(by_cosine(texts.fitted(fit, truth)), tasks, shown))


def main(words: list[str]) -> None:
    parser = argparse.ArgumentParser(prog="choose.py", description=__doc__.partition("\n")[0] if __doc__ else None)
    for name in ("tiny", "pictures", "vectors", "out"):
        parser.add_argument(f"--{name}", required=True)
    parser.add_argument("--names", default=str(Path(__file__).with_name("caltech.json")))
    options = parser.parse_args(words)
    vocabulary, truth = Vocabulary(user_path(options.vectors)), Truth(*imagenet_head())
    classes = read_classes(user_path(options.pictures))
    texts = read_names(user_path(options.names), list(classes))
    tiny = features_of(photo_head(str(SIZE)), read_classes(user_path(options.tiny)))
    shown = features_of(photo_head(str(SIZE)), classes)
    choosing, _ = halves(len(classes))
    numbers = label_numbers(tiny.classes, vocabulary.labels)

    said = [label for label in choosing if vocabulary.entries(texts[label].name)]
    vectors = np.zeros((len(classes), vocabulary.label_vectors_ME.shape[1]), dtype=np.float32)
    for label in said:
        vectors[label] = vocabulary.vector(vocabulary.entries(texts[label].name))
    clip = Texts(vocabulary.label_vectors_ME, vectors)
    reader = load_minilm()
    prompts = reader.embed([f"a photo of a {text.name}" for text in texts])
    described = reader.embed([text.description for text in texts])
    whole = reader.embed([f"a photo of a {label}" for label in vocabulary.labels])
    first = reader.embed([f"a photo of a {synonyms(label)[0]}" for label in vocabulary.labels])
    kinds = {
        "MiniLM, all synonyms": Texts.centred(whole, prompts),
        "MiniLM, first synonym": Texts.centred(first, prompts),
        "MiniLM, descriptions": Texts.centred(whole, described),
    }
    lines = [
        f"Accuracy in percent, {TASKS} tasks of ten classes, {SIZE} px. CLIP: {len(numbers)} held-out classes of ImageNet and "
        f"{len(said)} classes of photographs; MiniLM: {len(choosing)} classes of photographs.",
        "",
        "| fit | CLIP, held-out ImageNet | CLIP, photographs | " + " | ".join(kinds) + " |",
        "| --- " * (3 + len(kinds)) + "|",
    ]
    for name, fit in FITS.items():
        values = [
            held_out(fit, tiny, numbers, vocabulary, truth),
            photographs(fit, clip, said, shown, truth),
            *(photographs(fit, kind, choosing, shown, truth) for kind in kinds.values()),
        ]
        lines.append(f"| {name} | " + " | ".join(f"{value:.1f}" for value in values) + " |")
        print(lines[-1], flush=True)
    true_rows = torch.zeros(len(tiny.classes), truth.weight_MD.shape[1])
    true_rows[list(numbers)] = torch.from_numpy(truth.rows_MD)[list(numbers.values())]
    best = fmean(accuracies(by_cosine(true_rows), draw_tasks(list(numbers), 10, TASKS, 0), tiny))
    lines.append(f"| the network's own rows | {best:.1f} |" + " |" * (1 + len(kinds)))
    out = user_path(options.out)
    out.mkdir(parents=True, exist_ok=True)
    (out / "choose.md").write_text("\n".join(lines) + "\n", encoding="utf-8")
    print("\n".join(lines))


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except (Exception, KeyboardInterrupt) as error:
        sentence, code = explain(error)
        print(printable(sentence), file=sys.stderr)
        sys.exit(code)
