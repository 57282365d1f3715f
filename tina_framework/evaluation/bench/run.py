"""One bench from start to end: load what the protocol names, measure method after method, keep what is done."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tina_framework.errors import TinaError
from tina_framework.evaluation.bench.entries import BenchEntry
from tina_framework.evaluation.bench.files import FORMAT, VERSION, read_entries, write_bench
from tina_framework.evaluation.bench.protocol import Numbers, Protocol
from tina_framework.evaluation.bench.sources import source_digest
from tina_framework.evaluation.environment import busy_warning, now
from tina_framework.evaluation.evaluate import (
    EvaluationRequest,
    checked_tasks,
    config_sha256,
    open_context,
    setup_record,
)
from tina_framework.evaluation.harness import MethodResult, Progress, no_progress, run_method
from tina_framework.evaluation.methods import MethodSpec, parse_methods
from tina_framework.evaluation.methods.nearest import Nearest
from tina_framework.evaluation.novelty import ZooComparison, shared_mistakes
from tina_framework.evaluation.prompt_sensitivity import measure_sensitivity
from tina_framework.evaluation.reproduce.fingerprints import fingerprint, picture_digests
from tina_framework.evaluation.results import assemble
from tina_framework.plugin.discovery import plugin_records, registries
from tina_framework.storage.locks import folder_lock
from tina_framework.zoo.manifest import manifest_sha256
from tina_framework.zoo.tasks import Task, TaskFile, load_task_file

if TYPE_CHECKING:
    from tina_framework.evaluation.scoring import Scorer
    from tina_framework.interfaces.dataset import Dataset
    from tina_framework.interfaces.method import Context, Network
    from tina_framework.zoo.reservation import LeakageReport

__all__ = ["BenchRequest", "run_bench"]


@dataclass(frozen=True)
class BenchRequest:
    """What to measure.

    Attributes:
        protocol: tasks, pictures, encoder, generator and zoo.
        dataset: spec of a data set, or the data set itself; None: that of the protocol.
        methods: as `parse_methods` returns it; None: all installed methods that need no argument and that the protocol does not
            leave out.
        quick: measure fewer tasks.
        model: registered name or folder of a generator in place of the protocol's.
        device: ``auto``, ``cpu``, ``cuda``, ...
        teacher: file of `tina train-teacher`, for rows with a `teacher_weight`.
        command: the command line, for the record.
    """

    protocol: Protocol
    dataset: str | Dataset | None = None
    methods: Sequence[MethodSpec] | None = None
    quick: bool = False
    model: str | None = None
    device: str = "auto"
    command: str = ""
    teacher: Path | None = None


def run_bench(
    request: BenchRequest,
    out: Path | None = None,
    progress: Progress = no_progress,
    notify: Callable[[str], None] = lambda text: None,
) -> dict[str, Any]:
    """Measure all methods, and return the contents of ``bench.json``.

    Args:
        request: what to measure.
        out: where to write after each method, and where an earlier run is continued; None: write nothing.
        progress: shows the progress of each method.
        notify: called with a sentence about methods that an earlier run has measured.

    Raises:
        ConfigError: `out` holds another bench, or another process writes there.
        TinaError: something cannot be loaded, or no method can run.
    """
    busy = busy_warning()  # asked now, because this run itself will keep the processor busy
    with contextlib.ExitStack() as stack:
        if out is not None:
            stack.enter_context(folder_lock(out, "runs a bench"))
        bench = _Bench(request, busy)
        # Rows of methods that were named in an earlier run stay, after those that are named now.
        entries = {} if out is None else read_entries(out, bench.identity)
        specs = _specs(request)
        order = list(dict.fromkeys([*(spec.label for spec in specs), *entries]))
        left = [spec for spec in specs if not bench.is_current(entries.get(spec.label), spec)]
        kept = [spec.label for spec in specs if spec not in left]
        if kept:
            notify(f"Measured before, and kept: {', '.join(kept)}.")
        for number, spec in enumerate(left, 1):
            entries[spec.label] = bench.measure(spec, f"{spec.label} ({number} of {len(left)})", progress)
            if out is not None:
                write_bench(out, bench.summary(_ordered(entries, order)))
    if not any(entry.has_networks for entry in entries.values()):
        reasons = "; ".join(f"{label}: {entry.result.skipped[0][1]}" for label, entry in entries.items())
        raise TinaError(f"No method could run. {reasons}")
    return bench.summary(_ordered(entries, order))


def _ordered(entries: Mapping[str, BenchEntry], order: Sequence[str]) -> list[BenchEntry]:
    return [entries[label] for label in order if label in entries]


def _specs(request: BenchRequest) -> list[MethodSpec]:
    """Return the methods to run: the reference first, then those that are named, or all of the default."""
    first = parse_methods(request.protocol.reference)
    if request.methods is not None:
        chosen = list(request.methods)
    else:
        left_out = request.protocol.leave_out
        entries = registries().methods.entries()
        chosen = [MethodSpec(e.name, None) for e in entries if not e.argument_required and e.name not in left_out]
    return first + [spec for spec in chosen if spec not in first]


class _Bench:
    """What the methods of one bench share."""

    def __init__(self, request: BenchRequest, busy: str | None) -> None:
        protocol = self.protocol = request.protocol
        self.numbers: Numbers = protocol.numbers(request.quick)
        self.quick = request.quick
        asked = EvaluationRequest(
            model=request.model or protocol.generator,
            dataset=protocol.dataset if request.dataset is None else request.dataset,
            tasks=protocol.task_file,
            encoder=protocol.encoder,
            zoo=registries().zoos.target(protocol.zoo),
            image_split=protocol.image_split,
            template=protocol.template,
            fine_tune_tasks=self.numbers.fine_tune_tasks,
            device=request.device,
            seed=protocol.seed,
            command=request.command,
            teacher=request.teacher,
        )
        self.context: Context
        self.scorer: Scorer
        self.context, self.scorer = open_context(asked)
        report = self._tasks(asked)
        self.tasks: tuple[Task, ...] = report.tasks
        self.scorer.check(self.tasks)
        self.setup = setup_record(asked, self.context, report, busy)
        self.identity = self._identity()
        self._zoo: ZooComparison | None = None

    def _tasks(self, asked: EvaluationRequest) -> LeakageReport:
        """Return the protocol's tasks, or some of them, evenly spaced."""
        file = load_task_file(self.protocol.task_file, class_names=self.context.dataset.class_names)
        tasks = [task for task in file.tasks if task.split == self.protocol.split]
        count = min(self.numbers.tasks, len(tasks))
        chosen = tuple(tasks[i * len(tasks) // count] for i in range(count))
        return checked_tasks(self.context, TaskFile(chosen, file.own))

    def _identity(self) -> dict[str, Any]:
        """Return what must be the same for all rows of a table."""
        context, names = self.context, self.context.dataset.class_names
        assert context.generator.folder is not None  # `open_context` loaded it
        assert context.zoo is not None
        machine = self.setup["machine"]
        pictures = context.dataset.load(self.protocol.image_split)  # type: ignore[arg-type]
        return {
            **self.protocol.sha256(),
            "extent": "quick" if self.quick else "full",
            "pictures": fingerprint(pictures, picture_digests(pictures, names)).unordered,
            "generator": config_sha256(context.generator.folder),
            "zoo": manifest_sha256(context.zoo.folder),
            "teacher": "" if context.teacher is None else context.teacher.sha256,
            "program_version": f"{self.setup['version']} with torch {machine['torch']}",
            "machine": f"{machine['accelerator'] or machine['processor']}, {machine['threads']} threads",
        }

    def is_current(self, entry: BenchEntry | None, spec: MethodSpec) -> bool:
        """Whether an earlier run measured this method, in the version that is installed now and with the same weights."""
        if entry is None or not entry.has_networks:
            return False
        return (entry.package, entry.source) == (_package(spec), source_digest(spec.argument))

    def measure(self, spec: MethodSpec, title: str, progress: Progress) -> BenchEntry:
        """Measure one method."""
        begin = time.monotonic()
        result = MethodResult(spec.label, tasks=[None] * len(self.tasks))
        entry = BenchEntry(result, _package(spec), source=source_digest(spec.argument))
        try:
            method = spec.create(self.context)
        except TinaError as error:
            entry.result.skipped.append((None, str(error)))
            return entry
        entry.about = {key: text for key in ("paper", "differs", "tuning") if (text := str(getattr(method, key)))}
        networks: dict[int, Network] = {}
        more = len(self.tasks) + self.numbers.training_tasks if method.reads_text else 0
        with progress(title, len(self.tasks) + more) as advance:
            entry.result = run_method(
                spec.label, method, self.tasks, self.scorer, advance, networks.__setitem__, self.numbers.row_seconds
            )
            if networks:
                if method.reads_text:
                    entry.sensitivity = self._sensitivity(spec, entry.result, networks, advance)
                entry.novelty = self._novelty(networks)
        entry.seconds, entry.date = time.monotonic() - begin, now()
        return entry

    def _sensitivity(
        self, spec: MethodSpec, result: MethodResult, networks: Mapping[int, Network], advance: Callable[[int], None]
    ) -> dict[str, Any]:
        number = self.numbers.training_tasks
        each = max(timing.in_batch or timing.alone for timing in result.timings.values())
        needed = each * (number + len(self.tasks))
        if needed > self.numbers.extra_seconds:
            return {
                "reason": f"its networks for this column would take {needed:.0f} s, and the protocol allows "
                f"{self.numbers.extra_seconds:g} s"
            }
        try:
            return measure_sensitivity(spec.create, self.context, self.tasks, networks, self.scorer, number, advance)
        except TinaError as error:
            return {"reason": str(error)}

    def _novelty(self, networks: Mapping[int, Network]) -> dict[str, Any]:
        single = [i for i, network in networks.items() if network.members is None]
        count = min(self.numbers.novelty_tasks, len(single))
        chosen = [single[i * len(single) // count] for i in range(count)]
        if not chosen:
            return {"reason": "it gives ensembles, which cannot be compared with single p-Models"}
        picked = [networks[i] for i in chosen]
        try:
            zoo = self._zoo = self._zoo or ZooComparison(self.context)
            tasks = [self.tasks[i] for i in chosen]
            return {
                "num_tasks": count,
                "models": len(zoo.models),
                "errors_nearest": shared_mistakes(Nearest(self.context), picked, tasks, self.scorer),
                "to_nearest": zoo.to_nearest(picked),
                "between_models": zoo.between_models(),
            }
        except TinaError as error:
            return {"reason": str(error)}

    def summary(self, entries: Sequence[BenchEntry]) -> dict[str, Any]:
        """Return the contents of ``bench.json``."""
        protocol = self.protocol
        assembled = assemble(self.tasks, [entry.result for entry in entries], self.setup).summary
        return {
            "format": FORMAT,
            "format_version": VERSION,
            "protocol": {"name": protocol.name, "title": protocol.title, "reference": protocol.reference},
            "quick": self.quick,
            "identity": self.identity,
            **{key: assembled[key] for key in ("rows", "paired", "skipped", "setup")},
            "methods": [entry.to_json() for entry in entries],
            "tasks": [{"classes": list(task.classes), "split": task.split} for task in self.tasks],
        }


def _package(spec: MethodSpec) -> str:
    """Return the distribution and version of the package that registered a method; empty for the running program."""
    distribution = registries().methods.entry(spec.name).distribution
    if distribution is None:
        return ""
    versions = [record.version for record in plugin_records() if record.distribution == distribution]
    return f"{distribution} {versions[0]}".strip() if versions else distribution
