"""Write a network of integers as one header and one C99 file."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from typing import Any

import numpy as np
import numpy.typing as npt

from tina_framework.builtins.exporters.c.arena import Lifetime, placed
from tina_framework.builtins.exporters.c.integers import (
    IntegerAdd,
    IntegerClamp,
    IntegerConvolution,
    IntegerGroupNorm,
    IntegerMax,
    IntegerMean,
    IntegerNetwork,
    IntegerOperation,
)

__all__ = ["GEOMETRY_BYTES", "Source", "c_name", "c_source", "name_bytes"]

_TYPES = {8: "int8_t", 16: "int16_t", 32: "int32_t"}

GEOMETRY_BYTES = 26
"""Of ``struct geometry``: 13 numbers of 16 bits."""

_POINTER_BYTES = 4
"""On the devices that the format is for."""

_KEYWORDS = {
    "auto", "break", "case", "char", "const", "continue", "default", "do", "double", "else", "enum", "extern", "float", "for", "goto",
    "if", "inline", "int", "long", "register", "restrict", "return", "short", "signed", "sizeof", "static", "struct", "switch",
    "typedef", "union", "unsigned", "void", "volatile", "while",
}  # fmt: skip
"""Of C99. They, and ``stdint``, would be no good names of files that are included."""


@dataclass(frozen=True)
class Source:
    """What is written.

    Attributes:
        header: text of ``NAME.h``.
        code: text of ``NAME.c``.
        constant_bytes: of weights, other numbers and class names, where a pointer has 4 bytes.
        ram_bytes: of the static buffers.
    """

    header: str
    code: str
    constant_bytes: int
    ram_bytes: int


def c_name(name: str) -> str:
    """Return a C identifier like the name of a folder: letters, digits and underscores."""
    plain = re.sub(r"[^A-Za-z0-9]+", "_", name).strip("_")[:40].lower()
    return (
        plain
        if plain and not plain[0].isdigit() and plain not in _KEYWORDS | {"stdint"}
        else f"tina_{plain}".strip("_")
    )


def name_bytes(class_names: Sequence[str]) -> int:
    """Return the bytes of the class names, where a pointer has 4 bytes."""
    return sum(len(text.encode()) + 1 + _POINTER_BYTES for text in class_names)


def c_source(network: IntegerNetwork, name: str, class_names: tuple[str, ...], metadata: Mapping[str, Any]) -> Source:
    """Return the source of a network.

    Args:
        network: the integers.
        name: prefix of all names with external linkage; see `c_name`.
        class_names: K names.
        metadata: JSON values that the header shows in a comment.
    """
    writer = _Writer(network)
    writer.write()
    constant_bytes = writer.constant_bytes + name_bytes(class_names)
    ram_bytes = writer.ram_bytes + 4 * len(class_names)
    texts = {
        "name": name,
        "NAME": name.upper(),
        "height": network.shapes[0][1],
        "width": network.shapes[0][2],
        "classes": len(class_names),
        "scale": f"{network.logit_scale:.9g}f"
        if "." in f"{network.logit_scale:.9g}"
        else f"{network.logit_scale:.9e}f",
        "constants": constant_bytes,
        "ram": ram_bytes,
        "threshold": _threshold(name, network, metadata),
        "metadata": _comment(json.dumps(metadata, indent=1, ensure_ascii=True)),
        "first": writer.first_place,
        "pixels": math.prod(network.shapes[0][1:]) * 3,
        "geometry": _parts()["geometry"],
        "parts": "\n".join(writer.kernels()),
        "arrays": "\n".join(writer.arrays),
        "buffers": "\n".join(writer.buffers),
        "calls": "\n".join(f"    {call}" for call in writer.calls),
        "names": "\n".join(f'    "{_escaped(text)}",' for text in class_names),
    }
    return Source(_HEADER.format_map(texts), _CODE.format_map(texts), constant_bytes, ram_bytes)


_HEADER = """\
/*
 * A classifier of pictures with {classes} classes, made by tina_framework.
 *
 * Constants: {constants} bytes (flash). Buffers: {ram} bytes (RAM), and a few hundred bytes of stack.
 * C99, with <stdint.h> only: no allocation, no floating point, no library. One call at a time: the buffers are static.
 *
 * Pixels: {height} x {width} x 3 bytes, row by row from the top left, red green blue. "fit" below says how pictures of other
 * sizes are cropped and scaled. The rest of the preprocessing is inside.
 *
 * Integers stand for real numbers as in Jacob et al. 2018 (arXiv 1712.05877).
 *
{metadata}
 */
#ifndef {NAME}_H
#define {NAME}_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {{
#endif

#define {NAME}_HEIGHT {height}
#define {NAME}_WIDTH {width}
#define {NAME}_CLASSES {classes}
#define {NAME}_CONSTANT_BYTES {constants}
#define {NAME}_RAM_BYTES {ram}

