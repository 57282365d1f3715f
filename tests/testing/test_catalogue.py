"""Every check of the catalogue is a standard test, is documented, and comes after the checks it needs."""

from __future__ import annotations

import inspect
import re
from pathlib import Path
from typing import Any

import pytest

import tina_framework.testing as kit
from tina_framework.testing.catalogue import CHECKS
from tina_framework.testing.findings import earlier_checks
from tina_framework.testing.guard import GUARD, standard_tests
from tina_framework.testing.runner import flags_of

BASES: dict[str, Any] = {kind: getattr(kit, f"{kind.capitalize()}Tests") for kind in CHECKS}


@pytest.mark.parametrize("kind", CHECKS)
def test_needed_checks_come_first(kind: str) -> None:
    seen: list[Any] = []
    for check in CHECKS[kind]:
        assert set(earlier_checks(check)) <= set(seen), check.__name__
        seen.append(check)


@pytest.mark.parametrize("kind", CHECKS)
def test_every_check_is_a_standard_test_that_says_how_to_fix_it(kind: str) -> None:
    tests = dict(standard_tests(BASES[kind]))
    assert "allowed_overrides" in (tests.pop(GUARD).__doc__ or "")
    assert list(tests) == sorted(check.__name__.replace("check_", "test_", 1) for check in CHECKS[kind])
    for name, test in tests.items():
        assert (test.__doc__ or "").startswith("To fix: "), name
        assert name.replace("test_", "check_", 1) in inspect.getsource(test)
    assert [check.__name__ for check in CHECKS[kind] if not check.__doc__] == []


@pytest.mark.parametrize("kind", CHECKS)
def test_flags_are_class_attributes(kind: str) -> None:
    own = {name for name in vars(BASES[kind]) if not name.startswith(("_", "test_"))} - {kind}
    given_by_hypothesis = {"seed", "timestep", "num_classes"}
    assert own == flags_of(kind) - given_by_hypothesis
    for check in CHECKS[kind]:
        for name, parameter in inspect.signature(check).parameters.items():
            if name in own:
                assert parameter.default == getattr(BASES[kind], name), f"{check.__name__}, {name}"


@pytest.mark.parametrize("kind", CHECKS)
def test_the_document_names_every_base_class_test_and_flag(kind: str) -> None:
    document = Path(__file__).resolve().parents[2] / "docs" / "reference" / "testing.md"
    _, _, after = document.read_text(encoding="utf-8").partition(f"\n### {BASES[kind].__name__}\n")
    section = re.split(r"^##", after, flags=re.MULTILINE)[0]
    rows = re.findall(r"^\| `(\w+)` \|", section, flags=re.MULTILINE)
    flags = {name for name in vars(BASES[kind]) if not name.startswith(("_", "test_"))} - {kind}
    assert sorted(rows) == sorted({*standard_tests(BASES[kind]), *flags} - {GUARD})
    assert f"`{GUARD}`" in document.read_text(encoding="utf-8")


def test_every_built_in_is_tested_here() -> None:
    from tina_framework.plugin.discovery import plugin_records

    kinds = [Path(__file__).with_name(f"test_{kind}.py") for kind in CHECKS]
    # Exporters that need packages of their own are tested beside their modules.
    kinds += sorted((Path(__file__).parents[1] / "builtins" / "exporters").rglob("test_*.py"))
    text = "".join(path.read_text(encoding="utf-8") for path in kinds)
    provided = next(record for record in plugin_records() if record.name == "builtins").provides
    homes = {
        "clip-lite": "CLIPLite", "clip-vit-b-32": "CLIPEncoder", "embedding-table": "EmbeddingTable",
        "arrays": "TestArrays", "cifar100": "TestCIFAR100", "image-folder": "TestImageFolder", "shapes": "TestShapes",
        "tflite": "TFLiteExporter",
    }  # fmt: skip
    missing = [n for names in provided.values() for n in names if homes.get(n, f'"{n}"') not in text]
    assert missing == []
