"""The first stage of a build: the generic models, and ``zoo.json``, which says that they are finished."""

from __future__ import annotations

import functools
import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from tina_framework.errors import CheckpointError, ConfigError
from tina_framework.interfaces.class_names import checked_names
from tina_framework.interfaces.spec import ParameterSpec
from tina_framework.storage.files import check_tensors, read_digested, read_hashed, write_safetensors
from tina_framework.targets.accuracy import accuracy, logits
from tina_framework.targets.sgd import SGDRecipe
from tina_framework.targets.trunk import trunk_record
from tina_framework.zoo.build_folder import PARTIAL_GENERIC, remove_other_widths
from tina_framework.zoo.build_plan import BuildPlan
from tina_framework.zoo.generic_training import train_generic
from tina_framework.zoo.image_bank import ImageBank
from tina_framework.zoo.manifest import (
    FORMAT,
    MANIFEST,
    VERSION,
    generic_file,
    read_generic_tensors,
    read_manifest,
    write_manifest,
)
from tina_framework.zoo.narrower import narrow_start
from tina_framework.zoo.p_models import network
from tina_framework.zoo.store import Zoo
from tina_framework.zoo.zoo_config import ZooConfig

__all__ = ["generic_figures", "has_generic", "make_generic", "read_generic"]

GENERIC_SETTINGS = ("architecture", "dataset", "train_split", "held_out_classes", "seed", "generic")
"""The settings on which the generic model depends. A teacher is one more, if the generic model learns from it."""


def has_generic(plan: BuildPlan) -> bool:
    """Return whether the generic model, of all widths, is finished. ``zoo.json`` is written after it."""
    return (plan.folder / MANIFEST).is_file()


def make_generic(plan: BuildPlan, generic_from: Path | None) -> None:
    """Train the generic models, or take those of another zoo, and write ``zoo.json``. Other processes wait for this file.

    The widest comes first, because those of narrower widths start as its leading slices.
    """
    source = None if generic_from is None else _open_source(plan, generic_from)
    images = _Images(plan)
    figures = _make_widest(plan, images, source)
    remove_other_widths(plan.folder, [generic_file(width) for width in plan.config.generic_widths])
    if plan.config.generic_widths:
        figures["validation_by_width"] = _make_narrower(plan, images, source) | {
            f"{plan.spec.architecture.width:g}": figures["validation"]
        }
    _declare(plan, {"generic": figures})


def read_generic(plan: BuildPlan) -> dict[str, Tensor]:
    """Read the generic models and compare them with ``zoo.json`` and with the architecture.

    Returns:
        The parameters of the widest, from which p-Models start.

    Raises:
        CheckpointError: one is missing or altered, or it does not fit.
    """
    manifest, found = read_manifest(plan.folder), {}
    for width in (None, *plan.config.generic_widths):
        path = plan.folder / generic_file(width)
        plan.transfer.fetch(path)
        found[width] = read_generic_tensors(plan.folder, manifest, width)
        _check_shapes(plan, width, found[width])
        plan.transfer.send(path)
    plan.transfer.send(plan.folder / MANIFEST)
    return found[None]


class _Images:
    """The images of a plan, each bank read when it is needed."""

    def __init__(self, plan: BuildPlan) -> None:
        self._plan = plan

    @functools.cached_property
    def train(self) -> ImageBank:
        """Images to train on."""
        plan = self._plan
        return ImageBank(plan.dataset, plan.config.train_split, plan.spec, plan.device, plan.progress, plan.teacher)

    @functools.cached_property
    def validation(self) -> ImageBank:
        """Images to measure with."""
        return ImageBank(self._plan.dataset, "validation", self._plan.spec, self._plan.device)

    def measure(self, spec: ParameterSpec, state: dict[str, Tensor], source: Zoo | None) -> dict[str, float]:
        """Return the validation figures of a generic model: those that the zoo it was taken from has, if any."""
        recorded = {} if source is None else source.figures.get("generic")
        if isinstance(recorded, Mapping) and isinstance(recorded.get("validation"), Mapping):
            return dict(recorded["validation"])
        return generic_figures(spec, state, self.validation)


