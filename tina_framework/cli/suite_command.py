"""``tina evaluate --suite prompts``: measure the same tasks with prompts in many wordings."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tina_framework.cli.output import print_error, print_json, print_line, print_table, progress_bar

__all__ = ["evaluate_prompts"]


def evaluate_prompts(options: Mapping[str, Any], out: Path, *, json_: bool) -> None:
    """Run the suite, write its files to `out` and print a summary.

    Args:
        options: option of ``tina evaluate`` -> its value.
        out: folder for the results.
        json_: print JSON instead of a table.

    Raises:
        ConfigError: an option does not apply to the suite.
    """
    from tina_framework.errors import ConfigError
    from tina_framework.evaluation.paths import without_folders
    from tina_framework.evaluation.suite.prompt_measurer import SuiteRequest
    from tina_framework.evaluation.suite.prompt_suite import run_suite
    from tina_framework.evaluation.suite.suite_tables import FILES, check_output, short_rows, write_suite

    taken = {"--model", "--dataset", "--encoder", "--architecture", "--split", "--device", "--seed"}
    taken |= {"--descriptions", "--num-tasks", "--classes"}
    rejected = [name for name, value in options.items() if name not in taken and value not in (None, False, 0)]
    if rejected:
        raise ConfigError(f"{rejected[0]} has no effect with --suite prompts, which draws its own tasks; leave it out.")
    # Checked before the measurements, which take minutes.
    check_output(out)
    given = {name: value for name, value in options.items() if value not in (None, False) and name in taken}
    words = [word for name, value in (given | {"--out": out}).items() for word in (name, without_folders(str(value)))]
    request = SuiteRequest(
        model=options["--model"],
        dataset=options["--dataset"],
        encoder=options["--encoder"],
        descriptions=options["--descriptions"],
        num_tasks=options["--num-tasks"] or SuiteRequest.num_tasks,
        num_classes=options["--classes"] or SuiteRequest.num_classes,
        image_split=options["--split"],
        device=options["--device"],
        seed=options["--seed"],
        architecture=options.get("--architecture"),
        command=shlex.join(["tina", "evaluate", "--suite", "prompts", *words]),
    )
    before = 0
    with progress_bar("Prompts", 100) as advance:

        def on_progress(label: str, done: int, total: int) -> None:
            nonlocal before
            now = 100 * done // max(1, total)
            advance(now - before, note=label)
            before = now

        result = run_suite(request, on_progress)
    write_suite(out, result)
    if json_:
        print_json(result)
        return
    print_table(short_rows(result), ["prompts", "tasks", "accuracy %", "minus names", "of names"], title="Prompts")
    for warning in result["setup"]["warnings"]:
        print_error(f"Warning: {warning}")
    print_line("± is half of the 95 % interval over tasks. Differences are paired, in points.")
    files = ", ".join(FILES)
    print_line(f"Written to {out}: {files}. They also hold class counts, order and familiarity.")
