from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tina_framework.cli.__main__ import main
from tina_framework.plugin import discovery

CODE = """
import sys
from tina_framework.cli.__main__ import main
try:
    main({args!r})
finally:
    print(sorted({{m.partition('.')[0] for m in sys.modules}} & {{'torch', 'transformers', 'numpy', 'PIL'}}), file=sys.stderr)
"""


@pytest.fixture(autouse=True)
def fresh(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(discovery, "_host", None)
    yield
    for name in [name for name in sys.modules if name.startswith("fake_")]:
        del sys.modules[name]


def listing(capsys: pytest.CaptureFixture[str], *args: str) -> str:
    with pytest.raises(SystemExit) as caught:
        main(["plugins", "list", *args])
    assert caught.value.code in (0, None)
    return capsys.readouterr().out


def test_json_holds_the_whole_record(capsys: pytest.CaptureFixture[str]) -> None:
    record = next(r for r in json.loads(listing(capsys, "--json")) if r["distribution"] == "tina-framework")
    assert record["name"] == "builtins"
    assert record["status"] == "ok"
    assert record["error"] is None
    assert record["version"]
    assert 0 < record["seconds"] < 5
    assert record["provides"]["tokenizers"] == ["class-row", "chunk", "filter"]


def test_the_table_shows_health_and_names(capsys: pytest.CaptureFixture[str]) -> None:
    out = listing(capsys)
    for word in ("tina-framework", "ok", "cnn-2layer", "class-row", "ddim", "shapes"):
        assert word in out


def test_broken_and_disabled_plugins_are_listed_with_the_reason(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, code in {"fake_broken": "import not_there_at_all", "fake_blocked": ""}.items():
        (tmp_path / f"{name}.py").write_text(code)
        (tmp_path / f"{name}-1.0.dist-info").mkdir()
        (tmp_path / f"{name}-1.0.dist-info" / "entry_points.txt").write_text(f"[tina_framework]\n{name} = {name}\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("TINA_DISABLE_PLUGINS", "fake-blocked")
    out = listing(capsys)
    assert "Plugin 'fake-broken' (fake_broken) is broken: No module named 'not_there_at_all'; install it:" in out
    health = {line.split()[0]: line.split()[3] for line in out.splitlines() if line.startswith(("fake_", "builtins"))}
    assert health == {"builtins": "ok", "fake_broken": "broken", "fake_blocked": "disabled"}


def fake(folder: Path, name: str, code: str) -> None:
    (folder / f"{name}.py").write_text(code)
    info = folder / f"{name}-1.5.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.5\nSummary: It does things.\n")
    (info / "entry_points.txt").write_text(f"[tina_framework]\nthings = {name}\n")


GOOD = "TINA_API = '2.0'\nfrom tina_framework import hookimpl\n@hookimpl\ndef tina_register(registry):\n    registry.datasets.add('mine', 'json:dumps')\n"


def run(capsys: pytest.CaptureFixture[str], *args: str) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as caught:
        main(list(args))
    printed = capsys.readouterr()
    return int(caught.value.code or 0), printed.out, printed.err


@pytest.mark.parametrize("name", ["things", "fake-shown", "Fake_Shown"])
def test_show_tells_all_about_one(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    fake(tmp_path, "fake_shown", "print('hello')\n" + GOOD)
    monkeypatch.syspath_prepend(tmp_path)
    code, out, _ = run(capsys, "plugins", "show", name)
    assert code == 0
    for line in ("fake-shown 1.5", "It does things.", "health:       ok", "mine  (json:dumps)"):
        assert line in out
    assert "note:         prints while it is loaded: hello" in out
    [record] = json.loads(run(capsys, "plugins", "show", name, "--json")[1])
    assert record["summary"] == "It does things."
    assert record["entries"] == {"datasets": [{"name": "mine", "target": "json:dumps"}]}
    assert "has notes for its author" in listing(capsys)


def test_show_says_why_a_plugin_is_broken(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake(tmp_path, "fake_bad", "import not_there_at_all")
    monkeypatch.syspath_prepend(tmp_path)
    assert "broken: No module named 'not_there_at_all'" in run(capsys, "plugins", "show", "fake-bad")[1]


def test_show_of_an_unknown_plugin(capsys: pytest.CaptureFixture[str]) -> None:
    code, _, err = run(capsys, "plugins", "show", "builtin")
    assert code == 2
    assert "No plugin 'builtin' is installed. Did you mean 'builtins'?" in err


@pytest.mark.parametrize("args", [["plugins", "list"], ["--help"], ["plugins", "list", "--json"], ["list", "encoders"]])
def test_it_loads_no_torch(args: list[str]) -> None:
    done = subprocess.run([sys.executable, "-c", CODE.format(args=args)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stderr.splitlines()[-1] == "[]"


# What any run of the command line imports before its own modules.
LIBRARIES = "import time, typer, rich.table, pydantic_settings; print(time.process_time())"


def test_with_the_built_ins_alone_it_is_fast_and_loads_no_torch() -> None:
    """It takes 0.22 s here, and the libraries alone 0.21 s. Machines differ, so the test compares the two.

    The time is the processor time of whole processes, since other tests run beside this one.
    """
    environment = {**os.environ, "TINA_ALLOW_PLUGINS": ""}
    code = (
        CODE.format(args=["plugins", "list", "--json"])
        + "    import time; print(time.process_time(), file=sys.stderr)\n"
    )

    def python(code: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-c", code]
        return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=True)

    listing_seconds, library_seconds = [], []
    for _ in range(3):
        library_seconds.append(float(python(LIBRARIES).stdout))
        done = python(code)
        assert [r["name"] for r in json.loads(done.stdout) if r["status"] == "ok"] == ["builtins"]
        loaded, taken = done.stderr.splitlines()[-2:]
        assert loaded == "[]"
        listing_seconds.append(float(taken))
    assert min(listing_seconds) < 2.5 * min(library_seconds)
