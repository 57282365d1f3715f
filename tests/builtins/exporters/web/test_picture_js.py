"""The page crops and scales pictures as Python does, byte for byte."""

from __future__ import annotations

import json
import shutil
import subprocess
from importlib import resources
from pathlib import Path

import numpy as np
import PIL
import pytest
from PIL import Image

from tina_framework.images.fit import fit_picture
from tina_framework.images.reader import to_rgb

NODE = shutil.which("node")
PICTURE_JS = Path(str(resources.files("tina_framework.builtins.exporters.web"))) / "page" / "picture.js"

pytestmark = pytest.mark.skipif(NODE is None, reason="needs node")

FIT = """
const cases = JSON.parse(readFileSync("cases.json"));
for (const { name, width, height, size, crop, tall } of cases) {
  const pixels = new Uint8Array(readFileSync(name));
  const rows = (top, count) => pixels.subarray(top * width * 3, (top + count) * width * 3);
  writeFileSync(`${name}.fitted`, picture.fit({ width, height, rows }, ...size, crop, tall));
}
"""

WHITE = """
writeFileSync("white", picture.onWhite(new Uint8Array(readFileSync("rgba"))));
"""

REDUCED = """
const pixels = new Uint8Array(readFileSync("pixels"));
const source = { width: 21, height: 19, rows: (top, count) => pixels.subarray(top * 63, (top + count) * 63) };
const half = picture.reduced(source, 2);
const parts = [half.rows(0, 4), half.rows(4, 6)];
writeFileSync("reduced", Buffer.concat(parts));
writeFileSync("factors", JSON.stringify([
  picture.jpegReduction(4000, 3000, 32, 32, 1), picture.jpegReduction(640, 480, 32, 32, 1),
  picture.jpegReduction(1100, 1100, 32, 32, 1), picture.jpegReduction(1000, 800, 160, 160, 0.875),
]));
"""


def run(script: str, folder: Path) -> None:
    """Run a script that knows the module as `picture`, in a folder."""
    assert NODE is not None
    (folder / "picture.mjs").write_bytes(PICTURE_JS.read_bytes())
    head = 'import { readFileSync, writeFileSync } from "node:fs";\nimport * as picture from "./picture.mjs";\n'
    (folder / "script.mjs").write_text(head + script, encoding="utf-8")
    subprocess.run([NODE, "script.mjs"], cwd=folder, check=True)


def test_fit(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    sizes = [
        (32, 32, 32, 32, 1.0),  # nothing to do
        (32, 32, 32, 32, 0.875),
        (32, 40, 32, 32, 1.0),  # only rows are cut
        (33, 32, 32, 32, 1.0),
        (1, 1, 32, 32, 1.0),
        (3, 290, 32, 32, 0.875),
        (1001, 777, 160, 160, 0.875),
        (300, 900, 28, 28, 0.9),  # tall
        (61, 600, 40, 60, 1.0),
    ]
    for _ in range(25):
        width, height, *size = (int(n) for n in (*random.integers(1, 700, 2), *random.integers(8, 180, 2)))
        sizes.append((width, height, size[0], size[1], float(random.choice([1.0, 0.875, 0.9, 0.5, 1 / 3]))))
    tall = int(PIL.__version__.partition(".")[0]) >= 13
    cases, expected = [], {}
    for number, (width, height, to_width, to_height, crop) in enumerate(sizes):
        pixels = random.integers(0, 256, (height, width, 3), dtype=np.uint8)
        if number % 3 == 0:  # hard edges, where a bicubic filter overshoots
            pixels = np.where(pixels > 127, 255, 0).astype(np.uint8)
        name = f"{number}"
        (tmp_path / name).write_bytes(pixels.tobytes())
        size = (to_width, to_height)
        cases.append({"name": name, "width": width, "height": height, "size": size, "crop": crop, "tall": tall})
        expected[name] = fit_picture(Image.fromarray(pixels), size, crop)
    (tmp_path / "cases.json").write_text(json.dumps(cases), encoding="utf-8")
    run(FIT, tmp_path)
    wrong = [
        case
        for case in cases
        if (tmp_path / f"{case['name']}.fitted").read_bytes() != expected[str(case["name"])].tobytes()
    ]
    assert wrong == []


def test_transparent_pixels_become_white(tmp_path: Path) -> None:
    """All pairs of an opacity and a colour."""
    opacity, colour = (grid.astype(np.uint8) for grid in np.mgrid[:256, :256])
    rgba = np.stack([colour, 255 - colour, np.full_like(colour, 7), opacity], axis=-1)
    (tmp_path / "rgba").write_bytes(rgba.tobytes())
    run(WHITE, tmp_path)
    assert (tmp_path / "white").read_bytes() == to_rgb(Image.fromarray(rgba)).tobytes()


def test_reduction_of_jpeg_files(tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (19, 21, 3), dtype=np.uint8)
    (tmp_path / "pixels").write_bytes(pixels.tobytes())
    run(REDUCED, tmp_path)
    found = np.frombuffer((tmp_path / "reduced").read_bytes(), np.uint8).reshape(10, 11, 3)
    whole = pixels[:18, :20].reshape(9, 2, 10, 2, 3).mean((1, 3))
    assert np.abs(found[:9, :10] - whole).max() <= 0.5
    assert np.array_equal(found[9, 10], pixels[18, 20])  # a part of a block at the edge
    assert json.loads((tmp_path / "factors").read_text(encoding="utf-8")) == [8, 1, 4, 2]
