"""Whole evaluations of a tiny generator."""

from __future__ import annotations

import dataclasses
import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from tina_framework.errors import CheckpointError, DataError, LeakageError, PromptError, TinaError
from tina_framework.evaluation import evaluate as evaluate_module
from tina_framework.evaluation.evaluate import EvaluationRequest, config_sha256, evaluate
from tina_framework.evaluation.methods import DEFAULT_METHODS, parse_methods
from tina_framework.generator.generator import Generator
from tina_framework.plugin.discovery import registries
from tina_framework.storage.digest import renew_digest
from tina_framework.zoo.tasks import Task, save_tasks

SEEN, UNSEEN = "seen", "unseen-combination"


@pytest.fixture(autouse=True)
def idle(monkeypatch: pytest.MonkeyPatch) -> None:
    """The load of the machine that runs the tests must not change what they see."""
    monkeypatch.setattr(evaluate_module, "busy_warning", lambda: None)


@pytest.fixture
def request_(
    tmp_path: Path, tiny_folder: Path, data_file: Path, zoo_folder: Path, tasks: list[Task]
) -> EvaluationRequest:
    save_tasks(tmp_path / "tasks.json", tasks)
    return EvaluationRequest(
        model=str(tiny_folder),
        dataset=f"arrays:{data_file}",
        tasks=tmp_path / "tasks.json",
        methods=parse_methods("selection,tina"),
        zoo=zoo_folder,
        device="cpu",
    )


def foreign(path: Path, entries: list[dict[str, Any]]) -> Path:
    path.write_text(json.dumps({"tasks": entries}))
    return path


def test_all_methods_together(request_: EvaluationRequest) -> None:
    plain = [
        name for name in registries().methods.names() if name not in ("taper", "regressor")
    ]  # these need an argument
    methods = ",".join([*plain, "tina@2", "random-prompt@ddpm:3", f"selection@{request_.zoo}"])
    results = evaluate(dataclasses.replace(request_, methods=parse_methods(methods), fine_tune_tasks=2))
    summary = results.summary
    rows = {(row["method"], row["split"]): row for row in summary["rows"]}
    # This architecture has no trunk.
    labels = [*(name for name in plain if name != "zero-shot"), "tina@2", "random-prompt@ddpm:3", "selection@toy-zoo"]
    for label in labels:
        assert (label, SEEN) in rows
        assert ((label, UNSEEN) in rows) == (label != "p-model")
    assert [row["num_tasks"] for (label, _), row in rows.items() if label == "fine-tune"] == [2, 2]
    assert rows["selection", UNSEEN]["parameters"] == 5139
    assert rows["generic", UNSEEN]["parameters"] == 5436
    assert rows["tina", UNSEEN]["seconds_per_model"] > 0
    assert rows["tina", UNSEEN]["seconds_per_model_in_batch"] > 0
    assert all(0 <= row["accuracy"]["mean"] <= 1 for row in summary["rows"])
    assert summary["skipped"] == [
        {
            "method": "p-model",
            "split": UNSEEN,
            "reason": "6 of 6 tasks left out; the first because the task is not in the zoo",
        },
        {
            "method": "zero-shot",
            "reason": "architecture 'cnn-2layer' has no frozen trunk whose features lie in the space of text vectors",
        },
    ]
    assert len(results.tasks["tasks"]) == 10
    # Fine-tuning was asked for on two tasks of each split: of the six unseen ones, the first and the fourth.
    assert ["fine-tune" in task["accuracy"] for task in results.tasks["tasks"][:6]] == [True, False, False] * 2
    setup = summary["setup"]
    assert setup["zoo"] == "toy-zoo"
    assert setup["encoder"] == {"name": "toy", "space": "toy-space", "template": 0}
    assert setup["methods"].keys() == set(labels)
    json.dumps(summary, allow_nan=False)


def test_without_a_list_the_default_methods_run(request_: EvaluationRequest) -> None:
    summary = evaluate(dataclasses.replace(request_, methods=None, fine_tune_tasks=1)).summary
    assert list(summary["setup"]["methods"]) == DEFAULT_METHODS.split(",")
    assert summary["skipped"] == []


