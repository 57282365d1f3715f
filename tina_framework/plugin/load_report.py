"""Note side effects of loading a plugin (output, time, heavy imports), for its author."""

from __future__ import annotations

import contextlib
import io
import logging
import sys
import time
from collections.abc import Iterator

from tina_framework.plugin.hookspecs import PluginRecord

__all__ = ["noted_in"]

SLOW_SECONDS = 0.3
"""Loading that takes longer is noted, because every command waits for it."""

_HEAVY = ("torch", "transformers", "torchvision", "diffusers", "accelerate")

log = logging.getLogger("tina_framework.plugins")


@contextlib.contextmanager
def noted_in(record: PluginRecord, *, installed: bool = True) -> Iterator[None]:
    """Note in `record` what a plugin prints, how long it takes, and which heavy packages it imports.

    Standard output belongs to the command, whose result may be JSON. So what a plugin prints while it is loaded is logged
    instead. Log messages and standard error are left alone.

    Args:
        record: receives the notes.
        installed: it is a package. A file given with ``--plugin`` gets no notes on time and imports: only the commands that
            name it wait for it, and its decorators cannot register strings.
    """
    before = {name for name in _HEAVY if name in sys.modules}
    printed, start = io.StringIO(), time.perf_counter()
    try:
        with contextlib.redirect_stdout(printed):
            yield
    finally:  # also after a failure: the notes may explain it
        seconds = time.perf_counter() - start
        text = "" if printed.closed else printed.getvalue().strip()
        if text:
            log.info("%s printed while it was loaded: %s", record.label, text)
            record.notes.append(f"prints while it is loaded: {_short(text)}")
        heavy = [name for name in _HEAVY if name in sys.modules and name not in before]
        if heavy and installed:
            record.notes.append(
                f"imports {', '.join(heavy)} when it is loaded; register strings 'module:attribute' instead"
            )
        if seconds > SLOW_SECONDS and installed:
            record.notes.append(f"takes {seconds:.1f} s to load, for which every command waits; import lazily")


def _short(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= 60 else line[:57] + "..."
