"""The architectures that a generator writes: how large they are, how good they are, and which fits into a budget."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from tina_framework.errors import ConfigError
from tina_framework.generator.config import GeneratorConfig
from tina_framework.interfaces.spec import ParameterSpec

__all__ = ["ArchitectureSummary", "best_within", "choose_architecture", "summarize_architectures"]


@dataclass(frozen=True)
class ArchitectureSummary:
    """One architecture of a generator.

    Attributes:
        name: the registry name.
        shared_parameters: number of parameters that all classes share.
        class_parameters: number of parameters of each class.
        trained: whether the generator was trained to write it. If not, it writes it as a relative of those it was trained for.
        accuracy: accuracy on the validation tasks of the training run, as a fraction of 1; None if it was not recorded.
    """

    name: str
    shared_parameters: int
    class_parameters: int
    trained: bool = True
    accuracy: float | None = None

    def num_parameters(self, num_classes: int) -> int:
        """Return the number of parameters for that many classes."""
        return self.shared_parameters + num_classes * self.class_parameters


def summarize_architectures(
    config: GeneratorConfig, specs: Mapping[str, ParameterSpec]
) -> dict[str, ArchitectureSummary]:
    """Return the summary of each architecture, the smallest first.

    Args:
        config: of the generator.
        specs: name -> parameters, for every architecture of the generator.
    """
    found = []
    for name, spec in specs.items():
        each = spec.class_size
        trained = bool(config.architectures[name]["trained"]) if config.architectures else True
        found.append(
            ArchitectureSummary(name, spec.num_parameters(1) - each, each, trained, config.validation_accuracy(name))
        )
    found.sort(key=lambda summary: (summary.num_parameters(config.max_classes), summary.name))
    return {summary.name: summary for summary in found}


def choose_architecture(summaries: Mapping[str, ArchitectureSummary], num_classes: int, max_parameters: int) -> str:
    """Return the architecture with the best recorded accuracy among those that are small enough.

    Without any record the largest of them is returned.

    Args:
        summaries: from `Generator.architectures`.
        num_classes: class count of the task.
        max_parameters: the budget.

    Raises:
        ConfigError: all are larger.
    """
    sizes = {name: summary.num_parameters(num_classes) for name, summary in summaries.items()}
    return best_within(summaries, sizes, max_parameters, f"parameters for {num_classes} classes")


def best_within(summaries: Mapping[str, ArchitectureSummary], sizes: Mapping[str, int], budget: int, what: str) -> str:
    """Return the architecture with the best recorded accuracy among those within a budget, or without any record the largest.

    Args:
        summaries: from `Generator.architectures`.
        sizes: name -> size, of the architectures that come into question.
        budget: the largest size.
        what: what the sizes count, for the message.

    Raises:
        ConfigError: all are larger.
    """
    fitting = [name for name, size in sizes.items() if size <= budget]
    if not fitting:
        smallest = min(sizes, key=lambda name: sizes[name])
        raise ConfigError(
            f"No architecture has at most {budget:,} {what}; the smallest is '{smallest}' with "
            f"{sizes[smallest]:,}. All: {', '.join(f'{name} {size:,}' for name, size in sorted(sizes.items(), key=lambda e: e[1]))}."
        )
    return max(fitting, key=lambda name: (summaries[name].accuracy or 0.0, sizes[name]))