def test_the_same_call_gives_the_same_accuracies(request_: EvaluationRequest) -> None:
    one, two = evaluate(request_), evaluate(request_)
    assert one.tasks == two.tasks
    other = evaluate(dataclasses.replace(request_, seed=1))
    assert other.summary["setup"]["seed"] == 1


def test_image_split_and_template_matter(request_: EvaluationRequest) -> None:
    test = evaluate(request_).tasks
    assert evaluate(dataclasses.replace(request_, image_split="validation")).tasks != test
    assert evaluate(dataclasses.replace(request_, template=1)).tasks != test
    with pytest.raises(PromptError, match="Template number 7"):
        evaluate(dataclasses.replace(request_, template=7, encoder="toy"))


def test_the_generators_own_generic_model_comes_first(request_: EvaluationRequest, tmp_path: Path) -> None:
    described = evaluate(request_).summary["setup"]["methods"]
    assert described["selection"] == "rows of the generic model of generator 'tiny'"
    bare = tmp_path / "bare"
    generator = Generator.from_pretrained(request_.model)
    generator.generic = None
    generator.save_pretrained(bare)
    described = evaluate(dataclasses.replace(request_, model=str(bare))).summary["setup"]["methods"]
    assert described["selection"] == "rows of the generic model of zoo 'toy-zoo'"


def test_without_zoo_and_generic_model_tina_still_runs(request_: EvaluationRequest, tmp_path: Path) -> None:
    bare = tmp_path / "bare"
    generator = Generator.from_pretrained(request_.model)
    generator.generic = None
    generator.save_pretrained(bare)
    bare_request = dataclasses.replace(request_, model=str(bare), zoo=None)
    summary = evaluate(dataclasses.replace(bare_request, methods=parse_methods("selection,nearest,tina"))).summary
    assert {row["method"] for row in summary["rows"]} == {"tina"}
    assert summary["paired"] == []
    reasons = {entry["method"]: entry["reason"] for entry in summary["skipped"]}
    assert "holds no generic model" in reasons["selection"]
    assert "names no zoo" in reasons["nearest"]
    with pytest.raises(TinaError, match=r"No method could run.*average: the generator names no zoo"):
        evaluate(dataclasses.replace(bare_request, methods=parse_methods("average")))


