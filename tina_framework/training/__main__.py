"""The program ``accelerate launch -m tina_framework.training --config FILE [--field value]``.

Without the launcher it trains on one process. ``--debug`` prints the traceback of an error. Exit codes: 0 finished or
stopped by `max_seconds`, 1 failed, 2 wrong settings, 130 stopped by Ctrl-C, 143 stopped by SIGTERM; for the others see
`tina_framework.terminal.program`.
"""

from __future__ import annotations

import contextlib
import gc
import os
import sys
from collections.abc import Sequence

from tina_framework.config.environment import unknown_variables
from tina_framework.terminal.console import print_error, print_line
from tina_framework.terminal.program import run_program

__all__ = ["main", "train"]

_SPINS = "3000"
"""Chosen on two cores: beside two busy programs, a step takes a seventh of the time that it takes with the default."""


def train(arguments: Sequence[str], program: str) -> None:
    """Train a generator as the command line says, and print where it was saved.

    Args:
        arguments: the words after the program's name.
        program: name of the program in the help page.

    Raises:
        TinaError: the settings are wrong, or training failed.
    """
    # Set before torch is imported: its C++ part prints a trace for each lost connection, which this package reports itself.
    # Where the others do not come at all, the trace has the level ERROR.
    os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "FATAL")
    # Also read when torch is loaded: how long a thread waits actively for the others. The default suits an idle machine. On a
    # busy one the threads spend most of their time waiting.
    if "OMP_WAIT_POLICY" not in os.environ:
        os.environ.setdefault("GOMP_SPINCOUNT", _SPINS)
    from tina_framework.training.arguments import help_text, parse_arguments

    parsed = parse_arguments(arguments)
    if parsed.help:
        print_line(help_text(program))
        return
    from tina_framework.config.training import load_training_config
    from tina_framework.plugin.discovery import load_plugin_file

    for file in parsed.plugins:
        load_plugin_file(file)
    config = load_training_config(parsed.flags, parsed.config_file)

    from tina_framework.training.interrupt import ignoring_signals
    from tina_framework.training.loop import Trainer

    trainer = Trainer(config)
    outcome = trainer.train()
    with ignoring_signals() if outcome.exit_code else contextlib.nullcontext():
        if trainer.is_main:
            print_line(f"Generator after {outcome.step} steps: {outcome.generator}")
            if trainer.best is not None and (config.output_dir / "best").is_dir():
                print_line(f"Best by validation (step {trainer.best['step']}): {config.output_dir / 'best'}")
        # A connection between processes that is freed only while Python shuts down aborts the process (gloo's threads). The
        # trainer holds it in a cycle of references, so it is collected here.
        del trainer
        gc.collect()
    # A script that goes on after a success must not go on with a run that was stopped.
    if outcome.exit_code:
        raise SystemExit(outcome.exit_code)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the program and return its exit code."""
    code = run_program(_run, sys.argv[1:] if arguments is None else arguments)
    # As at the end of `train`: after an error, its traceback held the trainer until here.
    gc.collect()
    return code


def _run(arguments: list[str]) -> int:
    for sentence in unknown_variables():
        print_error(f"Warning: {sentence}")
    train(arguments, "python -m tina_framework.training")
    return 0


if __name__ == "__main__":
    sys.exit(main())
