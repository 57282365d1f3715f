from __future__ import annotations

import importlib
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tina_framework.errors import ConfigError, DependencyError, PluginError, UnknownNameError
from tina_framework.plugin.registry import Registry


@dataclass
class Table:
    file: str
    scale: float = 1.0


@dataclass
class Steps:
    num_train_timesteps: int = 1000
    beta_start: float = 1e-4


@dataclass
class Named:
    name: str
    __hash__ = None  # type: ignore[assignment]


def optional(path: Path | None = None) -> Path | None:
    return path


def open_ended(**settings: object) -> dict[str, object]:
    return settings


class Failing:
    def __init__(self, file: str) -> None:
        raise TypeError("from inside")


@pytest.fixture
def registry() -> Registry:
    registry = Registry("encoder")
    registry.add("table", Table, distribution="tina-a")
    registry.add("steps", Steps)
    registry.add("optional", optional)
    registry.add("open-ended", open_ended)
    registry.add("failing", Failing)
    registry.add("finished", Named("finished"))
    registry.add("lazy", "colorsys:rgb_to_hsv")
    return registry


def test_create_calls_the_target_with_argument_and_settings(registry: Registry) -> None:
    assert registry.create("table:C:/x.npz", scale=2.0) == Table("C:/x.npz", 2.0)
    assert registry.create("table", file="a") == Table("a")
    assert registry.create("steps", beta_start=0.1) == Steps(1000, 0.1)
    assert registry.create("optional") is None
    assert registry.create("optional:x") == "x"
    assert registry.create("open-ended", a=1) == {"a": 1}


def test_a_target_that_cannot_be_called_is_returned_as_it_is(registry: Registry) -> None:
    assert registry.create("finished") is registry.create("finished")


def test_a_lazy_target_is_imported_by_create_only() -> None:
    sys.modules.pop("colorsys", None)
    registry = Registry("encoder")
    registry.add("lazy", "colorsys:rgb_to_hsv")
    assert registry.names() == ["lazy"]
    assert registry.describe() == [{"name": "lazy", "distribution": "", "target": "colorsys:rgb_to_hsv"}]
    assert "colorsys" not in sys.modules
    assert registry.create("lazy", r=0.0, g=0.0, b=0.0) == (0.0, 0.0, 0.0)


def test_unknown_name_lists_suggests_and_hints() -> None:
    registry = Registry("architecture", hint=lambda kind, name: f"Ask about {kind} {name}.")
    registry.add("cnn-2layer", Table)
    registry.add("mlp", Table)
    with pytest.raises(UnknownNameError) as caught:
        registry.create("CNN-2l")
    assert str(caught.value) == (
        "Unknown architecture 'CNN-2l'. Did you mean 'cnn-2layer'? Known: cnn-2layer, mlp. Ask about architecture CNN-2l."
    )
    with pytest.raises(UnknownNameError, match=r"Unknown encoder 'x'\. Known: none\.$"):
        Registry("encoder").create("x")


@pytest.mark.parametrize(
    ("spec", "config", "message"),
    [
        ("steps:50", {}, "Encoder 'steps' takes no argument, but got '50'; write just 'steps'."),
        ("finished:50", {}, "Encoder 'finished' takes no argument, but got '50'; write just 'finished'."),
        ("finished", {"a": 1}, "Encoder 'finished' takes no settings, but got a; leave them out."),
        ("table", {}, "Encoder 'table' needs an argument: write 'table:FILE'."),
        ("table:", {}, "Encoder 'table' needs an argument: write 'table:FILE'."),
        ("table:a", {"scales": 1}, "Encoder 'table' has no setting 'scales'. Did you mean 'scale'? It takes: scale."),
        ("steps", {"x": 1}, "Encoder 'steps' has no setting 'x'. It takes: num_train_timesteps, beta_start."),
        ("lazy", {"g": 1, "b": 1}, "Encoder 'lazy' needs an argument: write 'lazy:R'."),
        ("lazy:1", {}, "Encoder 'lazy' cannot be made: missing a required argument: 'g'. Settings it takes: g, b."),
    ],
)
def test_calls_that_cannot_work(registry: Registry, spec: str, config: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        registry.create(spec, **config)
    assert str(caught.value) == message


def test_an_error_inside_the_target_names_it(registry: Registry) -> None:
    with pytest.raises(
        PluginError, match=r"Encoder 'failing' of this program cannot be made: TypeError: from inside\."
    ) as caught:
        registry.create("failing:x")
    assert isinstance(caught.value.__cause__, TypeError)


@pytest.mark.parametrize(
    ("target", "error", "message"),
    [
        ("no_such_package_at_all:thing", PluginError, "there is no module 'no_such_package_at_all'; reinstall it"),
        ("colorsys:no_such_thing", PluginError, "cannot be imported from 'colorsys:no_such_thing'"),
        (
            "needs_missing:thing",
            DependencyError,
            "of 'tina-b' needs the module 'missing_dependency', which is not installed; install it: pip install missing-dependency.",
        ),
        (
            "broken_module:thing",
            PluginError,
            "cannot be imported from 'broken_module:thing' (RuntimeError: deliberate)",
        ),
    ],
)
def test_targets_that_cannot_be_imported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, target: str, error: type[Exception], message: str
) -> None:
    (tmp_path / "needs_missing.py").write_text("import missing_dependency\n")
    (tmp_path / "broken_module.py").write_text("raise RuntimeError('deliberate')\n")
    monkeypatch.syspath_prepend(tmp_path)
    registry = Registry("encoder")
    registry.add("x", target, distribution="tina-b")
    with pytest.raises(error) as caught:
        registry.create("x")
    assert message in str(caught.value)


