"""Check the settings of a training run together: which contradict each other, and which name something unknown."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tina_framework.errors import ConfigError, TinaError
from tina_framework.plugin.discovery import registries
from tina_framework.plugin.registry import Registry

if TYPE_CHECKING:
    from tina_framework.config.training import TrainingConfig

__all__ = ["contradictions", "needs_learnt_rows"]


Finding = tuple[str, str]
"""A setting, and what was expected of it."""


def contradictions(config: TrainingConfig) -> list[Finding]:
    """Return (field, what was expected) for each value that contradicts another setting or is an unknown name."""
    return [
        *_data(config),
        *_architectures(config),
        *_conditioning(config),
        *_denoiser(config),
        *_noise_process(config),
        *_objectives(config),
        *_compute(config),
        *_unknown_names(config),
    ]


def _data(config: TrainingConfig) -> list[Finding]:
    found = []
    if "class_counts" not in config.model_fields_set:
        return []  # they will follow the number of classes
    most = max(config.class_counts)
    if "max_classes" in config.model_fields_set and most > config.max_classes:
        found.append(("class_counts", f"expected class counts from 2 to max_classes={config.max_classes}"))
    elif min(config.class_counts) < 2:
        found.append(("class_counts", "expected class counts of at least 2"))
    if config.images_per_task < most:
        found.append(("images_per_task", f"expected at least one image for each of {most} classes"))
    return found


def _architectures(config: TrainingConfig) -> list[Finding]:
    if not config.architectures:
        return (
            [("architectures", "expected several, because zoos is set: a run of one architecture reads one zoo")]
            if config.zoos
            else []
        )
    found = []
    if not any(config.architectures.values()):
        found.append(("architectures", "expected at least one weight above 0"))
    elif not all(config.architectures.values()) and not config.num_validation_tasks:
        found.append(
            (
                "num_validation_tasks",
                "expected at least 1 if architectures has a weight of 0: they choose how that one is written",
            )
        )
    if config.architecture is not None:
        found.append(("architecture", "expected none if architectures is set"))
    found += [(name, f"expected {words} (architectures is set)") for name, words in needs_learnt_rows(config)]
    needs_one = {
        "torch_compile": (config.torch_compile, "false: the denoiser has other shapes in each step"),
        "bundle_zoo_reference": (config.bundle_zoo_reference, "false: there are several generic models"),
    }
    found += [(name, f"expected {words} (architectures is set)") for name, (odd, words) in needs_one.items() if odd]
    return found


def needs_learnt_rows(config: TrainingConfig) -> list[Finding]:
    """Return (field, what was expected) for settings that need a denoiser which writes whole class rows.

    A denoiser of described tokens writes what is missing from a fixed row forecast (`tina_framework.denoiser.row_forecast`).
    """
    settings = {
        "denoise_weight": (config.denoise_weight > 0, "0: p-Models are networks of one architecture"),
        "retrieve_rows": (config.retrieve_rows, "false: retrieved rows are those of one architecture"),
        "kernel_ridge": (config.kernel_ridge is not None, "none: it forecasts the class rows of one architecture"),
        "prediction_type": (config.prediction_type != "sample", "sample"),
    }
    return [(name, words) for name, (odd, words) in settings.items() if odd]


def _conditioning(config: TrainingConfig) -> list[Finding]:
    found = []
    if config.unseen_class_probability and not config.retrieve_rows:
        found.append(
            (
                "unseen_class_probability",
                "expected 0 unless retrieve_rows is true: without it, the setting has no effect",
            )
        )
    if config.open_vocabulary and config.kernel_ridge is None and config.init_from is None:
        found.append(
            ("open_vocabulary", "expected false unless kernel_ridge is set: it interpolates between the classes")
        )
    # Retrieved rows are added to the prediction, so the prediction has to be of clean tokens, too.
    if config.retrieve_rows and config.prediction_type != "sample":
        found.append(
            ("retrieve_rows", "expected false unless prediction_type is sample: retrieved rows are clean tokens")
        )
    return found


def _denoiser(config: TrainingConfig) -> list[Finding]:
    found = []
    if config.pool_rank is not None and config.pool_moments is not None and config.pool_moments > config.pool_rank:
        found.append(("pool_moments", f"expected at most pool_rank={config.pool_rank}"))
    if config.kernel_ridge is not None and config.prediction_type != "sample":
        found.append(
            ("kernel_ridge", "expected none unless prediction_type is sample: the forecast is of clean tokens")
        )
    if config.kernel_ridge is not None and config.retrieve_rows:
        found.append(("kernel_ridge", "expected none if retrieve_rows is true: both add a class row to the prediction"))
    if config.pool_rank and config.prediction_type != "sample":
        found.append(("pool_rank", "expected 0 unless prediction_type is sample: the forecast is of clean tokens"))
    return found


def _noise_process(config: TrainingConfig) -> list[Finding]:
    found = _scheduler(config)
    if config.beta_end < config.beta_start:
        found.append(("beta_end", f"expected at least beta_start={config.beta_start}"))
    if (config.num_inference_steps or 0) > config.num_train_timesteps:
        found.append(("num_inference_steps", f"expected at most num_train_timesteps={config.num_train_timesteps}"))
    return found


def _scheduler(config: TrainingConfig) -> list[Finding]:
    """Find settings that the noise process of the chosen scheduler does not have."""
    if (config.prediction_type, config.shift) == ("sample", 1) or config.scheduler not in registries().schedulers:
        return []  # both processes allow these values, so nothing heavy is imported for them
    from tina_framework.generator.scheduler import noise_process_named, schedulers_of
    from tina_framework.interfaces.noise_process import NOISE_PROCESSES

    try:
        process = NOISE_PROCESSES[noise_process_named(config.scheduler)]
    except TinaError as error:
        return [("scheduler", str(error))]
    found = []
    if config.prediction_type not in process.prediction_types:
        others = [other for other in NOISE_PROCESSES.values() if config.prediction_type in other.prediction_types]
        names = [name for other in others for name in schedulers_of(other.noise_process)]
        found.append((
            "prediction_type",
            f"expected {' or '.join(process.prediction_types)} with scheduler {config.scheduler}; "
            f"{config.prediction_type} needs one of the schedulers {', '.join(names)}",
        ))  # fmt: skip
    if config.shift != 1 and "shift" not in process.settings:
        names = schedulers_of("flow")
        found.append((
            "shift",
            f"expected 1 with scheduler {config.scheduler}; a shift needs one of the schedulers {', '.join(names)}",
        ))  # fmt: skip
    return found


def _objectives(config: TrainingConfig) -> list[Finding]:
    found = []
    if config.task_weight + config.denoise_weight == 0:
        found.append(("task_weight", "expected task_weight or denoise_weight above 0"))
    if config.task_batch_size % config.draws_per_task:
        found.append((
            "task_batch_size",
            f"expected a multiple of draws_per_task, which is {config.draws_per_task}: every task has that many networks",
        ))  # fmt: skip
    if config.teacher is not None and not (config.task_weight and config.teacher_weight):
        found.append(
            ("teacher", "expected none unless task_weight and teacher_weight are above 0: nothing would learn from it")
        )
    if config.draws_per_task > 1 and config.prediction_type == "sample" and not config.input_floor:
        found.append((
            "input_floor",
            "expected above 0 with draws_per_task above 1: without it, the denoiser reads almost the same in all draws",
        ))  # fmt: skip
    if config.input_floor and config.prediction_type != "sample":
        found.append(("input_floor", "expected 0 unless prediction_type is sample: the others read all noise anyway"))
    if config.regression and config.denoise_weight > 0:
        found.append(("denoise_weight", "expected 0 with regression, which adds no noise to p-Models"))
    if config.regression and config.prediction_type != "sample":
        found.append(("prediction_type", "expected sample with regression: there is no noise to predict"))
    return found


def _compute(config: TrainingConfig) -> list[Finding]:
    given = [name for name in ("torch_compile_backend", "torch_compile_mode") if getattr(config, name) is not None]
    if config.torch_compile:
        return []
    return [
        (name, "expected none unless torch_compile is true: without it, the setting has no effect") for name in given
    ]


def _unknown_names(config: TrainingConfig) -> list[Finding]:
    """Find settings that name something which no plugin provides. Only names are looked up; nothing is imported."""
    known = registries()
    wanted: list[tuple[str, Registry, list[str | None]]] = [
        ("dataset", known.datasets, [config.dataset]),
        ("encoders", known.encoders, [*config.encoders]),
        ("default_encoder", known.encoders, [config.default_encoder]),
        ("architecture", known.architectures, [config.architecture]),
        ("architectures", known.architectures, [*config.architectures]),
        ("tokenizer", known.tokenizers, [config.tokenizer]),
        ("scheduler", known.schedulers, [config.scheduler]),
    ]
    found = []
    for field, registry, specs in wanted:
        for spec in specs:
            if spec is None:
                continue
            try:
                registry.entry(spec.partition(":")[0])
            except ConfigError as error:
                found.append((field, str(error)))
    return found
