from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tina_framework.errors import ConfigError, PluginError, UnknownNameError
from tina_framework.plugin import discovery
from tina_framework.plugin.discovery import load_plugin_file, plugin_records, registries
from tina_framework.plugin.hookspecs import PluginRecord

API = 'TINA_API = "2.0"\n'
GOOD = (
    API
    + """
from tina_framework import hookimpl

@hookimpl
def tina_register(registry):
    registry.{kind}.add("{name}", "json:dumps")
"""
)

Install = Callable[..., str]

pytestmark = pytest.mark.usefixtures("fresh_discovery")


def record_of(distribution: str) -> PluginRecord:
    return next(record for record in plugin_records() if record.distribution == distribution)


def test_the_built_ins_are_a_plugin_like_any_other() -> None:
    record = record_of("tina-framework")
    assert (record.name, record.status, record.error) == ("builtins", "ok", None)
    assert record.provides["architectures"] == ["cnn-2layer", "cnn-3layer"]
    for kind, names in record.provides.items():
        assert set(names) <= set(getattr(registries(), kind).names())
    assert registries() is registries()


def test_a_plugin_is_found_recorded_and_used(install: Install) -> None:
    install("fake-good", GOOD.format(kind="datasets", name="mine"), version="2.1", entry="other")
    record = record_of("fake-good")
    assert (record.name, record.version, record.status) == ("other", "2.1", "ok")
    assert record.provides == {"datasets": ["mine"]}
    assert record.seconds > 0
    assert registries().datasets.create_unchecked("mine", obj=[1]) == "[1]"
    assert {"name": "mine", "distribution": "fake-good", "target": "json:dumps"} in registries().datasets.describe()


def test_an_entry_point_may_name_an_object(install: Install) -> None:
    code = (
        API + "from tina_framework import hookimpl\nclass P:\n    @hookimpl\n    def tina_register(self, registry):\n"
    )
    code += "        registry.encoders.add('mine', 'json:dumps')\nplugin = P()\n"
    install("fake-object", code, points="[tina_framework]\nobject = fake_object:plugin\n")
    assert record_of("fake-object").provides == {"encoders": ["mine"]}


BROKEN = {
    "import": ("import no_such_package_anywhere", "No module named 'no_such_package_anywhere'"),
    "syntax": ("def", "SyntaxError"),
    "exit": ("import sys; sys.exit('bye')", "SystemExit: bye"),
    "hook": (GOOD.format(kind="nonsense", name="x"), "AttributeError"),
    "signature": (
        API + "from tina_framework import hookimpl\n@hookimpl\ndef tina_register(registrar): ...",
        "registrar",
    ),
    "unknown hook": (
        API + "from tina_framework import hookimpl\n@hookimpl\ndef tina_registers(registry): ...",
        "tina_registers",
    ),
    "taken": (
        GOOD.format(kind="encoders", name="clip-lite"),
        "Encoder 'clip-lite' is registered twice: by 'tina-framework'",
    ),
}


@pytest.mark.parametrize("case", BROKEN)
def test_a_broken_plugin_is_recorded_and_stops_nothing(
    install: Install, case: str, caplog: pytest.LogCaptureFixture
) -> None:
    code, reason = BROKEN[case]
    install("fake-broken", code)
    install("fake-good", GOOD.format(kind="datasets", name="mine"))
    record = record_of("fake-broken")
    assert record.status == "broken"
    assert reason in str(record.error)
    assert record_of("fake-good").status == "ok"
    assert "clip-lite" in registries().encoders.names()
    assert "Plugin 'fake-broken' failed to load" in caplog.text
    assert "tina plugins list" in caplog.text


def test_a_registration_that_fails_half_way_leaves_nothing_behind(install: Install) -> None:
    install(
        "fake-half",
        GOOD.format(kind="datasets", name="half")
        + "    registry.encoders.add('also', len)\n    raise ValueError('late')\n",
    )
    assert "half" not in registries().datasets
    assert "also" not in registries().encoders
    with pytest.raises(UnknownNameError) as caught:
        registries().datasets.create("half")
    assert "Plugin 'fake-half' would have provided 'half', but failed to load: ValueError: late." in str(caught.value)
    with pytest.raises(UnknownNameError, match=r"Plugin 'fake-half' failed to load: ValueError: late\."):
        registries().schedulers.create("something")


