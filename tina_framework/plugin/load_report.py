"""What a plugin does while it is loaded, besides registering: noted for its author, and kept away from the user."""

from __future__ import annotations

import contextlib
import io
import logging
import sys
import time
from collections.abc import Iterator

from tina_framework.plugin.hookspecs import PluginRecord

__all__ = ["watched"]

SLOW_SECONDS = 0.3
"""A plugin that needs longer is told so: every command waits for it."""

_HEAVY = ("torch", "transformers", "torchvision", "diffusers", "accelerate")

log = logging.getLogger("tina_framework.plugins")


@contextlib.contextmanager
def watched(record: PluginRecord) -> Iterator[None]:
    """Notes in `record` what a plugin prints, how long it takes, and which heavy packages it imports.

    Standard output is the program's answer (``--json``), so nothing that a plugin prints while it is loaded gets there; it
    is logged instead. What a plugin logs, and what it writes to standard error, passes.
    """
    before = {name for name in _HEAVY if name in sys.modules}
    printed, start = io.StringIO(), time.perf_counter()
    try:
        with contextlib.redirect_stdout(printed):
            yield
    finally:
        seconds = time.perf_counter() - start
        if text := printed.getvalue().strip():
            log.info("%s printed while it was loaded: %s", record.label, text)
            record.notes.append(f"prints while it is loaded: {_short(text)}")
        heavy = [name for name in _HEAVY if name in sys.modules and name not in before]
        if heavy:
            record.notes.append(
                f"imports {', '.join(heavy)} when it is loaded; register strings 'module:attribute' instead"
            )
        if seconds > SLOW_SECONDS:
            record.notes.append(f"takes {seconds:.1f} s to load, for which every command waits; import lazily")


def _short(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= 60 else line[:57] + "..."
