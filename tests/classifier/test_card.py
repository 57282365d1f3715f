"""The model card of a classifier."""

from __future__ import annotations

from typing import Any

import pytest
from huggingface_hub import ModelCard

from tina_framework.classifier.card import as_tag, classifier_card
from tina_framework.images import Preprocessing

LOOK = Preprocessing((3, 32, 48), (0.5,) * 3, (0.5,) * 3)
KNOWN = {
    "generator": "cifar100-cnn",
    "encoder": "clip-lite",
    "num_inference_steps": 2,
    "license": "Apache-2.0",
    "datasets": ["cifar100"],
    "mean_accuracy": {"unseen-combination": 0.7063, "odd": "much", "more": 2.0, "true": True},
}


def card(provenance: dict[str, Any], names: tuple[str, ...] = ("ant", "bee"), **more: Any) -> ModelCard:
    return ModelCard(classifier_card(names, "cnn-2layer", 5106, LOOK, provenance, **more))


def test_what_a_generator_recorded_is_told() -> None:
    found = card(KNOWN, trunk="resnet", num_networks=3, may_abstain=True, hub_id="me/mine")
    data = found.data
    assert (data.license, data.library_name, data.pipeline_tag) == (
        "apache-2.0",
        "tina-framework",
        "image-classification",
    )
    assert data.datasets == ["cifar100"]
    assert data.model_name == "me/mine"
    [result] = data.eval_results
    assert (result.task_type, result.dataset_type, result.metric_type, result.metric_value) == (
        "image-classification",
        "cifar100",
        "accuracy",
        0.7063,
    )
    assert result.metric_name == "Mean accuracy of classifiers of 2 classes by the same generator"
    text = found.text
    for part in (
        "It tells these classes apart: ant, bee.",
        "| architecture | `cnn-2layer`, an ensemble of 3 networks |",
        "| generated parameters | 5,106 |",
        "| frozen network in front | `resnet` |",
        "| pictures | 48 x 32 pixels",
        "| generator | `cifar100-cnn` |",
        "The accuracy of this very classifier was not measured.",
        "| unseen-combination | 70.6 % |",
        "unless it may abstain",
        'GeneratedClassifier.from_pretrained("me/mine")',
    ):
        assert part in text


def test_what_is_not_known_is_not_told() -> None:
    found = card({})
    assert found.data.license == "unknown"
    assert found.data.datasets is None
    assert found.data.eval_results is None
    assert "mean accuracy" not in found.text
    assert "generator" not in found.text.partition("## Limits")[0]
    assert "unless it may abstain" not in found.text
    assert "PATH OR HUB ID OF THIS FOLDER" in found.text
    assert "and 20 more." in card({}, tuple(f"c{k}" for k in range(120))).text


def test_the_accuracy_of_a_generator_is_not_that_of_a_fine_tuned_classifier() -> None:
    found = card({**KNOWN, "fine_tuning": [{}]})
    assert found.data.eval_results is None
    assert "70.6" not in found.text
    assert "fine-tuned" in found.data.tags


EVIL = "</code><script>alert(1)</script>`|\n# Title\n```\n---\n[a](javascript:x)\x1b[31m"


@pytest.mark.parametrize("value", [EVIL, 3, None, [EVIL], {EVIL: 0.5}, [3], {3: 10**400}])
def test_a_strange_provenance_does_no_harm(value: object) -> None:
    provenance = dict.fromkeys([*KNOWN, "seed"], value)
    text = classifier_card((EVIL, "b|c"), EVIL, 3, LOOK, provenance, trunk=EVIL, hub_id=EVIL)
    found = ModelCard(text)
    assert "\x1b" not in text
    assert found.data.license == "unknown"
    lines = text.splitlines()
    assert lines.count("---") == 2
    assert [line for line in lines if line.startswith("# ")] == ["# An image classifier for 2 classes"]
    assert sum(line.startswith("```") for line in lines) == 2
    body = found.text.partition("<!--")[0]
    assert "<script>" not in "".join(body.split("`")[::2])


def test_tags_have_the_letters_that_the_hub_allows() -> None:
    assert as_tag("photo-head:224") == "photo-head-224"
    assert as_tag("é\n" * 100) == "-" * 80
