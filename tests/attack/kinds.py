"""The table of everything that is read: an intact folder, another one of its kind, and a reader."""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import random
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tests.attack import mutations, operations, processes, snapshot, writers
from tests.attack.kills import _run, _sandbox
from tests.attack.mutations import Mutation
from tests.attack.world import World
from tina_framework.classifier.classifier import GeneratedClassifier
from tina_framework.cli.__main__ import main
from tina_framework.generator.generator import Generator
from tina_framework.plugin.discovery import registries

__all__ = ["Kind", "kinds"]


@dataclass(frozen=True)
class Kind:
    """One kind of input.

    Attributes:
        name: for the table.
        folder: an intact folder.
        other: a folder of the same kind with other contents.
        read: reads a folder completely, and returns a digest of what it read.
        sealed: whether digests protect it, so that it must be refused or load with the same contents.
        mutations: how it is damaged.
        share: how many of 10,000 altered inputs are of this kind.
        writes: whether reading writes into the folder.
        seconds: time limit.
        lists: whether an error message may list several faults, one on each line.
    """

    name: str
    folder: Path
    other: Path
    read: Callable[[Path], str]
    sealed: bool
    mutations: tuple[Mutation, ...]
    share: int
    writes: bool = False
    seconds: float = 5.0
    lists: bool = False


def kinds(world: World, root: Path) -> list[Kind]:
    """Make the folders, and return the table."""
    root.mkdir(parents=True)
    return [
        *_models(world, root),
        *_zoos(world, root),
        *_runs(world, root),
        *_teachers(world, root),
        *_users(world, root),
        *_pictures(world, root),
    ]


class CommandRefusedError(Exception):
    """A command ended with another exit code than 0; the text is its last line of standard error."""


def run_command(words: list[str]) -> None:
    """Run a command in this process.

    Raises:
        CommandRefusedError: it ended with a sentence.
    """
    errors = io.StringIO()
    code: Any = 0
    with contextlib.redirect_stderr(errors), contextlib.redirect_stdout(io.StringIO()):
        try:
            main(words)
        except SystemExit as end:
            code = end.code
    if code:
        raise CommandRefusedError((errors.getvalue().strip().splitlines() or [""])[-1])


def _models(world: World, root: Path) -> Iterator[Kind]:
    for name, model in (("c1", world.classifier), ("c2", world.other_classifier)):
        model.save_pretrained(root / name)
    world.behind_trunk.save_pretrained(root / "t1", include_trunk=True, dtype="float16")
    many = [f"{name}" for name in world.generator.config.class_names]
    for name, seed in (("e1", 0), ("e2", 1)):
        world.generator(many, seed=seed, compose=True).save_pretrained(root / name)
    world.generator.save_pretrained(root / "g1")
    world.other_generator.save_pretrained(root / "g2", card="# By hand\n")

    def classifier(folder: Path) -> str:
        model = GeneratedClassifier.from_pretrained(folder)
        rest = (model.class_names, model.preprocessing, model.provenance, model.abstention_threshold)
        return f"{rest} {writers._state(writers.classifier_tensors(model))}"

    def generator(folder: Path) -> str:
        model = Generator.from_pretrained(folder, device="cpu")
        tensors = dict(model.denoiser.state_dict()) | {f"generic.{n}": t for n, t in (model.generic or {}).items()}
        tensors |= {f"normalizer.{n}": t for n, t in model.normalizer.state_dict().items()}
        tensors |= {f"space.{n}": t for n, t in model.condition_space.state_dict().items()}
        return f"{json.dumps(model.config.to_dict(), sort_keys=True)} {writers._state(tensors)}"

    damage = (*mutations.BYTES, *mutations.FILES, *mutations.JSON, *mutations.HEADERS)
    yield Kind("classifier folder", root / "c1", root / "c2", classifier, True, damage, 1500)
    yield Kind("ensemble folder", root / "e1", root / "e2", classifier, True, damage, 300)
    yield Kind("classifier folder with its trunk", root / "t1", root / "c2", classifier, True, damage, 300)
    yield Kind("classifier folder, signed again", root / "c1", root / "c2", classifier, False, mutations.RESIGNED, 500)
    yield Kind("ensemble folder, signed again", root / "e1", root / "e2", classifier, False, mutations.RESIGNED, 200)
    yield Kind("generator folder", root / "g1", root / "g2", generator, True, damage, 1500)
    yield Kind("generator folder, signed again", root / "g1", root / "g2", generator, False, mutations.RESIGNED, 500)