def test_decorators_of_a_module_that_then_fails_are_undone(install: Install) -> None:
    install("fake-half", "import tina_framework as t\nt.register_dataset('half')(len)\nraise ValueError('late')\n")
    assert "half" not in registries().datasets
    assert record_of("fake-half").provides == {"datasets": ["half"]}


@pytest.mark.parametrize("blocked", ["fake-bad", "Fake_Bad", "other , entry", "entry"])
def test_disabled_plugins_are_not_imported(install: Install, monkeypatch: pytest.MonkeyPatch, blocked: str) -> None:
    install("fake-bad", "raise RuntimeError('imported')", entry="entry")
    monkeypatch.setenv("TINA_DISABLE_PLUGINS", blocked)
    record = record_of("fake-bad")
    assert (record.status, record.error) == ("disabled", "disabled by TINA_DISABLE_PLUGINS")
    assert "fake_bad" not in sys.modules
    with pytest.raises(UnknownNameError, match=r"Plugin 'fake-bad' \(entry\) is disabled by TINA_DISABLE_PLUGINS"):
        registries().datasets.create("x")


@pytest.mark.parametrize(
    ("allowed", "status"), [("fake-good", "ok"), ("Entry", "ok"), ("other", "disabled"), ("", "disabled")]
)
def test_an_allow_list_leaves_out_the_rest_but_the_built_ins(
    install: Install, monkeypatch: pytest.MonkeyPatch, allowed: str, status: str
) -> None:
    install("fake-good", GOOD.format(kind="datasets", name="mine"), entry="entry")
    monkeypatch.setenv("TINA_ALLOW_PLUGINS", allowed)
    assert record_of("fake-good").status == status
    assert record_of("tina-framework").status == "ok"
    if status == "disabled":
        assert "fake_good" not in sys.modules
        with pytest.raises(UnknownNameError, match=r"Plugin 'fake-good' \(entry\) is not among TINA_ALLOW_PLUGINS\."):
            registries().datasets.create("mine")


def test_a_plugin_cannot_replace_a_built_in(install: Install) -> None:
    install("fake-shadow", GOOD.format(kind="architectures", name="cnn-2layer"))
    record = record_of("fake-shadow")
    assert record.status == "broken"
    assert "Architecture 'cnn-2layer' is registered twice: by 'tina-framework' and by 'fake-shadow'" in str(
        record.error
    )
    assert "TINA_DISABLE_PLUGINS=fake-shadow" in str(record.error)
    assert registries().architectures.entry("cnn-2layer").distribution == "tina-framework"


def test_blocking_one_of_two_that_claim_a_name_lets_the_other_have_it(
    install: Install, monkeypatch: pytest.MonkeyPatch
) -> None:
    install("fake-a", GOOD.format(kind="datasets", name="mine"))
    install("fake-b", GOOD.format(kind="datasets", name="mine"))
    assert registries().datasets.entry("mine").distribution == "fake-a"
    error = str(record_of("fake-b").error)
    assert "'fake-a'" in error
    assert "'fake-b'" in error
    monkeypatch.setattr(discovery, "_host", None)
    for name in ("fake_a", "fake_b"):
        sys.modules.pop(name)
    monkeypatch.setenv("TINA_DISABLE_PLUGINS", "fake-a")
    assert registries().datasets.entry("mine").distribution == "fake-b"


def test_strict_mode_raises_every_time(install: Install, monkeypatch: pytest.MonkeyPatch) -> None:
    install("fake-broken", "import no_such_package_anywhere")
    monkeypatch.setenv("TINA_STRICT_PLUGINS", "1")
    for _ in range(2):
        with pytest.raises(PluginError, match="Plugin 'fake-broken' failed to load: No module named"):
            registries()
    monkeypatch.setenv("TINA_STRICT_PLUGINS", "0")
    assert record_of("fake-broken").status == "broken"


def test_decorators_work_before_and_after_discovery() -> None:
    import tina_framework as tina

    @tina.register_encoder("mine")
    def make(file: str) -> str:
        return file

    assert registries().encoders.create_unchecked("mine:x") == "x"
    assert registries().encoders.entry("mine").distribution is None
    assert "clip-lite" in registries().encoders.names()
    with pytest.raises(PluginError, match=r"by 'tina-framework' and by this program"):
        tina.register_encoder("clip-lite")(make)


