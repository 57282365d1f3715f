"""Pack a subset of CIFAR-100 as three large JPEG pictures, and unpack it; CIFAR-100 itself has 169 MB.

    python -m benchmarks.gpu.pictures pack cifar100.npz FOLDER [--pictures 250] [--quality 85]
    python -m benchmarks.gpu.pictures unpack FOLDER cifar100.npz

All classes are kept, with fewer pictures. A sheet has a row for each class. Pictures of 32 x 32 pixels are whole JPEG blocks, so
neighbours do not mix. JPEG loses a little, so accuracies are not those of the published tables. Unpacking needs NumPy and Pillow.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

__all__ = ["pack", "unpack"]

Pictures = npt.NDArray[np.uint8]

_SPLITS = ("train", "validation", "test")
_LABELS = "labels.npz"


def pack(data: Path, folder: Path, pictures: int = 250, quality: int = 85) -> int:
    """Write the first pictures of each class, and return how many bytes they take.

    Args:
        data: the .npz file.
        folder: gets a JPEG file for each split, and the names of the classes.
        pictures: for training, of each class. A fifth of them, at most 50, are for validation besides, and two for testing.
        quality: of JPEG, up to 95.
    """
    from tina_framework.plugin.discovery import registries

    dataset = registries().datasets.create(f"arrays:{data.resolve()}")
    folder.mkdir(parents=True, exist_ok=True)
    classes = len(dataset.class_names)
    for split, wanted in zip(_SPLITS, (pictures, min(50, max(1, pictures // 5)), 2), strict=True):
        loaded = dataset.load(split)  # type: ignore[arg-type]
        rows = [np.flatnonzero(loaded.labels == label) for label in range(classes)]
        count = min(wanted, *(len(row) for row in rows))
        picked = np.stack([loaded.images[row[:count]] for row in rows])
        # (classes, count, height, width, 3) -> one sheet
        height, width = picked.shape[2:4]
        sheet = picked.transpose(0, 2, 1, 3, 4).reshape(classes * height, count * width, 3)
        Image.fromarray(sheet).save(folder / f"{split}.jpg", quality=quality, subsampling=0, optimize=True)
    with np.load(data, allow_pickle=False) as arrays:
        kept: dict[str, Any] = {
            name: arrays[name] for name in ("class_names", "coarse_names", "fine_to_coarse") if name in arrays
        }
    np.savez_compressed(folder / _LABELS, size=np.array([height, width]), **kept)
    return sum(path.stat().st_size for path in folder.iterdir())


def unpack(folder: Path, data: Path) -> None:
    """Write the .npz file that the data set ``arrays:FILE`` reads."""
    with np.load(folder / _LABELS, allow_pickle=False) as arrays:
        values: dict[str, Any] = {name: arrays[name] for name in arrays.files}
    height, width = (int(value) for value in values.pop("size"))
    for split in _SPLITS:
        with Image.open(folder / f"{split}.jpg") as file:
            sheet = np.asarray(file.convert("RGB"))
        classes, count = sheet.shape[0] // height, sheet.shape[1] // width
        pictures = sheet.reshape(classes, height, count, width, 3).transpose(0, 2, 1, 3, 4)
        values[f"{split}_images"] = pictures.reshape(-1, height, width, 3)
        values[f"{split}_labels"] = np.repeat(np.arange(classes), count)
    np.savez(data, **values)


def main(words: list[str]) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    packing = commands.add_parser("pack")
    packing.add_argument("data", type=Path)
    packing.add_argument("folder", type=Path)
    packing.add_argument("--pictures", type=int, default=250)
    packing.add_argument("--quality", type=int, default=85)
    unpacking = commands.add_parser("unpack")
    unpacking.add_argument("folder", type=Path)
    unpacking.add_argument("data", type=Path)
    args = parser.parse_args(words)
    if args.command == "pack":
        print(f"{pack(args.data, args.folder, args.pictures, args.quality) / 2**20:.1f} MiB of pictures")
    else:
        unpack(args.folder, args.data)


if __name__ == "__main__":
    main(sys.argv[1:])
