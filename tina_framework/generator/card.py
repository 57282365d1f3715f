"""The default model card, made from what the configuration records."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from tina_framework.errors import printable
from tina_framework.generator.config import GeneratorConfig

__all__ = ["model_card"]

_MAX_LENGTH = 500
"""Maximum number of characters of a name or setting in a line."""

_MARKDOWN = re.compile(r"[\\`*_{}\[\]<>()#+!|&~]")


def model_card(config: GeneratorConfig) -> str:
    """Return the card as Markdown, beginning with the metadata block of the Hub."""
    listed = " (listed below)" if "seen_classes" in config.training else ""
    lines = [
        "---",
        "library_name: tina-framework",
        "tags: [text-to-model, weight-generation, diffusion]",
        "---",
        "",
        f"# A generator of {_code(config.architecture)} classifiers",
        "",
        f"It generates all parameters of a small image classifier from {config.min_classes} to {config.max_classes} class "
        "names. The classifier knows exactly these classes.",
        "",
        "```python",
        "from tina_framework import Generator",
        "",
        'generator = Generator.from_pretrained("PATH OR HUB ID OF THIS FOLDER")',
        f"model = generator({_plain(json.dumps(config.class_names[:3], ensure_ascii=False))})",
        "```",
        "",
        "| | |",
        "|---|---|",
        f"| text space | {_code(config.condition['space'])} |",
        f"| prompt templates | {', '.join(_code(template) for template in config.condition['templates']) or 'none recorded'} |",
        f"| default encoder | {_code(config.default_encoder)} |",
        f"| sampler | {_code(config.scheduler['name'])}, {config.num_inference_steps} steps |",
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
        f"- It was trained on {len(config.class_names)} classes{listed} and is meant for new combinations of them. Other words "
        "work only if their text vectors are similar to known ones.",
        "- Generated classifiers work on pictures like the training data. They answer with one of their classes, whatever "
        f"the picture shows{_unless(config)}.",
        "- The accuracies are means over tasks. Single tasks vary, most of all tasks of few or similar classes.",
        "- It generates one architecture. Loading it needs `tina_framework`. The generated classifiers are PyTorch modules.",
        "",
        "## Training",
        "",
    ]
    if config.training:
        lines += ["```json", _plain(json.dumps(config.to_dict()["training"], indent=2, ensure_ascii=False)), "```"]
    else:
        lines.append("Nothing was recorded.")
    return "\n".join(lines) + "\n"


# Names and settings may come from strangers. A card is shown as a web page, so they must not be read as HTML or Markdown.
def _plain(text: str) -> str:
    """Return the text of a code block: on a page it shows the same, but nothing in it can end the block."""
    return text.replace("`", "\\u0060")


def _cell(value: object) -> str:
    """Return a value for a line or cell of Markdown."""
    text = printable(" ".join(str(value).split()))[:_MAX_LENGTH]
    return _MARKDOWN.sub(lambda found: f"&#{ord(found[0])};", text)


def _code(value: object) -> str:
    """Return a value as code in a line or cell of Markdown."""
    text = printable(" ".join(str(value).split()))[:_MAX_LENGTH].replace("`", "'")
    # In a code span, only a pipe has a meaning: it would end the cell of a table.
    return f"`{text}`" if "|" not in text else f"<code>{_cell(text)}</code>"


def _unless(config: GeneratorConfig) -> str:
    if config.abstention is None:
        return ""
    kept = f"{100 * config.abstention.kept:g} %"
    return f", unless they may abstain (`abstain=True`, which keeps about {kept} of the correct answers)"


def _data(config: GeneratorConfig) -> list[str]:
    recipe = config.training.get("recipe")
    lines = []
    if isinstance(recipe, Mapping) and "dataset" in recipe:
        models = config.training.get("zoo_models")
        zoo = f", and {_cell(models)} networks of the zoo {_code(recipe.get('zoo'))}" if models else ""
        images, dataset = _code(recipe.get("train_split")), _code(recipe["dataset"])
        lines.append(f"Trained on images {images} of the data set {dataset}{zoo}.")
    else:
        lines.append("The training data was not recorded.")
    lines.append(
        "A prompt is a class name, which the encoder inserts into its template. Any encoder of the text space above can be used, "
        "with the same or similar templates."
    )
    return lines


def _validation(figures: object) -> list[str]:
    if not isinstance(figures, Mapping):
        return []
    try:
        names = ("accuracy", "selection", "difference", "standard_error")
        ours, theirs, difference, error = (100 * float(figures[name]) for name in names)
        number = int(figures["num_tasks"])
    except (KeyError, TypeError, ValueError, OverflowError):
        return []
    return [
        f"At export, the generated models had {ours:.1f} % on {number} validation tasks. The generic model with only the task's "
        f"outputs (selection) had {theirs:.1f} %: a difference of {difference:+.2f} ± {error:.2f} points (standard error over tasks).",
        "",
    ]


def _metrics(metrics: Mapping[str, Any]) -> list[str]:
    rows = [
        f"| {_code(encoder)} | {_cell(split)} | {_cell(count)} | {100 * value:.1f} % |"
        for encoder, splits in metrics.items()
        if isinstance(splits, Mapping)
        for split, counts in splits.items()
        if isinstance(counts, Mapping)
        for count, value in counts.items()
        if isinstance(value, int | float) and abs(value) <= 1
    ]
    return (
        ["| encoder | split | classes | accuracy |", "|---|---|---|---|", *rows]
        if rows
        else ["No accuracy was recorded."]
    )
