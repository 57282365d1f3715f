"""The table of everything that writes: what it needs, how it runs, and how its result is read.

A writer that is added here is attacked by kills and by two processes at once, without further code.
"""

from __future__ import annotations

import re
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

from tests.attack import processes, snapshot
from tests.attack.world import World
from tina_framework.classifier.classifier import GeneratedClassifier
from tina_framework.cli.__main__ import main
from tina_framework.errors import CheckpointError, TinaError
from tina_framework.generator.generator import Generator
from tina_framework.storage.files import read_digested, read_json
from tina_framework.targets.trunk import trunk_state

__all__ = ["ABSENT", "UNFINISHED", "Writer", "writers"]

ABSENT = "absent"
"""What a reader returns if there is nothing at the path."""

UNFINISHED = "unfinished"
"""What a reader returns if it was refused with a sentence, because the work is not finished."""

Act = Callable[[Path], None]


def _nothing(folder: Path) -> None:
    pass


@dataclass(frozen=True)
class Writer:
    """One way of writing.

    Attributes:
        name: for the table.
        group: the row of the table that counts its kills.
        write: writes into a sandbox folder. Called again after a kill, as a user would do.
        prepare: makes what must be there before.
        read: returns a digest of what a reader sees, or `ABSENT` or `UNFINISHED`. It raises if the reader fails.
        again: how the call is repeated after a kill; None: like the first time.
        finished: matches the paths of finished pieces of work, which must not be made a second time.
        workers: also kill the worker processes.
        reader_may_wait: whether a reader may be refused until the work is finished.
        paired: whether two processes at once are tried, too.
    """

    name: str
    group: str
    write: Act
    read: Callable[[Path], str]
    prepare: Act = _nothing
    again: Act | None = None
    finished: re.Pattern[str] = field(default_factory=lambda: re.compile(r"(?!)"))
    workers: bool = False
    reader_may_wait: bool = False
    paired: bool = True


def _state(tensors: dict[str, object]) -> str:
    import hashlib

    digest = hashlib.sha256()
    for name in sorted(tensors):
        digest.update(name.encode())
        digest.update(tensors[name].detach().cpu().float().numpy().tobytes())  # type: ignore[attr-defined]
    return digest.hexdigest()


def _absent(folder: Path) -> str:
    """Return `ABSENT`, or raise the error again if there is a folder: a reader may have put it back first."""
    if folder.exists():
        raise
    return ABSENT


def read_classifier(folder: Path) -> str:
    """Return a digest of a classifier's weights and names."""
    try:
        model = GeneratedClassifier.from_pretrained(folder)
    except TinaError:
        return _absent(folder)
    return f"{model.class_names} {_state(classifier_tensors(model))}"


def classifier_tensors(model: GeneratedClassifier) -> dict[str, object]:
    """Return the weights of a classifier, and those of its trunk."""
    trunk = {} if model.trunk is None else trunk_state(model.trunk)
    return {**model.state_dict(), **{f"trunk.{name}": tensor for name, tensor in trunk.items()}}


def read_classifiers(folder: Path) -> str:
    """Return a digest of a folder of numbered classifiers, or of one classifier."""
    if not folder.exists():
        return ABSENT
    inner = sorted(path for path in folder.iterdir() if path.is_dir())
    return " ".join(read_classifier(path) for path in inner) if inner else read_classifier(folder)


def read_generator(folder: Path) -> str:
    """Return a digest of a generator's weights, and of its card."""
    try:
        model = Generator.from_pretrained(folder)
    except TinaError:
        return _absent(folder)
    tensors = {f"{n}": t for n, t in model.denoiser.state_dict().items()}
    tensors |= {f"generic.{n}": t for n, t in (model.generic or {}).items()}
    return f"{model.config.class_names} {model.config.metrics} {_state(tensors)}"


def read_zoo(folder: Path) -> str:
    """Return a digest of a zoo, all models included; `UNFINISHED` if it says so itself."""
    from tina_framework.zoo.store import Zoo

    if not folder.exists():
        return ABSENT
    try:
        zoo = Zoo.open(folder)
    except CheckpointError as error:
        if "tina zoo build" in str(error):
            return UNFINISHED
        raise
    models = {str(entry.id): zoo.flat(entry.id) for entry in zoo.entries}
    generic = [_state(dict(zoo.generic)), *(_state(dict(zoo.generic_at(width))) for width in zoo.config.generic_widths)]
    return f"{[entry.classes for entry in zoo.entries]} {_state(models)} {generic}"


