"""The example of an emulated Cortex-M4: it computes the integers of the reference, bit for bit."""

from __future__ import annotations

import runpy
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.builtins.exporters.c.samples import everything, pictures, source_of
from tina_framework import Generator
from tina_framework.builtins.architectures.cnn_2layer import CNN2Layer
from tina_framework.builtins.exporters.c.exporter import CExporter, integer_network
from tina_framework.builtins.exporters.c.reference import integer_logits
from tina_framework.interfaces.exporter import ExportSource

EXAMPLE = Path(__file__).resolve().parent.parent / "examples" / "microcontroller"
TOOLS = ("arm-none-eabi-gcc", "arm-none-eabi-size", "qemu-system-arm")
MISSING = [tool for tool in TOOLS if shutil.which(tool) is None]

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(bool(MISSING), reason=f"not installed: {', '.join(MISSING)}"),
]


def sample(name: str) -> ExportSource:
    torch.manual_seed(0)
    return everything() if name == "everything" else source_of(CNN2Layer(3), size=32)


@pytest.mark.parametrize("name", ["everything", "cnn-2layer"])
def test_a_cortex_m4_computes_the_integers_of_the_reference(name: str, tmp_path: Path) -> None:
    source = sample(name)
    facts = CExporter().write(source, tmp_path / "pets")
    pixels = pictures(8, seed=2, size=source.input_shape[1])
    found = runpy.run_path(str(EXAMPLE / "run.py"))["on_device"](tmp_path / "pets", pixels)
    wanted = integer_logits(integer_network(source), pixels)
    assert np.array_equal(found.logits, wanted)
    assert np.array_equal(found.answers, wanted.argmax(1))
    assert found.names == [source.class_names[k] for k in wanted.argmax(1)]
    # Nothing from any library: no allocation, no floating point, no memcpy.
    assert found.undefined == []
    # The compiler turns small arrays into parts of instructions, and aligns others.
    assert 0.85 * facts["constant_bytes"] <= found.constants <= facts["constant_bytes"] + 16
    assert facts["ram_bytes"] <= found.ram <= facts["ram_bytes"] + 16
    assert found.stack < 512


def test_the_commands_of_the_example(tmp_path: Path) -> None:
    names = ["apple", "bear", "bicycle", "bus", "castle", "clock", "cloud", "forest", "mountain", "train"]
    classifier = Generator.from_pretrained("cifar100-cnn", device="cpu")(names)
    report = classifier.export(
        tmp_path / "pets",
        "c",
        int8=sorted((EXAMPLE.parent.parent / "tina_framework/demo").glob("*.*g")),
        min_agreement=0.8,
    )
    # The bar of the project: 5,370 parameters in at most 8 KB.
    assert report.facts["constant_bytes"] <= 8192
    command = [sys.executable, str(EXAMPLE / "run.py"), str(tmp_path / "pets")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "apple-drawing.png: apple" in done.stdout
    assert "on this machine: the same" in done.stdout
