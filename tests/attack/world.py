"""A tiny world to attack: twelve classes of coloured noise, a made-up zoo, a random generator and classifiers.

Nothing here trains: the process that makes the world forks later, and it must not have run a training step.
"""

from __future__ import annotations

import copy
import json
import os
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import nn

from tests.attack import warm
from tests.conftest import TOY_CLASSES, SeeingToyEncoder, ToyEncoder
from tina_framework.classifier.classifier import GeneratedClassifier
from tina_framework.denoiser.normalizer import Normalizer
from tina_framework.denoiser.presets import build_config
from tina_framework.denoiser.transformer import Denoiser
from tina_framework.generator.generator import Generator, GeneratorConfig
from tina_framework.interfaces.architecture import FrozenTrunk, TargetArchitecture
from tina_framework.interfaces.spec import ParameterSpec
from tina_framework.plugin.discovery import registries
from tina_framework.prompts.condition_space import ConditionSpace

__all__ = ["World", "make_inputs", "make_world"]

ZOO_RECIPE = """
shard_size = 2
class_counts = {3 = 1.0, 4 = 1.0}
generic = {epochs = 2, batch_size = 64, lr = 0.05, precision = "fp32"}
model = {epochs = 1, batch_size = 16, lr = 0.05, precision = "fp32"}
generic_widths = [0.5]
narrow = {epochs = 1}
"""
ZOO_MODELS = 5


@dataclass(frozen=True)
class World:
    """The inputs of all attacks. None of them is ever written again.

    Attributes:
        root: a folder with ``data.npz``, ``table.npz``, ``recipe.toml`` and ``pictures/``; `make_inputs` adds ``generator``,
            ``classifier``, ``tasks.json``, ``zoo`` and ``run-stopped``.
        generator: a random generator; it needs no download.
        other_generator: the same with other weights and a card written by hand.
        classifier: a classifier of three classes.
        other_classifier: the same with other weights.
        behind_trunk: a classifier on a frozen trunk; saved with it, a folder has one file more.
    """

    root: Path
    generator: Generator
    other_generator: Generator
    classifier: GeneratedClassifier
    other_classifier: GeneratedClassifier
    behind_trunk: GeneratedClassifier

    @property
    def data(self) -> str:
        return f"arrays:{self.root / 'data.npz'}"

    @property
    def table(self) -> str:
        return f"embedding-table:{self.root / 'table.npz'}"

    def zoo_command(self, out: Path, workers: int) -> list[str]:
        """Return the words of a `tina zoo build`."""
        words = ["zoo", "build", "--out", out, "--dataset", self.data, "--config", self.root / "recipe.toml"]
        return [str(word) for word in [*words, "--num-models", ZOO_MODELS, "--workers", workers, "--device", "cpu"]]

    def teacher_command(self, out: Path) -> list[str]:
        """Return the words of a `tina train-teacher` of two epochs."""
        words = ["train-teacher", "--out", out, "--dataset", self.data, "--architecture", "cnn-2layer", "--epochs", 2]
        return [str(word) for word in [*words, "--batch-size", 32, "--device", "cpu"]]

    def train_command(self, out: Path, zoo: Path, **changes: str) -> list[str]:
        """Return the words of a `tina train` of a few steps."""
        settings = {
            "output_dir": str(out),
            "dataset": self.data,
            "zoo": str(zoo),
            "encoders": self.table,
            "preset": "tiny",
            "max_classes": "4",
            "class_counts": "4:2,3:1",
            "images_per_task": "10",
            "task_batch_size": "2",
            "denoise_batch_size": "2",
            "num_inference_steps": "2",
            "num_validation_tasks": "2",
            "validation_steps": "2",
            "checkpointing_steps": "1",
            "checkpoints_total_limit": "2",
            "max_steps": "3",
            "lr_warmup_steps": "1",
            "logging_steps": "2",
            "target_precision": "fp32",
            "target_workers": "1",
        }
        return ["train", *(word for name, value in (settings | changes).items() for word in (f"--{name}", value))]


def make_world(root: Path) -> World:
    """Write the files of the world, and make its models."""
    torch.set_num_threads(1)
    for encoder in (ToyEncoder, SeeingToyEncoder):
        if encoder.name not in registries().encoders:
            registries().encoders.add(encoder.name, encoder)
    root.mkdir(parents=True)
    _write_data(root)
    (root / "recipe.toml").write_text(ZOO_RECIPE, encoding="utf-8")
    generator = _generator()
    other = Generator(
        replace(generator.config, metrics={}),
        _generator(seed=1).denoiser,
        generator.normalizer,
        generator.condition_space,
        generator.generic,
    )
    classifier, other_classifier = (generator(["ant", "bee", "cat"], seed=seed) for seed in (0, 1))
    return World(root, generator, other, classifier, other_classifier, _behind_trunk())


