"""The default model card, made from what the configuration records."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from tina_framework.generator.config import GeneratorConfig

__all__ = ["model_card"]


def model_card(config: GeneratorConfig) -> str:
    """Return the card as Markdown, beginning with the metadata block of the Hub."""
    listed = " (listed below)" if "seen_classes" in config.training else ""
    lines = [
        "---",
        "library_name: tina-framework",
        "tags: [text-to-model, weight-generation, diffusion]",
        "---",
        "",
        f"# A generator of `{config.architecture}` classifiers",
        "",
        f"From {config.min_classes} to {config.max_classes} class names it writes all parameters of a small image classifier "
        "for exactly those classes.",
        "",
        "```python",
        "from tina_framework import Generator",
        "",
        'generator = Generator.from_pretrained("PATH OR HUB ID OF THIS FOLDER")',
        f"model = generator({list(config.class_names[:3])!r})",
        "```",
        "",
        "| | |",
        "|---|---|",
        f"| text space | `{config.condition['space']}` |",
        f"| prompt templates | {', '.join(f'`{template}`' for template in config.condition['templates']) or 'none recorded'} |",
        f"| default encoder | `{config.default_encoder}` |",
        f"| sampler | `{config.scheduler['name']}`, {config.num_inference_steps} steps |",
        f"| classes of the training data | {len(config.class_names)} |",
        "",
        "## Data and prompts",
        "",
        *_data(config),
        "",
        "## Accuracy of generated models",
        "",
        *_metrics(config.metrics),
        "",
        *_validation(config.training.get("validation")),
        "## Limits",
        "",
        f"- It was trained on {len(config.class_names)} classes{listed}. New combinations of them are what it is for; other "
        "words work as far as their vectors resemble known ones.",
        "- A generated classifier knows pictures like those of the training data, and answers with one of its classes, "
        f"whatever the picture shows{_unless(config)}.",
        "- The accuracies are means over tasks; single tasks lie above and below, the more so the fewer and the more alike their "
        "classes are.",
        "- It generates one architecture, and is read by `tina_framework` alone; the classifiers it writes are not.",
        "",
        "## Training",
        "",
    ]
    if config.training:
        lines += ["```json", json.dumps(config.to_dict()["training"], indent=2, ensure_ascii=False), "```"]
    else:
        lines.append("Nothing was recorded.")
    return "\n".join(lines) + "\n"


def _unless(config: GeneratorConfig) -> str:
    if config.abstention is None:
        return ""
    return f", unless it is let abstain (`abstain=True`; it keeps about {100 * config.abstention.kept:g} % of its right answers then)"


def _data(config: GeneratorConfig) -> list[str]:
    recipe = config.training.get("recipe")
    lines = []
    if isinstance(recipe, Mapping) and "dataset" in recipe:
        models = config.training.get("zoo_models")
        zoo = f", and {models} networks of the zoo `{recipe.get('zoo')}`" if models else ""
        lines.append(f"Images `{recipe.get('train_split')}` of the data set `{recipe['dataset']}`{zoo}.")
    else:
        lines.append("What it was trained on was not recorded.")
    lines.append(
        "A prompt is a class name; the encoder puts it into its template. Any encoder of the text space above will do, with the "
        "same or similar templates."
    )
    return lines


def _validation(figures: object) -> list[str]:
    if not isinstance(figures, Mapping):
        return []
    try:
        names = ("accuracy", "selection", "difference", "standard_error")
        ours, theirs, difference, error = (100 * float(figures[name]) for name in names)
        number = int(figures["num_tasks"])
    except (KeyError, TypeError, ValueError):
        return []
    return [
        f"When it was exported: {ours:.1f} % on {number} validation tasks, where the generic model with only the task's rows "
        f"(selection) has {theirs:.1f} %: a difference of {difference:+.2f} ± {error:.2f} points (standard error over tasks).",
        "",
    ]


def _metrics(metrics: Mapping[str, Any]) -> list[str]:
    rows = [
        f"| `{encoder}` | {split} | {count} | {100 * value:.1f} % |"
        for encoder, splits in metrics.items()
        if isinstance(splits, Mapping)
        for split, counts in splits.items()
        if isinstance(counts, Mapping)
        for count, value in counts.items()
        if isinstance(value, int | float)
    ]
    return (
        ["| encoder | split | classes | accuracy |", "|---|---|---|---|", *rows]
        if rows
        else ["No figure was recorded."]
    )