def _make_widest(plan: BuildPlan, images: _Images, source: Zoo | None) -> dict[str, Any]:
    """Train the widest generic model, or take it, and return its figures."""
    config = plan.config
    identity = _identity(config, config.generic)
    if source is None:
        state = _trained(plan, images, None, plan.spec, config.generic, identity)
        return {"validation": images.measure(plan.spec, state, None)}
    _write(plan, None, source.generic, identity)
    if config.generic_widths:
        return {"validation": images.measure(plan.spec, source.generic, source)}
    figures = source.figures.get("generic", {})
    return {k: v for k, v in figures.items() if k != "validation_by_width"} if isinstance(figures, Mapping) else {}


def _make_narrower(plan: BuildPlan, images: _Images, source: Zoo | None) -> dict[str, dict[str, float]]:
    """Train the generic models of narrower widths, or take them, and return their figures: width -> figures."""
    config, found = plan.config, {}
    wider: float | None = None
    ready = () if source is None or _narrow_differences(plan, source) else source.config.generic_widths
    for width in reversed(config.generic_widths):
        spec = ParameterSpec(plan.spec.architecture.at_width(width))
        # Read from its file, so that a build that was stopped starts from the same numbers.
        start, sha256 = read_hashed(plan.folder / generic_file(wider))
        identity = _identity(config, config.narrow_recipe, width=width, wider=sha256)
        wider = width
        # A model depends on all wider ones, because each starts from the next.
        same_chain = [w for w in ready if w >= width] == [w for w in config.generic_widths if w >= width]
        if source is not None and width in ready and same_chain:
            taken = source.narrowed(spec)
            taken.check(spec)
            _write(plan, width, taken.generic, identity)
            found[f"{width:g}"] = images.measure(spec, taken.generic, taken)
            continue
        start = narrow_start(start, spec, len(plan.dataset.class_names))
        state = _trained(plan, images, width, spec, config.narrow_recipe, identity, start)
        found[f"{width:g}"] = images.measure(spec, state, None)
    return dict(reversed(found.items()))


