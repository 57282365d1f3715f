"""Run all checks of a kind without pytest, and report the result of each."""

from __future__ import annotations

import inspect
from dataclasses import dataclass
from typing import Any

from tina_framework.errors import ConfigError
from tina_framework.plugin.suggest import did_you_mean
from tina_framework.testing.findings import Check, CheckSkipped, ConformanceError, accepted, earlier_checks

__all__ = ["CheckResult", "run_checks"]


@dataclass(frozen=True)
class CheckResult:
    """The result of one check.

    Attributes:
        name: the check's name, e.g. ``check_oracle``.
        passed: it was carried out and found nothing.
        message: what was found, or why the check was skipped; empty if it passed.
        skipped: it does not apply, or a more basic check failed; `passed` is False then.
    """

    name: str
    passed: bool
    message: str = ""
    skipped: bool = False

    @property
    def failed(self) -> bool:
        """Whether the check found a fault."""
        return not self.passed and not self.skipped


def run_checks(kind: str, thing: Any, **flags: Any) -> list[CheckResult]:
    """Run all checks of a kind, the basic ones first.

    Args:
        kind: ``architecture``, ``tokenizer``, ``scheduler``, ``encoder``, ``dataset``, ``exporter``, ``method``, ``generator`` or ``zoo``, or
            its plural, the name of a registry.
        thing: a `TargetArchitecture`; a tokenizer; the class or function that makes schedulers; an encoder; a data set
            or a function without arguments that makes one; an exporter; a function without arguments that makes a method; the registered name or folder of a generator; the folder of a
            zoo.
        flags: capability flags, the class attributes of the base classes: ``stochastic=True``, ``texts=("apple",)``.

    Returns:
        One result for each check. The thing conforms if no check `failed`.

    Raises:
        ConfigError: there is no such kind, or no check of the kind has such a flag.
    """
    checks = checks_of(kind)
    known = sorted(flags_of(kind))
    for flag in flags:
        if flag not in known:
            suggestion = did_you_mean(flag, known)
            raise ConfigError(
                f"No check of the kind '{kind}' has a flag '{flag}'.{suggestion} Known: {', '.join(known)}."
            )
    results: dict[str, CheckResult] = {}
    for check in checks:
        results[check.__name__] = _blocked(check, results) or _run(inspect.unwrap(check), thing, flags)
    return list(results.values())


def checks_of(kind: str) -> tuple[Check, ...]:
    """Return the checks of a kind, given in the singular or plural.

    Raises:
        ConfigError: there is no such kind.
    """
    from tina_framework.testing.catalogue import CHECKS  # torch is loaded here, not with this module

    singular = kind.removesuffix("s")
    if singular not in CHECKS:
        raise ConfigError(f"There are no checks for the kind '{kind}'; it must be one of {', '.join(CHECKS)}.")
    return CHECKS[singular]


def flags_of(kind: str) -> set[str]:
    """Return the names of all capability flags of a kind."""
    return {name for check in checks_of(kind) for name in list(inspect.signature(check).parameters)[1:]}


def _blocked(check: Check, results: dict[str, CheckResult]) -> CheckResult | None:
    """Return a skipped result if a check that this one needs did not pass. Needed checks come first in the catalogue."""
    for earlier in earlier_checks(check):
        result = results[earlier.__name__]
        if result.failed:
            return CheckResult(check.__name__, False, f"Not checked, because {result.name} fails.", skipped=True)
        if result.skipped:
            return CheckResult(check.__name__, False, result.message, skipped=True)
    return None


def _run(check: Check, thing: Any, flags: dict[str, Any]) -> CheckResult:
    name = str(check.__name__)
    try:
        check(thing, **accepted(check, flags))
    except CheckSkipped as reason:
        return CheckResult(name, False, str(reason), skipped=True)
    except ConformanceError as finding:
        return CheckResult(name, False, str(finding))
    except Exception as error:  # the plugin's own code may raise anything, and one check may not hide the others
        reason_text = " ".join(str(error).split()) or "no reason given"
        return CheckResult(name, False, f"The plugin raised {type(error).__name__}: {reason_text}.")
    return CheckResult(name, True)
