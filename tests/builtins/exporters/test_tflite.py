"""LiteRT models: answers, 8-bit integers and metadata. They run where the extra tflite is installed."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

import pytest

from tina_framework.builtins.exporters.tflite import LABELS, METADATA, TFLiteExporter
from tina_framework.interfaces.exporter import Exporter
from tina_framework.testing import ExporterTests
from tina_framework.testing.checks.exporter import sample_source

pytestmark = pytest.mark.slow  # importing and converting take half a minute


def test_fields() -> None:
    exporter = TFLiteExporter()
    assert (exporter.suffix, exporter.int8) == (".tflite", "optional")
    assert exporter.modules == ("litert_torch", "ai_edge_litert", "ai_edge_quantizer")


class TestConformance(ExporterTests):
    @pytest.fixture
    def exporter(self) -> Exporter:
        pytest.importorskip("litert_torch", reason="needs the extra tflite")
        return TFLiteExporter()


def test_metadata_and_8_bit_integers(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    interpreters = pytest.importorskip("ai_edge_litert.interpreter", reason="needs the extra tflite")
    pytest.importorskip("litert_torch", reason="needs the extra tflite")
    capfd.readouterr()
    source, path = sample_source(int8=True), tmp_path / "sample.tflite"
    assert TFLiteExporter().write(source, path)["batch"] == 1
    assert capfd.readouterr() == ("", "")
    with zipfile.ZipFile(path) as archive:
        assert json.loads(archive.read(METADATA)) == dict(source.metadata)
        assert archive.read(LABELS).decode().split() == list(source.class_names)
    interpreter = interpreters.Interpreter(str(path))
    interpreter.allocate_tensors()
    [given], [returned] = interpreter.get_input_details(), interpreter.get_output_details()
    assert tuple(given["shape"]) == (1, 12, 12, 3)
    assert tuple(returned["shape"]) == (1, 3)
    assert "int8" in {tensor["dtype"].__name__ for tensor in interpreter.get_tensor_details()}
