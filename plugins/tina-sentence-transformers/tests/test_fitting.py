"""Test the fit of a projection and its figures."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from tina_sentence_transformers.encoder import SentenceTransformersEncoder
from tina_sentence_transformers.fitting import Request, fit_projection
from tina_sentence_transformers.rows import read_rows


@pytest.mark.parametrize("landmarks", [0, 15])
def test_a_linear_relation_is_recovered(tmp_path: Path, model_folder: Path, rows_file: Path, landmarks: int) -> None:
    record = fit_projection(
        Request(str(model_folder), None, rows_file, tmp_path / "out", held_out_share=0.2, landmarks=landmarks)
    )
    for report in record["figures"]:
        chance = 1 / report["held_out"]["names"]
        assert report["held_out"]["cosine"] > 0.5
        assert report["held_out"]["own_is_nearest"] > 2 * chance


def test_anchors_match_their_rows(tmp_path: Path, model_folder: Path, rows_file: Path) -> None:
    rows = read_rows(rows_file)
    (tmp_path / "anchors.txt").write_text("red cat\nIRON-SEA\n")
    (tmp_path / "held_out.txt").write_text("old bus\nwild oak\ntiny cup\n")
    request = Request(
        str(model_folder),
        None,
        rows_file,
        tmp_path / "out",
        tmp_path / "held_out.txt",
        0.15,
        tmp_path / "anchors.txt",
        20,
    )
    record = fit_projection(request)
    assert (record["fit"], record["held_out"], record["anchors"]) == (len(rows.names) - 3, 3, 2)
    for report in record["figures"]:
        assert report["anchors"]["cosine"] > 0.97
        assert report["anchors"]["cosine"] > report["held_out"]["cosine"]
    known, unknown = SentenceTransformersEncoder(tmp_path / "out").text_confidence(["red cat", "zzz xyz xyz"])
    assert known > 0.95
    assert known > unknown


def test_held_out_rows_do_not_change_the_weights(tmp_path: Path, model_folder: Path, rows_file: Path) -> None:
    """Another vector for a held-out name changes only the figures."""
    (tmp_path / "held_out.txt").write_text("old bus\nwild oak\ntiny cup\n")
    with np.load(rows_file) as table:
        changed = {name: table[name].copy() for name in table.files}
    changed["vectors"][:, list(changed["names"]).index("old bus")] *= -1
    np.savez(tmp_path / "changed.npz", **changed)
    folders = []
    for number, rows in enumerate((rows_file, tmp_path / "changed.npz")):
        folders.append(tmp_path / str(number))
        fit_projection(Request(str(model_folder), None, rows, folders[-1], tmp_path / "held_out.txt", landmarks=15))
    first, second = ((folder / "projection.safetensors").read_bytes() for folder in folders)
    assert first == second
    configs = [json.loads((folder / "config.json").read_text()) for folder in folders]
    assert configs[0]["confidence"] == configs[1]["confidence"]
    assert configs[0]["record"]["figures"] != configs[1]["record"]["figures"]


def test_the_order_of_the_rows_does_not_matter(
    tmp_path: Path, model_folder: Path, rows_file: Path, projection_folder: Path
) -> None:
    with np.load(rows_file) as table:
        turned = {name: table[name] for name in table.files}
    turned |= {"names": turned["names"][::-1], "vectors": turned["vectors"][:, ::-1]}
    np.savez(tmp_path / "turned.npz", **turned)
    fit_projection(
        Request(str(model_folder), None, tmp_path / "turned.npz", tmp_path / "out", held_out_share=0.2, landmarks=15)
    )
    texts = ["red cat", "a long winded name"]
    np.testing.assert_allclose(
        SentenceTransformersEncoder(tmp_path / "out").encode_text(texts),
        SentenceTransformersEncoder(projection_folder).encode_text(texts),
        atol=2e-3,
    )
