"""List the entry points of installed plugins without importing them.

The metadata of other packages is not ours to judge, so each package is read by itself. One without our group is passed over,
whatever is wrong with it. One with our group that cannot be read is reported by its name.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import re
import stat
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import entrypoints

from tina_framework.errors import shorten
from tina_framework.plugin.hookspecs import GROUP

__all__ = ["DISTRIBUTION", "FoundPlugin", "find_plugins", "is_distribution_name", "normal_name"]

DISTRIBUTION = "tina-framework"
_BUILTINS = ("builtins", "tina_framework.builtins.plugin")

_NAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,98}[A-Za-z0-9])?")
_SECTION = re.compile(r"^\s*\[([^\]\n]*)\]?", re.MULTILINE)
_MAX_BYTES = 2**20
"""Maximum number of bytes that are read of a file. An entry_points.txt has a few hundred, and a METADATA with a long description a few hundred thousand."""


@dataclass(frozen=True, order=True)
class FoundPlugin:
    """One entry point of the group.

    Attributes:
        distribution: the package, as `normal_name` writes it.
        name: of the entry point.
        target: ``module`` or ``module:attribute``.
        version: of the distribution; empty if unknown.
        problem: why it cannot be loaded, for a message; None if it can.
        notes: what else is wrong with the installation.
    """

    distribution: str
    name: str
    target: str
    version: str
    problem: str | None = field(default=None, compare=False)
    notes: tuple[str, ...] = field(default=(), compare=False)


@dataclass(frozen=True)
class _Installed:
    """One distribution with the group, as its files say. `points` holds (name, target, problem)."""

    name: str
    version: str
    points: tuple[tuple[str, str, str | None], ...]
    notes: tuple[str, ...]


def find_plugins(path: Iterable[str] | None = None) -> list[FoundPlugin]:
    """Return all entry points of the group, the built-ins first. `path` replaces `sys.path`."""
    chosen: dict[str, _Installed] = {}
    for folder in dict.fromkeys(str(entry) for entry in (sys.path if path is None else path)):
        for name, installed in _newest(_installed_in(folder)).items():
            # The first folder wins, as for imports. But a source tree on the path states no version.
            if name not in chosen or not chosen[name].version:
                chosen[name] = installed
    found = [plugin for installed in chosen.values() for plugin in _plugins_of(installed)]
    if not any((plugin.distribution, plugin.name) == (DISTRIBUTION, _BUILTINS[0]) for plugin in found):
        found.append(FoundPlugin(DISTRIBUTION, *_BUILTINS, version=""))  # a source tree that is not installed
    # The built-ins register first. If a plugin takes the same name, the error is then reported for the plugin.
    return sorted(found, key=lambda plugin: (plugin.distribution != DISTRIBUTION, plugin))


def _newest(installed: Iterable[_Installed]) -> dict[str, _Installed]:
    """Return one installation for each name; of several versions in one folder, the newest with a note about the others."""
    by_name: dict[str, list[_Installed]] = {}
    for each in installed:
        by_name.setdefault(each.name, []).append(each)
    chosen = {}
    for name, versions in by_name.items():
        versions.sort(key=lambda each: _version_key(each.version))
        best = versions[-1]
        if len(versions) > 1:  # an upgrade that was cut off leaves the old metadata behind
            numbers = ", ".join(each.version or "unknown" for each in versions)
            note = (
                f"is installed in several versions ({numbers}); uninstall it until none is left, and install it again"
            )
            best = _Installed(best.name, best.version, best.points, (*best.notes, note))
        chosen[name] = best
    return chosen


def _version_key(version: str) -> list[tuple[bool, int, str]]:
    parts = re.findall(r"\d+|[a-z]+", version.lower())
    return [(part.isdigit(), int(part) if part.isdigit() else 0, part) for part in parts]


def _plugins_of(installed: _Installed) -> Iterator[FoundPlugin]:
    seen: dict[str, str] = {}
    for name, target, problem in installed.points:
        if problem is None and name in seen:
            if seen[name] == target:
                continue
            problem = f"its entry_points.txt has the name {shorten(name)} twice; the author has to rename one of them"
        seen.setdefault(name, target)
        yield FoundPlugin(installed.name, name, target, installed.version, problem, installed.notes)


def _installed_in(folder: str) -> Iterator[_Installed]:
    """Yield the distributions with the group in one folder or zip file of the search path."""
    try:
        names = sorted(entry.name for entry in Path(folder).iterdir())
    except NotADirectoryError:
        yield from _installed_in_zip(folder)
        return
    except (OSError, ValueError):
        return
    for name in names:
        # pip renames what it is about to remove to ~ame. If it is stopped, that is left over and no longer installed.
        if not (name.endswith((".dist-info", ".egg-info")) or name == "EGG-INFO") or name.startswith("~"):
            continue
        info = Path(folder, name)
        points = _read(info / "entry_points.txt")
        if points is None or (found := _entry_points(points)) is None:
            continue
        label = Path(folder).name if name == "EGG-INFO" else name
        metadata = _read(info / "METADATA") or _read(info / "PKG-INFO")
        yield _described(label, metadata, *found)


def _installed_in_zip(file: str) -> Iterator[_Installed]:
    import zipfile  # slow to import, and rarely needed

    try:
        with zipfile.ZipFile(file) as archive:
            for member in archive.namelist():
                info, _, last = member.rpartition("/")
                if last != "entry_points.txt" or "/" in info or archive.getinfo(member).file_size > _MAX_BYTES:
                    continue
                if (found := _entry_points(archive.read(member))) is None:
                    continue
                label = Path(file).name if info == "EGG-INFO" else info
                try:
                    metadata: bytes | None = archive.read(f"{info}/METADATA")
                except KeyError:
                    metadata = None
                yield _described(label, metadata, *found)
    except (OSError, ValueError, RuntimeError, NotImplementedError, zipfile.BadZipFile):
        return  # not a zip file, or a damaged or encrypted one: Python cannot import from it either


def _read(path: Path) -> bytes | None:
    """Return the contents of a regular file of moderate size, None if there is no such file."""
    try:
        # Without O_NONBLOCK, a named pipe under this name would wait for a writer.
        descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    except (OSError, ValueError):
        return None
    try:
        status = os.fstat(descriptor)
        return os.read(descriptor, _MAX_BYTES) if stat.S_ISREG(status.st_mode) else None
    except OSError:
        return None
    finally:
        os.close(descriptor)


def _entry_points(raw: bytes) -> tuple[tuple[tuple[str, str, str | None], ...], tuple[str, ...]] | None:
    """Return (name, target, problem) of each line of the group, and notes; None if the file does not have the group."""
    if GROUP.encode() not in raw.replace(b"\0", b""):
        return None
    notes: tuple[str, ...] = ()
    try:
        text = raw.decode("utf-16" if raw[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig")
        readable = raw[:2] not in (b"\xff\xfe", b"\xfe\xff")
    except UnicodeDecodeError:
        text, readable = raw.decode("utf-8", errors="replace"), False
    if not readable:
        notes = ("has an entry_points.txt that is not UTF-8; its author has to save it as UTF-8",)
    sections = list(_SECTION.finditer(text))
    points: list[tuple[str, str, str | None]] = []
    ours = False
    # The last section ends with the file. A damaged file may have no section at all.
    for section, following in itertools.zip_longest(sections, sections[1:]):
        if section[1].strip() != GROUP:
            continue
        ours = True
        body = text[section.end() : None if following is None else following.start()]
        points += [_point(line) for line in map(str.strip, body.splitlines()) if line and line[0] not in "#;"]
    return (tuple(points), notes) if ours else None


def _point(line: str) -> tuple[str, str, str | None]:
    name, equals, text = (part.strip() for part in line.partition("="))
    if equals and name and name.isprintable():
        with contextlib.suppress(entrypoints.BadEntryPoint):
            point = entrypoints.EntryPoint.from_string(text, name)
            return name, ":".join(part for part in (point.module_name, point.object_name) if part), None
    problem = f"its entry_points.txt has the line {shorten(line)}, which is not 'name = package.module'; reinstall it"
    return (name if equals and name.isprintable() else ""), "", problem


def _described(
    label: str, metadata: bytes | None, points: tuple[tuple[str, str, str | None], ...], notes: tuple[str, ...]
) -> _Installed:
    """Return a distribution under the name that its metadata states, or else that of its folder `label`."""
    headers: dict[str, str] = {}
    for line in (metadata or b"").partition(b"\n\n")[0].decode("utf-8", errors="replace").splitlines():
        key, colon, value = line.partition(":")
        if colon and key in ("Name", "Version"):
            headers.setdefault(key, value.strip())
    stem = re.sub(r"\.(dist-info|egg-info|egg)$", "", label)
    guessed, _, version = stem.partition("-")
    name = headers.get("Name", "")
    if not is_distribution_name(name):
        notes = (*notes, "has no METADATA that names it; reinstall it")
        name = guessed if is_distribution_name(guessed) else shorten(stem).strip("'\"") or "unknown"
    version = headers.get("Version") or version.partition("-")[0]
    if not re.fullmatch(r"[\w.+!-]{1,60}", version, re.ASCII):
        version = ""
    return _Installed(normal_name(name), version, points, notes)


def is_distribution_name(name: str) -> bool:
    """Return whether a package can have this name (PEP 508), so that a command such as ``pip install NAME`` may hold it."""
    return _NAME.fullmatch(name) is not None


def normal_name(name: str) -> str:
    """Return a distribution name in its normalised form (PEP 503)."""
    return re.sub(r"[-_.]+", "-", name).lower()
