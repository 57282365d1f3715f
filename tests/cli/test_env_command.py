"""`tina env`: everything that a bug report needs, nothing secret, and whatever is broken."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import tina_framework
from tina_framework.cli.__main__ import main
from tina_framework.plugin import discovery

ROOT = Path(__file__).resolve().parents[2]


def env(capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    with pytest.raises(SystemExit) as caught:
        main(["env", "--json"])
    assert caught.value.code == 0
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    return found


def test_it_says_what_a_bug_report_needs(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    import torch

    (tmp_path / "cache" / "sub").mkdir(parents=True)
    (tmp_path / "cache" / "sub" / "a.bin").write_bytes(b"x" * 1000)
    monkeypatch.setenv("TINA_CACHE", str(tmp_path / "cache"))
    found = env(capsys)
    assert found["tina_framework"] == tina_framework.__version__
    assert platform.python_version() in found["python"]
    assert found["torch"]["version"] == torch.__version__
    assert found["torch"]["threads"] >= 1
    assert found["torch"]["devices"][0] == "cpu"
    assert found["dependencies"]["typer"]
    assert {"remote", "plots"} <= set(found["extras"])
    assert "test" not in found["extras"]
    assert {"builtins"} <= {plugin["name"] for plugin in found["plugins"] if plugin["status"] == "ok"}
    assert found["cache"] == {"folder": str(tmp_path / "cache"), "files": 1, "bytes": 1000}
    assert found["variables"]["TINA_CACHE"] == str(tmp_path / "cache")


def test_the_lines_have_the_same(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["env"])
    labels = [line.partition(":")[0] for line in capsys.readouterr().out.splitlines()]
    wanted = (
        "tina-framework",
        "Python",
        "platform",
        "processors",
        "torch",
        "devices",
        "dependencies",
        "plugin builtins",
    )
    assert [label for label in labels if label in wanted] == [*wanted]
    assert labels[-1] == "cache"


def test_nothing_secret_is_printed(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("TINA_PHOTOS_TOKEN", "hf_secret")
    monkeypatch.setenv("TINA_ZOO", "s3://user:secret@host/zoo")
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hub"))
    found = env(capsys)
    assert "secret" not in json.dumps(found)
    assert found["variables"]["TINA_PHOTOS_TOKEN"] == "(hidden)"
    assert found["variables"]["TINA_ZOO"] == "s3://(hidden)@host/zoo"
    assert "HF_TOKEN" not in found["variables"]
    assert found["variables"]["HF_HOME"] == "~/hub"
    assert found["cache"]["folder"] == "~/.cache/tina_framework"
    assert found["cache"]["files"] == 0


@pytest.mark.parametrize(
    ("code", "error"),
    [
        ("raise ImportError('libgomp.so.1: cannot open')", "ImportError: libgomp.so.1: cannot open"),
        ("import os; os._exit(9)", "importing it ended with code 9"),
        ("import os, signal; os.kill(os.getpid(), signal.SIGSEGV)", "importing it ended with code -11"),
    ],
)
def test_it_works_with_a_broken_torch_and_a_broken_plugin(tmp_path: Path, code: str, error: str) -> None:
    (tmp_path / "torch.py").write_text(code)
    (tmp_path / "broken_one.py").write_text("import torch\n")
    info = tmp_path / "tina_broken-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: tina-broken\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[tina_framework]\nbroken = not_there_at_all\n")
    done = subprocess.run(
        [sys.executable, "-m", "tina_framework.cli", "env", "--json"],
        env={**os.environ, "PYTHONPATH": f"{tmp_path}{os.pathsep}{ROOT}"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["torch"] == {"error": error}
    [broken] = [plugin for plugin in found["plugins"] if plugin["distribution"] == "tina-broken"]
    assert broken["status"] == "broken"
    assert "not_there_at_all" in broken["error"]
    assert found["dependencies"]["torch"], "its package is installed"


def test_a_strict_environment_reports_the_broken_plugin(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse() -> Any:
        raise discovery.PluginError("Plugin 'bad' failed with hf_secret.")

    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    monkeypatch.setattr(discovery, "plugin_records", refuse)
    [plugin] = env(capsys)["plugins"]
    assert (plugin["status"], plugin["error"]) == ("broken", "Plugin 'bad' failed with (hidden)")