def read_teacher(path: Path) -> str:
    """Return a digest of a teacher's table."""
    from tina_framework.zoo.teacher import Teacher

    return f"{Teacher.load(path).record} {_state({'logits': Teacher.load(path).logits})}" if path.exists() else ABSENT


def read_run(folder: Path) -> str:
    """Return a digest of the exported generators of a run. Its newest checkpoint must be usable."""
    from tina_framework.training import checkpoint

    root = folder / "checkpoints"
    found, skipped = checkpoint.find_latest(root)
    if skipped:
        raise CheckpointError(skipped[0])
    exported = [read_generator(folder / name) for name in ("best", "generator")]
    return " ".join(exported) if found is not None and ABSENT not in exported else UNFINISHED


def read_program(path: Path) -> str:
    """Return a digest of what an exported program answers."""
    if not path.exists():
        return ABSENT

    def digest() -> str:
        import torch

        pictures = torch.arange(2 * 32 * 32 * 3).remainder(256).to(torch.uint8).view(2, 32, 32, 3)
        return _state({"logits": torch.export.load(path).module()(pictures)})

    return _forked(digest)


def _forked(function: Callable[[], str | None]) -> str:
    """Call a function in a forked process, and return its text. `torch.export` starts threads, after which this one must not fork."""
    with tempfile.TemporaryDirectory() as folder:
        note = Path(folder) / "note"
        ended = processes.run(lambda: note.write_text(function() or "", encoding="utf-8"), Path(folder) / "log")
        assert ended.code == 0, ended.output
        return note.read_text(encoding="utf-8")


def read_json_file(path: Path) -> str:
    """Return the text of a JSON file."""
    return repr(read_json(path)) if path.exists() else ABSENT


def writers(world: World) -> list[Writer]:
    """Return the table."""
    return [*_saves(world), *_commands(world), *_changes(world), *_zoos(world), *_runs(world)]


def _saves(world: World) -> list[Writer]:
    def card(sandbox: Path) -> None:
        world.other_generator.save_pretrained(sandbox / "out", card="# A card\n\nWritten by hand.\n")

    read_c, read_g = (lambda box: read_classifier(box / "out")), (lambda box: read_generator(box / "out"))
    replaced = Writer(
        "classifier, over an old one",
        "classifier",
        lambda box: world.classifier.save_pretrained(box / "out"),
        read_c,
        lambda box: world.other_classifier.save_pretrained(box / "out"),
    )
    generator = Writer(
        "generator, over an old one",
        "generator",
        lambda box: world.generator.save_pretrained(box / "out"),
        read_g,
        card,
    )
    return [
        Writer("classifier, new", "classifier", lambda box: world.classifier.save_pretrained(box / "out"), read_c),
        replaced,
        _without_exchange(replaced),
        Writer(
            "classifier with its trunk, over one without",
            "classifier",
            lambda box: world.behind_trunk.save_pretrained(box / "out", include_trunk=True, dtype="float16"),
            read_c,
            lambda box: world.other_classifier.save_pretrained(box / "out"),
        ),
        Writer(
            "classifier, over one with its trunk",
            "classifier",
            lambda box: world.classifier.save_pretrained(box / "out"),
            read_c,
            lambda box: world.behind_trunk.save_pretrained(box / "out", include_trunk=True),
        ),
        Writer("generator, new", "generator", lambda box: world.generator.save_pretrained(box / "out"), read_g),
        generator,
        _without_exchange(generator),
        Writer(
            "generator with a card, over an old one",
            "generator",
            card,
            read_g,
            lambda box: world.generator.save_pretrained(box / "out"),
        ),
    ]