def _zoos(world: World, root: Path) -> Iterator[Kind]:
    shutil.copytree(world.root / "zoo", root / "z1")
    _in_fork(lambda: main([*world.zoo_command(root / "z2", 1), "--seed", "7"]), root)
    _in_fork(lambda: main(["zoo", "export", str(root / "z1"), str(root / "x1")]), root)
    _in_fork(lambda: main(["zoo", "export", str(root / "z2"), str(root / "x2")]), root)

    def zoo(folder: Path) -> str:
        from tina_framework.interfaces.spec import ParameterSpec
        from tina_framework.zoo.store import Zoo

        opened = Zoo.open(folder)
        opened.check(ParameterSpec(registries().architectures.create(opened.architecture)))
        models = {str(entry.id): opened.flat(entry.id) for entry in opened.entries}
        rest = (opened.config, opened.class_names, opened.figures, list(opened.entries))
        generic = [opened.generic, *(opened.generic_at(width) for width in opened.config.generic_widths)]
        return f"{rest} {writers._state(models)} {[writers._state(dict(tensors)) for tensors in generic]}"

    damage = (*mutations.BYTES, *mutations.FILES, *mutations.JSON, *mutations.HEADERS)
    yield Kind("zoo", root / "z1", root / "z2", zoo, True, damage, 1000)
    yield Kind("zoo, exported", root / "x1", root / "x2", zoo, True, damage, 300)
    yield Kind("zoo, signed again", root / "z1", root / "z2", zoo, False, (mutations.edit_and_sign,), 400)

    def resume(folder: Path) -> str:
        run_command(world.zoo_command(folder, 1))
        return zoo(folder)

    for name, file in (("generic", "zoo/generic.partial.safetensors"), ("models", "zoo/models/000002.safetensors")):
        stopped = _stopped_zoo(world, root / f"stopped-{name}", file)
        yield Kind(
            f"zoo, stopped in its {name}", stopped, root / "z2", resume, True, damage, 150, writes=True, seconds=20.0
        )


def _teachers(world: World, root: Path) -> Iterator[Kind]:
    from tina_framework.zoo.teacher import Teacher

    for name, seed in (("h1", 0), ("h2", 1)):
        (root / name).mkdir()
        command = [*world.teacher_command(root / name / "t.safetensors"), "--seed", str(seed)]
        _in_fork(lambda command=command: main(command), root)

    def read(folder: Path) -> str:
        teacher = Teacher.load(folder / "t.safetensors")
        tensors = {"logits": teacher.logits, "labels": teacher.labels, "colours": teacher.colours}
        return f"{teacher.class_names} {teacher.taught_by} {teacher.record} {writers._state(tensors)}"

    # The table is one file, so another teacher's file in its place is no damage. A pupil records the SHA-256 of its teacher.
    files = [mutation for mutation in mutations.FILES if mutation is not mutations.foreign]
    damage = (*mutations.BYTES, *files, *mutations.HEADERS)
    yield Kind("table of a teacher", root / "h1", root / "h2", read, True, damage, 300)


def _stopped_zoo(world: World, root: Path, file: str) -> Path:
    """Build a zoo until a file has got its name, and return its folder."""
    [writer] = [writer for writer in writers.writers(world) if writer.name == "tina zoo build"]
    _run(writer, _sandbox(root / "whole", writer), None, again=False).wait()
    done, _ = operations.read_log(root / "whole" / "operations.log")
    last = next((o for o in done if o.path == file and o.kind in ("rename", "replace")), None)
    assert last is not None, f"{file} is not written any more; {[o.path for o in done if 'partial' not in o.path]}"
    box = _sandbox(root / "cut", writer)
    _run(writer, box, operations.Point(last.number, operations.AFTER), again=False).wait()
    return box / "zoo"


def _in_fork(function: Callable[[], Any], root: Path) -> None:
    ended = processes.run(function, root / "made.log")
    assert ended.code == 0, f"{ended.words}\n{ended.output}"


