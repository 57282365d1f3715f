"""The compiled C code computes the integers of the reference, bit for bit."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.builtins.exporters.c.samples import ClassMaps, everything, pictures, source_of
from tina_framework.builtins.architectures.cnn_2layer import CNN2Layer
from tina_framework.builtins.exporters.c import compiled as module
from tina_framework.builtins.exporters.c.compiled import compiled, find_compiler
from tina_framework.builtins.exporters.c.exporter import CExporter, integer_network
from tina_framework.builtins.exporters.c.fixed_point import requantised
from tina_framework.builtins.exporters.c.reference import integer_logits
from tina_framework.errors import CheckpointError, DependencyError
from tina_framework.interfaces.exporter import ExportSource

STRICT = ("-O2", "-Wall", "-Wextra", "-Wpedantic", "-Wconversion", "-Wshadow", "-Werror")

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="needs a C compiler like gcc")


def sample(name: str) -> ExportSource:
    torch.manual_seed(3)
    if name == "everything":
        return everything()
    return source_of(CNN2Layer(3), size=32) if name == "cnn-2layer" else source_of(ClassMaps())


def written(source: ExportSource, folder: Path) -> Path:
    path = folder / "pets"
    CExporter().write(source, path)
    return path


@pytest.mark.parametrize("name", ["everything", "cnn-2layer", "class maps"])
def test_integers_are_those_of_the_reference(name: str, tmp_path: Path) -> None:
    source = sample(name)
    size = source.input_shape[1]
    pixels = np.concatenate(
        [pictures(30, seed=9, size=size), np.random.default_rng(0).integers(0, 256, (30, size, size, 3), np.uint8)]
    )
    network = integer_network(source)
    library = compiled(written(source, tmp_path), STRICT)
    wanted = integer_logits(network, pixels)
    assert np.array_equal(library.integer_logits(pixels), wanted)
    assert np.array_equal(library.answers(pixels), wanted.argmax(1))
    assert library(pixels) == pytest.approx(wanted * network.logit_scale, rel=1e-6)
    # Pictures that do not lie in one piece are copied first.
    assert np.array_equal(
        library.integer_logits(pixels[:, :, ::-1]), integer_logits(network, pixels[:, :, ::-1].copy())
    )


@pytest.mark.slow
@pytest.mark.parametrize("name", ["everything", "cnn-2layer"])
def test_nothing_is_undefined_and_no_memory_is_overrun(name: str, tmp_path: Path) -> None:
    source = sample(name)
    path, size = written(source, tmp_path), source.input_shape[1]
    pixels = pictures(6, seed=4, size=size)
    pixels.tofile(tmp_path / "pixels")
    # Exactly as much memory as needed, so that the sanitizer sees a byte too many.
    (tmp_path / "main.c").write_text(
        """#include <stdio.h>
