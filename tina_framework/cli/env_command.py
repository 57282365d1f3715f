"""``tina env``: what a bug report needs to say about the machine and what is installed. It works whatever is broken."""

from __future__ import annotations

import json
import os
import platform
import re
import subprocess
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

__all__ = ["register"]

_TORCH = """
import json, torch
cuda = torch.cuda.is_available()
devices = ["cpu"]
if cuda:
    for number in range(torch.cuda.device_count()):
        found = torch.cuda.get_device_properties(number)
        devices.append(f"cuda:{number} ({found.name}, {found.total_memory / 2**30:.0f} GiB)")
if torch.backends.mps.is_available():
    devices.append("mps")
print(json.dumps({"version": torch.__version__, "threads": torch.get_num_threads(),
    "interop_threads": torch.get_num_interop_threads(), "cuda": torch.version.cuda if cuda else None, "devices": devices}))
"""
_TORCH_SECONDS = 120

_OTHER_VARIABLES = ("CUDA_VISIBLE_DEVICES", "HF_HOME", "HF_HUB_OFFLINE", "OMP_NUM_THREADS", "OMP_WAIT_POLICY")
"""Variables of other programs that change what this one does."""

_SECRET = re.compile(r"TOKEN|SECRET|PASS|KEY|CREDENTIAL|AUTH", re.IGNORECASE)
_SHORTEST_SECRET = 6
"""Shorter values, such as 1, occur in texts by chance."""

_LOGIN = re.compile(r"(?<=://)[^/@\s]+@")


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("env")(environment)


def environment(
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of lines.")] = False,
) -> None:
    """Print the versions, devices, plugins and settings here, for a bug report.

    Nothing secret is printed: values of variables that may hold a password or token are hidden, and the home folder is '~'.
    """
    from tina_framework.cli.output import print_json, print_line

    found = _describe()
    if as_json:
        print_json(found)
        return
    for label, value in _lines(found):
        print_line(f"{label + ':':<20} {value}")


def _describe() -> dict[str, Any]:
    from tina_framework import __version__
    from tina_framework.plugin.missing_dependency import installed_version, requirements
    from tina_framework.terminal.command_line import program

    needed = requirements("tina-framework")
    extras = {
        extra: {package: installed_version(package) for package in packages}
        for extra, packages in needed.items()
        if extra is not None
    }
    return {
        "tina_framework": __version__,
        "folder": _shown(str(Path(__file__).parent.parent)),
        "command": _shown(program()),
        "python": f"{platform.python_version()} ({platform.python_implementation()})",
        "platform": platform.platform(),
        "processors": {"usable": _usable_processors(), "all": os.cpu_count()},
        "torch": _torch(),
        "dependencies": {package: installed_version(package) for package in needed.get(None, [])},
        "extras": extras,
        "plugins": _plugins(),
        "variables": _variables(),
        "cache": _cache(),
    }


def _usable_processors() -> int | None:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()


def _torch() -> dict[str, Any]:
    """Describe torch from a process of its own, which a damaged torch may end in any way."""
    try:
        done = subprocess.run(
            [sys.executable, "-c", _TORCH],
            capture_output=True,
            text=True,
            errors="replace",
            timeout=_TORCH_SECONDS,
            check=False,
        )
        described: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
        return described
    except subprocess.TimeoutExpired:
        return {"error": f"it was still being imported after {_TORCH_SECONDS} s"}
    except OSError as error:
        return {"error": f"Python cannot be started ({error.strerror or error})"}
    except (IndexError, ValueError):
        lines = done.stderr.strip().splitlines()
        return {"error": _shown(lines[-1]) if lines else f"importing it ended with code {done.returncode}"}


def _plugins() -> list[dict[str, Any]]:
    from tina_framework.cli.app import load_plugin_commands
    from tina_framework.errors import reason_of
    from tina_framework.plugin.discovery import plugin_records

    try:
        load_plugin_commands()
        records = plugin_records()
    except Exception as error:  # with TINA_STRICT_PLUGINS=1, or because a library is damaged
        return [{"name": "", "distribution": "", "version": "", "status": "broken", "error": _shown(reason_of(error))}]
    return [
        {
            "name": record.name,
            "distribution": record.distribution,
            "version": record.version,
            "status": record.status,
            "error": None if record.error is None else _shown(record.error),
        }
        for record in records
    ]


def _variables() -> dict[str, str]:
    """Return the variables that change what the program does. Values that may be secret are hidden."""
    names = sorted(name for name in os.environ if name.upper().startswith("TINA_") or name in _OTHER_VARIABLES)
    return {name: "(hidden)" if _SECRET.search(name) else _shown(os.environ[name]) for name in names}


def _cache() -> dict[str, Any]:
    from tina_framework.storage.paths import cache_folder

    folder = cache_folder()
    files = size = 0
    for parent, _, names in os.walk(folder):
        for name in names:
            try:
                size += os.lstat(os.path.join(parent, name)).st_size  # noqa: PTH118
            except OSError:  # it was removed meanwhile
                continue
            files += 1
    return {"folder": _shown(str(folder)), "files": files, "bytes": size}


def _shown(text: str) -> str:
    """Return a text without the name of the home folder, logins in addresses, and values of secret variables."""
    home = str(Path("~").expanduser())
    # An error that is shown, such as that of a plugin, may quote a token.
    for name, value in os.environ.items():
        if _SECRET.search(name) and len(value) >= _SHORTEST_SECRET and not Path(value).is_absolute():
            text = text.replace(value, "(hidden)")
    text = _LOGIN.sub("(hidden)@", text)
    return text if home in ("/", "~", "") else re.sub(rf"{re.escape(home)}(?=[/\\\s'\"]|$)", "~", text)


def _lines(found: dict[str, Any]) -> list[tuple[str, str]]:
    torch, processors, cache = found["torch"], found["processors"], found["cache"]
    lines = [
        ("tina-framework", f"{found['tina_framework']} in {found['folder']}"),
        ("command", found["command"]),
        ("Python", found["python"]),
        ("platform", found["platform"]),
        ("processors", f"{processors['usable']} of {processors['all']}"),
    ]
    if "error" in torch:
        lines.append(("torch", f"broken: {torch['error']}"))
    else:
        threads = f"{torch['threads']} threads, {torch['interop_threads']} between operations"
        lines.append(("torch", f"{torch['version']} ({threads})"))
        lines.append(("devices", ", ".join(torch["devices"]) + (f"; CUDA {torch['cuda']}" if torch["cuda"] else "")))
    lines.append(("dependencies", _versions(found["dependencies"])))
    for extra, packages in found["extras"].items():
        lines.append((f"extra {extra}", _versions(packages)))
    for plugin in found["plugins"]:
        of = f"{plugin['distribution']} {plugin['version']}".strip()
        error = f": {plugin['error']}" if plugin["error"] else ""
        lines.append((f"plugin {plugin['name']}".rstrip(), f"{of}{' ' if of else ''}({plugin['status']}){error}"))
    lines += [("variable", f"{name}={value}") for name, value in found["variables"].items()]
    lines.append(("cache", f"{cache['folder']} ({cache['files']:,} files, {cache['bytes'] / 1e6:.1f} MB)"))
    return lines


def _versions(packages: dict[str, str | None]) -> str:
    return ", ".join(f"{name} {version or '(not installed)'}" for name, version in packages.items()) or "none"
