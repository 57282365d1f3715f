"""The text of the C files."""

from __future__ import annotations

import re

import pytest

from tests.builtins.exporters.c.samples import CLASSES, everything
from tina_framework.builtins.exporters.c.exporter import integer_network
from tina_framework.builtins.exporters.c.source import Source, c_name, c_source


@pytest.fixture(scope="module")
def written() -> Source:
    source = everything()
    return c_source(integer_network(source), "pets", source.class_names, source.metadata)


@pytest.mark.parametrize(
    ("folder", "name"),
    [
        ("Pets", "pets"),
        ("my pets-c", "my_pets_c"),
        ("3 cats", "tina_3_cats"),
        ("double", "tina_double"),
        ("stdint", "tina_stdint"),
        ("çà!", "tina"),
        ("", "tina"),
        ("_x_", "x"),
        ("a" * 99, "a" * 40),
    ],
)
def test_names_are_identifiers(folder: str, name: str) -> None:
    assert c_name(folder) == name


def test_bytes_of_constants_are_those_of_the_arrays(written: Source) -> None:
    sizes = {"int8": 1, "uint8": 1, "int32": 4}
    arrays = re.findall(r"^static const (\w+)_t \w+\[(\d+)\]", written.code, flags=re.MULTILINE)
    total = sum(sizes[kind] * int(count) for kind, count in arrays)
    total += 26 * len(re.findall("^static const struct geometry", written.code, flags=re.MULTILINE))
    total += sum(len(name.encode()) + 1 + 4 for name in CLASSES)
    assert written.constant_bytes == total
    assert f"#define PETS_CONSTANT_BYTES {total}\n" in written.header


def test_bytes_of_buffers_are_those_of_the_static_arrays(written: Source) -> None:
    sizes = {"int8": 1, "int16": 2}
    buffers = re.findall(r"^static (int8|int16)_t \w+\[(\d+)\];", written.code, flags=re.MULTILINE)
    total = sum(sizes[kind] * int(count) for kind, count in buffers) + 4 * len(CLASSES)
    assert written.ram_bytes == total
    assert f"#define PETS_RAM_BYTES {total}\n" in written.header


def test_nothing_in_the_metadata_ends_the_comment(written: Source) -> None:
    comment = written.header.partition("#ifndef")[0].strip()
    assert comment.count("*/") == 1
    assert comment.endswith("*/")
    assert "??" not in written.header


def test_class_names_are_bytes_of_utf_8(written: Source) -> None:
    assert r'"bee \042x\042 \077\077/",' in written.code
    assert r'"\303\247a\134va",' in written.code
    assert written.code.isascii()
    assert written.header.isascii()


def test_the_threshold_is_a_logit(written: Source) -> None:
    scale = re.search(r"LOGIT_SCALE (\S+)f\n", written.header)
    threshold = re.search(r"PETS_THRESHOLD (\d+)\n", written.header)
    assert scale is not None
    assert threshold is not None
    assert int(threshold[1]) * float(scale[1]) == pytest.approx(0.25, abs=float(scale[1]))


def test_without_a_threshold_none_is_defined() -> None:
    source = everything()
    plain = c_source(integer_network(source), "pets", source.class_names, {})
    assert "THRESHOLD" not in plain.header


def test_only_functions_that_are_called_are_written(written: Source) -> None:
    functions = set(re.findall(r"^static \w+ (\w+)\(", written.code, flags=re.MULTILINE))
    for function in functions:
        assert len(re.findall(rf"\b{function}\(", written.code)) >= 2
    assert "#include <stdint.h>" in written.header
    assert written.code.count("#include") == 1
