r"""Build the generator ``photos``: a kernel regression from CLIP's text vectors to the class rows of EfficientNet-Lite0.

The thousand rows of the network's own last layer are the examples, and the text vectors of their labels are the inputs. No picture is
used. See docs/experiments/photos.md for what was tried beside it.

    python plugins/tina-photos/pretraining/build_generator.py --vectors clip_b32_vocab_a.npz \
        --extras plugins/tina-photos/pretraining/extras.json --out photos

Shapes: S labels, E = 512 numbers of a text vector, D = 1,281 numbers of a class row.
"""

from __future__ import annotations

import argparse
import json
import math
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional as F

from tina_framework import Generator, registries
from tina_framework.denoiser.kernel_forecast import kernel_ridge
from tina_framework.denoiser.normalizer import Normalizer
from tina_framework.denoiser.presets import build_config
from tina_framework.denoiser.transformer import Denoiser
from tina_framework.generator.config import GeneratorConfig
from tina_framework.images import fit_settings
from tina_framework.interfaces.class_names import fold
from tina_framework.interfaces.random_state import seeded_random_state
from tina_framework.interfaces.spec import ParameterSpec
from tina_framework.prompts.condition_space import ConditionSpace
from tina_photos.weights import imagenet_head

__all__ = ["build", "unique_names"]

SPACE = "openai/clip-vit-base-patch32"
SHARPNESS = 2.0
PENALTY = 0.1
MAX_CLASSES = 100

Rows = npt.NDArray[np.float32]


def unique_names(labels: Sequence[str]) -> list[str]:
    """Return one name for each label: its first synonym that no other label has; else the first one and a number.

    Args:
        labels: comma-separated synonyms, as ImageNet gives them.
    """
    synonyms = [[word.strip() for word in label.split(",")] for label in labels]
    count = Counter(fold(word) for words in synonyms for word in {fold(word) for word in words})
    first = Counter(fold(words[0]) for words in synonyms)
    names, used = [], Counter[str]()
    for words in synonyms:
        # A first synonym is kept if it is no other label's first synonym, because that is what people call the class.
        name = words[0] if first[fold(words[0])] == 1 else next((w for w in words if count[fold(w)] == 1), words[0])
        used[fold(name)] += 1
        names.append(name if used[fold(name)] == 1 else f"{name} {used[fold(name)]}")
    return names


def build(
    labels: Sequence[str],
    vectors_SE: Rows,
    vocabulary_NE: Rows,
    weight_SD: Tensor,
    left_out: Sequence[int] = (),
    encoder: str = "photo-words",
) -> Generator:
    """Build the generator.

    Args:
        labels: the label of each row.
        vectors_SE: the text vector of each label.
        vocabulary_NE: the text vectors whose mean is subtracted.
        weight_SD: the class rows (S, 1280).
        left_out: indices of labels that must not be used, for figures on unseen classes.
        encoder: the default encoder.
    """
    kept = [index for index in range(len(labels)) if index not in set(left_out)]
    names = unique_names([labels[index] for index in kept])
    spec = ParameterSpec(registries().architectures.create("photo-head"))
    tokenizer = registries().tokenizers.create("class-row")
    layout = tokenizer.layout(spec, MAX_CLASSES, MAX_CLASSES)

    # What all rows have in common tells no class from another. Their lengths do not either, and the head ignores them.
    rows = F.normalize((weight_SD - weight_SD.mean(dim=0))[kept], dim=1)
    weight, bias = (info.name for info in spec.parameters(1))
    generic = {weight: rows, bias: torch.zeros(len(kept))}
    spread = torch.tensor(1.0 / math.sqrt(rows.shape[1]))  # so that the entries of a unit row have a mean square of 1
    normalizer = Normalizer(
        spec,
        {weight: torch.zeros(1, rows.shape[1]), bias: torch.zeros(1)},
        {weight: spread, bias: torch.tensor(1.0)},
    )
    tokens = torch.cat([rows / spread, torch.zeros(len(kept), 1)], dim=1)

    space = ConditionSpace.fit(SPACE, vocabulary_NE)
    conditions = space.apply(vectors_SE[kept])
    settings = build_config(
        "tiny",
        condition_dim=space.condition_dim,
        layout=layout,
        max_classes=MAX_CLASSES,
        skip=False,
        num_landmarks=len(kept),
        kernel_sharpness=SHARPNESS,
    )
    with seeded_random_state(0):
        denoiser = Denoiser(settings)
    denoiser.init_kernel(conditions, kernel_ridge(conditions, tokens, SHARPNESS, PENALTY))

    scheduler = registries().schedulers.create("ddim", prediction_type="sample")
    config = GeneratorConfig(
        architecture=spec.architecture.name,
        tokenizer={"name": tokenizer.name, "config": dict(tokenizer.config)},
        scheduler={"name": "ddim", "config": dict(scheduler.config)},
        denoiser=settings,
        condition={"space": SPACE, "scale": space.scale, "templates": ["a {}"], "open_vocabulary": True},
        default_encoder=encoder,
        max_classes=MAX_CLASSES,
        class_names=tuple(names),
        num_inference_steps=1,
        initial_noise=False,
        preprocessing=fit_settings(spec.architecture.crop_pct),
        training={
            "method": "kernel ridge regression in closed form, from text vectors to the rows of the frozen network's own last layer",
            "sharpness": SHARPNESS,
            "penalty": PENALTY,
            "pictures": "none, beyond those that the frozen network was trained on (ImageNet)",
        },
    )
    return Generator(config, denoiser, normalizer, space, generic)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--vectors", type=Path, required=True, help=".npz with name, source and emb; source imagenet1k")
    parser.add_argument("--out", type=Path, required=True, help="new folder of the generator")
    parser.add_argument("--extras", type=Path, help="JSON with settings to record: metrics, abstention, familiarity")
    arguments = parser.parse_args()
    with np.load(arguments.vectors) as table:
        names, source, vectors = table["name"], table["source"], table["emb"].astype(np.float32)
    is_label = source == "imagenet1k"
    generator = build([str(name) for name in names[is_label]], vectors[is_label], vectors, imagenet_head()[0])
    if arguments.extras is not None:
        extras: dict[str, Any] = json.loads(arguments.extras.read_text(encoding="utf-8"))
        values = {**generator.config.to_dict(), **extras}
        generator.config = GeneratorConfig.from_dict(values, f"'{arguments.extras}'")
    card = Path(__file__).with_name("card.md")
    generator.save_pretrained(arguments.out, card.read_text(encoding="utf-8") if card.exists() else None)


if __name__ == "__main__":
    main()
