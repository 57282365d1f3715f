"""Ways to damage a folder: bits, bytes, whole files, values of JSON and TOML, and headers of safetensors files."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import random
import re
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from tina_framework.errors import CheckpointError
from tina_framework.storage.digest import HASHES, renew_digest

__all__ = ["BYTES", "FILES", "JSON", "RESIGNED", "TOML", "Mutation", "mutate"]

Mutation = Callable[[random.Random, Path, Path], str | None]
"""Called with (random draws, the folder to damage, a folder of the same kind with other contents). Returns what it did, or None
if the folder has nothing that it applies to."""

ODD_VALUES: tuple[Any, ...] = (
    None, True, False, -1, 0, 1, 7, 2**31, 2**63, 10**30, -(10**400), 0.5, -0.5, 1e308, 1e-320, "", " ", "x", "../../etc/passwd",
    "/dev/zero", "\x1b[31mred\x1b[0m", "\u202eabc", "\ud800", "a\nb", "x" * 5000, [], {}, [[]], [None], [1] * 2000, {"a": {"b": 1}},
    ["a", "a"], ["ant", "bee"], [0.0], [float("nan")], float("inf"), "<script>alert(1)</script>", "[bold]x[/bold]", "embedding-table:/etc/passwd",
    "clip-vit-b-32", "no-such-thing", 3, [3, 32, 32], [1, 1, 1], "0" * 64,
)  # fmt: skip

_LFS = b"version https://git-lfs.github.com/spec/v1\noid sha256:" + b"0" * 64 + b"\nsize 12345\n"


def files_of(folder: Path, *suffixes: str) -> list[Path]:
    """Return the files of a folder, sorted by name."""
    found = sorted(path for path in folder.rglob("*") if path.is_file() and not path.is_symlink())
    return [path for path in found if not suffixes or path.suffix in suffixes]


def put(path: Path, data: bytes) -> None:
    """Write a file. What was there is removed first: it may be a hard link."""
    path.unlink(missing_ok=True)
    path.write_bytes(data)


def _pick(draws: random.Random, folder: Path, *suffixes: str) -> Path | None:
    found = files_of(folder, *suffixes)
    return draws.choice(found) if found else None


# -- bytes ---------------------------------------------------------------------------------------------------------------


def _place(draws: random.Random, size: int) -> int:
    """Return a place in a file. The beginning, where headers are, is as likely as all the rest."""
    return draws.randrange(min(size, 400)) if draws.random() < 0.5 else draws.randrange(size)


def flip(draws: random.Random, folder: Path, other: Path) -> str | None:
    path = _pick(draws, folder)
    if path is None or not path.stat().st_size:
        return None
    data = bytearray(path.read_bytes())
    place, bit = _place(draws, len(data)), draws.randrange(8)
    data[place] ^= 1 << bit
    put(path, bytes(data))
    return f"bit {bit} of byte {place} of {path.name} flipped"


def truncate(draws: random.Random, folder: Path, other: Path) -> str | None:
    path = _pick(draws, folder)
    if path is None or not path.stat().st_size:
        return None
    size = _place(draws, path.stat().st_size)
    put(path, path.read_bytes()[:size])
    return f"{path.name} cut to {size} bytes"


def insert(draws: random.Random, folder: Path, other: Path) -> str | None:
    path = _pick(draws, folder)
    if path is None:
        return None
    data = path.read_bytes()
    place = _place(draws, len(data) + 1)
    extra = draws.randbytes(draws.choice((1, 2, 16, 3000)))
    put(path, data[:place] + extra + data[place:])
    return f"{len(extra)} bytes inserted at {place} of {path.name}"


def overwrite(draws: random.Random, folder: Path, other: Path) -> str | None:
    path = _pick(draws, folder)
    if path is None or not path.stat().st_size:
        return None
    data = bytearray(path.read_bytes())
    place, length = _place(draws, len(data)), draws.choice((1, 4, 64, 4096))
    fill = draws.choice((b"\0", b"\xff", b"9", b" "))
    data[place : place + length] = fill * len(data[place : place + length])
    put(path, bytes(data))
    return f"{length} bytes at {place} of {path.name} set to {fill!r}"


def remove_bytes(draws: random.Random, folder: Path, other: Path) -> str | None:
    path = _pick(draws, folder)
    if path is None or not path.stat().st_size:
        return None
    data = path.read_bytes()
    place, length = _place(draws, len(data)), draws.choice((1, 8, 500))
    put(path, data[:place] + data[place + length :])
    return f"{length} bytes at {place} of {path.name} removed"


# -- whole files ---------------------------------------------------------------------------------------------------------


def swap(draws: random.Random, folder: Path, other: Path) -> str | None:
    found = files_of(folder)
    if len(found) < 2:
        return None
    first, second = draws.sample(found, 2)
    one, two = first.read_bytes(), second.read_bytes()
    put(first, two)
    put(second, one)
    return f"{first.name} and {second.name} swapped"


def foreign(draws: random.Random, folder: Path, other: Path) -> str | None:
    path = _pick(draws, folder)
    theirs = other / path.relative_to(folder) if path is not None else other
    if path is None or not theirs.is_file():
        return None
    put(path, theirs.read_bytes())
    return f"{path.name} taken from another folder"


def remove(draws: random.Random, folder: Path, other: Path) -> str | None:
    path = _pick(draws, folder)
    if path is None:
        return None
    path.unlink()
    return f"{path.name} removed"


def add(draws: random.Random, folder: Path, other: Path) -> str | None:
    places = [folder, *(path for path in sorted(folder.rglob("*")) if path.is_dir())]
    names = (
        "extra.json",
        "model.safetensors.bak",
        ".DS_Store",
        "._config.json",
        "Thumbs.db",
        "notes.txt",
        "extra.safetensors",
        "e\u0301.txt",
    )
    path = draws.choice(places) / draws.choice(names)
    if path.exists():
        return None
    path.write_bytes(draws.randbytes(100))
    return f"{path.name} added"


def replace_file(draws: random.Random, folder: Path, other: Path) -> str | None:
    path = _pick(draws, folder)
    if path is None:
        return None
    what = draws.choice(
        ("pipe", "folder", "loop", "empty", "no permission", "lfs", "device", "dangling", "null", "full device")
    )
    if what == "no permission":
        data = path.read_bytes()
        put(path, data)
        path.chmod(0)
        return f"{path.name} may not be read"
    path.unlink()
    if what == "pipe":
        os.mkfifo(path)
    elif what == "folder":
        path.mkdir()
    elif what == "loop":
        path.symlink_to(path.name)
    elif what == "device":
        path.symlink_to("/dev/zero")
    elif what == "full device":
        path.symlink_to("/dev/full")
    elif what == "null":
        path.symlink_to("/dev/null")
    elif what == "dangling":
        path.symlink_to("nowhere")
    else:
        path.write_bytes(_LFS if what == "lfs" else b"")
    return f"{path.name} replaced: {what}"


# -- values --------------------------------------------------------------------------------------------------------------


def _places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [place for key, item in items for place in ((*path, key), *_places(item, (*path, key)))]


def _container(value: Any, path: Sequence[Any]) -> Any:
    for key in path[:-1]:
        value = value[key]
    return value


def _edit_json(draws: random.Random, folder: Path) -> tuple[Path, str] | None:
    path = _pick(draws, folder, ".json")
    if path is None:
        return None
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except ValueError:
        return None
    places = _places(values)
    if not places:
        return None
    # The keys at the top are few, but most of the meaning.
    place = draws.choice([p for p in places if len(p) == 1] if draws.random() < 0.4 else places)
    inside = _container(values, place)
    what = draws.choice(("odd", "odd", "odd", "odd", "removed", "added", "deep", "twice", "shifted"))
    if what == "odd":
        inside[place[-1]] = draws.choice(ODD_VALUES)
    elif what == "removed":
        del inside[place[-1]]
    elif what == "shifted" and isinstance(inside[place[-1]], int | float):
        inside[place[-1]] = inside[place[-1]] * draws.choice((-1, 2, 1000)) + draws.choice((0, 1))
    elif what == "added" and isinstance(inside, dict):
        inside["x"] = draws.choice(ODD_VALUES)
    elif what == "deep":
        deep: Any = []
        for _ in range(draws.choice((50, 900))):
            deep = [deep]
        inside[place[-1]] = deep
    elif isinstance(inside, list):
        inside.append(inside[place[-1]])
    text = json.dumps(values)
    if what == "twice" and isinstance(values, dict):
        text = '{"format": "x", ' + text[1:]
    if what == "deep" and draws.random() < 0.3:
        text = "[" * 100_000
    put(path, text.encode("utf-8", "surrogatepass"))
    return path, f"{path.name}: {'/'.join(map(str, place))[:80]} {what} {_brief(inside, place)}"


def _brief(inside: Any, place: Sequence[Any]) -> str:
    with contextlib.suppress(LookupError, TypeError, RecursionError):
        return ascii(inside[place[-1]])[:60]
    return ""


def edit_json(draws: random.Random, folder: Path, other: Path) -> str | None:
    done = _edit_json(draws, folder)
    return done[1] if done else None


def edit_and_sign(draws: random.Random, folder: Path, other: Path) -> str | None:
    done = _edit_json(draws, folder)
    if done is None:
        return None
    with contextlib.suppress(CheckpointError, OSError, ValueError, RecursionError):
        renew_digest(done[0])
    return f"{done[1]}, signed again"


def edit_toml(draws: random.Random, folder: Path, other: Path) -> str | None:
    path = _pick(draws, folder, ".toml")
    if path is None:
        return None
    lines = path.read_text(encoding="utf-8").splitlines()
    places = [number for number, line in enumerate(lines) if "=" in line]
    if not places:
        return None
    number = draws.choice(places)
    key = lines[number].partition("=")[0]
    odd = draws.choice(
        ("true", "-1", "0", "1e400", "nan", "inf", '""', "[]", "{}", "[[[]]]", "9" * 30, '"\\u202e"', "2020-01-01", "0x10", '"x"', "{a = 1}",
         "[1, 'a']", "10000000", "8000", '"' + "x" * 5000 + '"', "[" * 2000, "3.5", "-0.0", '"~/x"', "", "'''", '"\\u001b[31m"', "'a=b'", "{10 = 1}")
    )  # fmt: skip
    what = draws.choice(("odd", "odd", "odd", "twice", "unknown", "table"))
    if what == "odd":
        lines[number] = f"{key} = {odd}"
    elif what == "twice":
        lines.insert(number, lines[number])
    elif what == "unknown":
        lines.insert(number, f"{draws.choice(('x', 'max_step', 'a.b.c', chr(34) * 2, 'é', 'epochs', 'lr'))} = {odd}")
    else:
        lines.insert(number, draws.choice(("[x]", "[[x]]", "[generic]", "[a.b]", "[")))
    put(path, "\n".join(lines).encode("utf-8"))
    return f"{path.name}: {lines[number][:60]!r}"


def _edit_header(draws: random.Random, folder: Path) -> tuple[Path, str] | None:
    path = _pick(draws, folder, ".safetensors")
    if path is None:
        return None
    data = path.read_bytes()
    length = int.from_bytes(data[:8], "little")
    what = draws.choice(("length", "dtype", "shape", "offsets", "name", "metadata", "removed", "entry", "text"))
    if what == "length":
        wrong = draws.choice((0, 1, length - 1, length + 1, length + 8, len(data), 2**31, 2**63, 2**64 - 1))
        put(path, wrong.to_bytes(8, "little") + data[8:])
        return path, f"{path.name}: header length {wrong}"
    header = json.loads(data[8 : 8 + length])
    name = draws.choice([name for name in header if name != "__metadata__"])
    if what == "dtype":
        header[name]["dtype"] = draws.choice(("F16", "F64", "I64", "BOOL", "F8_E4M3", "X", 3, None))
    elif what == "shape":
        shape = header[name]["shape"]
        header[name]["shape"] = draws.choice((shape[::-1], [*shape, 1], [-1], [2**40, 2**40], [], [0], "x", [1.5]))
    elif what == "offsets":
        header[name]["data_offsets"] = draws.choice(([0, 0], [0, 2**50], [8, 4], [-4, 0], [], None, [0, 1, 2]))
    elif what == "name":
        header[draws.choice(("x", "\x1b[31m", "y" * 3000, "", "a\nb", "denoiser.x"))] = header.pop(name)
    elif what == "metadata":
        header["__metadata__"] = draws.choice(
            ({"x": "y"}, {"sha256": "0" * 64}, {}, {"x": 1}, [], None, {"\x1b": "\x1b"})
        )
    elif what == "removed":
        del header[name]
    elif what == "entry":
        header[name] = draws.choice((None, [], {}, "x", 1))
    text = json.dumps(header).encode()
    if what == "text":
        text = draws.choice((b"{}", b"[]", b"", b"{" * 500, b'"x"', b"\xff\xfe", text[:-1], text + b"}"))
    put(path, len(text).to_bytes(8, "little") + text + data[8 + length :])
    return path, f"{path.name}: {what} of {name[:60]} in the header"


def edit_header(draws: random.Random, folder: Path, other: Path) -> str | None:
    done = _edit_header(draws, folder)
    return done[1] if done else None


def edit_header_and_sign(draws: random.Random, folder: Path, other: Path) -> str | None:
    done = _edit_header(draws, folder)
    config = folder / "config.json"
    if done is None or not config.is_file():
        return None
    values = json.loads(config.read_text(encoding="utf-8"))
    values.setdefault(HASHES, {})[done[0].name] = hashlib.sha256(done[0].read_bytes()).hexdigest()
    put(config, json.dumps(values).encode())
    renew_digest(config)
    return f"{done[1]}, signed again"


def edit_text(draws: random.Random, folder: Path, other: Path) -> str | None:
    """Change lines of any file that is text."""
    path = _pick(draws, folder)
    if path is None:
        return None
    try:
        lines = path.read_bytes().decode("utf-8").split("\n")
    except UnicodeDecodeError:
        return None
    number = draws.randrange(len(lines))
    what = draws.choice(("removed", "twice", "odd", "long", "bom", "crlf", "utf-16", "no newline"))
    if what == "removed":
        del lines[number]
    elif what == "twice":
        lines.insert(number, lines[number])
    elif what == "odd":
        lines.insert(
            number,
            draws.choice(
                ("\x00", "\x1b[31m", "]", "=", "[tina_framework]", "a = b:c:d", "\u2028", ": x", "{", "é" * 300)
            ),
        )
    elif what == "long":
        lines[number] = re.sub(r"\w", "x", lines[number]) * 1000
    text = ("\r\n" if what == "crlf" else "\n").join(lines)
    data = text.encode("utf-16" if what == "utf-16" else "utf-8")
    put(path, b"\xef\xbb\xbf" + data if what == "bom" else data)
    return f"{path.name}: line {number} {what}"


def none(draws: random.Random, folder: Path, other: Path) -> str:
    """Change nothing: such an input must load, or the attack tests nothing."""
    return "nothing changed"


BYTES: tuple[Mutation, ...] = (flip, flip, flip, truncate, insert, overwrite, remove_bytes)
FILES: tuple[Mutation, ...] = (swap, foreign, remove, add, replace_file, replace_file)
JSON: tuple[Mutation, ...] = (edit_json, edit_json, edit_text)
HEADERS: tuple[Mutation, ...] = (edit_header,)
RESIGNED: tuple[Mutation, ...] = (edit_and_sign, edit_and_sign, edit_header_and_sign)
TOML: tuple[Mutation, ...] = (edit_toml, edit_toml, edit_text)


def mutate(draws: random.Random, mutations: Sequence[Mutation], folder: Path, other: Path) -> str:
    """Damage a folder once, and return how."""
    while True:
        done = draws.choice(mutations)(draws, folder, other)
        if done is not None:
            return done


def copy(source: Path, target: Path, *, linked: bool) -> None:
    """Copy a folder: with hard links where nothing writes into it, which is faster."""
    shutil.rmtree(target, ignore_errors=True)
    shutil.copytree(source, target, symlinks=True, copy_function=os.link if linked else shutil.copy2)
