"""Test the three layouts, and the two real tables if they are available."""

from __future__ import annotations

import io
import json
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.numpy import save_file

from tina_framework.builtins.encoders.embedding_table import EmbeddingTable
from tina_framework.errors import DataError, PromptError
from tina_framework.interfaces.encoder import Encoder

SHARED = Path(__file__).resolve().parents[3].parent / "shared" / "data"
NAMES = np.array(["apple", "Pickup truck", "T-shirt", "sweet_pepper"])
VECTORS = np.random.default_rng(0).normal(size=(4, 6)).astype(np.float16)


def write(folder: Path, **arrays: object) -> Path:
    path = folder / "table.npz"
    np.savez(path, **arrays)
    return path


@pytest.fixture
def generic(tmp_path: Path) -> Path:
    return write(tmp_path, names=NAMES, vectors=VECTORS, templates=np.array(["a {}"]), space=np.array("toy/space"))


def shared_table(name: str) -> Path:
    path = SHARED / name
    if not path.is_file():
        pytest.skip(f"needs the table ../shared/data/{name}")
    return path


class TestGenericLayout:
    def test_gives_the_rows_in_the_order_asked(self, generic: Path) -> None:
        table = EmbeddingTable(generic)
        assert isinstance(table, Encoder)
        assert (table.name, table.dim, table.space) == (f"embedding-table:{generic}", 6, "toy/space")
        assert table.templates == ("a {}",)
        assert table.names == ("apple", "Pickup truck", "T-shirt", "sweet_pepper")
        vectors = table.encode_text(["T-shirt", "apple", "T-shirt"])
        assert vectors.dtype == np.float32
        np.testing.assert_array_equal(vectors, VECTORS[[2, 0, 2]].astype(np.float32))

    def test_several_templates(self, tmp_path: Path) -> None:
        both = np.stack([VECTORS, 2 * VECTORS])
        table = EmbeddingTable(
            write(tmp_path, names=NAMES, vectors=both, templates=np.array(["a {}", "one {}"]), space=np.array("s"))
        )
        assert table.templates == ("a {}", "one {}")
        np.testing.assert_array_equal(table.encode_text(["apple"], template=1), both[1, :1].astype(np.float32))

    def test_safetensors(self, tmp_path: Path) -> None:
        path = tmp_path / "table.safetensors"
        metadata = {"names": json.dumps(NAMES.tolist()), "templates": '["a {}"]', "space": "toy/space"}
        save_file({"vectors": VECTORS}, path, metadata=metadata)
        table = EmbeddingTable(path)
        assert (table.space, table.templates) == ("toy/space", ("a {}",))
        np.testing.assert_array_equal(table.encode_text(["apple"]), VECTORS[:1].astype(np.float32))

    def test_a_table_of_width_512_is_taken_for_clip(self, tmp_path: Path) -> None:
        table = EmbeddingTable(write(tmp_path, names=NAMES[:2], vectors=np.ones((2, 512), np.float32)))
        assert table.space == "openai/clip-vit-base-patch32"
        assert table.templates == ("{}",)

    def test_no_texts_give_no_rows(self, generic: Path) -> None:
        assert EmbeddingTable(generic).encode_text([]).shape == (0, 6)


@pytest.mark.parametrize(
    "spelling", ["pickup truck", "PICKUP TRUCK", "pickup-truck", "Pickup_Truck", "  pickup   truck "]
)
def test_lookup_tolerates_spellings(generic: Path, spelling: str) -> None:
    np.testing.assert_array_equal(EmbeddingTable(generic).encode_text([spelling]), VECTORS[1:2].astype(np.float32))


def test_missing_names_are_named_with_the_closest(generic: Path) -> None:
    with pytest.raises(PromptError, match=r"lacks 'aple' \(closest: apple\), 'zzz'") as caught:
        EmbeddingTable(generic).encode_text(["apple", "aple", "zzz", "zzz"])
    assert str(caught.value).count("'zzz'") == 1


