"""The checks of exporters reject broken plugins."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tests.testing.checks.rejection import assert_rejected
from tina_framework.interfaces.exporter import Exporter, ExportNetwork, ExportSource, Pixels, Predict
from tina_framework.testing import run_checks

WRITTEN: list[ExportNetwork] = []


class Remembers:
    """Keeps the network in memory, and writes its number. Correct."""

    suffix: Any = ".number"
    int8: Any = "never"
    modules: Any = ()

    def write(self, source: ExportSource, path: Path) -> Mapping[str, Any]:
        path.write_text(str(len(WRITTEN)), encoding="utf-8")
        WRITTEN.append(copy.deepcopy(source.network))
        return {}

    def load(self, path: Path) -> Predict:
        network = WRITTEN[int(path.read_text(encoding="utf-8"))]

        def predict(pixels: Pixels) -> Any:
            with torch.no_grad():
                return network(torch.from_numpy(pixels)).numpy()

        return predict


class NoDot(Remembers):
    suffix = "number"


class OtherInt8(Remembers):
    int8 = "yes"


class OneModule(Remembers):
    modules = "onnx"


class ForgetsMean(Remembers):
    def write(self, source: ExportSource, path: Path) -> Mapping[str, Any]:
        facts = super().write(source, path)
        WRITTEN[-1].mean.zero_()
        return facts


class OnePictureOnly(Remembers):
    def load(self, path: Path) -> Predict:
        predict = super().load(path)
        return lambda pixels: predict(pixels[:1])


class Fails(Remembers):
    def write(self, source: ExportSource, path: Path) -> Mapping[str, Any]:
        raise RuntimeError("no such operator")


class TellsNothing(Remembers):
    def write(self, source: ExportSource, path: Path) -> Any:
        super().write(source, path)


class Changes(Remembers):
    def write(self, source: ExportSource, path: Path) -> Mapping[str, Any]:
        super().write(source, path)
        source.network.register_buffer("own", torch.zeros(1))
        return {}


class Litters(Remembers):
    def write(self, source: ExportSource, path: Path) -> Mapping[str, Any]:
        path.with_suffix(".log").touch()
        return super().write(source, path)


class Coarse(Remembers):
    int8 = "always"

    def load(self, path: Path) -> Predict:
        predict = super().load(path)
        return lambda pixels: np.sign(predict(pixels))


class Int8(Remembers):
    int8 = "optional"


@pytest.mark.parametrize("exporter", [Remembers(), Int8()])
def test_good_exporters_pass(exporter: Exporter) -> None:
    assert [result for result in run_checks("exporter", exporter) if result.failed] == []


def test_a_missing_module_skips_the_checks() -> None:
    exporter = Remembers()
    exporter.modules = ("no_such_module",)
    skipped = {result.name for result in run_checks("exporter", exporter) if result.skipped}
    assert skipped == {"check_floating_point", "check_int8", "check_changes_nothing"}


@pytest.mark.parametrize(
    ("exporter", "check"),
    [
        (NoDot(), "check_fields"),
        (OtherInt8(), "check_fields"),
        (OneModule(), "check_fields"),
        (ForgetsMean(), "check_floating_point"),
        (OnePictureOnly(), "check_floating_point"),
        (TellsNothing(), "check_floating_point"),
        (Changes(), "check_changes_nothing"),
        (Litters(), "check_changes_nothing"),
        (Coarse(), "check_int8"),
    ],
)
def test_broken_exporters_are_rejected(exporter: Exporter, check: str) -> None:
    assert_rejected("exporter", exporter, check)


def test_an_exporter_that_fails_is_rejected() -> None:
    failed = {result.name: result.message for result in run_checks("exporter", Fails()) if result.failed}
    assert "no such operator" in failed["check_floating_point"]