def test_a_finished_object_must_know_itself_by_its_name() -> None:
    registry = Registry("architecture")
    registry.add("one", Named("two"), distribution="tina-a")
    with pytest.raises(PluginError, match=r"'one' of 'tina-a' calls itself 'two'; both names must be the same"):
        registry.create("one")


def test_duplicates_name_both_distributions_and_how_to_block_one() -> None:
    registry = Registry("encoder")
    registry.add("x", Table, distribution="tina-a")
    with pytest.raises(PluginError) as caught:
        registry.add("x", Steps, distribution="tina-b")
    message = str(caught.value)
    assert "'tina-a'" in message
    assert "'tina-b'" in message
    assert "TINA_DISABLE_PLUGINS=tina-b" in message
    with pytest.raises(PluginError, match=r"by 'tina-a' and by this program.*TINA_DISABLE_PLUGINS=tina-a"):
        registry.add("x", Steps)
    with pytest.raises(PluginError, match="twice by 'tina-a'"):
        registry.add("x", Steps, distribution="tina-a")
    assert registry.create("x:file") == Table("file")


@pytest.mark.parametrize("name", ["", "Upper", "with space", "a:b", "-dash", "ümlaut", "a/b", None, 3])
def test_malformed_names_are_refused(name: object) -> None:
    registry = Registry("encoder")
    with pytest.raises(PluginError, match="cannot name an encoder"):
        registry.add(name, Table)  # type: ignore[arg-type]
    assert registry.names() == []


@pytest.mark.parametrize("target", ["module", "module:", ":x", "a b:c", "module:x:y", None])
def test_malformed_targets_are_refused(target: object) -> None:
    registry = Registry("encoder")
    with pytest.raises(PluginError, match=r"package\.module:attribute"):
        registry.add("x", target)
    assert registry.names() == []


def test_a_transaction_undoes_what_a_failing_block_added(registry: Registry) -> None:
    before = registry.describe()

    def failing() -> None:
        with registry.transaction():
            registry.add("new", Table)
            raise RuntimeError

    with pytest.raises(RuntimeError):
        failing()
    assert registry.describe() == before
    with registry.transaction():
        registry.add("new", Table)
    assert "new" in registry


@given(st.lists(st.from_regex(r"[a-z0-9][a-z0-9._-]{0,8}", fullmatch=True), unique=True), st.text(max_size=12))
def test_names_are_sorted_and_any_unknown_spec_gives_one_clear_error(names: list[str], spec: str) -> None:
    registry = Registry("dataset")
    for name in names:
        registry.add(name, Steps)
    assert registry.names() == sorted(names)
    if spec.partition(":")[0] not in names:
        with pytest.raises(UnknownNameError, match="Unknown dataset"):
            registry.create(spec)


def test_an_old_import_when_a_target_is_called_names_the_new_place() -> None:
    def old() -> None:
        importlib.import_module("tina_framework.spec")

    registry = Registry("dataset")
    registry.add("old", old, distribution="tina-old")
    with pytest.raises(
        PluginError, match=r"'old' of 'tina-old' cannot be made: it imports tina_framework.spec, which is"
    ):
        registry.create("old")


def test_names_in_messages_are_escaped_and_lists_are_cut() -> None:
    registry = Registry("encoder")
    for number in range(1000):
        registry.add(f"n{number}", len)
    with pytest.raises(UnknownNameError) as caught:
        registry.create("\x1b[2J" + "x" * 10_000)
    message = str(caught.value)
    assert message.startswith(r"Unknown encoder '\x1b[2J")
    assert message.endswith(" and 970 more.")
    assert len(message) < 500


class Hostile:
    """Every attribute raises, and so do its representations."""

    def __getattr__(self, name: str) -> object:
        raise RuntimeError(name)

    def __repr__(self) -> str:
        raise RuntimeError("no repr")


def test_an_object_that_raises_at_every_turn_is_described() -> None:
    registry = Registry("encoder")
    registry.add("x", Hostile())
    [row] = registry.describe()
    assert row["target"].endswith(":Hostile")
