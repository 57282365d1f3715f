"""The model card of a classifier, made from what its configuration records."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from tina_framework.images import Preprocessing
from tina_framework.storage.card import UNKNOWN_LICENSE, as_code, as_line, block, license_id, write_card

if TYPE_CHECKING:
    from huggingface_hub import EvalResult

__all__ = ["ACCURACY", "DATASETS", "LICENSE", "classifier_card"]

# Keys of the provenance that a generator writes, if it knows these things.
LICENSE = "license"
DATASETS = "datasets"
ACCURACY = "mean_accuracy"
"""Split -> mean accuracy of the generator's classifiers with as many known classes. Fine-tuning removes it."""

_LIBRARY = "tina-framework"
_TASK = "image-classification"
_SHOWN = 100
"""The names of so many classes are listed; `config.json` has all of them."""


def classifier_card(
    class_names: Sequence[str],
    architecture: str,
    num_parameters: int,
    preprocessing: Preprocessing,
    provenance: Mapping[str, Any],
    *,
    num_networks: int = 1,
    trunk: str | None = None,
    may_abstain: bool = False,
    hub_id: str | None = None,
) -> str:
    """Return the card as Markdown, beginning with the metadata block of the Hub.

    Args:
        class_names: K names.
        architecture: its registry name.
        num_parameters: of the generated network, without the trunk.
        preprocessing: of the pictures.
        provenance: how the classifier was made.
        num_networks: more than one for an ensemble.
        trunk: the name of the frozen trunk.
        may_abstain: whether the classifier has a threshold to abstain by.
        hub_id: the repository, ``owner/name``, for the example; None: unknown.
    """
    from huggingface_hub import ModelCardData

    count, tuned = len(class_names), "fine_tuning" in provenance
    accuracy = {} if tuned else _fractions(provenance.get(ACCURACY))
    datasets = [name for name in _texts(provenance.get(DATASETS)) if name]
    metadata = ModelCardData(
        library_name=_LIBRARY,
        license=license_id(provenance.get(LICENSE)) or UNKNOWN_LICENSE,
        pipeline_tag=_TASK,
        tags=["weight-generation", as_tag(architecture), *(["fine-tuned"] if tuned else [])],
        datasets=datasets or None,
        metrics=["accuracy"] if accuracy else None,
        model_name=hub_id or "classifier",
        eval_results=_results(accuracy, datasets, count) or None,
    )
    _, height, width = preprocessing.input_shape
    where = json.dumps(hub_id or "PATH OR HUB ID OF THIS FOLDER")
    maker = provenance.get("generator")
    rows = [
        (
            "architecture",
            as_code(architecture) + (f", an ensemble of {num_networks} networks" if num_networks > 1 else ""),
        ),
        ("generated parameters", f"{num_parameters:,}"),
        *([("frozen network in front", as_code(trunk))] if trunk else []),
        ("pictures", f"{width} x {height} pixels, cropped from the centre"),
        *([("generator", as_code(maker))] if isinstance(maker, str) else []),
        *[(name, as_code(provenance[key])) for key, name in _FACTS.items() if key in provenance],
        *([("fine-tuned", "yes, on pictures of these classes")] if tuned else []),
    ]
    listed = ", ".join(as_line(name) for name in class_names[:_SHOWN])
    lines = [
        f"# An image classifier for {count} classes",
        "",
        f"It tells these classes apart: {listed}{f', and {count - _SHOWN} more' if count > _SHOWN else ''}.",
        "",
        "Its weights were not trained but written by a generator, which was given the names of the classes."
        + (" Then they were fine-tuned on pictures." if tuned else "")
        if isinstance(maker, str)
        else "It was made with `tina-framework`.",
        "",
        "```python",
        "from tina_framework import GeneratedClassifier",
        "",
        f"model = GeneratedClassifier.from_pretrained({block(where)})",
        'print(model.predict(["picture.jpg"]))',
        "```",
        "",
        "| | |",
        "|---|---|",
        *[f"| {name} | {value} |" for name, value in rows],
        "",
        "## Accuracy",
        "",
        *_accuracy(accuracy, count),
        "",
        "## Limits",
        "",
        "- It knows exactly these classes, and answers with one of them whatever the picture shows"
        + (", unless it may abstain (`predict(..., abstain=True)`)." if may_abstain else "."),
        "- It works on pictures like those that its generator was trained on.",
        "- Test it on your own pictures before you rely on it: `model.score(pictures, labels)`.",
        "",
    ]
    return write_card(metadata, lines)


_FACTS = {"encoder": "encoder of the names", "num_inference_steps": "denoising steps", "seed": "seed"}


def as_tag(name: str) -> str:
    """Return a name as the Hub allows it for a tag."""
    return "".join(letter if (letter.isalnum() and letter.isascii()) or letter in "-_." else "-" for letter in name)[
        :80
    ]


def _accuracy(accuracy: Mapping[str, float], count: int) -> list[str]:
    lines = ["The accuracy of this very classifier was not measured."]
    if accuracy:
        lines += [
            f"The classifiers that the same generator made for {count} of its known classes had this accuracy, on average over many "
            "sets of classes:",
            "",
            "| tasks | mean accuracy |",
            "|---|---|",
            *[f"| {as_line(split)} | {100 * value:.1f} % |" for split, value in accuracy.items()],
        ]
    return lines


def _results(accuracy: Mapping[str, float], datasets: Sequence[str], count: int) -> list[EvalResult]:
    from huggingface_hub import EvalResult

    return [
        EvalResult(
            task_type=_TASK,
            dataset_type=as_tag(datasets[0] if datasets else split),
            dataset_name=as_tag(f"{datasets[0]}, {split}" if datasets else split),
            metric_type="accuracy",
            metric_name=f"Mean accuracy of classifiers of {count} classes by the same generator",
            metric_value=round(value, 4),
        )
        for split, value in accuracy.items()
    ]


# A provenance comes from a file that anyone may have written.
def _fractions(values: object) -> dict[str, float]:
    if not isinstance(values, Mapping):
        return {}
    return {
        str(split): float(value)
        for split, value in values.items()
        if isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= 1
    }


def _texts(values: object) -> list[str]:
    return [as_tag(value) for value in values if isinstance(value, str)] if isinstance(values, list | tuple) else []
