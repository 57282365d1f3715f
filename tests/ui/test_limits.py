from __future__ import annotations

from tina_framework.errors import TinaError
from tina_framework.ui.limits import MAX_PICTURE_BYTES, limits, picture_too_large


def test_the_page_is_told_the_limits() -> None:
    assert limits()["picture_bytes"] == MAX_PICTURE_BYTES
    assert set(limits()) == {"picture_bytes", "photographs", "examples", "classes"}


def test_a_large_picture_gets_a_sentence() -> None:
    error = picture_too_large("a.jpg")
    assert isinstance(error, TinaError)
    assert "'a.jpg' has more than 20 MB" in str(error)
