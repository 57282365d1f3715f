"""Attack everything that the package writes and reads, and print tables: ``python -m tests.attack``.

Only Linux is supported. The exit code is 1 if anything went wrong.
"""

from __future__ import annotations

import os
import sys

from tests.attack import warm


def _main() -> int:
    # Before torch is imported: a process with several threads must not fork.
    os.environ["OMP_NUM_THREADS"] = "1"
    os.environ["HF_HUB_OFFLINE"] = "1"
    warm.fork_workers()

    from tests.attack.commands import main

    return main(sys.argv[1:])


if __name__ == "__main__":
    sys.exit(_main())