def test_an_encoder_that_lacks_a_name_costs_its_tasks_only(
    request_: EvaluationRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tina_framework.plugin.discovery import registries

    encoder = registries().encoders.create("toy")._made  # what is behind the checks
    encode = type(encoder).encode_text

    def without_gnu(self: Any, texts: Any, template: int = 0) -> Any:
        if "gnu" in texts:
            raise PromptError("the encoder does not know 'gnu'")
        return encode(self, texts, template)

    monkeypatch.setattr(type(encoder), "encode_text", without_gnu)
    results = evaluate(request_)
    for entry in results.tasks["tasks"]:
        assert "selection" in entry["accuracy"]
        assert ("tina" in entry["accuracy"]) == ("gnu" not in entry["classes"])
    assert [(e["method"], e["split"]) for e in results.summary["skipped"]] == [("tina", UNSEEN), ("tina", SEEN)]
    seen = [e for e in results.summary["paired"] if e["split"] == SEEN]
    assert [e["num_tasks"] for e in seen] == [3]


def test_our_own_file_may_not_lie(request_: EvaluationRequest, task_sets: dict[str, list[tuple[str, ...]]]) -> None:
    save_tasks(request_.tasks, [Task(task_sets["train"][0], UNSEEN)])
    with pytest.raises(LeakageError, match="train partition"):
        evaluate(request_)


def test_tasks_of_the_zoo_count_as_seen(
    request_: EvaluationRequest, tmp_path: Path, task_sets: dict[str, list[tuple[str, ...]]]
) -> None:
    entries = [
        {"classes": list(task_sets["train"][0]), "split": UNSEEN},
        {"classes": list(task_sets["test"][0]), "split": UNSEEN},
    ]
    summary = evaluate(dataclasses.replace(request_, tasks=foreign(tmp_path / "theirs.json", entries))).summary
    assert summary["setup"]["relabelled_tasks"] == 1
    assert {row["split"]: row["num_tasks"] for row in summary["rows"]} == {SEEN: 1, UNSEEN: 1}


def test_mixed_class_counts_are_broken_down(request_: EvaluationRequest, tmp_path: Path) -> None:
    entries = [{"classes": ["ant", "bee"]}, {"classes": ["cat", "dog", "eel"]}, {"classes": ["ant", "fox"]}]
    for entry in entries:
        entry["split"] = SEEN  # type: ignore[assignment]
    summary = evaluate(dataclasses.replace(request_, tasks=foreign(tmp_path / "mixed.json", entries))).summary
    rows = [(r.get("num_classes"), r["num_tasks"]) for r in summary["rows"] if r["method"] == "tina"]
    assert rows == [(None, 3), (3, 1), (2, 2)]


def test_more_classes_than_the_generator_makes_are_composed(request_: EvaluationRequest, tmp_path: Path) -> None:
    classes = ["ant", "bee", "cat", "dog", "eel", "fox", "gnu", "hen", "ibis", "jay", "kite"]
    tasks = foreign(tmp_path / "large.json", [{"classes": classes, "split": SEEN}])
    summary = evaluate(dataclasses.replace(request_, tasks=tasks)).summary
    assert {row["method"] for row in summary["rows"]} == {"selection", "tina"}
    assert summary["skipped"] == []


def test_refused_before_anything_runs(request_: EvaluationRequest, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no class 'unicorn'"):
        evaluate(dataclasses.replace(request_, tasks=foreign(tmp_path / "t.json", [{"classes": ["ant", "unicorn"]}])))
    with pytest.raises(CheckpointError, match="not a zoo"):
        evaluate(dataclasses.replace(request_, zoo=tmp_path))
    with pytest.raises(DataError, match="does not exist"):
        evaluate(dataclasses.replace(request_, dataset="arrays:nowhere.npz"))


def test_validation_images_that_were_trained_on_are_pointed_out(request_: EvaluationRequest, tmp_path: Path) -> None:
    refit = tmp_path / "refit"
    shutil.copytree(request_.zoo, refit)  # type: ignore[arg-type]
    manifest = json.loads((refit / "zoo.json").read_text())
    manifest["config"]["train_split"] = "train+validation"
    (refit / "zoo.json").write_text(json.dumps(manifest))
    renew_digest(refit / "zoo.json")
    (warning,) = evaluate(dataclasses.replace(request_, zoo=refit, image_split="validation")).summary["setup"][
        "warnings"
    ]
    assert "training images of the zoo's models" in warning
    assert evaluate(dataclasses.replace(request_, zoo=refit)).summary["setup"]["warnings"] == []


def test_a_busy_machine_is_pointed_out(request_: EvaluationRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(evaluate_module, "busy_warning", lambda: "busy")
    selection = dataclasses.replace(request_, methods=parse_methods("selection"))
    assert evaluate(selection).summary["setup"]["warnings"] == ["busy"]


def test_recording_figures_does_not_change_what_a_model_is(tiny_folder: Path, tmp_path: Path) -> None:
    before = config_sha256(tiny_folder)
    values = json.loads((tiny_folder / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps(values | {"metrics": {}, "abstention": {}}))
    renew_digest(tmp_path / "config.json")
    assert config_sha256(tmp_path) == before
    cropped = {"preprocessing": {"fit": "crop-centre", "crop_pct": 0.875}}
    for change in ({"num_inference_steps": 5}, {"sha256": {}}, cropped):
        (tmp_path / "config.json").write_text(json.dumps(values | change))
        renew_digest(tmp_path / "config.json")
        assert config_sha256(tmp_path) != before


def test_a_generator_of_a_plugin_is_evaluated_by_its_name(
    request_: EvaluationRequest, generator_plugin: Path, tiny_folder: Path
) -> None:
    """With the encoder of its own plugin, which a folder of the same contents may not choose."""
    named = dataclasses.replace(request_, model="toys", methods=parse_methods("tina"))
    results = evaluate(named)
    assert results.summary["setup"]["model"]["name"] == "toys"
    assert results.summary["setup"]["model"]["config_sha256"] == config_sha256(tiny_folder)
    with pytest.raises(TinaError, match="may download data"):
        evaluate(dataclasses.replace(named, model=str(generator_plugin / "pretrained" / "toys")))
