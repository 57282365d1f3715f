"""Write the folder of the format ``web``: the network as ONNX, the page, and the program that runs the network in browsers."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from importlib import resources
from pathlib import Path
from typing import Any

import PIL

from tina_framework.builtins.exporters.onnx import OnnxExporter
from tina_framework.builtins.exporters.web.runtime import PACKAGE, runtime_files
from tina_framework.interfaces.exporter import ExportSource, Int8, Predict
from tina_framework.storage.files import to_json, write_json

__all__ = ["WebExporter"]

_MODEL = "model.onnx"
_WORKER = "sw.js"
_NAMES_IN_TITLE = 5


class WebExporter:
    """Writes one folder that any static web server can serve. The page makes no request to other hosts.

    ``classifier.json`` holds the class names, how pictures are cropped and scaled, and the metadata.
    """

    suffix = ""
    int8: Int8 = OnnxExporter.int8
    modules = OnnxExporter.modules

    def write(self, source: ExportSource, path: Path) -> Mapping[str, Any]:
        """See `tina_framework.interfaces.exporter.Exporter.write`."""
        runtime = runtime_files()
        (path / "runtime").mkdir(parents=True)
        for name, contents in runtime.items():
            (path / "runtime" / name).write_bytes(contents)
        facts = OnnxExporter().write(source, path / _MODEL)
        for file in resources.files(__package__).joinpath("page").iterdir():
            (path / file.name).write_bytes(file.read_bytes())
        write_json(path / "classifier.json", _description(source, path))
        write_json(path / "manifest.json", _manifest(source))
        _fill_worker(path)
        return {**facts, "runtime": PACKAGE, "files": sum(file.is_file() for file in path.rglob("*"))}

    def load(self, path: Path) -> Predict:
        """Return the prediction of the folder's network, by the Python package of the program that the page uses."""
        return OnnxExporter().load(path / _MODEL)


def _description(source: ExportSource, path: Path) -> dict[str, Any]:
    """Return what ``classifier.json`` says."""
    _, height, width = source.input_shape
    return {
        "format": "tina-web",
        "format_version": 1,
        "class_names": list(source.class_names),
        "input": {
            "width": width,
            "height": height,
            "crop_pct": source.metadata.get("input", {}).get("crop_pct", 1.0),
            # Pillow 13 scales pictures down first that are much taller than the result, which changes the last bit.
            "tall_first": int(PIL.__version__.partition(".")[0]) >= 13,
        },
        "abstention_threshold": source.metadata.get("abstention_threshold"),
        "int8": source.calibration is not None,
        "runtime": PACKAGE,
        # The page shows how much of this is loaded. Servers that compress do not tell.
        "downloads": {name: (path / name).stat().st_size for name in (_MODEL, "runtime/ort.wasm")},
        "metadata": dict(source.metadata),
    }


def _manifest(source: ExportSource) -> dict[str, Any]:
    """Return what a phone needs to know to install the page."""
    names = ", ".join(source.class_names[:_NAMES_IN_TITLE])
    more = " ..." if len(source.class_names) > _NAMES_IN_TITLE else ""
    return {
        "name": f"Picture classifier: {names}{more}",
        "short_name": "Classifier",
        "start_url": "./",
        "scope": "./",
        "display": "standalone",
        "background_color": "#f5f4f0",
        "theme_color": "#0f766e",
        "icons": [{"src": "icon.svg", "sizes": "any", "type": "image/svg+xml", "purpose": "any maskable"}],
    }


def _fill_worker(path: Path) -> None:
    """Tell the service worker which files to keep. It is renewed when a file changes, because the version changes then."""
    files = sorted(file.relative_to(path).as_posix() for file in path.rglob("*") if file.is_file())
    files.remove(_WORKER)
    digest = hashlib.sha256()
    for name in files:
        digest.update(hashlib.sha256((path / name).read_bytes()).digest())
    # Under "./" a server sends index.html. Some redirect from the one to the other, and kept redirections cannot be opened.
    kept = ["./", *(name for name in files if name != "index.html")]
    worker = path / _WORKER
    text = worker.read_text(encoding="utf-8").replace("@VERSION@", digest.hexdigest()[:16])
    worker.write_text(text.replace('["@FILES@"]', to_json(kept, indent=None).strip()), encoding="utf-8", newline="\n")
