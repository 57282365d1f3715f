"""Build an exported classifier for a Cortex-M4, run it in an emulator, and compare its answers with those of this machine.

    tina export classifier --format c --int8 demo --out pets
    python examples/microcontroller/run.py pets PICTURES

The folder has to be named `pets`, because main.c includes `pets.h`. PICTURES are files or folders; without them, the pictures that
come with the package are used. It needs arm-none-eabi-gcc, qemu-system-arm and a C compiler for this machine.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

HERE = Path(__file__).resolve().parent
DEMO = HERE.parent.parent / "tina_framework" / "demo"

FLAGS = ["-std=c99", "-Os", "-mcpu=cortex-m4", "-mthumb", "-Wall", "-Wextra", "-Wpedantic", "-Werror", "-ffreestanding"]


@dataclass(frozen=True)
class Run:
    """What the device printed, and how much memory it has to have.

    Attributes:
        logits: (N, K) integers.
        answers: (N,) class numbers.
        names: N class names.
        flash: bytes of the classifier's code and constants.
        constants: bytes of its constants alone.
        ram: bytes of its buffers.
        stack: bytes of stack that the whole program used.
        undefined: names that the classifier needs from elsewhere, such as functions of a library.
    """

    logits: npt.NDArray[np.int64]
    answers: npt.NDArray[np.int64]
    names: list[str]
    flash: int
    constants: int
    ram: int
    stack: int
    undefined: list[str]


def on_device(folder: Path, pixels: npt.NDArray[np.uint8]) -> Run:
    """Build the classifier of a folder named `pets`, and run it on pictures (N, H, W, 3)."""
    with tempfile.TemporaryDirectory() as scratch:
        work = Path(scratch)
        pixels.tofile(work / "pixels.bin")
        _run(["arm-none-eabi-gcc", *FLAGS, "-c", str((folder / "pets.c").resolve()), "-o", "pets.o"], work)
        program = [str(HERE / "main.c"), "pets.o", f"-I{folder.resolve()}", "-nostdlib", "-T", str(HERE / "mps2.ld")]
        _run(["arm-none-eabi-gcc", *FLAGS, *program, "-lgcc", "-o", "pets.elf"], work)
        sections: dict[str, int] = {}
        for line in _run(["arm-none-eabi-size", "-A", "pets.o"], work).splitlines():
            words = line.split()
            if len(words) == 3 and words[0].startswith("."):
                kind = words[0].split(".")[1]
                sections[kind] = sections.get(kind, 0) + int(words[1])
        undefined = [
            line.split()[-1] for line in _run(["arm-none-eabi-nm", "-u", "pets.o"], work).splitlines() if line.strip()
        ]
        emulator = ["qemu-system-arm", "-machine", "mps2-an386", "-nographic", "-monitor", "none", "-serial", "none"]
        text = _run([*emulator, "-semihosting-config", "enable=on,target=native", "-kernel", "pets.elf"], work)
    *lines, last = text.splitlines()
    classes = _defined(folder, "CLASSES")
    rows = [line.split(" ", classes + 1) for line in lines]
    numbers = np.array([[int(word) for word in row[:-1]] for row in rows])
    return Run(
        numbers[:, :-1],
        numbers[:, -1],
        [row[-1] for row in rows],
        sections.get("text", 0) + sections.get("rodata", 0) + sections.get("data", 0),
        sections.get("rodata", 0),
        sections.get("bss", 0) + sections.get("data", 0),
        int(last.split()[1]),
        undefined,
    )


def _defined(folder: Path, name: str) -> int:
    """Return a number that the header defines."""
    header = (folder / "pets.h").read_text(encoding="utf-8")
    return int(header.split(f"#define PETS_{name} ")[1].split()[0])


def _run(command: list[str], folder: Path) -> str:
    # What a program prints by semihosting arrives on the emulator's standard error.
    done = subprocess.run(
        command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=300, check=False
    )
    if done.returncode:
        sys.exit(f"{command[0]} failed: {done.stdout.strip()[:500]}")
    return done.stdout


def main() -> None:
    from tina_framework.builtins.exporters.c.compiled import compiled
    from tina_framework.images import pictures

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="an export in format c, named pets")
    parser.add_argument("pictures", nargs="*", type=Path)
    given = parser.parse_args()
    if not (given.folder / "pets.h").is_file():
        sys.exit(f"'{given.folder}' holds no pets.h; export with --format c --out pets.")
    files = [
        file for path in given.pictures or [DEMO] for file in ([path] if path.is_file() else sorted(path.rglob("*")))
    ]
    files = [file for file in files if file.suffix.lower() in {".png", ".jpg", ".jpeg"}]
    pixels = pictures(files, (_defined(given.folder, "WIDTH"), _defined(given.folder, "HEIGHT")))
    found = on_device(given.folder, pixels)
    for file, name in zip(files, found.names, strict=True):
        print(f"{file.name}: {name}")
    here = compiled(given.folder)
    same = np.array_equal(here.integer_logits(pixels), found.logits) and np.array_equal(
        here.answers(pixels), found.answers
    )
    print(f"Logits on the emulated Cortex-M4 and on this machine: {'the same' if same else 'DIFFERENT'}")
    print(f"Flash: {found.flash:,} bytes, {found.constants:,} of them constants")
    print(f"RAM: {found.ram:,} bytes of buffers, and {found.stack:,} bytes of stack in the whole program")
    sys.exit(not same)


if __name__ == "__main__":
    main()
