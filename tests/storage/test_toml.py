"""Reading TOML files of users: every fault is one short sentence."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from tina_framework.errors import ConfigError
from tina_framework.storage.toml import read_toml


def test_a_byte_order_mark_and_windows_line_ends_are_accepted(tmp_path: Path) -> None:
    (tmp_path / "a.toml").write_bytes(b"\xef\xbb\xbfa = 1\r\n[b]\r\nc = 'caf\xc3\xa9'\r\n")
    assert read_toml(tmp_path / "a.toml", "recipe") == {"a": 1, "b": {"c": "caf\u00e9"}}


FAULTS = {
    "syntax": (b"a = ", "is not valid TOML"),
    "other encoding": ("a = 'caf\u00e9'".encode("latin-1"), "is not text in UTF-8"),
    "sixteen bits": ("a = 1".encode("utf-16"), "is not text in UTF-8"),
    "deep list": (b"a = " + b"[" * 10**5, "nested too deeply"),
    "deep table": (b"a = " + b"{a=" * 10**5, "nested too deeply"),
    "long key": (b".".join([b"a"] * 400_000) + b" = 1", "a key has more than 50 parts"),
    "long quoted key": (b" . ".join([b'"a b"'] * 100_000) + b" = 1", "a key has more than 50 parts"),
    "long header": (b"[" + b".".join([b"a"] * 400_000) + b"]", "a key has more than 50 parts"),
    "long integer": (b"a = " + b"1" * 10**5, "is not valid TOML"),
    "long word": (b"a" * 10**6, "is not valid TOML"),
    "open quotes": (b'"' * 10**6, "is not valid TOML"),
    "too large": (b" " * (2**20 + 1), "1,048,577 bytes, but at most 1,048,576 are allowed"),
    "pointer": (b"version https://git-lfs.github.com/spec/v1\n", "git lfs pull"),
}


@pytest.mark.parametrize(("data", "sentence"), FAULTS.values(), ids=list(FAULTS))
def test_faults(tmp_path: Path, data: bytes, sentence: str) -> None:
    (tmp_path / "a.toml").write_bytes(data)
    start = time.process_time()
    with pytest.raises(ConfigError, match=sentence) as refused:
        read_toml(tmp_path / "a.toml", "recipe")
    assert time.process_time() - start < 2
    assert len(str(refused.value)) < 400 + len(str(tmp_path))


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
def test_only_regular_files_are_read(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", tmp_path, Path("/dev/zero")):
        with pytest.raises(ConfigError, match="it is not a regular file"):
            read_toml(path, "recipe")
    with pytest.raises(ConfigError, match="does not exist"):
        read_toml(tmp_path / "none", "recipe")
