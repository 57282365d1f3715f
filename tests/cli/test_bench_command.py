"""``tina bench``: the table, the files, and what is refused before anything is loaded."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.evaluation.bench.test_tables import SUMMARY
from tina_framework.cli.__main__ import main
from tina_framework.evaluation.bench import run as run_module
from tina_framework.evaluation.bench.run import BenchRequest


def run(*words: str) -> int:
    with pytest.raises(SystemExit) as ended:
        main(["bench", *words])
    return int(ended.value.code or 0)


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[BenchRequest]:
    """The requests that the command makes; nothing is measured."""
    requests: list[BenchRequest] = []

    def measured(request: BenchRequest, *rest: Any) -> dict[str, Any]:
        requests.append(request)
        return SUMMARY

    monkeypatch.setattr(run_module, "run_bench", measured)
    return requests


def test_the_table_and_what_is_missing(asked: list[BenchRequest], capsys: pytest.CaptureFixture[str]) -> None:
    words = ["--dataset", "/some/where/c100.npz", "--methods", "tina,selection@/my/zoo", "--quick", "--out", "results"]
    words += ["--teacher", "/my/teacher.safetensors"]
    assert run(*words) == 0
    (request,) = asked
    assert request.protocol.name == "cifar100-10way"
    assert request.dataset == "arrays:/some/where/c100.npz"
    assert [spec.label for spec in request.methods or ()] == ["tina", "selection@zoo"]
    assert request.command == (
        "tina bench --protocol cifar100-10way --dataset arrays:c100.npz --methods tina,selection@zoo "
        "--teacher teacher.safetensors --quick --out results"
    )
    assert request.teacher == Path("/my/teacher.safetensors")
    printed = capsys.readouterr()
    assert "vs selection" in printed.out
    assert "+15.00" in printed.out
    assert "Written to results: bench.json, bench.md." in printed.out
    assert "Not measured: mine, prompt: too slow" in printed.err
    assert "Warning: beware" in printed.err


def test_json(asked: list[BenchRequest], capsys: pytest.CaptureFixture[str]) -> None:
    assert run("--json") == 0
    assert json.loads(capsys.readouterr().out) == json.loads(json.dumps(SUMMARY))
    assert (asked[0].dataset, asked[0].methods, asked[0].quick) == (None, None, False)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--protocol", "cifar10"), "Known: cifar100-10way"),
        (("--methods", "tinna"), "Did you mean 'tina'"),
        (("--methods", "taper"), "write taper@FOLDER"),
        (("--out", "file"), "is not a folder"),
    ],
)
def test_mistakes_are_named_first(
    asked: list[BenchRequest],
    words: tuple[str, str],
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").write_text("")
    assert run(*words) in (1, 2)
    assert message in capsys.readouterr().err
    assert asked == []


def test_help_lists_the_methods(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "300")
    assert run("--help") == 0
    printed = " ".join(capsys.readouterr().out.replace("│", " ").split())
    assert "ridge[@STRENGTH]" in printed
    assert "Default: all that need no argument, without those that the protocol leaves out." in printed
