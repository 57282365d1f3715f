"""What one page may upload. The page shows these limits, and the server enforces them."""

from __future__ import annotations

from typing import Any

from tina_framework.errors import DataError

__all__ = [
    "MAX_CLASSES",
    "MAX_EXAMPLES",
    "MAX_PHOTOGRAPHS",
    "MAX_PICTURE_BYTES",
    "MAX_TEXT_BYTES",
    "UploadTooLargeError",
    "limits",
    "picture_too_large",
]

MAX_PICTURE_BYTES = 20_000_000
"""Of one picture file. Photographs of telephones have 2 to 12 MB."""

MAX_PHOTOGRAPHS = 50
"""Photographs that a page classifies. Every change of the classifier answers all of them again."""

MAX_EXAMPLES = 200
"""Pictures that a page teaches with, of all classes together."""

MAX_CLASSES = 100
"""Classes of one classifier. More take longer than a person likes to wait; the command line makes them."""

MAX_TEXT_BYTES = 100_000
"""Of a request without a picture."""


class UploadTooLargeError(DataError):
    """A request has more bytes than the page allows."""


def picture_too_large(name: str) -> UploadTooLargeError:
    """Return the error for a picture file of too many bytes."""
    return UploadTooLargeError(
        f"The file '{name}' has more than {MAX_PICTURE_BYTES // 1_000_000} MB, which is the limit for one picture; "
        "scale it down first."
    )


def limits() -> dict[str, Any]:
    """Return the limits as JSON values for the page."""
    return {
        "picture_bytes": MAX_PICTURE_BYTES,
        "photographs": MAX_PHOTOGRAPHS,
        "examples": MAX_EXAMPLES,
        "classes": MAX_CLASSES,
    }
