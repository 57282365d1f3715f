"""Import beforehand what commands import late, so that forked processes need milliseconds instead of seconds."""

from __future__ import annotations

import contextlib
import importlib
import json
import multiprocessing.context
import os
import pkgutil
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.attack import processes

__all__ = ["fork_workers", "import_package", "import_what_it_imports"]


def import_package() -> None:
    """Import all modules of the package, and fill its caches."""
    import tina_framework
    from tina_framework.cli.app import build_app
    from tina_framework.plugin.discovery import registries
    from tina_framework.training.export import git_commit

    for module in pkgutil.walk_packages(tina_framework.__path__, "tina_framework."):
        if not module.name.endswith("__main__") and ".templates" not in module.name:
            importlib.import_module(module.name)
    build_app()
    registries()
    git_commit()


def import_what_it_imports(function: Callable[[], Any], folder: Path) -> processes.Ended:
    """Call a function in a forked process, and import here all modules that it imported there."""
    note = folder / "modules.json"

    def call() -> None:
        try:
            function()
        finally:
            note.write_text(json.dumps(sorted(sys.modules)), encoding="utf-8")

    ended = processes.run(call, folder / "warm.log")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for name in json.loads(note.read_text(encoding="utf-8")) if note.exists() else []:
            if name not in sys.modules and not name.startswith("__"):
                with contextlib.suppress(Exception):
                    importlib.import_module(name)
    return ended


def fork_workers() -> None:
    """Let worker processes of this process be forked instead of spawned. Call it before the package is imported.

    Spawning takes seconds for each worker. The attack on signals runs the real program, with spawned workers.
    """
    original = multiprocessing.context.DefaultContext.get_context

    def get_context(self: Any, method: str | None = None) -> Any:
        return original(self, "fork" if method == "spawn" and os.environ.get("TINA_ATTACK_FORK") else method)

    multiprocessing.context.DefaultContext.get_context = get_context  # type: ignore[method-assign]
    # The function of the module is a method that was bound before.
    multiprocessing.get_context = multiprocessing.context._default_context.get_context
