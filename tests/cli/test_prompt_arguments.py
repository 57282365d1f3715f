"""``tina generate`` with classes that are more than names: what it prints, keeps and refuses."""

from __future__ import annotations

import json
import re
import struct
import zlib
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import TOY_CLASSES
from tina_framework.classifier.classifier import GeneratedClassifier
from tina_framework.cli.__main__ import main
from tina_framework.interfaces.encoder import Encoder


@pytest.fixture
def tina(
    tiny_folder: Path,
    seeing: Encoder,
    picture_folder: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> Any:
    """Runs ``tina generate`` with the tiny generator beside the folder ``pictures``: (exit code, output, errors)."""
    monkeypatch.chdir(picture_folder.parent)

    def run(*arguments: str) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as caught:
            main(["generate", "--model", str(tiny_folder), "--device", "cpu", "--encoder", "toy-seeing", *arguments])
        printed = capsys.readouterr()
        return int(caught.value.code or 0), printed.out, printed.err

    return run


EVERY_KIND = (
    "ant",
    "elephant=a large, grey animal with a trunk",
    "bus=bus+@pictures/bus",
    "cat=@pictures/a.png,@pictures/b.png",
    "honeybee",
)


def test_every_kind_of_prompt(tina: Any) -> None:
    code, out, err = tina(*EVERY_KIND)
    assert code == 0, err
    assert "classes:      ant, elephant, bus, cat, honeybee" in out
    familiar = r" \(familiarity 0\.\d\d, most like '\w+'\)\n"
    assert re.search("prompts:      elephant: 'a large, grey animal with a trunk'" + familiar, out)
    assert re.search("              bus: its name \\+ 3 pictures" + familiar, out)
    assert re.search("              cat: 2 pictures" + familiar, out)
    assert "              honeybee: its name, read as 'bee'\n" in out
    assert " ant:" not in out
    provenance = GeneratedClassifier.from_pretrained("classifier").provenance
    assert provenance["prompts"][2] == {"label": "bus", "texts": ["bus"], "images": 3}
    assert provenance["read_as"] == {"honeybee": "bee"}


def test_json_describes_the_prompt_of_every_class(tina: Any) -> None:
    code, out, err = tina("ant", "@pictures/bus", "honeybee", "--json")
    assert code == 0, err
    [made] = json.loads(out)["classifiers"]
    assert made["class_names"] == ["ant", "bus", "honeybee"]
    familiarity, nearest = (made["prompts"][1].pop(key) for key in ("familiarity", "nearest"))
    assert 0 < familiarity < 1
    assert nearest in TOY_CLASSES
    assert made["prompts"] == [
        {"label": "ant", "texts": ["ant"]},
        {"label": "bus", "images": 3},
        {"label": "honeybee", "texts": ["honeybee"], "read_as": {"honeybee": "bee"}},
    ]


def test_recorded_accuracy_is_that_of_known_names(tina: Any) -> None:
    _, out, err = tina("ant", "bee", "cat=@pictures/a.png")
    assert "accuracy:     unknown for these classes, see the warnings" in out
    assert "'cat' resembles no class" in err, "the picture shows something else"
    assert "accuracy:     not measured at 3 classes" in tina("ant", "bee", "cat")[1], "with this encoder"


@pytest.mark.parametrize("arguments", [("tell ants from bees and foxes",), ("--sentence", "ants, bees or foxes")])
def test_sentences(tina: Any, arguments: tuple[str, ...]) -> None:
    code, out, err = tina(*arguments, "--out", "told")
    assert code == 0, err
    assert tina("ant", "bee", "fox", "--out", "named")[0] == 0
    assert "classes:      ant, bee, fox" in out
    assert Path("told/model.safetensors").read_bytes() == Path("named/model.safetensors").read_bytes()


def test_task_files_may_hold_every_kind(tina: Any) -> None:
    objects = {"label": "elephant", "texts": ["a large grey animal"], "images": ["a.png"]}
    tasks = [{"classes": ["ant", "bus=bus+@bus"]}, {"classes": ["bee", objects], "split": "seen"}]
    Path("pictures/tasks.json").write_text(json.dumps({"tasks": tasks}))
    code, out, err = tina("--tasks", "pictures/tasks.json", "--json")
    assert code == 0, err
    first, second = json.loads(out)["classifiers"]
    assert first["prompts"][1].items() >= {"label": "bus", "images": 3}.items()
    assert second["prompts"][1].items() >= {"label": "elephant", "images": 1}.items()


def test_help_shows_the_notation(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["generate", "--help"])
    text = capsys.readouterr().out
    assert "LABEL=WORDS" in text
    assert "bus=@pictures/bus" in text
    assert "--sentence" in text


def _prepare(root: Path) -> None:
    """Files that are no good."""
    header = b"IHDR" + struct.pack(">IIBBBBB", 20000, 20000, 8, 2, 0, 0, 0)
    chunks = [struct.pack(">I", 13) + header + struct.pack(">I", zlib.crc32(header))]
    chunks.append(struct.pack(">I", 0) + b"IDAT" + struct.pack(">I", zlib.crc32(b"IDAT")))
    (root / "huge.png").write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(chunks))
    whole = (root / "a.png").read_bytes()
    (root / "half.png").write_bytes(whole[: len(whole) // 2])
    (root / "notes.txt").write_text("a list of things to buy")
    (root / "empty").mkdir()
    (root / "many").mkdir()
    for number in range(1001):
        (root / "many" / f"{number}.png").touch()


@pytest.mark.parametrize(
    ("arguments", "code", "sentence"),
    [
        (["bus=@pictures/bus"], 2, "Only one class was named ('bus')"),
        (["ant", "cat=@pictures/huge.png"], 1, "is too large to be opened safely"),
        (["ant", "cat=@pictures/half.png"], 1, "cannot be read"),
        (["ant", "cat=@pictures/notes.txt"], 1, "unknown picture format"),
        (["ant", "cat=@pictures/none.png"], 1, "does not exist; check the path"),
        (["ant", "cat=@pictures/empty"], 2, "has no picture"),
        (["ant", "cat=@pictures/many"], 2, "has 1,001 pictures, but at most 1,000 are allowed for one class"),
        (["ant", "@pictures/a.png,@pictures/b.png"], 2, "has several pictures but no label"),
        (["ant", "cat="], 2, "has nothing after its '='"),
        (["ant", "bus=@"], 2, "has an '@' without a path"),
        (["ant", "a=@pictures/a.png", "b=@pictures/a.png"], 2, "'a' and 'b' have the same prompt"),
        (["ant", "a=thing", "b=thing"], 2, "'a' and 'b' have the same prompt"),
        (["ant", "ants"], 2, "'ant' and 'ants' are the same class (the known class 'ant')"),
        (["hen", "bee", "chicken"], 2, "'hen' and 'chicken' are the same class (the known class 'hen')"),
        ([f"class {k}=@pictures/bus" for k in range(10)], 2, "have the same prompt"),
        ([*(f"class {k}" for k in range(10)), "bus=@pictures/bus"], 2, "11 classes were named"),
        (
            ["ant", "bus=@pictures/bus", "--encoder", "toy"],
            2,
            "'bus' has pictures, but encoder 'toy' reads text",
        ),
        (["salt and pepper shakers"], 2, "such as salt | pepper shaker; give separate names"),
        (["tell ants from everything else"], 2, "'everything else' as a class"),
        (["recognise ants"], 2, "names one class (ant)"),
        (["--sentence", "ant"], 2, "no sentence about classes"),
        (["ant", "bee", "--sentence", "ants or bees"], 2, "one of the three"),
    ],
)
def test_bad_prompts_are_one_sentence(tina: Any, arguments: list[str], code: int, sentence: str) -> None:
    _prepare(Path("pictures"))
    found, out, err = tina(*arguments)
    assert found == code, err
    assert sentence in err
    assert err.count("\n") == 1
    assert not out
    assert not Path("classifier").exists()