def test_a_plugin_file_registers_once_and_fails_whole(tmp_path: Path) -> None:
    good = tmp_path / "fake_file.py"
    good.write_text(
        "from __future__ import annotations\nfrom dataclasses import dataclass\nimport tina_framework as t\n"
        "@t.register_dataset('mine')\n@dataclass\nclass Mine:\n    file: str\n",
        encoding="utf-8",
    )
    record = load_plugin_file(good)
    assert load_plugin_file(str(good)) is record
    assert registries().datasets.create_unchecked("mine:a").file == "a"
    assert record in plugin_records()
    assert record.provides == {"datasets": ["mine"]}

    bad = tmp_path / "fake_bad.py"
    bad.write_text("import tina_framework as t\nt.register_dataset('other')(len)\n1 / 0\n")
    with pytest.raises(PluginError, match=r"Plugin 'fake_bad.py' failed to load: ZeroDivisionError"):
        load_plugin_file(bad)
    assert "other" not in registries().datasets
    assert not [name for name in sys.modules if name.startswith("tina_plugin_file_") and "bad" in name]


@pytest.mark.parametrize(
    "name", ["missing.py", "folder.py", "text.txt", "pipe.py", "circle.py", "a\0b.py", "a" * 999 + ".py"]
)
def test_a_plugin_file_must_be_a_python_file(tmp_path: Path, name: str) -> None:
    (tmp_path / "folder.py").mkdir()
    os.mkfifo(tmp_path / "pipe.py")
    (tmp_path / "circle.py").symlink_to(tmp_path / "circle.py")
    (tmp_path / "text.txt").write_text("")
    with pytest.raises(ConfigError, match="is not a Python file"):
        load_plugin_file(tmp_path / name)


@pytest.mark.parametrize(
    ("contents", "sentence"),
    [
        (b"x = 'caf\xe9'\n", "it is not UTF-8; save it as UTF-8"),
        (b"def (\n", r"SyntaxError: invalid syntax \(fake_bad.py, line 1\)"),
        (b"x = 1\0\n", "SyntaxError: source code .*null bytes"),
        (b"# -*- coding: nonsense -*-\n", "SyntaxError: unknown encoding"),
        (b"raise SystemExit\n", r"it ends the program \(SystemExit: without a code\)"),
        (b"import tina_framework as t\nt.register_dataset('\\x1b[2J')(len)\n", r"'\\x1b\[2J' cannot name a dataset"),
        (
            b"import tina_framework as t\nt.register_dataset('a' * 101)(len)\n",
            "'a+\\.\\.\\. cannot name a dataset: .*at most 100 characters",
        ),
        (b"import tina_framework as t\nt.register_dataset(7)(len)\n", "7 cannot name a dataset"),
        (
            b"import tina_framework as t\nfor i in range(10**5): t.register_dataset(f'n{i}')(len)\n",
            "it registers more than 10,000 datasets; register one name that takes an argument",
        ),
    ],
)
def test_a_bad_plugin_file_is_named_in_the_sentence(tmp_path: Path, contents: bytes, sentence: str) -> None:
    (tmp_path / "fake_bad.py").write_bytes(contents)
    before = registries().datasets.names()
    with pytest.raises(PluginError, match=f"Plugin 'fake_bad.py' failed to load: {sentence}") as caught:
        load_plugin_file(tmp_path / "fake_bad.py")
    assert str(caught.value).isprintable()
    assert registries().datasets.names() == before


def test_a_plugin_file_may_begin_with_a_byte_order_mark(tmp_path: Path) -> None:
    (tmp_path / "fake_marked.py").write_bytes(
        b"\xef\xbb\xbfimport tina_framework as t\nt.register_dataset('marked')(len)\n"
    )
    assert load_plugin_file(tmp_path / "fake_marked.py").provides == {"datasets": ["marked"]}


def test_two_plugin_files_of_one_name_are_two_plugins(tmp_path: Path) -> None:
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "fake_same.py").write_text(
            f"import tina_framework as t\nt.register_dataset('from-{folder}')(len)\n"
        )
        load_plugin_file(tmp_path / folder / "fake_same.py")
    assert {"from-a", "from-b"} <= set(registries().datasets.names())


def test_a_real_process_finds_a_plugin_on_its_path(install: Install) -> None:
    site = install("fake-process", GOOD.format(kind="encoders", name="from-elsewhere"))
    code = "import tina_framework as t; print(t.list_encoders('from-*'))"
    environment = {**os.environ, "PYTHONPATH": site}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False)
    assert done.stdout.strip() == "['from-elsewhere']", done.stderr
