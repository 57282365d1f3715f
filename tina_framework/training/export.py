"""Make a generator from a training run, and record how it was trained."""

from __future__ import annotations

import functools
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tina_framework.config.training import TrainingConfig
from tina_framework.denoiser.transformer import Denoiser
from tina_framework.generator.generator import Generator, GeneratorConfig
from tina_framework.generator.target import GeneratorTarget, whitened_weights
from tina_framework.images import fit_settings
from tina_framework.storage.paths import user_path
from tina_framework.training.components import TrainingComponents
from tina_framework.training.run_scheduler import make_sampler
from tina_framework.training.validation import ValidationResult
from tina_framework.zoo.manifest import manifest_sha256

__all__ = ["git_commit", "make_generator", "portable", "recipe"]


def make_generator(
    targets: TrainingComponents | Sequence[TrainingComponents],
    denoiser: Denoiser,
    *,
    step: int = 0,
    seconds: float = 0.0,
    validation: ValidationResult | None = None,
) -> Generator:
    """Make a generator of a denoiser, which it shares and does not copy.

    Args:
        targets: the components of the run, or those for each of its architectures. The generator's default is the first one.
        denoiser: the denoiser with the averaged weights.
        step: number of optimizer steps so far.
        seconds: training time so far.
        validation: the validation figures to record, if there are any.
    """
    targets = [targets] if isinstance(targets, TrainingComponents) else targets
    components = targets[0]
    config, context = components.config, components.context
    sampler = make_sampler(config)
    space = context.conditions.space
    is_described = context.layout.descriptors is not None
    training: dict[str, Any] = {
        "recipe": recipe(config),
        "recipe_sha256": config.sha256(),
        "commit": git_commit(),
        "step": step,
        "seconds": round(seconds, 1),
        "dataset": portable(config.dataset),
        "encoders": [portable(encoder) for encoder in config.encoders],
        "seen_classes": list(components.seen_classes),
        "zoo_models": len(components.zoo.entries),
        "zoo_sha256": manifest_sha256(components.zoo.folder),
    }
    if components.taught_by is not None:
        training["taught_by"] = components.taught_by
    if components.origin is not None:
        training["start"] = components.origin
    if validation is not None:
        training["validation"] = validation.to_json()
    if len(targets) > 1:
        training["zoos_sha256"] = {t.spec.architecture.name: manifest_sha256(t.zoo.folder) for t in targets}
    described = GeneratorConfig(
        architecture=components.spec.architecture.name,
        tokenizer={"name": components.tokenizer.name, "config": dict(components.tokenizer.config)},
        scheduler={"name": config.scheduler, "config": dict(sampler.config)},
        denoiser=denoiser.config,
        condition={
            "space": space.space,
            "scale": space.scale,
            "templates": [portable(template) for template in context.conditions.templates],
            **({} if space.row_retrieval is None else {"recall": space.row_retrieval.settings()}),
            **({"open_vocabulary": True} if components.open_vocabulary else {}),
        },
        default_encoder=config.default_encoder or portable(config.encoders[0]),
        max_classes=config.max_classes,
        class_names=components.known_classes,
        num_inference_steps=config.sampling_steps,
        initial_noise=not config.regression,
        whitened=() if is_described else whitened_weights(context.normalizer),
        architectures={t.spec.architecture.name: _described(t, validation) for t in targets} if is_described else {},
        preprocessing=fit_settings(components.spec.architecture.crop_pct),
        training=training,
    )
    generic = components.generic if config.bundle_zoo_reference else None
    if not is_described:
        return Generator(described, denoiser, context.normalizer, space, generic)
    parts = {t.spec.architecture.name: GeneratorTarget(t.context.normalizer, t.context.rows) for t in targets}
    return Generator(described, denoiser, context.normalizer, space, generic, parts)


def _described(target: TrainingComponents, validation: ValidationResult | None) -> dict[str, Any]:
    """Return what the generator records of one of its architectures."""
    entry: dict[str, Any] = {
        "whitened": list(whitened_weights(target.context.normalizer)),
        "trained": target.weight > 0,
    }
    rows, relative = target.context.rows, target.spec.relative
    if relative is not None and rows is not None:
        shares = {"filters": rows.filter_share, "rows": rows.row_share}
        entry["relative"] = {"architecture": relative.architecture.name, **shares}
    if validation is not None:
        name = target.spec.architecture.name
        entry["validation"] = dict(validation.by_architecture.get(name, validation.to_json()))
    return entry


_PATHS = frozenset(
    {"output_dir", "zoo", "dataset", "init_from", "resume_from_checkpoint", "default_encoder", "teacher"}
)
"""Settings that may name a folder or a file."""


def recipe(config: TrainingConfig) -> dict[str, Any]:
    """Return the settings as JSON values, without folders that exist on this machine only."""
    values = config.to_json()
    for name, value in values.items():
        if name in _PATHS and value is not None:
            values[name] = portable(value)
    for name in ("encoders", "zoos"):
        values[name] = [portable(place) for place in getattr(config, name)]
    return values


def portable(spec: str) -> str:
    """Return a spec with the folders of absolute paths removed.

    ``arrays:/home/me/cifar100.npz`` becomes ``arrays:cifar100.npz``: an exported generator must not tell the names of
    folders on the machine that trained it.
    """
    name, colon, argument = spec.rpartition(":") if not user_path(spec).is_absolute() else ("", "", spec)
    # The name of a template ends with the template: ``embedding-table:/folder/file.npz: a {}``.
    if name and user_path(name.partition(":")[2]).is_absolute():
        return f"{portable(name)}{colon}{argument}"
    return f"{name}{colon}{Path(argument).name if user_path(argument).is_absolute() else argument}"


@functools.cache
def git_commit() -> str | None:
    """Return the git commit of the package's source tree, with ``-dirty`` if files changed, or None if there is none.

    The result of the first call is kept, because the source tree may change while a run lasts.
    """
    here = Path(__file__).resolve().parent

    def git(*arguments: str) -> str:
        done = subprocess.run(
            ["git", "-C", str(here), *arguments], capture_output=True, text=True, timeout=20, check=True
        )
        return done.stdout.strip()

    try:
        if not git("ls-files", str(Path(__file__).name), "__init__.py"):
            return None  # the package is installed inside another repository
        return git("rev-parse", "HEAD") + ("-dirty" if git("status", "--porcelain", "--", str(here.parent)) else "")
    except (OSError, subprocess.SubprocessError):
        return None
