"""Read TOML files that users wrote."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

from tina_framework.errors import ConfigError
from tina_framework.storage.text import MAX_SETTINGS_BYTES, read_text

__all__ = ["read_toml"]

_MAX_PARTS = 50
"""Maximum number of parts of a dotted key. The parser's time grows with the square of their number."""

_DOTTED = re.compile(
    rf"""(?<![\w.'"-])(?:(?:[\w-]++|"[^"\n]*+"|'[^'\n]*+')[ \t]*+\.[ \t]*+){{{_MAX_PARTS}}}""",
)


def read_toml(path: Path, what: str) -> dict[str, Any]:
    """Read a TOML file of up to 1 MB in UTF-8, with or without a byte order mark.

    Args:
        path: the file.
        what: names the file in messages: ``configuration file``.

    Raises:
        ConfigError: the file is missing, unreadable, too large, no regular file or not TOML, or is nested too deeply.
    """
    try:
        text = read_text(path, MAX_SETTINGS_BYTES)
        if _DOTTED.search(text):
            raise ValueError(f"a key has more than {_MAX_PARTS} parts")
        return tomllib.loads(text)
    except FileNotFoundError:
        raise ConfigError(f"The {what} '{path}' does not exist. Check the path.") from None
    except OSError as error:
        raise ConfigError(f"The {what} '{path}' cannot be read ({error.strerror}). Check the path.") from None
    except UnicodeDecodeError:
        raise ConfigError(f"The {what} '{path}' is not text in UTF-8. Save it as UTF-8.") from None
    except RecursionError:
        raise ConfigError(f"The {what} '{path}' is nested too deeply. Correct the file.") from None
    except ValueError as error:  # not TOML, a number with thousands of digits, or a pointer of Git LFS
        reason = " ".join(str(error).split())[:200]
        raise ConfigError(f"The {what} '{path}' is not valid TOML: {reason}. Correct the file.") from None
