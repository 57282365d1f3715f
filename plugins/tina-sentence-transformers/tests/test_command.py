from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tina_framework import list_encoders
from tina_framework.cli.__main__ import main
from tina_sentence_transformers.rows import families, read_rows


def run(capsys: pytest.CaptureFixture[str], *args: str) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as caught:
        main(args)
    out, err = capsys.readouterr()
    return int(caught.value.code or 0), out, err


def test_the_encoder_is_registered() -> None:
    assert "sentence-transformers" in list_encoders()


def test_the_plugin_imports_nothing_heavy() -> None:
    code = (
        "import sys, tina_sentence_transformers.plugin; "
        "sys.exit(bool({'torch', 'numpy', 'sentence_transformers', 'transformers'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_fit_and_use(capsys: pytest.CaptureFixture[str], tmp_path: Path, model_folder: Path, rows_file: Path) -> None:
    out = tmp_path / "out"
    options = ("fit-projection", "--model", str(model_folder), "--vectors", str(rows_file), "--out", str(out))
    code, printed, error = run(capsys, *options, "--landmarks", "10")
    assert code == 0, error
    assert "held out: mean cosine" in printed
    assert f"sentence-transformers:{out}" in printed
    code, _, error = run(capsys, *options)
    assert (code, error) == (2, f"Error: '{out}' exists already; give --out a new folder.\n")


def test_figures_as_json(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, model_folder: Path, rows_file: Path
) -> None:
    (tmp_path / "held_out.txt").write_text("old bus\nwild oak\n\ntiny cup\n")
    code, printed, _ = run(
        capsys, "fit-projection", "--model", str(model_folder), "--vectors", str(rows_file), "--out", str(tmp_path / "out"),
        "--held-out", str(tmp_path / "held_out.txt"), "--json",
    )  # fmt: skip
    assert code == 0
    record = json.loads(printed)
    assert record["held_out"] == 3
    assert record["figures"] == json.loads((tmp_path / "out" / "config.json").read_text())["record"]["figures"]


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--vectors", "nowhere.npz"], "'nowhere.npz' does not exist"),
        (["--model", "nowhere"], "'nowhere' is no folder"),
        (["--model", "owner/name"], "give --revision"),
        (["--landmarks", "-1"], "--landmarks is -1"),
        (["--held-out-share", "1.5"], "--held-out-share is 1.5"),
        (["--held-out-share", "0.0001"], "at least 10 and 2 are needed"),
        (["--held-out", "nowhere.txt"], "'nowhere.txt' cannot be read"),
        (["--held-out", "unknown.txt"], "no row has the name 'blue whale'"),
        (["--anchors", "unknown.txt"], "no row has the name 'blue whale'"),
        (["--anchors", "some.txt", "--held-out", "some.txt"], "can be one or the other"),
    ],
)
def test_bad_input_is_one_sentence(
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    model_folder: Path,
    rows_file: Path,
    options: list[str],
    says: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("unknown.txt").write_text("red cat\nblue whale\n")
    Path("some.txt").write_text("red cat\nold bus\n")
    given = {"--model": str(model_folder), "--vectors": str(rows_file), "--out": "out"}
    given |= dict(zip(options[::2], options[1::2], strict=True))
    code, printed, error = run(capsys, "fit-projection", *(word for pair in given.items() for word in pair))
    assert code in (1, 2)
    assert printed == ""
    assert error.startswith("Error: ")
    assert error.count("\n") == 1
    assert says in error
    assert not Path("out").exists()


NAMES = np.array([f"name {letter}" for letter in "abcdefghijklmnop"])
VECTORS = np.random.default_rng(0).standard_normal((16, 4)).astype(np.float32)


@pytest.mark.parametrize(
    ("arrays", "says"),
    [
        ({"x": VECTORS}, "has the arrays x"),
        ({"names": NAMES[:3], "vectors": VECTORS, "space": np.array("s")}, "3 names, but vectors of shape (1, 16, 4)"),
        ({"names": np.arange(16), "vectors": VECTORS, "space": np.array("s")}, "expected (M,) texts"),
        ({"names": NAMES, "vectors": VECTORS}, "states no 'space'"),
        ({"names": NAMES, "vectors": VECTORS * 0, "space": np.array("s")}, "zero or not finite"),
        ({"names": NAMES, "vectors": VECTORS * np.nan, "space": np.array("s")}, "zero or not finite"),
        (
            {"names": NAMES, "vectors": VECTORS, "space": np.array("s"), "templates": np.array(["a"])},
            "as many templates",
        ),
        ({"names": NAMES.astype(object), "vectors": VECTORS, "space": np.array("s")}, "cannot be read as .npz"),
        (None, "cannot be read as .npz"),
    ],
)
def test_a_bad_table_is_one_sentence(
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    model_folder: Path,
    arrays: dict[str, np.ndarray] | None,
    says: str,
) -> None:
    path = tmp_path / "bad.npz"
    if arrays is None:
        path.write_text("no archive")
    else:
        np.savez(path, **arrays)
    code, _, error = run(
        capsys, "fit-projection", "--model", str(model_folder), "--vectors", str(path), "--out", str(tmp_path / "out")
    )
    assert code == 1
    assert says in error
    assert error.count("\n") == 1


def test_the_other_layouts_of_a_table(tmp_path: Path) -> None:
    wide = np.random.default_rng(0).standard_normal((16, 512)).astype(np.float16)
    np.savez(tmp_path / "one.npz", name=NAMES, emb=wide)
    np.savez(tmp_path / "two.npz", class_names=NAMES, a=wide, this_is_a=wide)
    one, two = read_rows(tmp_path / "one.npz"), read_rows(tmp_path / "two.npz")
    assert (one.templates, two.templates) == (("a {}",), ("a {}", "This is a {}"))
    assert one.space == two.space == "openai/clip-vit-base-patch32"
    np.testing.assert_allclose(np.linalg.norm(two.vectors_TME, axis=2), 1.0)


def test_of_rows_with_one_name_the_first_counts(tmp_path: Path) -> None:
    np.savez(
        tmp_path / "t.npz",
        names=np.array(["a-b", "c", "A B"]),
        vectors=np.eye(3, dtype=np.float32),
        space=np.array("s"),
    )
    rows = read_rows(tmp_path / "t.npz")
    assert rows.names == ("a-b", "c")
    np.testing.assert_array_equal(rows.vectors_TME[0], np.eye(3)[:2])


def test_synonyms_are_one_family() -> None:
    keys = families(
        ["Goldfish", "goldfish, Carassius auratus", "Carassius auratus (fish)", "cats", "cat", "bass", "grass"]
    )
    assert len(set(keys[:3])) == 1
    assert keys[3] == keys[4]
    assert len(set(keys)) == 4
    assert families(["cat", "cats"]) == families(["cats", "cat"])
