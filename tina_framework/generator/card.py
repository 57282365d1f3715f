"""The default model card, made from what the configuration records."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path
from typing import Any

from tina_framework.errors import TinaError
from tina_framework.generator.architecture_summary import summarize_architectures
from tina_framework.generator.components import make_spec
from tina_framework.generator.config import GeneratorConfig
from tina_framework.storage.card import (
    CARD,
    UNKNOWN_LICENSE,
    as_code,
    as_line,
    block,
    card_license,
    license_id,
    write_card,
)

__all__ = ["datasets_of", "license_of", "model_card"]

_NO_FIGURES = "No accuracy was recorded."


def model_card(config: GeneratorConfig, hub_id: str | None = None) -> str:
    """Return the card as Markdown, beginning with the metadata block of the Hub.

    Args:
        config: what the card tells about.
        hub_id: the repository, ``owner/name``, for the example; None: unknown.
    """
    from huggingface_hub import ModelCardData

    data = ModelCardData(
        library_name="tina-framework",
        license=UNKNOWN_LICENSE,
        # It sorts pictures into classes of which it was given nothing but the names.
        pipeline_tag="zero-shot-image-classification",
        tags=["text-to-model", "weight-generation", "diffusion"],
        datasets=datasets_of(config) or None,
    )
    where = json.dumps(hub_id or "PATH OR HUB ID OF THIS FOLDER")
    listed = " (listed below)" if "seen_classes" in config.training else ""
    several = _architectures(config)
    lines = [
        f"# A generator of {as_code(config.architecture)} classifiers{' and others' if several else ''}",
        "",
        f"It generates all parameters of a small image classifier from {config.min_classes} to {config.max_classes} class "
        "names. The classifier knows exactly these classes.",
        "",
        "```python",
        "from tina_framework import Generator",
        "",
        f"generator = Generator.from_pretrained({block(where)})",
        f"model = generator({block(json.dumps(config.class_names[:3], ensure_ascii=False))})",
        *_example(config),
        "```",
        "",
        *several,
        "| | |",
        "|---|---|",
        f"| text space | {as_code(config.condition['space'])} |",
        f"| prompt templates | {', '.join(as_code(template) for template in config.condition['templates']) or 'none recorded'} |",
        f"| default encoder | {as_code(config.default_encoder)} |",
        f"| sampler | {as_code(config.scheduler['name'])}, {config.num_inference_steps} step{'s' * (config.num_inference_steps > 1)} |",
        f"| classes of the training data | {len(config.class_names)} |",
        "",
        "## Data and prompts",
        "",
        *_data(config),
        "",
        "## Accuracy of generated models",
        "",
        *_figures(config),
        "",
        *_validation(config.training.get("validation"), sum(bool(e["trained"]) for e in config.architectures.values())),
        "## Limits",
        "",
        f"- It was trained on {len(config.class_names)} classes{listed} and is meant for new combinations of them. Other words "
        "work only if their text vectors are similar to known ones.",
        "- Generated classifiers work on pictures like the training data. They answer with one of their classes, whatever "
        f"the picture shows{_unless(config)}.",
        "- The accuracies are means over tasks. Single tasks vary, most of all tasks of few or similar classes.",
        f"- It generates {'the architectures above' if several else 'one architecture'}. Loading it needs `tina_framework`. "
        "The generated classifiers are PyTorch modules.",
        "",
        "## Training",
        "",
    ]
    if config.training:
        lines += ["```json", block(json.dumps(config.to_dict()["training"], indent=2, ensure_ascii=False)), "```"]
    else:
        lines.append("Nothing was recorded.")
    return write_card(data, lines)


def _example(config: GeneratorConfig) -> list[str]:
    """Return the lines of the example that choose an architecture, if there are several."""
    other = next((name for name in config.architectures if name != config.architecture), None)
    if other is None:
        return []
    names = block(json.dumps(config.class_names[:3], ensure_ascii=False))
    return [
        f"other = generator({names}, architecture={block(json.dumps(other))})",
    ]


def _architectures(config: GeneratorConfig) -> list[str]:
    """Return the table of the architectures, the smallest first; nothing if there is one only."""
    if not config.architectures:
        return []
    count = config.max_classes
    try:
        specs = {name: make_spec(config, name) for name in config.architectures}
        sizes = {name: f"{spec.num_parameters(count):,}" for name, spec in specs.items()}
        names = list(summarize_architectures(config, specs))
    except TinaError:  # a plugin of an architecture is missing
        sizes, names = {}, list(config.architectures)
    rows = []
    for name in names:
        accuracy = config.validation_accuracy(name)
        recorded = "not recorded" if accuracy is None else f"{100 * accuracy:.1f} %"
        trained = "yes" if config.architectures[name]["trained"] else "no"
        default = " (default)" if name == config.architecture else ""
        rows.append(f"| {as_code(name)}{default} | {sizes.get(name, 'unknown')} | {trained} | {recorded} |")
    untrained = [
        "An architecture that it was not trained for is written as the next wider one, in part. How much was chosen on these validation "
        "tasks, so its accuracy here is a little too good.",
        "",
    ]
    if all(entry["trained"] for entry in config.architectures.values()):
        untrained = []
    return [
        f"| architecture | parameters, {count} classes | trained | accuracy on validation tasks |",
        "|---|---|---|---|",
        *rows,
        "",
        *untrained,
    ]


def _figures(config: GeneratorConfig) -> list[str]:
    """Return the table of recorded accuracies; with several architectures, their names are its first column."""
    if not config.architectures:
        return _metrics(config.metrics)
    rows = [
        f"| {as_code(name)} {row}"
        for name, entry in config.architectures.items()
        for row in _metric_rows(entry.get("metrics", {}))
    ]
    if not rows:
        return [_NO_FIGURES]
    return ["| architecture | encoder | split | classes | accuracy |", "|---|---|---|---|---|", *rows]


def datasets_of(config: GeneratorConfig) -> list[str]:
    """Return the names of the data sets that a generator was trained on, as far as they are recorded."""
    training = config.training
    named = training.get("datasets", [training.get("dataset")])
    names = [_dataset_name(spec) for spec in named] if isinstance(named, list | tuple) else []
    return [name for name in dict.fromkeys(names) if name]


def license_of(folder: Path | None, provider: str | None) -> str | None:
    """Return the licence of a generator in the Hub's spelling, or None if nobody stated it.

    Args:
        folder: the folder of the generator, whose card may state it.
        provider: the distribution that provides the generator; its metadata state it otherwise.
    """
    found = None if folder is None else card_license(folder / CARD)
    if found is not None or provider is None:
        return found
    try:
        stated = metadata.metadata(provider).get_all("License-Expression")
    except metadata.PackageNotFoundError:  # a source tree that is not installed
        return None
    return license_id(stated[0]) if stated else None


def _dataset_name(spec: object) -> str:
    """Return the name of a data set: ``pets`` for ``image-folder:/home/me/pets``. Folders of a machine are private."""
    name = str(spec).rpartition(":")[2].replace("\\", "/").rstrip("/").rpartition("/")[2]
    name = re.sub(r"\.(npz|npy|zip|tar|json|toml)$", "", name)
    return name if isinstance(spec, str) and re.fullmatch(r"[A-Za-z0-9][\w.-]{0,95}", name) else ""


def _unless(config: GeneratorConfig) -> str:
    if config.abstention is None:
        return ""
    kept = f"{100 * config.abstention.kept:g} %"
    which = f"are networks of {as_code(config.architecture)} and " if config.architectures else ""
    return f", unless they {which}may abstain (`abstain=True`, which keeps about {kept} of the correct answers)"


def _data(config: GeneratorConfig) -> list[str]:
    recipe = config.training.get("recipe")
    lines = []
    if isinstance(recipe, Mapping) and "dataset" in recipe:
        models = config.training.get("zoo_models")
        zoo = f", and {as_line(models)} networks of the zoo {as_code(recipe.get('zoo'))}" if models else ""
        images, dataset = as_code(recipe.get("train_split")), as_code(recipe["dataset"])
        lines.append(f"Trained on images {images} of the data set {dataset}{zoo}.")
    else:
        lines.append("The training data was not recorded.")
    if "taught_by" in config.training:
        # What the teacher has seen is part of what this generator has seen, at second hand.
        lines.append(f"It also learnt from the answers of a larger network, {as_code(config.training['taught_by'])}.")
    lines.append(
        "A prompt is a class name, which the encoder inserts into its template. Any encoder of the text space above can be used, "
        "with the same or similar templates."
    )
    return lines


def _validation(figures: object, architectures: int) -> list[str]:
    """Return the sentences about the last validation.

    Args:
        figures: as they were recorded.
        architectures: how many were trained in a run of several, whose figures are means over them; 0 in other runs.
    """
    if not isinstance(figures, Mapping):
        return []
    try:
        names = ("accuracy", "selection", "difference", "standard_error")
        ours, theirs, difference, error = (100 * float(figures[name]) for name in names)
        number = int(figures["num_tasks"])
    except (KeyError, TypeError, ValueError, OverflowError):
        return []
    which = f"On average over the {architectures} trained architectures" if architectures > 1 else "At export"
    over = "mean of the standard errors over tasks" if architectures > 1 else "standard error over tasks"
    return [
        f"{which}, the generated models had {ours:.1f} % on {number} validation tasks. The generic model with only the task's "
        f"outputs (selection) had {theirs:.1f} %: a difference of {difference:+.2f} ± {error:.2f} points ({over}).",
        "",
    ]


def _metrics(metrics: Mapping[str, Any]) -> list[str]:
    rows = _metric_rows(metrics)
    return ["| encoder | split | classes | accuracy |", "|---|---|---|---|", *rows] if rows else [_NO_FIGURES]


def _metric_rows(metrics: object) -> list[str]:
    if not isinstance(metrics, Mapping):
        return []
    return [
        f"| {as_code(encoder)} | {as_line(split)} | {as_line(count)} | {100 * value:.1f} % |"
        for encoder, splits in metrics.items()
        if isinstance(splits, Mapping)
        for split, counts in splits.items()
        if isinstance(counts, Mapping)
        for count, value in counts.items()
        if isinstance(value, int | float) and abs(value) <= 1
    ]