def test_unknown_template(generic: Path) -> None:
    with pytest.raises(PromptError, match="no template number 1; it has 1"):
        EmbeddingTable(generic).encode_text(["apple"], template=1)


def test_the_first_of_several_rows_counts(tmp_path: Path) -> None:
    names = np.array(["bus", "Bus", "car", "BUS"])
    table = EmbeddingTable(write(tmp_path, names=names, vectors=VECTORS, space=np.array("s")))
    assert table.names == ("bus", "car")
    np.testing.assert_array_equal(table.encode_text(["BUS"]), VECTORS[:1].astype(np.float32))


def test_one_array_a_template(tmp_path: Path) -> None:
    other = VECTORS[::-1].copy()
    table = EmbeddingTable(
        write(
            tmp_path,
            class_names=NAMES,
            a=np.tile(VECTORS, 128)[:, :512],
            this_is_a_photo_of_a=np.tile(other, 128)[:, :512],
        )
    )
    assert table.templates == ("a {}", "This is a photo of a {}")
    np.testing.assert_array_equal(table.encode_text(["apple"], template=1)[0, :6], other[0].astype(np.float32))


def test_name_and_emb(tmp_path: Path) -> None:
    path = write(tmp_path, source=np.array(["lvis"] * 4), name=NAMES, emb=np.tile(VECTORS, 128)[:, :512])
    table = EmbeddingTable(path)
    assert table.templates == ("a {}",)
    np.testing.assert_array_equal(table.encode_text(["t shirt"])[0, :6], VECTORS[2].astype(np.float32))


def broken(folder: Path, kind: str) -> Path:
    good = {"names": NAMES, "vectors": VECTORS, "space": np.array("s")}
    nan = VECTORS.copy()
    nan[2, 3] = np.nan
    zero = VECTORS.copy()
    zero[1] = 0
    arrays: dict[str, dict[str, object]] = {
        "other arrays": {"images": VECTORS},
        "too few vectors": good | {"vectors": VECTORS[:3]},
        "integers": good | {"vectors": np.ones((4, 6), np.int64)},
        "not a number": good | {"vectors": nan},
        "zero row": good | {"vectors": zero},
        "numbers for names": good | {"names": np.arange(4)},
        "objects for names": good | {"names": np.array(["a", None, 1, 2], dtype=object)},
        "empty name": good | {"names": np.array(["a", " ", "b", "c"])},
        "template without a place": good | {"templates": np.array(["a photo"])},
        "too many templates": good | {"templates": np.array(["a {}", "the {}"])},
        "no space": {"names": NAMES, "vectors": VECTORS},
        "space is a list": good | {"space": np.array(["a", "b"])},
        "classes without vectors": {"class_names": NAMES},
    }
    if kind in arrays:
        return write(folder, **arrays[kind])
    if kind == "missing":
        return folder / "nothing.npz"
    if kind == "other ending":
        path = folder / "table.csv"
        path.write_text("a,1")
        return path
    path = write(folder, **good)
    path.write_bytes(path.read_bytes()[:300])
    return path


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("missing", "does not exist"),
        ("other ending", r"neither \.npz nor \.safetensors"),
        ("truncated", "cannot be read"),
        ("other arrays", "has the arrays images; expected 'names' and 'vectors'"),
        ("too few vectors", r"4 names, but vectors of shape \(3, 6\)"),
        ("integers", "type int64"),
        ("not a number", "vector of 'T-shirt' is zero or not finite"),
        ("zero row", "vector of 'Pickup truck' is zero or not finite"),
        ("numbers for names", "expected .* strings"),
        ("objects for names", "cannot be read"),
        ("empty name", "a name is empty"),
        ("template without a place", "with {} where the name goes"),
        ("too many templates", "expected one each"),
        ("no space", "states no 'space' and its vectors are 6 wide"),
        ("space is a list", "'space' must be one string"),
        ("classes without vectors", "needs vectors"),
    ],
)
def test_unusable_files_are_refused(tmp_path: Path, kind: str, message: str) -> None:
    with pytest.raises(DataError, match=message):
        EmbeddingTable(broken(tmp_path, kind))


