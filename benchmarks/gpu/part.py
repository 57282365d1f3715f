"""Run one part in this process. `runner` starts it, and says by environment variables where to write and until when.

python -m benchmarks.gpu.part NAME --data cifar100.npz --work FOLDER [--tiny]
"""

from __future__ import annotations

import argparse
import faulthandler
import importlib
import os
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, cast

from benchmarks.gpu.record import Record, environment
from benchmarks.gpu.runner import DEADLINE, RECORD
from benchmarks.gpu.sizes import Sizes, read_sizes

__all__ = ["Setup", "main"]


@dataclass(frozen=True)
class Setup:
    """What a part works with.

    Attributes:
        data: CIFAR-100, or a subset of it, as an .npz file.
        work: a folder for runs.
        out: the folder of the results of all parts.
        sizes: how much to do.
    """

    data: Path
    work: Path
    out: Path
    sizes: Sizes


class _Module(Protocol):
    def run(self, record: Record, setup: Setup) -> None: ...


def main(words: list[str]) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("name")
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--tiny", action="store_true")
    args = parser.parse_args(words)
    path = Path(os.environ.get(RECORD, f"{args.name}.json"))
    deadline = float(os.environ.get(DEADLINE, time.time() + 3600))
    record = Record(path, args.name, deadline)
    # Shows in the output where a part hangs, shortly before it is killed.
    faulthandler.dump_traceback_later(max(deadline - time.time() - 1.0, 0.5))
    try:
        sizes = read_sizes(args.tiny)
        record.values["environment"] = environment()
        record.write()
        module = cast(_Module, importlib.import_module(f"benchmarks.gpu.{args.name}_part"))
        module.run(record, Setup(args.data, args.work, path.parent, sizes))
    except Exception as error:
        record.error(args.name, error)
    faulthandler.cancel_dump_traceback_later()
    record.end()
    return 1 if record.values["errors"] else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
