from __future__ import annotations

import pytest

from tina_framework.errors import (
    CheckpointError,
    ConfigError,
    DataError,
    Terminated,
    TinaError,
    explain,
    printable,
    shorten,
)

OUT_OF_MEMORY = "Error: There is not enough memory; ask for fewer or smaller things, or choose another device."


@pytest.mark.parametrize(
    ("error", "sentence", "code"),
    [
        (ConfigError("No."), "Error: No.", 2),
        (CheckpointError("No."), "Error: No.", 1),
        (KeyboardInterrupt(), "Interrupted.", 130),
        (OSError(28, "No space left on device", "a/b"), "Error: No space left on device ('a/b').", 1),
        (OSError("could not be written"), "Error: could not be written.", 1),
        (OSError(), "Error: OSError.", 1),
        (ZeroDivisionError("a\nb"), "Unexpected ZeroDivisionError: a b. Run again with --debug to see where.", 1),
        (ValueError(), "Unexpected ValueError: no reason given. Run again with --debug to see where.", 1),
        (
            OSError(28, "No space left on device", "/runs/.model.1a2b3c4d5e6f.partial/model.safetensors"),
            "Error: No space left on device ('/runs/model/model.safetensors').",
            1,
        ),
        (
            PermissionError(13, "Permission denied", b"/a/.b.1a.old"),
            "Error: Permission denied ('/a/b').",
            1,
        ),
        (OSError(9, "Bad file descriptor", 3), "Error: Bad file descriptor ('3').", 1),
        (
            OverflowError("int too big to convert"),
            "Error: A number is too large (int too big to convert). Run again with --debug to see where.",
            1,
        ),
        (
            RecursionError("maximum recursion depth exceeded"),
            "Error: The input is nested too deeply (maximum recursion depth exceeded). Run again with --debug to see where.",
            1,
        ),
        (MemoryError(), OUT_OF_MEMORY, 1),
        (RuntimeError("CUDA out of memory. Tried to allocate 2 GiB"), OUT_OF_MEMORY, 1),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried"), OUT_OF_MEMORY, 1),
        (Terminated(15), "Terminated.", 143),
        (Terminated(1), "Terminated.", 129),
    ],
)
def test_whatever_happened_is_one_sentence(error: BaseException, sentence: str, code: int) -> None:
    assert explain(error) == (sentence, code)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a\x1b[31mb", "a\\x1b[31mb"),
        ("a\rb\x00\x9b", "a\\rb\\x00\\x9b"),
        ("abc\u202edef\u2066", "abc\\u202edef\\u2066"),
        ("a\u200bb\u200dc\ufeff", "a\\u200bb\\u200dc\\ufeff"),
        ("\udcff", "\\udcff"),
        ("two\nlines\tand a tab", "two\nlines\tand a tab"),
        ("苹果 café 🚌 \\x1b [red]", "苹果 café 🚌 \\x1b [red]"),
        # Persian needs a joiner, and so does the emoji of a family.
        ("می\u200cخواهم", "می\u200cخواهم"),
        ("👨\u200d👩", "👨\u200d👩"),
        ("é\u200d\u200dé", "é\\u200d\\u200dé"),
    ],
)
def test_what_a_terminal_would_obey_or_hide_is_escaped(text: str, shown: str) -> None:
    assert printable(text) == shown


def test_a_value_in_a_message_is_short_and_printable() -> None:
    assert shorten("a\x1b\u202e") == "'a\\x1b\\u202e'"
    assert len(shorten("x" * 1000)) == 80
    assert shorten(10**9000) == "a number with thousands of digits"


def test_a_message_is_printable_and_not_endless() -> None:
    text = str(TinaError("a\x1b[31m" + "x " * 2500 + "; remove it."))
    assert text.startswith("a\\x1b[31mx x")
    assert "(5,021 characters in all)" in text
    assert text.endswith("x ; remove it.")  # what to do is not cut off
    assert len(text) < 2000


def test_long_values_do_not_fill_the_screen() -> None:
    message = str(DataError(f"The folder '{'x' * 60_000}' does not exist; check the path."))
    assert len(message) < 300
    assert message.endswith("x' does not exist; check the path.")
    path = "/".join(["folder"] * 40)
    assert path in str(DataError(f"'{path}' does not exist."))