def _commands(world: World) -> list[Writer]:
    pictures = [f"{name}={world.root / 'pictures' / name}" for name in ("ant", "bee", "cat")]

    def generate(box: Path, *words: str) -> None:
        main(["generate", *words, "--model", str(world.root / "generator"), "--out", str(box / "out")])

    def tune(box: Path) -> None:
        classifier = str(world.root / "classifier")
        main(["fine-tune", classifier, *pictures, "--steps", "2", "--out", str(box / "out")])

    def old(box: Path) -> None:
        world.classifier.save_pretrained(box / "out")

    def numbered(box: Path) -> None:
        for number in ("000", "001", "002"):
            world.classifier.save_pretrained(box / "out" / number)

    tasks = world.root / "tasks.json"
    return [
        Writer("tina generate --out, new", "classifier", lambda box: generate(box, "bee", "cat"), _out_classifier),
        Writer(
            "tina generate --out, over an old one",
            "classifier",
            lambda box: generate(box, "bee", "cat"),
            _out_classifier,
            old,
        ),
        Writer(
            "tina generate --tasks, over old ones",
            "classifier",
            lambda box: generate(box, "--tasks", str(tasks)),
            lambda box: read_classifiers(box / "out"),
            numbered,
        ),
        Writer("tina fine-tune --out, new", "fine-tune", tune, _out_classifier),
        Writer("tina fine-tune --out, over an old one", "fine-tune", tune, _out_classifier, old),
        Writer(
            "tina export, over an old file",
            "files",
            lambda box: main(
                ["export", str(world.root / "classifier"), "--format", "torch-export", "--out", str(box / "out.pt2")]
            ),
            lambda box: read_program(box / "out.pt2"),
            lambda box: (
                _forked(lambda: world.other_classifier.export(box / "out.pt2", "torch-export") and None) and None
            ),
        ),
        Writer(
            "tina train-teacher",
            "files",
            lambda box: main(world.teacher_command(box / "t.safetensors")),
            lambda box: read_teacher(box / "t.safetensors"),
        ),
        Writer(
            "tina zoo tasks", "files", lambda box: _draw_tasks(world, box), lambda box: read_json_file(box / "t.json")
        ),
    ]


def _changes(world: World) -> list[Writer]:
    """Return the writers that change single files of a folder, and those of reports."""
    from tests.evaluation.bench.test_tables import SUMMARY as BENCH
    from tests.evaluation.test_model_metadata import SUMMARY
    from tests.evaluation.test_results import SETUP, TASKS, result
    from tina_framework.evaluation.bench.files import read_entries, write_bench
    from tina_framework.evaluation.model_metadata import record_accuracy
    from tina_framework.evaluation.results import assemble, write_results

    def saved(box: Path) -> None:
        world.generator.save_pretrained(box / "out")

    def edited(box: Path) -> None:
        world.classifier.save_pretrained(box / "out")
        config = box / "out" / "config.json"
        config.write_text(config.read_text(encoding="utf-8").replace('"cat"', '"dog"'), encoding="utf-8")

    def read_edited(box: Path) -> str:
        try:
            return read_classifier(box / "out")
        except CheckpointError as error:
            if "tina rehash" in str(error):
                return UNFINISHED
            raise

    def report(box: Path) -> None:
        write_results(box / "out", assemble(TASKS, [result("tina", [0.5, 0.4, 0.3, 0.2])], SETUP))

    def old_report(box: Path) -> None:
        write_results(box / "out", assemble(TASKS, [result("tina", [0.1, 0.1, 0.1, 0.1])], SETUP))

    def read_report(box: Path) -> str:
        return read_json_file(box / "out" / "results.json")

    def old_bench(box: Path) -> None:
        write_bench(box / "out", {**BENCH, "methods": BENCH["methods"][:2]})

    def read_bench(box: Path) -> str:
        found = read_entries(box / "out", BENCH["identity"])
        return repr([entry.to_json() for entry in found.values()]) if found else ABSENT

    return [
        Writer(
            "accuracy recorded in a generator",
            "files",
            lambda box: record_accuracy(box / "out", SUMMARY),
            lambda box: read_generator(box / "out"),
            saved,
        ),
        Writer(
            "tina rehash",
            "files",
            lambda box: main(["rehash", str(box / "out")]),
            read_edited,
            edited,
            reader_may_wait=True,
            paired=False,
        ),
        Writer("results, new", "files", report, read_report),
        Writer("results, over old ones", "files", report, read_report, old_report),
        Writer("bench, one more method", "files", lambda box: write_bench(box / "out", BENCH), read_bench, old_bench),
    ]


def _without_exchange(writer: Writer) -> Writer:
    """Return the same writer on a system that cannot exchange two folders in one operation."""

    def write(box: Path) -> None:
        from tina_framework.storage import exchange

        exchange._exchanger = lambda: None  # type: ignore[assignment]
        writer.write(box)

    return replace(writer, name=f"{writer.name}, in two steps", write=write)


