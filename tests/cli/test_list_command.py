"""``tina list``."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tina_framework.cli.__main__ import main


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
    assert [row["name"] for row in rows] == ["cnn-2layer"]
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
        ("toys", "fake-toys"),
    ]
    assert rows[-1]["target"] == "fake_toys:pretrained/toys"
    assert (rows[1]["writes"], rows[1]["knows"]) == ("cnn-2layer for 2 to 10 classes", "100 classes")
    assert rows[0]["writes"] is rows[0]["knows"] is None  # its folder is missing
    out = tina(capsys, "generators")[1]
    assert out.split("\n")[0].split() == ["name", "writes", "knows", "distribution"]
    assert "cnn-2layer for 2 to 10 classes  100 classes  tina-framework" in out
