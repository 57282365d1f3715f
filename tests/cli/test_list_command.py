"""``tina list``."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from torch import nn

from tina_framework.cli.__main__ import main
from tina_framework.interfaces.architecture import TargetArchitecture
from tina_framework.plugin.discovery import registries


def tina(capsys: pytest.CaptureFixture[str], *args: str) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as caught:
        main(["list", *args])
    printed = capsys.readouterr()
    return int(caught.value.code or 0), printed.out, printed.err


def test_names_of_a_kind_by_pattern(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = tina(capsys, "schedulers", "dd?m")
    assert code == 0
    assert [line.split()[:2] for line in out.splitlines()[1:]] == [
        ["ddim", "tina-framework"],
        ["ddpm", "tina-framework"],
    ]


def test_a_pattern_without_a_match_names_what_exists(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = tina(capsys, "schedulers", "wide*")
    assert (code, out) == (0, "")
    assert err.startswith("No scheduler matches 'wide*'. Known: ddim, ddpm,")


@pytest.mark.parametrize("kind", ["architecture", "architectures"])
def test_json(capsys: pytest.CaptureFixture[str], kind: str) -> None:
    rows = json.loads(tina(capsys, kind, "cnn*", "--json")[1])
    assert [row["name"] for row in rows] == ["cnn-2layer", "cnn-3layer"]
    assert rows[0]["target"].startswith("tina_framework.builtins.architectures")


def test_an_unknown_kind(capsys: pytest.CaptureFixture[str]) -> None:
    code, _, err = tina(capsys, "models")
    assert code == 2
    assert "There is no kind 'models'; choose one of architectures, datasets" in err


def test_generators_are_listed_with_their_package(generator_plugin: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = json.loads(tina(capsys, "generators", "--json")[1])
    assert [(row["name"], row["distribution"]) for row in rows] == [
        ("absent", "fake-toys"),
        ("cifar100-cnn", "tina-framework"),
        ("cifar100-cnn-taught", "tina-framework"),
        ("cifar100-many", "tina-framework"),
        ("toys", "fake-toys"),
    ]
    assert rows[-1]["target"] == "fake_toys:pretrained/toys"
    assert (rows[1]["writes"], rows[1]["knows"]) == ("cnn-2layer for 2 to 10 classes", "100 classes")
    assert rows[3]["writes"] == "cnn-2layer and 6 more for 2 to 10 classes"
    assert rows[0]["writes"] is rows[0]["knows"] is None  # its folder is missing
    out = tina(capsys, "generators")[1]
    assert out.split("\n")[0].split() == ["name", "writes", "knows", "distribution"]
    assert "cnn-2layer for 2 to 10 classes" in out  # the row below may be cut in two, where the terminal is narrow


def test_architectures_are_listed_with_their_sizes(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    registry = registries().architectures
    monkeypatch.setattr(registry, "_entries", dict(registry._entries))
    registry.add("broken", "json:no_such_thing", distribution="tina-broken")
    registry.add("no-architecture", object(), distribution="tina-broken")
    registry.add("no-network", TargetArchitecture("no-network", lambda k: 1 / 0), distribution="tina-broken")
    one = TargetArchitecture("one-width", lambda k: nn.Linear(4, k))
    registry.add(one.name, one, distribution="tina-one")
    rows = json.loads(tina(capsys, "architectures", "--json")[1])
    sizes = {row["name"]: (row["parameters"], row["widths"]) for row in rows}
    # Other tests of this process may have registered more.
    assert (
        sizes.items()
        >= {
            "broken": (None, None),
            "cnn-2layer": (5_370, [0.25, 4.0]),
            "cnn-3layer": (14_586, [0.25, 4.0]),
            "no-architecture": (None, None),
            "no-network": (None, None),
            "one-width": (50, None),
        }.items()
    )
    monkeypatch.delenv("COLUMNS", raising=False)
    lines = [line.split() for line in tina(capsys, "architectures")[1].splitlines()]
    assert lines[0] == ["name", "parameters,", "10", "classes", "widths", "distribution"]
    assert ["cnn-2layer", "5370", "0.25", "to", "4", "tina-framework"] in lines
    assert ["one-width", "50", "-", "tina-one"] in lines
    assert ["broken", "-", "-", "tina-broken"] in lines


def test_the_architectures_of_one_generator(
    several_folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("COLUMNS", raising=False)  # a narrow table would be wrapped
    lines = tina(capsys, "architectures", "--model", str(several_folder))[1].splitlines()
    assert [line.split() for line in lines[1:]] == [
        ["cnn-2layer@0.5", "(default)", "1538", "yes", "30.0", "%"],
        ["cnn-2layer@0.75", "3166", "no", "not", "recorded"],
        ["cnn-2layer", "5370", "yes", "50.0", "%"],
        ["cnn-3layer", "14586", "yes", "40.0", "%"],
    ]
    [row] = json.loads(tina(capsys, "architectures", "*3layer", "--model", str(several_folder), "--json")[1])
    assert row == {
        "name": "cnn-3layer",
        "default": False,
        "parameters": 14586,
        "num_classes": 10,
        "trained": True,
        "validation_accuracy": 0.4,
    }
    assert len(json.loads(tina(capsys, "architectures", "--model", "cifar100-cnn", "--json")[1])) == 1
    err = tina(capsys, "architectures", "mlp*", "--model", str(several_folder))[2]
    assert err.startswith(
        "No architecture of this generator matches 'mlp*'. It writes: cnn-2layer@0.5, cnn-2layer@0.75"
    )
    code, _, err = tina(capsys, "encoders", "--model", "cifar100-cnn")
    assert code == 2
    assert "--model lists the architectures of a generator, not encoders" in err


def test_generators_of_several_architectures_say_so(
    several_folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    registry = registries().generators
    monkeypatch.setattr(registry, "_entries", dict(registry._entries))
    registry.add("several", several_folder, distribution="fake-toys")
    [row] = json.loads(tina(capsys, "generators", "several", "--json")[1])
    assert row["writes"] == "cnn-2layer@0.5 and 3 more for 2 to 10 classes"
