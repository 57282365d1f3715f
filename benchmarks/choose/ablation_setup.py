"""Build the zoos that rows of ablation.py need, and measure a trained generator.

ablation.py starts the measurement as a process of its own, which writes GENERATOR/figures.json:

    python -m benchmarks.choose.ablation_setup GENERATOR DATASET ZOO TASKS STEPS ... --encoders ENCODER ...
"""

from __future__ import annotations

import argparse
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from benchmarks.script import PRETRAINED, run
from tina_framework.errors import ConfigError
from tina_framework.generator.options import SamplingOptions
from tina_framework.storage.files import write_json

__all__ = ["BUNDLED_ZOO", "as_flag", "build_zoo", "check", "measure"]

BUNDLED_ZOO = PRETRAINED / "cifar100-zoo"


def as_flag(value: Any) -> str:
    """Return a TOML value in the form of the command line of training."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, dict):
        return ",".join(f"{key}:{part}" for key, part in value.items())
    return ",".join(map(str, value)) if isinstance(value, list) else str(value)


def check(plan: dict[str, Any], wanted: list[str]) -> None:
    """Raise ConfigError if the wanted rows do not exist, or name a row or zoo that does not."""
    for name in wanted:
        if name not in plan["rows"]:
            raise ConfigError(f"There is no row '{name}'. Known rows: {', '.join(plan['rows'])}.")
        row = plan["rows"][name]
        if row.get("against", "base") not in plan["rows"]:
            raise ConfigError(f"Row '{name}' has against = '{row['against']}', but there is no such row; correct it.")
        if "zoo" in row and row["zoo"] not in plan["zoo"]:
            raise ConfigError(f"Row '{name}' has zoo = '{row['zoo']}', but the file has no such zoo; correct it.")


def build_zoo(folder: Path, changes: dict[str, Any], given: argparse.Namespace, say: Callable[[str], None]) -> None:
    """Build a zoo like the bundled one except for `changes`, with p-Models of the same first class sets.

    Args:
        folder: where the zoo goes.
        changes: fields of its configuration. `ten_way_steps` is no such field: it first trains the generic model
            further on random ten-way tasks, for that many steps.
        given: the command line of ablation.py.
        say: called with a sentence about progress.
    """
    import torch

    from tina_framework.interfaces.spec import ParameterSpec
    from tina_framework.plugin.discovery import registries
    from tina_framework.storage.files import write_safetensors
    from tina_framework.zoo import build_plan, build_process, builder
    from tina_framework.zoo.manifest import read_manifest, write_manifest
    from tina_framework.zoo.store import Zoo

    torch.set_num_threads(1)
    bundled = Zoo.open(given.zoo)
    changes = dict(changes)
    steps = changes.pop("ten_way_steps", 0)
    nested: dict[str, Any] = {
        key: {**getattr(bundled.config, key), **changes.pop(key, {})} for key in ("generic", "model")
    }
    config = replace(bundled.config, **changes, **nested)
    spec = ParameterSpec(registries().architectures.create(config.architecture))
    dataset = registries().datasets.create(given.dataset)
    source: Path | None = given.zoo if nested["generic"] == bundled.config.generic else None
    if steps:
        source = folder.with_name(folder.name + "-source")
        if not (source / "zoo.json").is_file():
            shutil.rmtree(source, ignore_errors=True)
            shutil.copytree(given.zoo, source.with_suffix(".partial"), dirs_exist_ok=True)
            generic = ten_way(bundled, spec, dataset, given.encoders, steps)
            partial = source.with_suffix(".partial")
            write_safetensors(partial / "generic.safetensors", generic, digest=True)
            write_manifest(partial, read_manifest(partial).values)
            source.with_suffix(".partial").rename(source)

    def progress(stage: str, done: int, total: int) -> None:
        if done % 10 == 0:
            say(f"zoo {folder.name}: {stage} {done} of {total}")

    setup = build_process.ProcessSetup(config.architecture)
    plan = build_plan.plan_build(folder, config, spec, dataset, setup, progress=progress)
    builder.build_zoo(plan, generic_from=source)


def ten_way(zoo: Any, spec: Any, dataset: Any, encoders: list[str], steps: int) -> dict[str, Any]:
    """Train the generic model further on random ten-way tasks, as TAPER with one basis, which mixes nothing."""
    import torch

    from benchmarks.taper.training import TaperRecipe, train_taper
    from tina_framework.evaluation.taper_model import TaperConfig, TaperModel
    from tina_framework.targets.functional import TargetRunner
    from tina_framework.training.data import ConditionBank, TrainingImages
    from tina_framework.zoo.task_sampler import TaskSampler

    conditions = ConditionBank(dataset.class_names, encoders, zoo.class_names)
    config = TaperConfig(zoo.architecture, zoo.class_names, num_bases=1)
    taper = TaperModel(config, spec, conditions.space)
    taper.start_from(zoo.generic, 0.0, torch.Generator().manual_seed(0))
    recipe = TaperRecipe(steps=steps, spread=0.0)
    sampler = TaskSampler(zoo.class_names, partition="train", class_counts={10: 1.0}, seed=0)
    train_taper(
        taper, TrainingImages(dataset, "train", spec), conditions, sampler, TargetRunner(spec, "fp32", 1), recipe
    )
    return {
        name: tensor.contiguous()
        for name, tensor in spec.unflatten(taper.bases.detach()[0], len(zoo.class_names)).items()
    }


def measure(
    folder: Path, dataset_spec: str, encoders: list[str], zoo_folder: Path, count: int, steps: list[int]
) -> dict[str, Any]:
    """Return accuracies on ten-class validation tasks and validation images.

    They are those of generated networks for each number of steps, and of `selection` from the generator's own base.
    """
    import torch

    from tina_framework import Generator
    from tina_framework.interfaces.class_names import fold
    from tina_framework.plugin.discovery import registries
    from tina_framework.prompts.encoded_task import EncodedTask
    from tina_framework.training.data import ConditionBank
    from tina_framework.zoo.image_bank import ImageBank
    from tina_framework.zoo.p_models import start_of, task_accuracy
    from tina_framework.zoo.store import Zoo
    from tina_framework.zoo.task_sampler import TaskSampler

    torch.set_num_threads(1)
    generator = Generator.from_pretrained(folder, device="cpu")
    dataset, zoo, spec = registries().datasets.create(dataset_spec), Zoo.open(zoo_folder), generator.spec
    images = ImageBank(dataset, "validation", spec)
    bank = ConditionBank(dataset.class_names, encoders, zoo.class_names)
    sampler = TaskSampler(zoo.class_names, partition="validation", class_counts={10: 1.0}, seed=0)
    tasks = [task.classes for task in sampler.tasks(count, allow_fewer=True)]
    conditions = [EncodedTask(task, tuple(map(fold, task)), bank.raw(task)) for task in tasks]

    def selected(task: tuple[str, ...]) -> Any:
        rows = [zoo.class_names.index(name) for name in task]
        return spec.flatten(start_of(spec, {k: v.float() for k, v in zoo.generic.items()}, rows), len(task))

    def accuracies(flats: list[Any]) -> list[float]:
        pairs = zip(flats, tasks, strict=True)
        return [round(task_accuracy(spec, flat, task, images), 6) for flat, task in pairs]

    wanted = [1] if not generator.config.initial_noise else steps
    measured = {
        n: accuracies(generator.generate_parameters(conditions, SamplingOptions(num_inference_steps=n))) for n in wanted
    }
    return {
        "selection": accuracies([selected(task) for task in tasks]),
        # A regressor has one step only, so all step counts get the same figures.
        "accuracy": {str(n): measured.get(n, measured[wanted[0]]) for n in steps},
        "tasks": [list(task) for task in tasks],
    }


def main(words: list[str]) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("generator", type=Path, help="folder of the trained generator")
    parser.add_argument("dataset")
    parser.add_argument("zoo", type=Path)
    parser.add_argument("tasks", type=int, help="number of validation tasks")
    parser.add_argument("steps", type=int, nargs="+", help="numbers of sampling steps")
    parser.add_argument("--encoders", nargs="+", required=True)
    given = parser.parse_args(words)
    figures = measure(given.generator, given.dataset, given.encoders, given.zoo, given.tasks, given.steps)
    write_json(given.generator / "figures.json", figures)


if __name__ == "__main__":
    run(main)
