from __future__ import annotations

import pytest

from tina_framework.errors import CheckpointError, ConfigError, explain


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
    ],
)
def test_whatever_happened_is_one_sentence(error: BaseException, sentence: str, code: int) -> None:
    assert explain(error) == (sentence, code)
