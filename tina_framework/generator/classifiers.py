"""Turn generated parameters into classifiers that record how they were made."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from tina_framework.classifier.card import ACCURACY
from tina_framework.classifier.classifier import GeneratedClassifier
from tina_framework.generator.compose import GeneratedNetworks, ensemble_state
from tina_framework.generator.config import GeneratorConfig
from tina_framework.generator.options import ComposeMethod
from tina_framework.images import Preprocessing
from tina_framework.interfaces.spec import ParameterSpec
from tina_framework.prompts.encoded_task import EncodedTask
from tina_framework.prompts.summary import summarize_prompts
from tina_framework.targets.ensemble import build_network

__all__ = ["make_classifiers"]


def make_classifiers(
    spec: ParameterSpec,
    tasks: Sequence[EncodedTask],
    generated: Sequence[GeneratedNetworks],
    config: GeneratorConfig,
    provenance: Mapping[str, Any],
    compose_method: ComposeMethod | None,
    accuracies: Sequence[Mapping[str, float]] = (),
) -> list[GeneratedClassifier]:
    """Build one classifier for each task and sample.

    Args:
        spec: the architecture's parameters.
        tasks: T encoded tasks.
        generated: T * S networks, S samples a task, task by task.
        config: of the generator; the classifiers get its abstention thresholds.
        provenance: what the records of all classifiers have in common.
        compose_method: how tasks of several networks become one classifier.
        accuracies: split -> recorded mean accuracy, for each task; empty: nothing was recorded.
    """
    models, num_samples = [], len(generated) // len(tasks) if tasks else 1
    preprocessing = Preprocessing.of(spec.architecture)
    for i, networks in enumerate(generated):
        task = tasks[i // num_samples]
        members = networks.groups if networks.is_composed and compose_method == "ensemble" else None
        if members is None:
            state = spec.unflatten(networks.merged(spec), len(task))
        else:
            state = ensemble_state(spec, members, networks.flats)
        threshold = None if config.abstention is None else config.abstention.threshold(len(task))
        record = {
            **provenance,
            **summarize_prompts(task),
            **networks.record(compose_method),
            **({ACCURACY: dict(found)} if accuracies and (found := accuracies[i // num_samples]) else {}),
            "sample": i % num_samples,
        }
        network = build_network(spec.architecture, len(task), state, members, spec.template)
        models.append(
            GeneratedClassifier(network, spec.architecture, task.class_names, preprocessing, record, threshold)
        )
    return models
