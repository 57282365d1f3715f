"""Write a table for ``tina evaluate --encoder embedding-table:FILE`` with the vector of each class's description.

    python benchmarks/describe.py --descriptions descriptions.json --encoder sentence-transformers --out FILE.npz

`descriptions.json` is an object from class name to sentence.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np

from tina_framework import registries


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--descriptions", type=Path, required=True)
    parser.add_argument("--encoder", required=True)
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    texts = {
        str(name): str(text) for name, text in json.loads(options.descriptions.read_text(encoding="utf-8")).items()
    }
    encoder = registries().encoders.create(options.encoder)
    np.savez(
        options.out,
        names=np.array(list(texts)),
        vectors=encoder.encode_text(list(texts.values())),
        templates=np.array(["{}"]),
        space=np.array(encoder.space),
    )
    confidence = encoder.text_confidence(list(texts.values()))
    print(f"{options.encoder}: {len(texts)} descriptions, mean confidence {confidence.mean():.2f}")


if __name__ == "__main__":
    main()
