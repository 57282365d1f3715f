"""Compile exported C source on this machine, and call it."""

from __future__ import annotations

import ctypes
import errno
import os
import re
import shutil
import subprocess
import tempfile
from pathlib import Path

import numpy as np
import numpy.typing as npt

from tina_framework.errors import CheckpointError, DependencyError, shorten_words
from tina_framework.interfaces.exporter import Pixels

__all__ = ["CompiledClassifier", "compiled", "find_compiler"]


class CompiledClassifier:
    """An exported classifier in a library of this process.

    Args:
        library: the file of the library. It may be deleted afterwards.
        header: text of the header.

    Attributes:
        name: prefix of its functions.
        shape: (H, W) of its pictures.
        library: the loaded library.
        scale: what a step of the logits is worth.
    """

    def __init__(self, library: Path, header: str) -> None:
        defined = dict(re.findall(r"^#define (\w+) (\S+)$", header, flags=re.MULTILINE))
        prefix = next((key.removesuffix("_HEIGHT") for key in defined if key.endswith("_HEIGHT")), "")
        try:
            height, width = int(defined[f"{prefix}_HEIGHT"]), int(defined[f"{prefix}_WIDTH"])
            self._classes = int(defined[f"{prefix}_CLASSES"])
            self.scale = float(defined[f"{prefix}_LOGIT_SCALE"].removesuffix("f"))
        except (KeyError, ValueError) as error:
            raise CheckpointError(
                "The header is not one that format 'c' wrote; export the classifier again."
            ) from error
        self.name, self.shape = prefix.lower(), (height, width)
        self.library = ctypes.CDLL(str(library))
        self._logits = self.library[f"{self.name}_logits"]
        self._logits.restype, self._logits.argtypes = None, [ctypes.c_void_p, ctypes.c_void_p]
        self._classify = self.library[f"{self.name}_classify"]
        self._classify.argtypes = [ctypes.c_void_p]

    def integer_logits(self, pixels: Pixels) -> npt.NDArray[np.int32]:
        """Return the logits (N, K) of pictures (N, H, W, 3), as integers."""
        pixels = self._checked(pixels)
        logits = np.empty((len(pixels), self._classes), np.int32)
        for picture, row in zip(pixels, logits, strict=True):
            self._logits(picture.ctypes.data, row.ctypes.data)
        return logits

    def answers(self, pixels: Pixels) -> npt.NDArray[np.int64]:
        """Return the number (N,) of the most likely class of each picture."""
        return np.array([self._classify(picture.ctypes.data) for picture in self._checked(pixels)], np.int64)

    def __call__(self, pixels: Pixels) -> npt.NDArray[np.float32]:
        """Return the logits (N, K)."""
        return (self.integer_logits(pixels) * self.scale).astype(np.float32)

    def _checked(self, pixels: Pixels) -> Pixels:
        # The C code trusts its caller, so a wrong shape would read memory of somebody else.
        if pixels.dtype != np.uint8 or pixels.shape[1:] != (*self.shape, 3):
            raise ValueError(
                f"Pictures are {pixels.dtype} {pixels.shape}; give uint8 (N, {self.shape[0]}, {self.shape[1]}, 3)."
            )
        return np.ascontiguousarray(pixels)


def compiled(folder: Path, options: tuple[str, ...] = ("-O2",)) -> CompiledClassifier:
    """Compile the C file of a folder into a temporary library, and load it.

    Raises:
        CheckpointError: the folder holds no export of format 'c'.
        DependencyError: there is no C compiler, or it fails.
    """
    sources = sorted(folder.glob("*.c"))
    if len(sources) != 1 or not sources[0].with_suffix(".h").is_file():
        raise CheckpointError(f"'{folder}' holds no export of format 'c': one .c file with its header.")
    compiler = find_compiler()
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as scratch:
        library = Path(scratch) / f"{sources[0].stem}.so"
        command = [compiler, "-std=c99", *options, "-shared", "-fPIC", "-o", str(library), str(sources[0])]
        done = subprocess.run(
            command, capture_output=True, text=True, errors="replace", check=False, env={**os.environ, "LC_ALL": "C"}
        )
        if done.returncode and "No space left on device" in done.stderr:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), scratch)
        if done.returncode:
            lines = (done.stderr or done.stdout).strip().splitlines() or ["no message"]
            raise DependencyError(
                f"The C compiler '{compiler}' does not compile the exported file ({shorten_words(lines[0])}); choose another one "
                "with the environment variable CC."
            )
        try:
            return CompiledClassifier(library, sources[0].with_suffix(".h").read_text(encoding="utf-8"))
        except OSError as error:
            raise DependencyError(
                f"What the C compiler '{compiler}' made cannot be loaded ({shorten_words(str(error))}); choose another compiler with "
                "the environment variable CC, or another folder for temporary files with TMPDIR."
            ) from error


def find_compiler() -> str:
    """Return a C compiler: that of the environment variable CC, else cc, gcc or clang.

    Raises:
        DependencyError: there is none.
    """
    for name in (os.environ.get("CC"), "cc", "gcc", "clang"):
        if name and (found := shutil.which(name)):
            return found
    raise DependencyError(
        "Format 'c' needs a C compiler to check what it wrote, and there is none; install gcc or clang, or name one in the "
        "environment variable CC."
    )