def _runs(world: World, root: Path) -> Iterator[Kind]:
    from tina_framework.errors import CheckpointError
    from tina_framework.training import checkpoint
    from tina_framework.training.run_log import RunLog

    source = world.root / "run-stopped"
    shutil.copytree(source, root / "r1" / "run")
    (root / "r2").mkdir()
    command = world.train_command(root / "r2" / "run", world.root / "zoo", max_seconds="0.000001", seed="5")
    _in_fork(lambda: main(command), root)
    [step] = checkpoint.list_checkpoints(source / "checkpoints")

    def read_checkpoint(folder: Path) -> str:
        reason = checkpoint.problem_with(folder)
        if reason is not None:
            raise CheckpointError(reason)
        # Only what the manifest names is read.
        names = json.loads((step / checkpoint.MANIFEST).read_text(encoding="utf-8"))["files"]
        return str([hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in names])

    def resume(folder: Path) -> str:
        words = world.train_command(folder / "run", world.root / "zoo", resume_from_checkpoint="latest")
        run_command(words)
        files = snapshot.take(folder / "run" / "checkpoints")
        return str({name: text for name, text in files.items() if name.endswith(".safetensors")})

    def log(folder: Path) -> str:
        made = RunLog(folder, 3, True, lambda figures, number: None)
        made.start(1)
        made.write("train", 2, {"loss": 1.0})
        made.close()
        return (folder / "log.jsonl").read_text(encoding="utf-8")

    (root / "l1").mkdir()
    shutil.copy(source / "log.jsonl", root / "l1" / "log.jsonl")
    damage = (*mutations.BYTES, *mutations.FILES, *mutations.JSON, *mutations.HEADERS)
    other = root / "r2" / "run" / "checkpoints" / step.name
    inside = root / "r1" / "run" / "checkpoints" / step.name
    yield Kind("checkpoint", inside, other, read_checkpoint, True, damage, 1000)
    yield Kind("run, resumed", root / "r1", root / "r2", resume, True, damage, 100, writes=True, seconds=20.0)
    yield Kind(
        "run log",
        root / "l1",
        root / "l1",
        log,
        False,
        (*mutations.BYTES, *mutations.FILES, mutations.edit_text),
        200,
        writes=True,
    )


def _users(world: World, root: Path) -> Iterator[Kind]:
    """Yield the files that users write. They have no digest, so an altered one may load with other contents."""
    from tina_framework.config.training import load_training_config
    from tina_framework.plugin.entry_points import find_plugins
    from tina_framework.prompts.task_file import load_prompt_tasks
    from tina_framework.zoo.recipe import load_recipe
    from tina_framework.zoo.tasks import load_tasks

    def one(name: str, *files: Path) -> Path:
        (root / name).mkdir()
        for file in files:
            shutil.copy(file, root / name / file.name)
        return root / name

    damage = (*mutations.BYTES, *mutations.FILES)
    picture = world.root / "pictures" / "ant" / "0.png"
    tasks = one("tasks", picture)
    values = {
        "tasks": [
            {
                "classes": [
                    "apple",
                    "bus=bus+a long bus",
                    {"label": "elephant", "texts": ["a grey animal"], "images": ["0.png"]},
                ]
            }
        ]
    }
    (tasks / "tasks.json").write_text(json.dumps(values), encoding="utf-8")
    text = (*damage, *mutations.JSON)
    yield Kind(
        "task file of prompts", tasks, tasks, lambda f: str(load_prompt_tasks(f / "tasks.json")), False, text, 600
    )
    drawn = one("drawn")
    _in_fork(
        lambda: main(
            ["zoo", "tasks", str(drawn / "tasks.json"), "--dataset", world.data, "--num-tasks", "3", "--classes", "3"]
        ),
        root,
    )
    yield Kind("task file of evaluation", drawn, drawn, lambda f: str(load_tasks(f / "tasks.json")), False, text, 300)
    toml = one("toml")
    settings = world.train_command(Path("run"), Path("zoo"))[1:]
    lines = [
        f"{key[2:]} = {json.dumps(value)}"
        for key, value in zip(settings[::2], settings[1::2], strict=True)
        if key != "--class_counts"
    ]
    lines += ["class_counts = {4 = 2.0, 3 = 1.0}"]
    lines = [_number(line) for line in lines]
    (toml / "run.toml").write_text("\n".join(lines), encoding="utf-8")
    yield Kind(
        "training settings",
        toml,
        toml,
        lambda f: str(load_training_config({}, f / "run.toml")),
        False,
        (*damage, *mutations.TOML),
        500,
        lists=True,
    )
    recipe = one("recipe", world.root / "recipe.toml")
    yield Kind(
        "zoo settings",
        recipe,
        recipe,
        lambda f: str(load_recipe(f / "recipe.toml", {})),
        False,
        (*damage, *mutations.TOML),
        400,
        lists=True,
    )
    data = one("data", world.root / "data.npz")
    yield Kind("data set (.npz)", data, data, lambda f: _dataset(f"arrays:{f / 'data.npz'}"), False, damage, 400)
    table = one("table", world.root / "table.npz")
    yield Kind(
        "embedding table (.npz)",
        table,
        table,
        lambda f: _encoder(f"embedding-table:{f / 'table.npz'}", "ant"),
        False,
        damage,
        250,
    )
    other = one("table2")
    _write_table(other / "table.safetensors")
    yield Kind(
        "embedding table (.safetensors)",
        other,
        other,
        lambda f: _encoder(f"embedding-table:{f / 'table.safetensors'}", "ant"),
        False,
        (*damage, *mutations.HEADERS),
        250,
    )
    shutil.copytree(world.root / "pictures", root / "tree")
    yield Kind(
        "folder of class folders",
        root / "tree",
        root / "tree",
        lambda f: _dataset(f"image-folder:{f}"),
        False,
        damage,
        400,
    )
    pretrained = Path(registries.__code__.co_filename).parent.parent / "pretrained" / "clip-lite"
    shutil.copytree(pretrained, root / "clip")
    yield Kind(
        "encoder folder",
        root / "clip",
        root / "clip",
        _clip_lite,
        True,
        (*damage, *mutations.JSON, *mutations.HEADERS),
        150,
    )
    plugin = root / "plugins"
    _write_plugin(plugin / "tina_x-1.0.dist-info")
    yield Kind(
        "plugin metadata",
        plugin,
        plugin,
        lambda f: str(find_plugins([str(f)])),
        False,
        (*damage, mutations.edit_text),
        400,
    )


