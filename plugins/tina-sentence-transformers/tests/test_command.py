"""Test ``tina fit-projection``."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tina_framework.cli.__main__ import main


def run(capsys: pytest.CaptureFixture[str], *args: str) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as caught:
        main(args)
    out, err = capsys.readouterr()
    return int(caught.value.code or 0), out, err


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