#include <stdlib.h>
#include "pets.h"
int main(int argc, char **argv) {
    FILE *file = fopen(argv[argc - 1], "rb");
    uint8_t *pixels = malloc(PETS_HEIGHT * PETS_WIDTH * 3);
    int32_t *logits = malloc(PETS_CLASSES * sizeof *logits);
    int k;
    while (fread(pixels, PETS_HEIGHT * PETS_WIDTH * 3, 1, file) == 1) {
        pets_logits(pixels, logits);
        for (k = 0; k < PETS_CLASSES; k++) printf("%ld ", (long)logits[k]);
        printf("%d %s\\n", pets_classify(pixels), pets_class_names[pets_classify(pixels)]);
    }
    free(pixels); free(logits); fclose(file);
    return 0;
}
"""
    )
    checks = ["-fsanitize=undefined,address", "-fno-sanitize-recover=all", "-g"]
    command = [
        find_compiler(),
        "-std=c99",
        *STRICT[1:],
        *checks,
        "-I",
        str(path),
        str(tmp_path / "main.c"),
        str(path / "pets.c"),
    ]
    made = subprocess.run([*command, "-o", str(tmp_path / "main")], capture_output=True, text=True, check=False)
    if "cannot find" in made.stderr:
        pytest.skip("the compiler has no sanitizers")
    assert made.returncode == 0, made.stderr
    done = subprocess.run([str(tmp_path / "main"), str(tmp_path / "pixels")], capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode()
    lines = done.stdout.decode().splitlines()
    wanted = integer_logits(integer_network(source), pixels)
    for line, row in zip(lines, wanted, strict=True):
        *logits, best, name_of_best = line.split(" ", 4)
        assert [int(number) for number in logits] == row.tolist()
        assert name_of_best == source.class_names[int(best)]
        assert int(best) == row.argmax()


def test_requantise_in_c_is_that_of_numpy(tmp_path: Path) -> None:
    """The static function of the file, at the edges of its arguments."""
    path = written(sample("class maps"), tmp_path)
    code = (path / "pets.c").read_text(encoding="utf-8")
    (path / "pets.c").write_text(
        code + "\nint32_t edge(int64_t product, int32_t shift);\n"
        "int32_t edge(int64_t product, int32_t shift) { return requantise(product, shift, -5, INT32_MIN, INT32_MAX); }\n"
    )
    import ctypes

    library = compiled(path)
    edge = library.library["edge"]
    edge.restype, edge.argtypes = ctypes.c_int32, [ctypes.c_int64, ctypes.c_int32]
    values = [0, 1, -1, 127, -128, 2**30, -(2**30), 2**31 - 1, -(2**31)]
    mantissas = [0, 1, 2**30, 2**30 + 1, 2**31 - 1]
    for value, mantissa, shift in [
        (v, m, s) for v in values for m in mantissas for s in (1, 2, 30, 31, 32, 33, 61, 62)
    ]:
        assert edge(value * mantissa, shift) == requantised(value, mantissa, shift, -5, -(2**31), 2**31 - 1)


def test_wrong_pictures_never_reach_the_code(tmp_path: Path) -> None:
    library = compiled(written(sample("class maps"), tmp_path))
    for wrong in (pictures(3, size=9), pictures(3).astype(np.float32), pictures(3)[..., :1]):
        with pytest.raises(ValueError, match="give uint8"):
            library.integer_logits(wrong)


def test_without_a_compiler_one_sentence_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = written(sample("class maps"), tmp_path)
    monkeypatch.setattr(module.shutil, "which", lambda name: None)
    with pytest.raises(DependencyError, match="there is none; install gcc or clang"):
        compiled(path)


def test_the_environment_names_the_compiler(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = written(sample("class maps"), tmp_path)
    monkeypatch.setenv("CC", "false")
    assert Path(find_compiler()).name == "false"
    with pytest.raises(DependencyError, match=r"does not compile the exported file .*environment variable CC"):
        compiled(path)


def test_other_folders_are_refused(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="holds no export of format 'c'"):
        compiled(tmp_path)
    path = written(sample("class maps"), tmp_path)
    (path / "pets.h").write_text("#include <stdint.h>\n")
    (path / "pets.c").write_text("int x;\n")
    with pytest.raises(CheckpointError, match="header is not one"):
        compiled(path)


@pytest.mark.parametrize(
    ("script", "error", "sentence"),
    [
        ("echo 'x.c:1:1: fatal error: No space left on device' >&2; exit 1", OSError, "No space left on device"),
        ("exit 0", DependencyError, "cannot be loaded"),
        ("echo no such option >&2; exit 1", DependencyError, r"does not compile the exported file \(no such option\)"),
    ],
)
def test_compilers_that_fail(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str, error: type[Exception], sentence: str
) -> None:
    path = written(sample("class maps"), tmp_path)
    compiler = tmp_path / "broken-cc"
    compiler.write_text(f"#!/bin/sh\n{script}\n")
    compiler.chmod(0o755)
    monkeypatch.setenv("CC", str(compiler))
    with pytest.raises(error, match=sentence):
        compiled(path)
