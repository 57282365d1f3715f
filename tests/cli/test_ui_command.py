"""``tina ui`` without a browser: the server is replaced by a function that looks at what it would serve."""

from __future__ import annotations

import socket
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tina_framework.cli.__main__ import main
from tina_framework.generator.generator import Generator

pytest.importorskip("starlette", reason="needs the extra ui")


@pytest.fixture
def tina(tiny_folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Any:
    """Runs ``tina ui`` with a server that ends at once, or as `end` does: (exit code, output, errors)."""
    from tina_framework.ui import server

    opened: list[str] = []
    monkeypatch.setattr("webbrowser.open", opened.append)
    monkeypatch.setenv("DISPLAY", ":0")

    def run(*arguments: str, end: Callable[..., None] = lambda *a: None) -> tuple[int, str, str]:
        def serve(application: Any, listener: socket.socket, on_ready: Callable[[], None]) -> None:
            on_ready()
            end(application, listener)

        monkeypatch.setattr(server, "serve", serve)
        with pytest.raises(SystemExit) as caught:
            main(["ui", *(arguments if "--model" in arguments else ("--model", str(tiny_folder), *arguments))])
        printed = capsys.readouterr()
        return int(caught.value.code or 0), printed.out, printed.err

    run.opened = opened  # type: ignore[attr-defined]
    return run


def test_the_address_is_printed_and_opened(tina: Any) -> None:
    seen = []
    code, out, err = tina(end=lambda application, listener: seen.append(listener.getsockname()))
    assert code == 0, err
    [(host, port)] = seen
    assert host == "127.0.0.1"
    assert out == f"The page is at http://127.0.0.1:{port} (generator: tiny). Press Ctrl-C to end it.\n"
    assert "Warning: --host" not in err
    assert tina.opened == [f"http://127.0.0.1:{port}"]


def test_the_browser_can_stay_closed(tina: Any) -> None:
    assert tina("--no-open")[0] == 0
    assert tina.opened == []


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="other systems have graphical browsers only")
def test_no_browser_of_a_terminal_is_opened(tina: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("DISPLAY", "WAYLAND_DISPLAY", "BROWSER"):
        monkeypatch.delenv(name, raising=False)
    assert tina()[0] == 0
    assert tina.opened == []


def test_another_host_gets_a_warning(tina: Any) -> None:
    code, _, err = tina("--no-open", "--host", "0.0.0.0")
    assert code == 0
    assert "Warning: --host 0.0.0.0 lets everyone in the network use this page" in err
    assert "There is no password" in err


def test_a_taken_port_is_said(tina: Any) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        code, _, err = tina("--port", str(port))
    assert code == 2
    assert err.count("\n") == 1
    assert f"port {port}" in err


def test_ctrl_c_ends_it_with_a_sentence(tina: Any) -> None:
    import signal

    code, _, err = tina("--no-open", end=lambda *a: signal.raise_signal(signal.SIGINT))
    assert code == 130, err
    assert err.splitlines()[-1] == "Stopped by SIGINT. Its temporary files were removed."


@pytest.mark.parametrize(("installed", "expected"), [((), "cifar100-cnn"), (("photos",), "photos")])
def test_the_default_generator(
    tina: Any, tiny_generator: Generator, monkeypatch: pytest.MonkeyPatch, installed: tuple[str, ...], expected: str
) -> None:
    from tina_framework.plugin import discovery

    asked = []
    monkeypatch.setattr(discovery, "_host", None)
    for name in installed:
        discovery.registries().generators.add(name, "tina_framework:pretrained/cifar100-cnn")

    def load(name: str, **settings: Any) -> Generator:
        asked.append(name)
        return tiny_generator

    monkeypatch.setattr(Generator, "from_pretrained", load)
    monkeypatch.setattr(sys, "argv", ["tina"])
    monkeypatch.setattr("tina_framework.ui.server.serve", lambda *a: None)
    with pytest.raises(SystemExit):
        main(["ui", "--no-open"])
    assert asked == [expected]


def test_an_unknown_generator_is_said(tina: Any) -> None:
    code, _, err = tina("--model", "photosss")
    assert code == 2
    assert "photosss" in err


def test_a_missing_package_is_named(tina: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.startswith(("tina_framework.ui.application", "starlette"))]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "starlette", None)
    code, _, err = tina()
    assert code == 1
    assert err.startswith("Error: This needs the module 'starlette")
    assert "pip install" in err
