"""``tina plugins check``: which components are checked, and with which arguments."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tina_framework.cli.__main__ import main
from tina_framework.cli.check_plugin import check_records, read_specs
from tina_framework.errors import ConfigError, PluginError
from tina_framework.plugin import discovery
from tina_framework.plugin.discovery import plugin_records
from tina_framework.plugin.hookspecs import PluginRecord

TOKENIZER = """
TINA_API = "2.0"
import tina_framework as tina
from tina_framework.builtins.tokenizers.class_row import ClassRowTokenizer

@tina.register_tokenizer("checked-rows")
class Rows(ClassRowTokenizer):
    name = "checked-rows"
"""


def test_arguments_are_read_by_name() -> None:
    assert read_specs(["a:x.npz", "b:c:d"]) == {"a": "a:x.npz", "b": "b:c:d"}
    for wrong in ("a", "a:"):
        with pytest.raises(ConfigError, match=f"--with {wrong} has no argument; write --with NAME:ARGUMENT"):
            read_specs([wrong])


def test_broken_and_empty_plugins_are_refused() -> None:
    broken = PluginRecord("bad", "bad-package", "1.0", "bad", status="broken", error="no module")
    with pytest.raises(PluginError, match="is broken, so there is nothing to check: no module"):
        check_records([broken], {})
    with pytest.raises(PluginError, match="registers no component, so there is nothing to check"):
        check_records([PluginRecord("empty", "empty-package", "1.0", "empty")], {})


def test_arguments_for_unknown_names_are_refused() -> None:
    builtins = [record for record in plugin_records() if record.name == "builtins"]
    with pytest.raises(ConfigError, match="--with names 'cnn', which the plugin does not provide"):
        check_records(builtins, {"cnn": "cnn:x"})


def test_a_plugin_file_is_checked(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(discovery, "_host", None)
    (tmp_path / "rows.py").write_text(TOKENIZER)
    with pytest.raises(SystemExit) as end:
        main(["--plugin", str(tmp_path / "rows.py"), "plugins", "check", "rows.py", "--json"])
    [verdict] = json.loads(capsys.readouterr().out)
    assert (verdict["kind"], verdict["name"]) == ("tokenizers", "checked-rows")
    assert {check["status"] for check in verdict["checks"]} <= {"passed", "skipped"}
    assert verdict["status"] == "passed"
    assert end.value.code in (0, None)


@pytest.mark.parametrize(
    ("code", "sentence"),
    [
        (
            "import os; os.write(1, b'noise'); os._exit(0)",
            "while it was checked, it calls os._exit, which would end the program",
        ),
        ("raise SystemExit(0)", "while it was checked, it ends the program (SystemExit: 0)."),
    ],
)
def test_a_component_that_ends_the_program_is_named(
    code: str, sentence: str, tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(discovery, "_host", None)
    (tmp_path / "rows.py").write_text(f"{TOKENIZER}    def layout(self, *given):\n        {code}\n")
    with pytest.raises(SystemExit) as end:
        main(["--plugin", str(tmp_path / "rows.py"), "plugins", "check", "rows.py", "--json"])
    [verdict] = json.loads(capfd.readouterr().out)
    assert verdict["problem"].startswith(sentence)
    assert end.value.code == 1


def test_the_generators_of_a_plugin_are_checked(generator_plugin: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["plugins", "check", "fake-toys", "--json"])
    verdicts = {verdict["name"]: verdict for verdict in json.loads(capsys.readouterr().out)}
    assert (verdicts["toys"]["kind"], verdicts["toys"]["status"]) == ("generators", "passed")
    assert len(verdicts["toys"]["checks"]) == 4
    assert "no such folder; reinstall it" in verdicts["absent"]["problem"]


METHOD = """
TINA_API = "2.3"
import tina_framework as tina
from tina_framework.interfaces.method import Method

@tina.register_method("checked-selection", summary="selection again", argument="SCALE", argument_required=True)
class Again(Method):
    name = "checked-selection"

    def parameters(self, tasks):
        return [self.context.need_generic().select(self.context.spec, task.classes) for task in tasks]
"""


def test_a_method_is_checked_with_its_argument(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(discovery, "_host", None)
    (tmp_path / "again.py").write_text(METHOD)
    words = ["--plugin", str(tmp_path / "again.py"), "plugins", "check", "again.py"]
    with pytest.raises(SystemExit):
        main([*words, "--json"])
    [verdict] = json.loads(capsys.readouterr().out)
    assert verdict["status"] == "not checked"
    assert "Give it with --with checked-selection:ARGUMENT" in verdict["problem"]
    with pytest.raises(SystemExit) as end:
        main([*words, "--with", "checked-selection:0.5"])
    printed = capsys.readouterr().out
    assert end.value.code in (0, None)
    assert "bench --quick --methods checked-selection@0.5" in printed