def _draw_tasks(world: World, box: Path) -> None:
    words = ["--dataset", world.data, "--num-tasks", "3", "--classes", "3"]
    main(["zoo", "tasks", str(box / "t.json"), *words])


def _out_classifier(box: Path) -> str:
    return read_classifier(box / "out")


GENERIC = ("generic.safetensors", "generic-0.5.safetensors")
"""The generic models of the world's zoo."""


def _part_of_zoo(world: World, box: Path, *names: str) -> None:
    """Copy some files and folders of the zoo that is there."""
    (box / "zoo").mkdir()
    for name in names:
        source = world.root / "zoo" / name
        (shutil.copytree if source.is_dir() else shutil.copyfile)(source, box / "zoo" / name)


def _zoos(world: World) -> list[Writer]:
    models = re.compile(r"zoo/models/\d+\.safetensors")

    def read(box: Path) -> str:
        return read_zoo(box / "zoo")

    def read_shards(box: Path, expected: int) -> str:
        assert read(box) == UNFINISHED  # only the index completes a zoo
        shards = sorted((box / "zoo" / "shards").glob("shard-*.safetensors"))
        states = [_state(dict(read_digested(path)[0])) for path in shards]
        return " ".join(states) if len(states) == expected else UNFINISHED

    return [
        Writer(
            "tina zoo build",
            "zoo",
            lambda box: main(world.zoo_command(box / "zoo", 1)),
            read,
            finished=models,
            reader_may_wait=True,
        ),
        Writer(
            "tina zoo build --workers 2",
            "zoo",
            lambda box: main(world.zoo_command(box / "zoo", 2)),
            read,
            finished=models,
            workers=True,
            reader_may_wait=True,
        ),
        Writer(
            "tina zoo build --stage generic",
            "zoo",
            lambda box: main([*world.zoo_command(box / "zoo", 1), "--stage", "generic"]),
            read,
            reader_may_wait=True,
        ),
        Writer(
            "tina zoo build --stage models",
            "zoo",
            lambda box: main([*world.zoo_command(box / "zoo", 1), "--stage", "models", "--shards", "0:2"]),
            lambda box: read_shards(box, 2),
            prepare=lambda box: _part_of_zoo(world, box, "zoo.json", *GENERIC),
            finished=models,
            reader_may_wait=True,
        ),
        Writer(
            "tina zoo build --stage models --workers 2",
            "zoo",
            lambda box: main([*world.zoo_command(box / "zoo", 2), "--stage", "models"]),
            lambda box: read_shards(box, 3),
            prepare=lambda box: _part_of_zoo(world, box, "zoo.json", *GENERIC),
            finished=models,
            workers=True,
            reader_may_wait=True,
        ),
        Writer(
            "tina zoo build --stage index",
            "zoo",
            lambda box: main([*world.zoo_command(box / "zoo", 1), "--stage", "index"]),
            read,
            prepare=lambda box: _part_of_zoo(world, box, "zoo.json", *GENERIC, "shards"),
            reader_may_wait=True,
        ),
        Writer(
            "tina zoo export",
            "export",
            lambda box: main(["zoo", "export", str(world.root / "zoo"), str(box / "zoo")]),
            read,
            # A copy that is there is complete, and the command refuses to write over it.
            again=lambda box: (
                None if (box / "zoo").exists() else main(["zoo", "export", str(world.root / "zoo"), str(box / "zoo")])
            ),
        ),
    ]


def _runs(world: World) -> list[Writer]:
    zoo = world.root / "zoo"
    checkpoints = re.compile(r"run/checkpoints/step-\d+")

    def train(_: Path, **changes: str) -> None:
        main(world.train_command(Path("run"), zoo, **changes))

    def resume(box: Path) -> None:
        train(box, resume_from_checkpoint="latest")

    def stopped(box: Path) -> None:
        shutil.copytree(world.root / "run-stopped", box / "run")

    return [
        Writer(
            "tina train",
            "training",
            train,
            lambda box: read_run(box / "run"),
            again=resume,
            finished=checkpoints,
            reader_may_wait=True,
        ),
        Writer(
            "tina train, resumed",
            "training",
            resume,
            lambda box: read_run(box / "run"),
            prepare=stopped,
            finished=checkpoints,
            reader_may_wait=True,
        ),
    ]


def equal(box: Path, expected: dict[str, str]) -> list[str]:
    """Return in what a sandbox differs from the undisturbed one."""
    return snapshot.differences(snapshot.take(box), expected)
