"""Write the rows and lists of names for the figures in the README.

    python benchmarks/rows.py --tables cifar100_clip_text.npz clip_b32_vocab_a.npz --out DIR

The vocabulary is read, cleaned and split by the script of clip-lite, so that both encoders hold out the same names. "Class names" are
those of CIFAR-100. Their relatives are names that share a listed synonym with one of them.

| file | content |
|---|---|
| ``unseen.npz`` | all names except class names and their relatives |
| ``all.npz`` | all names |
| ``choice-unseen.npz`` | ``unseen.npz`` without the held-out names, for choosing a projection |
| ``classes.npz`` | the class names |
| ``held_out.txt``, ``validation.txt``, ``classes.txt`` | names |
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np
import numpy.typing as npt

ROOT = Path(__file__).resolve().parents[3]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tables", type=Path, nargs="+", required=True)
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    sys.path.insert(0, str(ROOT / "examples" / "clip-lite"))
    from vocabulary import HELD_OUT, VALIDATION, divide, families, read_vocabulary

    vocabulary = read_vocabulary(options.tables)
    parts, keys = divide(vocabulary), np.array(families(vocabulary))
    is_class = vocabulary.is_class
    is_relative = np.isin(keys, keys[is_class])
    names = np.array(vocabulary.names)
    options.out.mkdir(parents=True, exist_ok=True)

    def write(name: str, chosen: npt.NDArray[np.bool_]) -> None:
        np.savez(
            options.out / f"{name}.npz",
            names=names[chosen],
            vectors=vocabulary.vectors[chosen].astype(np.float32),
            templates=np.array(["a {}"]),
            space=np.array("openai/clip-vit-base-patch32"),
        )
        print(f"{name}.npz: {chosen.sum()} names")

    write("all", np.ones(len(names), dtype=bool))
    write("unseen", ~is_relative)
    write("choice-unseen", ~is_relative & (parts != HELD_OUT))
    write("classes", is_class)
    for name, chosen in (("held_out", parts == HELD_OUT), ("validation", parts == VALIDATION), ("classes", is_class)):
        (options.out / f"{name}.txt").write_text("\n".join(names[chosen]) + "\n", encoding="utf-8")
        print(f"{name}.txt: {chosen.sum()} names")


if __name__ == "__main__":
    main()
