"""ExecuTorch programs: answers, 8-bit integers and metadata. They run where the extra executorch is installed."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from tina_framework.builtins.exporters.executorch import METADATA, ExecuTorchExporter
from tina_framework.interfaces.exporter import Exporter
from tina_framework.testing import ExporterTests
from tina_framework.testing.checks.exporter import sample_source

pytestmark = pytest.mark.slow  # importing and lowering take half a minute


def test_fields() -> None:
    exporter = ExecuTorchExporter()
    assert (exporter.suffix, exporter.int8, exporter.modules) == (".pte", "optional", ("executorch", "torchao"))


class TestConformance(ExporterTests):
    @pytest.fixture
    def exporter(self) -> Exporter:
        pytest.importorskip("executorch", reason="needs the extra executorch")
        return ExecuTorchExporter()


def test_metadata_and_size(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    runtime = pytest.importorskip("executorch.runtime", reason="needs the extra executorch")
    capfd.readouterr()
    floating, int8 = tmp_path / "floating.pte", tmp_path / "int8.pte"
    facts = ExecuTorchExporter().write(sample_source(), floating)
    ExecuTorchExporter().write(sample_source(int8=True), int8)
    assert facts["batch"] == 1
    answers = [ExecuTorchExporter().load(path)(np.zeros((3, 12, 12, 3), np.uint8)) for path in (floating, int8)]
    assert [one.shape for one in answers] == [(3, 3), (3, 3)]
    assert capfd.readouterr() == ("", "")
    program = runtime.Runtime.get().load_program(int8)
    [metadata] = program.load_method(METADATA).execute([])
    assert json.loads(metadata) == dict(sample_source().metadata)
    [logits] = program.load_method("forward").execute([torch.zeros((1, 12, 12, 3), dtype=torch.uint8)])
    assert logits.shape == (1, 3)