def _number(line: str) -> str:
    """Write numbers in TOML as numbers: all values of a command line are strings."""
    key, _, value = line.partition(" = ")
    plain = value.strip('"')
    return f"{key} = {plain}" if plain.replace(".", "", 1).isdecimal() else line


def _dataset(name: str) -> str:
    data = registries().datasets.create(name)
    digest = hashlib.sha256(repr((data.class_names, data.superclasses)).encode())
    for split in ("train", "validation", "test"):
        loaded = data.load(split)
        digest.update(np.ascontiguousarray(loaded.images))
        digest.update(np.ascontiguousarray(loaded.labels))
    return digest.hexdigest()


def _encoder(name: str, word: str) -> str:
    encoder = registries().encoders.create(name)
    return f"{encoder.space} {encoder.templates} {np.asarray(encoder.encode_text([word])).tobytes().hex()}"


def _clip_lite(folder: Path) -> str:
    from PIL import Image

    from tina_framework.builtins.encoders.clip_lite import CLIPLite

    encoder = CLIPLite(folder)
    picture = Image.fromarray(np.full((32, 32, 3), 99, dtype=np.uint8))
    parts = (encoder.encode_text(["apple"]), encoder.encode_images([picture]), encoder.text_confidence(["aple"]))
    return f"{encoder.space} {encoder.templates} {[np.asarray(part).tobytes().hex() for part in parts]}"


def _write_table(path: Path) -> None:
    import torch

    from tina_framework.storage.files import write_safetensors

    texts = {"names": json.dumps(["ant", "bee"]), "templates": json.dumps(["a {}"]), "space": "toy"}
    write_safetensors(path, {"vectors": torch.ones(2, 16)}, texts)


def _write_plugin(folder: Path) -> None:
    folder.mkdir(parents=True)
    (folder / "METADATA").write_text(
        "Metadata-Version: 2.1\nName: tina-x\nVersion: 1.0\nSummary: x\n\ntext\n", encoding="utf-8"
    )
    (folder / "entry_points.txt").write_text("[tina_framework]\nx = tina_x.plugin\n", encoding="utf-8")
    (folder / "RECORD").write_text("tina_x-1.0.dist-info/METADATA,,\n", encoding="utf-8")


def _pictures(world: World, root: Path) -> Iterator[Kind]:
    from PIL import Image, features

    from tina_framework.images import read_picture

    draws = random.Random(0)
    pixels = np.frombuffer(draws.randbytes(24 * 20 * 3), dtype=np.uint8).reshape(20, 24, 3)
    picture = Image.fromarray(pixels)
    grey = Image.fromarray(pixels[..., 0].astype(np.float32) / 255)
    exif = Image.Exif()
    exif[0x0112], exif[0x010F] = 6, "maker"
    made: list[tuple[str, Image.Image, dict[str, Any]]] = [
        ("png", picture, {}), ("jpg", picture, {"exif": exif}), ("gif", picture, {}), ("tiff", picture, {"compression": "tiff_lzw"}),
        ("tif", grey, {}), ("webp", picture, {"exif": exif}), ("bmp", picture, {}),
    ]  # fmt: skip
    if features.check("avif"):
        made.append(("avif", picture, {}))
    for suffix, source, options in made:
        folder = root / f"picture-{suffix}"
        folder.mkdir()
        source.save(folder / f"p.{suffix}", **options)

        def read(place: Path, name: str = f"p.{suffix}") -> str:
            return hashlib.sha256(read_picture(place / name).tobytes()).hexdigest()

        yield Kind(
            f"picture ({source.format or suffix.upper()})",
            folder,
            folder,
            read,
            False,
            (*mutations.BYTES, *mutations.FILES),
            150,
        )
