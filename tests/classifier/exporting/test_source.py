"""What exporters are given describes the classifier and is independent of it."""

from __future__ import annotations

import json

import numpy as np
import torch

from tina_framework.classifier.classifier import GeneratedClassifier
from tina_framework.classifier.exporting.source import export_source, metadata_of


def test_the_module_answers_as_the_classifier(classifier: GeneratedClassifier, pixels: np.ndarray) -> None:
    source = export_source(classifier)
    with torch.no_grad():
        logits = source.network(torch.from_numpy(pixels))
    torch.testing.assert_close(logits, classifier.logits(pixels), rtol=1e-5, atol=1e-5)
    assert source.class_names == ("ant", "bee", "cat")
    assert source.calibration is None


def test_the_module_is_a_copy(classifier: GeneratedClassifier) -> None:
    before = {name: tensor.clone() for name, tensor in classifier.state_dict().items()}
    source = export_source(classifier)
    with torch.no_grad():
        for parameter in source.network.parameters():
            parameter.zero_()
    assert all(torch.equal(before[name], tensor) for name, tensor in classifier.state_dict().items())
    assert not any(parameter.requires_grad for parameter in source.network.parameters())
    assert not source.network.training


def test_metadata_are_json_and_complete(classifier: GeneratedClassifier) -> None:
    values = metadata_of(classifier)
    assert json.loads(json.dumps(values)) == values
    assert values["class_names"] == ["ant", "bee", "cat"]
    assert values["input"]["shape"] == ["N", 32, 32, 3]
    assert values["standardised_inside"]["mean"] == [0.5, 0.5, 0.5]
    assert values["provenance"] == {"seed": 5}