def _behind_trunk() -> GeneratedClassifier:
    """Return a classifier on a frozen trunk. Its architecture is registered, so that its folder can be loaded."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        trunk, head = nn.Conv2d(3, 4, 5, stride=4), nn.Sequential(nn.Flatten(), nn.Linear(4, 3))
    architecture = TargetArchitecture(
        "attack-head",
        lambda count: nn.Sequential(nn.Flatten(), nn.Linear(4, count)),
        (3, 8, 8),
        trunk=FrozenTrunk("attack-trunk", lambda: copy.deepcopy(trunk), (4, 1, 1)),
    )
    if architecture.name not in registries().architectures:
        registries().architectures.add(architecture.name, architecture)
    return GeneratedClassifier.from_state(architecture, ["ant", "bee", "cat"], head.state_dict())


def make_inputs(world: World) -> None:
    """Write the folders that commands start from. They are trained in forked processes."""
    from tina_framework.cli.__main__ import main

    root = world.root
    world.generator.save_pretrained(root / "generator")
    world.classifier.save_pretrained(root / "classifier")
    names = json.dumps(
        {"tasks": [{"classes": list(names)} for names in (("ant", "bee"), ("cat", "dog"), ("eel", "fox"))]}
    )
    (root / "tasks.json").write_text(names, encoding="utf-8")
    commands = [
        world.zoo_command(root / "zoo", 1),
        world.train_command(Path("run"), root / "zoo", max_seconds="0.000001"),
    ]
    for words in commands:
        ended = warm.import_what_it_imports(lambda words=words: (os.chdir(root), main(words)), root)
        if ended.code != 0:
            raise RuntimeError(f"{words[:2]} {ended.words}\n{ended.output}")
    (root / "run").rename(root / "run-stopped")


def _write_data(root: Path) -> None:
    from PIL import Image

    draws = np.random.default_rng(0)
    colours = draws.integers(40, 216, size=(len(TOY_CLASSES), 3))
    labels = np.repeat(np.arange(len(TOY_CLASSES)), 20)
    noise = draws.normal(scale=25, size=(len(labels), 32, 32, 3))
    images = np.clip(colours[labels][:, None, None] + noise, 0, 255).astype(np.uint8)
    np.savez(
        root / "data.npz",
        train_images=images,
        train_labels=labels,
        test_images=images[::10],
        test_labels=labels[::10],
        class_names=np.array(TOY_CLASSES),
        fine_to_coarse=np.arange(len(TOY_CLASSES)) % 4,
        coarse_names=np.array(["a", "b", "c", "d"]),
    )
    vectors = draws.normal(size=(2, len(TOY_CLASSES), 16)).astype(np.float32) + 1.0
    np.savez(root / "table.npz", names=np.array(TOY_CLASSES), vectors=vectors, templates=["a {}", "{}"], space="toy")
    for name in ("ant", "bee", "cat"):
        (root / "pictures" / name).mkdir(parents=True)
        for number in range(3):
            picture = Image.fromarray(images[20 * TOY_CLASSES.index(name) + number])
            picture.save(root / "pictures" / name / f"{number}.png")


def _generator(seed: int = 0) -> Generator:
    encoder = ToyEncoder()
    spec = ParameterSpec(registries().architectures.create("cnn-2layer"))
    tokenizer = registries().tokenizers.create("class-row")
    sizes = build_config("tiny", condition_dim=encoder.dim, layout=tokenizer.layout(spec, 10, 10), max_classes=10)
    torch.manual_seed(seed)
    denoiser = Denoiser(sizes)
    with torch.no_grad():
        for parameter in denoiser.parameters():
            parameter.add_(0.05 * torch.randn_like(parameter))
    generic = spec.architecture.build(len(TOY_CLASSES)).state_dict()
    space = ConditionSpace.fit(encoder.space, encoder.encode_text(TOY_CLASSES))
    scheduler = registries().schedulers.create("ddim")
    config = GeneratorConfig(
        architecture="cnn-2layer",
        tokenizer={"name": "class-row", "config": tokenizer.config},
        scheduler={"name": "ddim", "config": dict(scheduler.config)},
        denoiser=sizes,
        condition={"space": encoder.space, "scale": space.scale, "templates": list(encoder.templates)},
        default_encoder="toy",
        max_classes=10,
        num_inference_steps=2,
        class_names=TOY_CLASSES,
        training={"recipe": "none"},
        metrics={"toy": {"seen": {"3": 0.5}, "unseen-combination": {"3": 0.25}}},
    )
    return Generator(config, denoiser, Normalizer.fit(spec, generic), space, generic)
