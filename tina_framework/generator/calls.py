"""What a call of a generator says and gives: prompts as conditions, parameters as classifiers that remember how they were made."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from tina_framework.classifier.classifier import GeneratedClassifier
from tina_framework.errors import ConfigError, PromptError
from tina_framework.generator.compose import Composition, How, ensemble_state
from tina_framework.generator.config import GeneratorConfig
from tina_framework.interfaces.encoder import Encoder
from tina_framework.interfaces.scheduler import NoiseScheduler
from tina_framework.interfaces.spec import ParameterSpec
from tina_framework.plugin.discovery import registries
from tina_framework.prompts.condition import ConditionSpace
from tina_framework.prompts.known_classes import Memory
from tina_framework.prompts.resolve import Condition, resolve_tasks
from tina_framework.prompts.sentence import classes_of

__all__ = ["are_encoded", "make_classifiers", "make_encoder", "read_prompts", "scheduler_name"]


def read_prompts(
    prompts: Any, encoder: Encoder, template: int, memory: Memory | None, known: Sequence[str]
) -> tuple[bool, list[Condition]]:
    """(whether it is one task, the tasks).

    Raises:
        PromptError: as `resolve_tasks` and `classes_of`.
    """
    if isinstance(prompts, Condition):
        return True, [prompts]
    if isinstance(prompts, str):
        prompts = classes_of(prompts, known)
    elif isinstance(prompts, bytes) or not isinstance(prompts, Iterable):
        raise PromptError(
            f"The prompt is a single {type(prompts).__name__}; give a list of at least two classes, or one sentence about them."
        )
    prompts = list(prompts)
    if prompts and all(isinstance(prompt, Condition) for prompt in prompts):
        return False, prompts
    single = not prompts or any(not isinstance(prompt, list | tuple) for prompt in prompts)
    return single, resolve_tasks([prompts] if single else prompts, encoder, template, memory, known)


def make_encoder(encoder: str | Encoder, space: ConditionSpace) -> Encoder:
    """An encoder from its spec, or the object itself.

    Raises:
        ConfigError: it is none, or speaks another space.
    """
    made: Encoder = registries().encoders.create(encoder) if isinstance(encoder, str) else encoder
    if not all(hasattr(made, name) for name in ("name", "space", "dim")):
        raise ConfigError(f"The encoder is {made!r}; give the name of one, or an object with encode_text.")
    if made.space != space.space or made.dim != space.dim:
        raise ConfigError(
            f"Encoder '{made.name}' speaks '{made.space}' ({made.dim} wide), but this generator reads "
            f"'{space.space}' ({space.dim} wide); use an encoder of that space."
        )
    return made


def make_classifiers(
    spec: ParameterSpec,
    conditions: Sequence[Condition],
    made: Sequence[Composition],
    config: GeneratorConfig,
    provenance: Mapping[str, Any],
    how: How | None,
) -> list[GeneratedClassifier]:
    """The networks as classifiers that remember how they were made.

    Args:
        spec: the architecture's parameters.
        conditions: T tasks.
        made: T * S, S samples a task, task by task.
        config: of the generator: its thresholds of abstention.
        provenance: what all of them have in common.
        how: what becomes of tasks that are composed of several networks.
    """
    models, samples = [], len(made) // len(conditions) if conditions else 1
    for i, composition in enumerate(made):
        condition = conditions[i // samples]
        own = _said(condition) | composition.record(how) | {"sample": i % samples}
        members = composition.groups if composition.is_composed and how == "ensemble" else None
        if members is None:
            state = spec.unflatten(composition.merged(spec), len(condition))
        else:
            state = ensemble_state(spec, members, composition.flats)
        rule = None if config.abstention is None else config.abstention.rule(len(condition))
        remembered = {**provenance, **own}
        models.append(
            GeneratedClassifier.from_state(
                spec.architecture, condition.class_names, state, remembered, rule, members=members
            )
        )
    return models


def _said(condition: Condition) -> dict[str, Any]:
    """What the classifier remembers of prompts that are more than known names."""
    values: dict[str, Any] = (
        {"prompts": [prompt.to_json() for prompt in condition.prompts]} if condition.prompts else {}
    )
    if condition.familiarity is not None and float(condition.familiarity.min()) < 1.0:
        values["familiarity"] = [round(float(value), 4) for value in condition.familiarity]
        values["nearest"] = list(condition.nearest)
    if condition.read_as:
        values["read_as"] = dict(condition.read_as)
    return values


def are_encoded(prompts: Any) -> bool:
    """Whether they are conditions already."""
    return isinstance(prompts, Condition) or any(isinstance(prompt, Condition) for prompt in prompts)


def scheduler_name(scheduler: str | NoiseScheduler | None, config: GeneratorConfig) -> str:
    """What the provenance calls a sampler."""
    if scheduler is None:
        return str(config.scheduler["name"])
    return scheduler if isinstance(scheduler, str) else type(scheduler).__name__