def _trained(
    plan: BuildPlan,
    images: _Images,
    width: float | None,
    spec: ParameterSpec,
    recipe: dict[str, Any],
    identity: str,
    start: dict[str, Tensor] | None = None,
) -> dict[str, Tensor]:
    """Train one generic model and write its file, unless an earlier build did. `width` is None for the widest."""
    finished = _finished(plan, width, identity)
    if finished is not None:
        return finished
    sgd = SGDRecipe(**recipe)
    epochs = int(-(-sgd.epochs // 1))
    train, _ = images.train, images.validation  # both before training, so that missing images are reported at once
    stage = f"generic@{spec.architecture.width:g}" if plan.config.generic_widths else "generic"
    state = train_generic(
        spec,
        train,
        sgd,
        plan.config.seed,
        plan.folder / PARTIAL_GENERIC,
        identity,
        lambda epoch, _: plan.progress(stage, epoch, epochs),
        start,
    )
    _write(plan, width, state, identity)
    return state


def _write(plan: BuildPlan, width: float | None, state: dict[str, Tensor], identity: str) -> None:
    # With one width, zoo.json follows at once, and says that the model is finished. With several, the header says it.
    header = {"identity": identity} if plan.config.generic_widths else None
    write_safetensors(plan.folder / generic_file(width), state, header, digest=True)


def _finished(plan: BuildPlan, width: float | None, identity: str) -> dict[str, Tensor] | None:
    """Return the generic model that an earlier build of these settings finished."""
    path = plan.folder / generic_file(width)
    if not plan.config.generic_widths or not path.is_file():
        return None
    try:
        tensors, header = read_digested(path)
        _check_shapes(plan, width, tensors)
    except CheckpointError:
        return None  # a damaged file costs a training, not an error
    return tensors if header.get("identity") == identity else None


def _check_shapes(plan: BuildPlan, width: float | None, tensors: dict[str, Tensor]) -> None:
    spec = plan.spec if width is None else ParameterSpec(plan.spec.architecture.at_width(width))
    shapes = {info.name: info.shape for info in spec.parameters(len(plan.dataset.class_names))}
    check_tensors(tensors, shapes, f"'{plan.folder / generic_file(width)}'")


def _generic_settings(recipe: Mapping[str, Any]) -> tuple[str, ...]:
    return (*GENERIC_SETTINGS, "teacher") if recipe.get("teacher_weight") else GENERIC_SETTINGS


def _identity(config: ZooConfig, recipe: Mapping[str, Any], **more: Any) -> str:
    """Return a digest of all settings of a generic model. A state of other settings must not be continued."""
    recorded = config.to_json() | {"generic": dict(recipe)}
    settings = {name: recorded[name] for name in _generic_settings(recipe) if name in recorded} | more
    return hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()


def _open_source(plan: BuildPlan, place: Path) -> Zoo:
    """Open the zoo whose generic model is to be taken.

    Raises:
        CheckpointError: it is no zoo, or it is damaged.
        ConfigError: its generic model was made with other settings.
    """
    zoo = Zoo.open(place)
    zoo.check(plan.spec)
    differences = zoo.config.differences(plan.config)
    odd = [name for name in _generic_settings(plan.config.generic) if name in differences]
    names = checked_names(plan.dataset.class_names, f"Data set '{plan.dataset.name}': class_names")
    if odd or zoo.class_names != names:
        raise ConfigError(
            f"The generic model of '{place}' was made with other settings ({', '.join(odd) or 'classes'}); "
            "use the same ones, or leave out --generic to train one."
        )
    return zoo


def _narrow_differences(plan: BuildPlan, source: Zoo) -> list[str]:
    """Return the settings that keep the narrower generic models of another zoo from being taken."""
    names = {*_generic_settings(plan.config.narrow_recipe), "narrow"}
    return [name for name in source.config.differences(plan.config) if name in names]


def _declare(plan: BuildPlan, figures: dict[str, Any]) -> None:
    """Write ``zoo.json``. From then on the folder is a zoo, and other processes may start."""
    manifest: dict[str, Any] = {"format": FORMAT, "version": VERSION, "config": plan.config.to_json()}
    trunk = trunk_record(plan.spec.architecture)
    if trunk is not None:
        manifest["trunk"] = trunk
    if plan.teacher is not None:
        manifest["taught_by"] = plan.teacher.taught_by
    manifest |= {"class_names": list(plan.dataset.class_names), "figures": figures}
    write_manifest(plan.folder, manifest)


def generic_figures(spec: ParameterSpec, state: dict[str, Tensor], bank: ImageBank) -> dict[str, float]:
    """Measure the generic model on a bank's images. All figures are fractions of 1.

    Returns:
        ``accuracy`` over all classes, and ``selection_10_of_all``: the mean accuracy of selection on 100 random tasks
        of ten classes. Selection chooses among the outputs of the task's classes only.
    """
    count = len(bank.class_names)
    flat = spec.flatten(state, count).to(bank.images.device)
    module = network(spec, flat, count)
    scores = logits(module, bank.images)
    draws = torch.Generator().manual_seed(0)
    # A class of a single picture has no validation image. Draws of such classes alone would measure nothing.
    present = torch.isin(torch.arange(count), bank.labels.cpu())
    selection = []
    for _ in range(100):
        order = torch.randperm(count, generator=draws)
        classes = order[present[order]][:10].to(bank.labels.device)
        inside = torch.isin(bank.labels, classes)
        guess = classes[scores[inside][:, classes].argmax(dim=1)]
        selection.append(float((guess == bank.labels[inside]).float().mean()))
    return {
        "accuracy": accuracy(module, bank.images, bank.labels),
        "selection_10_of_all": sum(selection) / len(selection),
    }
