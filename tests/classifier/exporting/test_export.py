"""An export is written, loaded again, compared, and only then put in its place."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tina_framework.classifier.classifier import GeneratedClassifier
from tina_framework.classifier.exporting.export import exporter_named, missing_module
from tina_framework.errors import ConfigError, DataError, DependencyError, ExportError, TinaError, UnknownNameError
from tina_framework.interfaces.exporter import ExportNetwork, ExportSource, Predict
from tina_framework.plugin.discovery import registries

WRITTEN: list[ExportNetwork] = []


class Remembers:
    """Keeps the network in memory, and writes its number."""

    suffix = ".number"
    int8: Any = "optional"
    modules: tuple[str, ...] = ()
    wrong = 1.0

    def write(self, source: ExportSource, path: Path) -> Mapping[str, Any]:
        self.calibration = source.calibration
        path.write_text(str(len(WRITTEN)), encoding="utf-8")
        WRITTEN.append(source.network)
        return {"number": len(WRITTEN)}

    def load(self, path: Path) -> Predict:
        network = WRITTEN[int(path.read_text(encoding="utf-8"))]

        def predict(pixels: np.ndarray) -> np.ndarray:
            with torch.no_grad():
                return self.wrong * network(torch.from_numpy(pixels)).numpy()

        return predict


@pytest.fixture
def add(monkeypatch: pytest.MonkeyPatch) -> Callable[[Any], None]:
    """Registers an exporter as `remembers`."""
    registry = registries().exporters
    monkeypatch.setattr(registry, "_entries", dict(registry._entries))
    monkeypatch.setattr(registry, "_admitted", {})
    return lambda exporter: registry.add("remembers", lambda: exporter)


def export(classifier: GeneratedClassifier, folder: Path, **settings: Any) -> Any:
    return classifier.export(folder / "pets.number", "remembers", **settings)


def test_the_report(classifier: GeneratedClassifier, tmp_path: Path, add: Any) -> None:
    add(Remembers())
    report = export(classifier, tmp_path)
    assert (report.format, report.path, report.int8) == ("remembers", tmp_path / "pets.number", False)
    assert report.size == (tmp_path / "pets.number").stat().st_size
    assert report.comparison.source == "made up"
    assert report.comparison.pictures == 100
    assert report.to_json()["facts"] == {"number": len(WRITTEN)}
    assert [entry.name for entry in tmp_path.iterdir()] == ["pets.number"]


def test_pictures_and_labels(classifier: GeneratedClassifier, tmp_path: Path, add: Any, pixels: np.ndarray) -> None:
    exporter = Remembers()
    add(exporter)
    names = classifier.predict(pixels)
    found = export(classifier, tmp_path, int8=pixels[:4], pictures=pixels, labels=names).comparison
    assert exporter.calibration is not None
    assert exporter.calibration.shape == (4, 32, 32, 3)
    assert (found.source, found.pictures, found.accuracy.classifier) == ("given", 6, 1.0)
    assert export(classifier, tmp_path, int8=pixels).comparison.source == "calibration"


def test_a_classifier_in_bfloat16(classifier: GeneratedClassifier, tmp_path: Path, add: Any) -> None:
    """The file computes in float32, so it is compared with the same weights in float32."""
    add(Remembers())
    half = copy.deepcopy(classifier).bfloat16()
    report = export(half, tmp_path)
    assert report.comparison.agreement == 1.0
    assert half.dtype == torch.bfloat16


@pytest.mark.parametrize(
    ("settings", "error", "sentence"),
    [
        ({"int8": []}, DataError, "No pictures were given for int8"),
        ({"pictures": []}, DataError, "No pictures were given for the comparison"),
        ({"pictures": "missing.png"}, DataError, "missing.png"),
        ({"labels": ["ant"]}, DataError, "100 pictures but 1 label"),
    ],
)
def test_bad_pictures(
    classifier: GeneratedClassifier, tmp_path: Path, add: Any, settings: Any, error: Any, sentence: str
) -> None:
    add(Remembers())
    with pytest.raises(error, match=sentence):
        export(classifier, tmp_path, **settings)
    assert list(tmp_path.iterdir()) == []


def failing(error: BaseException) -> Remembers:
    exporter = Remembers()

    def write(source: ExportSource, path: Path) -> Mapping[str, Any]:
        path.write_text("half")
        raise error

    exporter.write = write  # type: ignore[method-assign]
    return exporter


@pytest.mark.parametrize(
    ("error", "expected", "sentence"),
    [
        (RuntimeError("no such operator"), ExportError, "cannot hold this network: RuntimeError: no such operator"),
        (OSError(28, "No space left on device"), ConfigError, r"cannot be written \(No space left on device\)"),
        (ConfigError("Format 'x' holds no ensembles."), ConfigError, "holds no ensembles"),
        (ModuleNotFoundError("no", name="fancy_runtime"), DependencyError, "needs the module 'fancy_runtime'"),
        (KeyboardInterrupt("stop"), KeyboardInterrupt, "stop"),
    ],
)
def test_a_failure_leaves_nothing_and_keeps_an_old_file(
    classifier: GeneratedClassifier, tmp_path: Path, add: Any, error: BaseException, expected: Any, sentence: str
) -> None:
    (tmp_path / "pets.number").write_text("old")
    add(failing(error))
    with pytest.raises(expected, match=sentence):
        export(classifier, tmp_path)
    assert (tmp_path / "pets.number").read_text() == "old"
    assert [entry.name for entry in tmp_path.iterdir()] == ["pets.number"]


def test_an_interrupt_that_python_wrapped(classifier: GeneratedClassifier, tmp_path: Path, add: Any) -> None:
    wrapped = RuntimeError("Error calling __set_name__ on 'Field' instance")
    wrapped.__cause__ = KeyboardInterrupt("stop")
    add(failing(wrapped))
    with pytest.raises(KeyboardInterrupt, match="stop"):
        export(classifier, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_answers_otherwise_is_not_written(
    classifier: GeneratedClassifier, tmp_path: Path, add: Any
) -> None:
    exporter = Remembers()
    exporter.wrong = -1.0
    add(exporter)
    with pytest.raises(ExportError, match="does not answer as the classifier does"):
        export(classifier, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_integers_are_given_where_they_are_needed(
    classifier: GeneratedClassifier, tmp_path: Path, add: Any, pixels: np.ndarray
) -> None:
    exporter = Remembers()
    add(exporter)
    exporter.int8 = "never"
    with pytest.raises(ConfigError, match="Format 'remembers' holds no 8-bit integers"):
        export(classifier, tmp_path, int8=pixels)
    exporter.int8 = "always"
    with pytest.raises(ConfigError, match="Format 'remembers' computes with 8-bit integers, whose ranges"):
        export(classifier, tmp_path)


def test_a_missing_package_is_named_before_any_work(classifier: GeneratedClassifier, tmp_path: Path, add: Any) -> None:
    exporter = Remembers()
    exporter.modules = ("json", "fancy_runtime")
    add(exporter)
    assert missing_module(exporter) == "fancy_runtime"
    with pytest.raises(DependencyError, match="Format 'remembers' needs the module 'fancy_runtime', which is not inst"):
        export(classifier, tmp_path, pictures="missing.png")


def test_an_unknown_format(classifier: GeneratedClassifier, tmp_path: Path) -> None:
    with pytest.raises(UnknownNameError, match=r"Unknown exporter 'onx'\. Did you mean 'onnx'\?"):
        classifier.export(tmp_path / "x.onx", "onx")


@pytest.mark.parametrize(
    ("field", "value", "sentence"),
    [
        ("suffix", "onnx", r"suffix is 'onnx'; it must begin with '\.'"),
        ("int8", True, "int8 is True; it must be one of never, optional, always"),
        ("modules", "onnx", "modules is 'onnx'; it must be a tuple"),
        ("load", None, r"which has no method load\(\)"),
    ],
)
def test_an_exporter_that_breaks_its_contract(add: Any, field: str, value: Any, sentence: str) -> None:
    exporter = Remembers()
    setattr(exporter, field, value)
    add(exporter)
    with pytest.raises(TinaError, match=sentence):
        exporter_named("remembers")


@pytest.mark.parametrize("value", [float("nan"), -0.1, 98, True, "0.9"])
def test_an_agreement_is_a_share(classifier: GeneratedClassifier, tmp_path: Path, add: Any, value: Any) -> None:
    add(Remembers())
    with pytest.raises(ConfigError, match=r"min_agreement is .*; it must be a number from 0 to 1"):
        export(classifier, tmp_path, min_agreement=value)


def test_a_format_is_a_name(classifier: GeneratedClassifier, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="format is 3; it must be the name of an exporter"):
        classifier.export(tmp_path / "x.onnx", 3)  # type: ignore[arg-type]


def test_a_link_stays_a_link(classifier: GeneratedClassifier, tmp_path: Path, add: Any) -> None:
    add(Remembers())
    (tmp_path / "real").mkdir()
    (tmp_path / "pets.number").symlink_to(tmp_path / "real" / "cats.number")
    assert export(classifier, tmp_path).path == tmp_path / "pets.number"
    assert (tmp_path / "pets.number").is_symlink()
    assert [entry.name for entry in (tmp_path / "real").iterdir()] == ["cats.number"]


def test_half_precision_is_compared_in_full_precision(classifier: GeneratedClassifier, tmp_path: Path) -> None:
    rough = copy.deepcopy(classifier)
    report = rough.bfloat16().export(tmp_path / "pets.pt2", "torch-export")
    assert report.comparison.largest_difference < 1e-3
    assert rough.dtype is torch.bfloat16


def test_logits_that_are_not_finite(classifier: GeneratedClassifier, tmp_path: Path, add: Any) -> None:
    add(Remembers())
    huge = copy.deepcopy(classifier)
    for parameter in huge.network.parameters():
        parameter.data *= 1e30
    with pytest.raises(ExportError, match="Logits of this classifier are not finite on made up pictures"):
        export(huge, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_damaged_package_is_told_from_a_network_that_does_not_fit(
    classifier: GeneratedClassifier, tmp_path: Path, add: Any
) -> None:
    add(failing(ImportError("libfancy.so: cannot open shared object file")))
    with pytest.raises(DependencyError, match=r"cannot be imported \(.*libfancy"):
        export(classifier, tmp_path)


def test_folders_are_made_only_for_an_export(classifier: GeneratedClassifier, tmp_path: Path, add: Any) -> None:
    add(failing(RuntimeError("no such operator")))
    with pytest.raises(ExportError):
        classifier.export(tmp_path / "new" / "deep" / "pets.number", "remembers")
    assert list(tmp_path.iterdir()) == []
    add_working = Remembers()
    registries().exporters.add("works", lambda: add_working)
    classifier.export(tmp_path / "new" / "deep" / "pets.number", "works")
    assert (tmp_path / "new" / "deep" / "pets.number").is_file()


def test_threads_export_one_after_the_other(classifier: GeneratedClassifier, tmp_path: Path) -> None:
    with ThreadPoolExecutor(3) as threads:
        reports = threads.map(lambda _: classifier.export(tmp_path / "pets.pt2", "torch-export"), range(3))
    assert {report.comparison.agreement for report in reports} == {1}
    assert [entry.name for entry in tmp_path.iterdir()] == ["pets.pt2"]