/* What one step of a logit is worth. The softmax of the logits times this number gives probabilities. */
#define {NAME}_LOGIT_SCALE {scale}
{threshold}
/* The name of each class, in UTF-8. */
extern const char *const {name}_class_names[{NAME}_CLASSES];

/* Compute one logit for each class. The greatest is the answer. */
void {name}_logits(const uint8_t *pixels, int32_t *logits);

/* Return the number of the most likely class; of equals the first. */
int {name}_classify(const uint8_t *pixels);

#ifdef __cplusplus
}}
#endif

#endif
"""

_CODE = """\
/* See {name}.h. */
#include "{name}.h"

const char *const {name}_class_names[{NAME}_CLASSES] = {{
{names}
}};

{geometry}
{arrays}

{parts}
{buffers}

void {name}_logits(const uint8_t *pixels, int32_t *logits)
{{
    standardise(pixels, {first}, {pixels});
{calls}
}}

int {name}_classify(const uint8_t *pixels)
{{
    static int32_t logits[{NAME}_CLASSES];
    int best = 0, k;
    {name}_logits(pixels, logits);
    for (k = 1; k < {NAME}_CLASSES; k++) {{
        best = logits[k] > logits[best] ? k : best;
    }}
    return best;
}}
"""


def _threshold(name: str, network: IntegerNetwork, metadata: Mapping[str, Any]) -> str:
    threshold = metadata.get("abstention_threshold")
    if not isinstance(threshold, int | float):
        return ""
    return (
        "\n/* Below this greatest logit, the picture may show none of the classes. */\n"
        f"#define {name.upper()}_THRESHOLD {round(threshold / network.logit_scale)}\n"
    )


class _Writer:
    """Collects the parts of the C file.

    Attributes:
        arrays: definitions of constants.
        buffers: definitions of memory.
        calls: one for each operation.
        constant_bytes: of all arrays.
        ram_bytes: of all buffers.
    """

    def __init__(self, network: IntegerNetwork) -> None:
        self._network = network
        self.arrays: list[str] = []
        self.buffers: list[str] = []
        self.calls: list[str] = []
        self.constant_bytes = 0
        self.ram_bytes = 0
        self._kernels: dict[str, str] = {}
        self._places: list[str] = []

    def write(self) -> None:
        """Write all operations."""
        self._place_values()
        self._array("input_factors", self._network.input.factors)
        self._array("input_offsets", self._network.input.offsets)
        for number, operation in enumerate(self._network.operations, 1):
            self.calls.append(self._call(operation, number))

    def kernels(self) -> list[str]:
        """Return the functions that are called, and what they need."""
        parts = _parts()
        return [parts["fixed_point"], parts["standardise"], *self._kernels.values()]

    @property
    def first_place(self) -> str:
        """The place of value 0."""
        return self._places[0]

    def _place_values(self) -> None:
        """Give each value a place: in the arena (8 bits), an array of its own (16 bits), or the caller's (32 bits)."""
        network = self._network
        lifetimes = []
        for value, quantisation in enumerate(network.quantisations):
            reads = [
                step
                for step, operation in enumerate(network.operations, 1)
                if value in (operation.input, getattr(operation, "other", None))
            ]
            size = math.prod(network.shapes[value]) if quantisation.bits == 8 else 0
            lifetimes.append(Lifetime(size, value, max(reads, default=value)))
        offsets, block = placed(lifetimes)
        self.buffers.append(f"static int8_t arena[{block}];")
        self.ram_bytes += block
        for value, quantisation in enumerate(network.quantisations):
            if quantisation.bits == 8:
                self._places.append(f"arena + {offsets[value]}" if offsets[value] else "arena")
            elif quantisation.bits == 16:
                count = math.prod(network.shapes[value])
                # An array of its own: C does not allow numbers of 16 bits inside an array of bytes.
                self.buffers.append(f"static int16_t means_{value}[{count}];")
                self.ram_bytes += 2 * count
                self._places.append(f"means_{value}")
            else:
                self._places.append("logits")

    def _call(self, operation: IntegerOperation, number: int) -> str:
        values = self._network.quantisations
        read, result = values[operation.input], values[number]
        source, target = self._places[operation.input], self._places[number]
        count = math.prod(self._network.shapes[number])
        match operation:
            case IntegerConvolution():
                kernel = self._kernel("convolve", IN=_TYPES[read.bits], OUT=_TYPES[result.bits])
                height, width = operation.weights.shape[1:3]
                self._geometry(number, operation, (height, width), operation.groups)
                self._array(f"weights_{number}", operation.weights)
                self._array(f"biases_{number}", operation.biases)
                self._array(f"mantissas_{number}", operation.mantissas)
                self._array(f"shifts_{number}", operation.shifts)
                arrays = ", ".join(f"{kind}_{number}" for kind in ("weights", "biases", "mantissas", "shifts"))
                limits = f"{result.zero}, {_number(operation.low)}, {_number(operation.high)}"
                return f"{kernel}(&geometry_{number}, {source}, {read.zero}, {arrays}, {target}, {limits});"
            case IntegerMean():
                kernel = self._kernel("mean", OUT=_TYPES[result.bits])
                self._geometry(number, operation, operation.kernel)
                factor = f"{operation.mantissa}, {operation.shift}"
                limits = f"{result.zero}, {operation.low}, {operation.high}"
                return f"{kernel}(&geometry_{number}, {source}, {read.zero}, {factor}, {target}, {limits});"
            case IntegerMax():
                kernel = self._kernel("maximum")
                self._geometry(number, operation, operation.kernel)
                return f"{kernel}(&geometry_{number}, {source}, {target});"
            case IntegerGroupNorm():
                kernel = self._kernel("normalise")
                self._geometry(number, None, (1, 1), operation.groups)
                self._array(f"factors_{number}", operation.factors)
                self._array(f"offsets_{number}", operation.offsets)
                factors = f"factors_{number}, {operation.shift}, offsets_{number}"
                limits = f"{result.zero}, {operation.low}, {operation.high}"
                return f"{kernel}(&geometry_{number}, {source}, {read.zero}, INT64_C({operation.eps}), {factors}, {target}, {limits});"
            case IntegerAdd():
                kernel, (left, right) = self._kernel("add"), operation.mantissas
                other, zero = self._places[operation.other], values[operation.other].zero
                limits = f"{result.zero}, {operation.low}, {operation.high}, {count}"
                return f"{kernel}({source}, {read.zero}, {left}, {other}, {zero}, {right}, {operation.shift}, {target}, {limits});"
            case IntegerClamp():
                return f"{self._kernel('clamp')}({source}, {target}, {operation.low}, {operation.high}, {count});"

    def _kernel(self, name: str, **types: str) -> str:
        """Return the name of a function, and copy it into the file."""
        text = _parts()[name]
        called = "_".join([name, *types.values()])
        for mark, kind in types.items():
            text = text.replace(f"${mark}", kind)
        self._kernels[called] = text
        return called

    def _geometry(
        self,
        number: int,
        operation: IntegerConvolution | IntegerMean | IntegerMax | None,
        kernel: tuple[int, int],
        groups: int = 1,
    ) -> None:
        value = number - 1 if operation is None else operation.input
        read, made = self._network.shapes[value], self._network.shapes[number]
        stride, padding = ((1, 1), (0, 0)) if operation is None else (operation.stride, operation.padding)
        numbers = (read[1], read[2], read[0], made[1], made[2], made[0], *kernel, *stride, *padding, groups)
        self.arrays.append(f"static const struct geometry geometry_{number} = {{{', '.join(map(str, numbers))}}};")
        self.constant_bytes += GEOMETRY_BYTES

    def _array(self, name: str, values: npt.NDArray[Any]) -> None:
        self.arrays.append(_array(name, values))
        self.constant_bytes += values.nbytes


