"""Compare encoders on names with known vectors: cosine after subtracting the mean, and how often the own vector is the nearest.

    python benchmarks/compare.py --rows all.npz --mean unseen.npz --names held_out.txt --encoders clip-lite sentence-transformers

The mean is over the unit vectors of `--mean` without `--names`, and is the same for every encoder.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from tina_framework import registries
from tina_sentence_transformers.fitting import figures
from tina_sentence_transformers.rows import fold, read_names, read_rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=Path, required=True)
    parser.add_argument("--mean", type=Path, required=True)
    parser.add_argument("--names", type=Path, required=True)
    parser.add_argument("--encoders", nargs="+", required=True)
    options = parser.parse_args()
    rows, reference, names = read_rows(options.rows), read_rows(options.mean), read_names(options.names)
    true = rows.vectors_TME[0, rows.find(names, str(options.names))]
    left_out = {fold(name) for name in names}
    kept = np.array([fold(name) not in left_out for name in reference.names])
    mean = reference.vectors_TME[0, kept].mean(axis=0)
    print("| encoder | names | mean cosine | quartiles | own is nearest | own among nearest 5 |")
    print("|---|---|---|---|---|---|")
    for name in options.encoders:
        found = figures(registries().encoders.create(name).encode_text(names).astype(np.float64), true, mean)
        quartiles = ", ".join(f"{value:.2f}" for value in found["cosine_quartiles"])
        print(
            f"| {name.split('/')[-1]} | {found['names']} | {found['cosine']:.3f} | {quartiles} | "
            f"{found['own_is_nearest']:.0%} | {found['own_among_nearest_5']:.0%} |"
        )


if __name__ == "__main__":
    main()
