"""ONNX files: the opset that is stated, metadata, and any number of pictures."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest

from tina_framework.builtins.exporters.onnx import INPUT, OPSET, OUTPUT, OnnxExporter
from tina_framework.testing.checks.exporter import sample_source

onnx = pytest.importorskip("onnx", reason="needs the extra onnx")


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("onnx") / "sample.onnx"
    facts = OnnxExporter().write(sample_source(), path)
    assert facts["opset"] == OPSET
    return path


def test_opset_and_shapes(path: Path) -> None:
    model = onnx.load(path)
    assert [(entry.domain, entry.version) for entry in model.opset_import] == [("", OPSET)]
    [given], [returned] = model.graph.input, model.graph.output
    assert (given.name, returned.name) == (INPUT, OUTPUT)
    assert given.type.tensor_type.elem_type == onnx.TensorProto.UINT8
    first, *rest = given.type.tensor_type.shape.dim
    assert first.dim_param
    assert [dim.dim_value for dim in rest] == [12, 12, 3]


def test_metadata(path: Path) -> None:
    source = sample_source()
    found = {entry.key: json.loads(entry.value) for entry in onnx.load(path).metadata_props}
    assert found == dict(source.metadata)


def test_one_file_without_traces_of_this_machine(path: Path) -> None:
    assert [entry.name for entry in path.parent.iterdir()] == [path.name]
    assert str(Path.home()).encode() not in path.read_bytes()
    assert b"site-packages" not in path.read_bytes()


def test_any_number_of_pictures(path: Path) -> None:
    predict = OnnxExporter().load(path)
    for count in (1, 2, 33):
        assert predict(np.zeros((count, 12, 12, 3), np.uint8)).shape == (count, 3)


def test_nothing_is_reported_unless_the_user_allows_it(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ORT_DISABLE_TELEMETRY", raising=False)
    OnnxExporter().load(path)
    assert os.environ["ORT_DISABLE_TELEMETRY"] == "1"
    monkeypatch.setenv("ORT_DISABLE_TELEMETRY", "0")
    OnnxExporter().load(path)
    assert os.environ["ORT_DISABLE_TELEMETRY"] == "0"


def test_any_name(path: Path, tmp_path: Path) -> None:
    odd = tmp_path / os.fsdecode(b"odd\xff.onnx")
    odd.write_bytes(path.read_bytes())
    assert OnnxExporter().load(odd)(np.zeros((1, 12, 12, 3), np.uint8)).shape == (1, 3)


def test_8_bit_integers(tmp_path: Path) -> None:
    path = tmp_path / "int8.onnx"
    source = sample_source(int8=True)
    OnnxExporter().write(source, path)
    model = onnx.load(path)
    assert [(entry.domain, entry.version) for entry in model.opset_import if not entry.domain] == [("", OPSET)]
    assert {entry.key for entry in model.metadata_props} >= set(source.metadata)
    assert "QuantizeLinear" in {node.op_type for node in model.graph.node}
    assert onnx.TensorProto.INT8 in {tensor.data_type for tensor in model.graph.initializer}
    assert [entry.name for entry in tmp_path.iterdir()] == [path.name]
    # The last layer stays in floating point, and so do the pictures.
    assert model.graph.output[0].type.tensor_type.elem_type == onnx.TensorProto.FLOAT
    assert OnnxExporter().load(path)(np.zeros((5, 12, 12, 3), np.uint8)).shape == (5, 3)