def test_altered_safetensors_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "table.safetensors"
    save_file({"vectors": VECTORS}, path, metadata={"names": "not json"})
    with pytest.raises(DataError, match="cannot be read"):
        EmbeddingTable(path)
    path.write_bytes(b"short")
    with pytest.raises(DataError, match="cannot be read"):
        EmbeddingTable(path)


def test_the_real_class_table() -> None:
    table = EmbeddingTable(shared_table("cifar100_clip_text.npz"))
    assert (len(table.names), table.dim, table.space) == (100, 512, "openai/clip-vit-base-patch32")
    assert table.templates == ("a {}", "This is a photo of a {}")
    a, photo = (table.encode_text(["aquarium_fish", "wolf"], template=number) for number in (0, 1))
    assert np.linalg.norm(a, axis=1).min() > 7
    np.testing.assert_allclose(np.linalg.norm(photo, axis=1), 1.0, atol=1e-2)


def test_the_real_vocabulary_table() -> None:
    table = EmbeddingTable(shared_table("clip_b32_vocab_a.npz"))
    classes = EmbeddingTable(shared_table("cifar100_clip_text.npz"))
    assert len(table.names) == 2447
    ours, theirs = (torch.from_numpy(t.encode_text(["wolf", "bus", "Camel"])) for t in (table, classes))
    assert torch.cosine_similarity(ours, theirs).min() > 0.999


def _header(shape: tuple[int, ...]) -> bytes:
    """An array file that claims a shape, with no data."""
    buffer = io.BytesIO()
    np.lib.format.write_array_header_1_0(buffer, {"descr": "<f4", "fortran_order": False, "shape": shape})
    return buffer.getvalue()


@pytest.mark.parametrize("shape", [(10**6, 10**6), (2, 10**12), (10**9, 512), (10**30,)])
def test_a_header_that_claims_more_than_the_file_holds_is_refused(tmp_path: Path, shape: tuple[int, ...]) -> None:
    path = tmp_path / "t.npz"
    np.savez(path, names=np.array(["ant", "bee"]))
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("vectors.npy", _header(shape))
    with pytest.raises(DataError, match="cannot be read") as refused:
        EmbeddingTable(path)
    assert len(str(refused.value)) < 400 + len(str(path))


def test_objects_control_characters_and_too_many_arrays_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "t.npz"
    vectors = np.ones((2, 512), dtype=np.float32)
    np.savez(path, names=np.array(["ant", None], dtype=object), vectors=vectors)
    with pytest.raises(DataError, match="cannot be read"):
        EmbeddingTable(path)
    np.savez(path, names=np.array(["ant", "b\x1b[31m"]), vectors=vectors)
    with pytest.raises(DataError, match="control character"):
        EmbeddingTable(path)
    np.savez(path, **{f"a{k}": np.zeros(1) for k in range(1100)})
    with pytest.raises(DataError, match="more than 1,000 arrays"):
        EmbeddingTable(path)


def test_long_and_decomposed_names(tmp_path: Path) -> None:
    path = tmp_path / "t.npz"
    np.savez(path, names=np.array(["caf\u00e9", "bee"]), vectors=np.eye(2, 512, dtype=np.float32))
    table = EmbeddingTable(path)
    np.testing.assert_array_equal(table.encode_text(["cafe\u0301"]), table.encode_text(["caf\u00e9"]))
    with pytest.raises(PromptError) as refused:
        table.encode_text(["x" * 10**7])
    assert len(str(refused.value)) < 500 + len(str(path))


@pytest.mark.parametrize("name", ["table.npz", "table.safetensors"])
def test_a_git_lfs_pointer_says_what_to_run(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 3\n")
    with pytest.raises(DataError, match=r"is a Git LFS pointer .* run `git lfs pull`"):
        EmbeddingTable(str(tmp_path / name))
