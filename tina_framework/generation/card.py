"""The model card that is written where none is given: only what the configuration records."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from tina_framework.generation.config import GeneratorConfig

__all__ = ["model_card"]


def model_card(config: GeneratorConfig) -> str:
    """Markdown with the Hub's metadata block in front."""
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
        "## Accuracy of generated models",
        "",
        *_metrics(config.metrics),
        "",
        "## Training",
        "",
    ]
    if config.training:
        lines += ["```json", json.dumps(config.to_dict()["training"], indent=2, ensure_ascii=False), "```"]
    else:
        lines.append("Nothing was recorded.")
    return "\n".join(lines) + "\n"


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