def _array(name: str, values: npt.NDArray[Any]) -> str:
    numbers = [_number(int(value)) for value in values.ravel()]
    lines = [", ".join(numbers[start : start + 16]) for start in range(0, len(numbers), 16)]
    return (
        f"static const {np.dtype(values.dtype).name}_t {name}[{len(numbers)}] = {{\n"
        + ",\n".join(f"    {line}" for line in lines)
        + "\n};"
    )


def _number(value: int) -> str:
    # In C, -2147483648 is the negative of a number that does not fit into 32 bits.
    return "INT32_MIN" if value == -(2**31) else str(value)


def _parts() -> dict[str, str]:
    """Return the parts of kernels.c by name."""
    text = (resources.files(__package__) / "kernels.c").read_text(encoding="utf-8")
    pieces = re.split(r"^/\* == (\w+) == \*/\n", text, flags=re.MULTILINE)
    return dict(zip(pieces[1::2], pieces[2::2], strict=True))


def _comment(text: str) -> str:
    """Return lines of a comment. Nothing in the text can end it."""
    safe = text.replace("*/", "* /").replace("/*", "/ *").replace("??", "? ?")
    return "\n".join(f" * {line.rstrip(chr(92))}" for line in safe.splitlines())


def _escaped(text: str) -> str:
    """Return the inside of a string literal. Other characters than printable ASCII are written as bytes, in octal."""
    plain = {*range(32, 127)} - {*b'"\\?'}
    return "".join(chr(byte) if byte in plain else f"\\{byte:03o}" for byte in text.encode())
