from __future__ import annotations

import os
from pathlib import Path

import pytest

from tina_framework.storage.text import NotRegularError, TooLargeError, read_bytes, read_text


def test_a_byte_order_mark_and_windows_line_ends_are_accepted(tmp_path: Path) -> None:
    path = tmp_path / "text"
    path.write_bytes(b"\xef\xbb\xbfone\r\ntwo\rthree\n")
    assert read_text(path) == "one\ntwo\nthree\n"


def test_other_encodings_and_pointers_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "text"
    path.write_bytes("é".encode("latin-1"))
    with pytest.raises(ValueError, match="utf-8"):
        read_text(path)
    path.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 3\n")
    with pytest.raises(ValueError, match="git lfs pull"):
        read_text(path)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="the system has no named pipes")
def test_a_pipe_and_a_device_are_refused_at_once(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", Path("/dev/zero"), tmp_path):
        with pytest.raises(OSError, match="not a regular file") as caught:
            read_text(path)
        assert isinstance(caught.value, NotRegularError)


def test_a_file_above_the_limit_is_refused_unread(tmp_path: Path) -> None:
    path = tmp_path / "large"
    with path.open("wb") as file:
        file.truncate(2**40)  # takes no space
    with pytest.raises(TooLargeError, match=r"1,099,511,627,776 bytes, but at most 10 are allowed"):
        read_bytes(path, limit=10)
