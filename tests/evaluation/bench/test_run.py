"""A whole bench on toys: methods of a plugin beside built-in ones, mistakes that stop only themselves, going on after a cut."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch

from tina_framework.errors import ConfigError, UnknownNameError
from tina_framework.evaluation import evaluate as evaluate_module
from tina_framework.evaluation.bench import run as run_module
from tina_framework.evaluation.bench.protocol import Protocol
from tina_framework.evaluation.bench.run import BenchRequest, run_bench
from tina_framework.evaluation.evaluate import EvaluationRequest, evaluate
from tina_framework.evaluation.methods import parse_methods
from tina_framework.plugin.discovery import registries
from tina_framework.zoo.image_bank import load_split
from tina_framework.zoo.tasks import Task, save_tasks
from tina_framework.zoo.teacher import Teacher

pytestmark = pytest.mark.usefixtures("installed")


@pytest.fixture
def request_of(protocol: Protocol, data_file: Path) -> Any:
    def make(methods: str | None = None, **settings: Any) -> BenchRequest:
        specs = None if methods is None else parse_methods(methods)
        return BenchRequest(protocol, f"arrays:{data_file}", specs, device="cpu", **settings)

    return make


def by_method(summary: dict[str, Any], key: str = "methods") -> dict[str, Any]:
    return {entry["method"]: entry for entry in summary[key]}


def test_rows_are_those_of_tina_evaluate(request_of: Any, data_file: Path, tasks: list[Task], tmp_path: Path) -> None:
    summary = run_bench(request_of("tina,ridge,generic"))
    save_tasks(tmp_path / "tasks.json", tasks[:6])
    zoo = registries().zoos.target("toy-zoo")
    request = EvaluationRequest(
        "tiny",
        f"arrays:{data_file}",
        tmp_path / "tasks.json",
        parse_methods("selection,tina,ridge,generic"),
        "toy",
        zoo,
    )
    expected = by_method(evaluate(request).summary, "rows")
    found = by_method(summary, "rows")
    assert list(found) == ["selection", "tina", "ridge", "generic"]
    for name, row in found.items():
        assert row["accuracy"] == expected[name]["accuracy"]
        assert row["num_tasks"] == 6
    assert {entry["against"] for entry in summary["paired"]} == {"selection"}
    assert len(summary["tasks"]) == 6


def test_all_installed_methods_run_and_mistakes_stop_only_themselves(request_of: Any) -> None:
    summary = run_bench(request_of(quick=True))
    entries, rows = by_method(summary), by_method(summary, "rows")
    assert {"tina", "selection", "average", "nearest", "ridge", "reader", "careless"} <= rows.keys()
    assert not {"common", "random-prompt", "fine-tune"} & entries.keys(), "left out by the protocol"
    assert not {"taper", "regressor"} & entries.keys(), "these need an argument"
    skipped = {entry["method"]: entry["reason"] for entry in summary["skipped"]}
    assert "3 parameters for the task" in skipped["wrong"]
    assert "there is no module 'fake_methods.nowhere'" in skipped["absent"]
    assert rows["tina"]["num_tasks"] == 3
    assert entries["reader"]["package"] == "fake-methods 1.0"
    assert entries["reader"]["about"] == {"paper": "Reader et al., 2020", "differs": "small", "tuning": "none tried"}
    assert entries["reader"]["description"] == "a toy"


def test_the_extra_columns(request_of: Any) -> None:
    entries = by_method(run_bench(request_of("tina,reader,careless,nearest")))
    for name in ("tina", "reader"):
        found = entries[name]["sensitivity"]
        assert (found["num_tasks"], found["training_tasks"]) == (6, 8)
        top, bottom = found["method"] - found["common"], found["method"] - found["random_prompt"]
        assert found["minus_common"]["mean"] == pytest.approx(top)
        assert found["ratio"] == (None if bottom <= 0 else pytest.approx(top / bottom))
    assert entries["reader"]["sensitivity"]["ratio"] is not None
    assert "encode the task's classes in parameters()" in entries["careless"]["sensitivity"]["reason"]
    assert entries["nearest"]["sensitivity"] == {}
    assert entries["nearest"]["novelty"]["errors_nearest"] == pytest.approx(1.0)
    assert entries["nearest"]["novelty"]["to_nearest"] == pytest.approx(0.0, abs=1e-6)
    assert entries["tina"]["novelty"]["num_tasks"] == 4
    assert entries["tina"]["novelty"]["models"] == 4


def test_a_slow_method_keeps_its_row_without_the_prompt_column(
    request_of: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    request = request_of("tina")
    tight = request.protocol.full.model_copy(update={"extra_seconds": 1e-9})
    object.__setattr__(request.protocol, "full", tight)
    entry = by_method(run_bench(request))["tina"]
    assert "the protocol allows 1e-09 s" in entry["sensitivity"]["reason"]
    assert "errors_nearest" in entry["novelty"]


def test_a_cut_run_goes_on_with_the_next_method(
    request_of: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out, ran, told = tmp_path / "out", [], []

    @contextmanager
    def progress(title: str, total: int) -> Iterator[Any]:
        ran.append(title)
        if title.startswith("ridge") and len(ran) < 4:
            raise KeyboardInterrupt
        yield lambda count=1, note="": None

    with pytest.raises(KeyboardInterrupt):
        run_bench(request_of("reader,ridge,generic"), out, progress)
    assert list(by_method(json.loads((out / "bench.json").read_text()))) == ["selection", "reader"]
    kept = by_method(json.loads((out / "bench.json").read_text()))["reader"]
    summary = run_bench(request_of("reader,ridge,generic"), out, progress, told.append)
    assert told == ["Measured before, and kept: selection, reader."]
    assert ran[3:] == ["ridge (1 of 2)", "generic (2 of 2)"]
    assert by_method(summary)["reader"] == kept
    assert summary["rows"] == json.loads((out / "bench.json").read_text())["rows"]
    assert "| generic | 6 |" in (out / "bench.md").read_text()
    # Other methods join the table, and the rows stay.
    joined = run_bench(request_of("average"), out)
    assert list(by_method(joined, "rows")) == ["selection", "average", "reader", "ridge", "generic"]
    monkeypatch.setattr(run_module, "_package", lambda spec: "fake-methods 2.0" if spec.name == "reader" else "other")
    ran.clear()
    run_bench(request_of("reader"), out, progress)
    assert [title.partition(" ")[0] for title in ran] == ["selection", "reader"], "another version is measured again"


def test_another_bench_in_the_folder_is_refused(request_of: Any, tmp_path: Path) -> None:
    run_bench(request_of("selection"), tmp_path / "out")
    with pytest.raises(ConfigError, match="with another extent"):
        run_bench(request_of("selection", quick=True), tmp_path / "out")


def test_what_the_protocol_names_must_be_installed(request_of: Any) -> None:
    request = request_of("selection")
    object.__setattr__(request.protocol, "zoo", "no-zoo")
    with pytest.raises(UnknownNameError, match="no-zoo"):
        run_bench(request)


def test_a_row_of_another_folder_or_of_changed_weights_is_measured_again(
    request_of: Any, tmp_path: Path, zoo_folder: Path
) -> None:
    for name in ("one", "two"):
        shutil.copytree(zoo_folder, tmp_path / name / "zoo")
    out, told = tmp_path / "out", []
    run_bench(request_of(f"selection@{tmp_path / 'one' / 'zoo'}"), out)
    again = request_of(f"selection@{tmp_path / 'two' / 'zoo'}")
    run_bench(again, out, notify=told.append)
    run_bench(again, out, notify=told.append)
    assert told == ["Measured before, and kept: selection.", "Measured before, and kept: selection, selection@zoo."]
    os.utime(tmp_path / "two" / "zoo" / "generic.safetensors", ns=(0, 0))
    run_bench(again, out, notify=told.append)
    assert told[2:] == ["Measured before, and kept: selection."]


def test_another_version_or_teacher_needs_another_folder(
    request_of: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_bench(request_of("selection"), tmp_path / "out")
    with monkeypatch.context() as patch:
        patch.setattr(evaluate_module, "__version__", "99")
        with pytest.raises(ConfigError, match="with another program version"):
            run_bench(request_of("selection"), tmp_path / "out")
    dataset = registries().datasets.create(request_of().dataset)
    data, names = load_split(dataset, "train"), tuple(dataset.class_names)
    Teacher.of(data, names, torch.zeros(2, len(data), len(names)), "zeros", {}).save(tmp_path / "t.safetensors")
    with pytest.raises(ConfigError, match="with another teacher"):
        run_bench(request_of("selection", teacher=tmp_path / "t.safetensors"), tmp_path / "out")
