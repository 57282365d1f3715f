"""Run all parts on the device of this machine, and write what they find as JSON and Markdown.

    python -m benchmarks.gpu --data cifar100.npz --out outputs/gpu [--tiny] [--parts resume,speed] [--seconds 510]

`run.sh` prepares a bare machine and calls this. `README.md` says what each part proves.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
import tempfile
from pathlib import Path

from benchmarks.gpu.runner import Part, python, run_parts

LIMITS: dict[str, float | None] = {
    "tests": 70.0,
    "resume": 95.0,
    "speed": 95.0,
    "zoo": 50.0,
    "generation": 45.0,
    "full_size": 95.0,
    "curve": None,
}
"""Part -> after how many seconds it is stopped. The last one gets what is left."""


def main(words: list[str]) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="CIFAR-100 as an .npz file, or a subset of it")
    parser.add_argument("--out", type=Path, default=Path("outputs/gpu"), help="results (default: %(default)s)")
    parser.add_argument("--work", type=Path, help="folder for runs, which are removed (default: a temporary folder)")
    parser.add_argument("--parts", default=",".join(LIMITS), help="some of %(default)s")
    parser.add_argument("--seconds", type=float, default=510.0, help="time for all parts (default: %(default)s)")
    parser.add_argument("--tiny", action="store_true", help="cut all sizes down, to try everything on a CPU")
    args = parser.parse_args(words)
    unknown = set(args.parts.split(",")) - LIMITS.keys()
    if unknown:
        parser.error(f"there is no part {sorted(unknown)[0]}; choose from {', '.join(LIMITS)}")
    # A stopped run ends its part and leaves the summary of what it has.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    variables = {"HF_HUB_OFFLINE": "1", "PYTHONUNBUFFERED": "1", "PYTHONFAULTHANDLER": "1"}
    patience = 1.0
    if args.tiny:
        patience = 4.0  # on a CPU that is busy with other things, tests have taken twice their usual time
        # On a CPU, this takes the code paths of a GPU.
        variables["TINA_FORCE_BATCHED"] = "1"
        variables.setdefault("OMP_NUM_THREADS", os.environ.get("OMP_NUM_THREADS", "1"))
    with tempfile.TemporaryDirectory(dir=args.work) as work:
        options = ["--data", str(args.data.resolve()), "--work", work, *(["--tiny"] if args.tiny else [])]
        parts = [
            Part(name, python("benchmarks.gpu.part", name, *options), limit and patience * limit)
            for name, limit in LIMITS.items()
            if name in args.parts.split(",")
        ]
        clean = run_parts(parts, args.out.resolve(), args.seconds, Path(work), variables)
    print(f"{'All parts are done' if clean else 'Some parts failed'}; see {args.out / 'summary.md'}.", flush=True)
    return 0 if clean else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
