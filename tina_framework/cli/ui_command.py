"""``tina ui``: a local page to type words, try photographs, fine-tune and download classifiers."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tina_framework.cli.architecture_option import ArchitectureOption
from tina_framework.cli.completion import DEVICES, registered
from tina_framework.cli.interrupt import clean_stop
from tina_framework.cli.output import print_error, print_line

if TYPE_CHECKING:
    from tina_framework.generator.generator import Generator
    from tina_framework.ui.session import Sample, Session

__all__ = ["register"]

_PREFERRED, _FALLBACK = "photos", "cifar100-cnn"
"""The default generators: the one for photographs of anything, if it is installed; else the one that always is."""

_PORT = 8462
_EXAMPLE = 3


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("ui")(ui)


def ui(
    model: Annotated[
        str | None,
        typer.Option(
            "--model",
            autocompletion=registered("generators"),
            help="Generator: a name of 'tina list generators', a folder or a Hub id. "
            f"Default: {_PREFERRED} if it is installed, else {_FALLBACK}.",
            show_default=False,
        ),
    ] = None,
    host: Annotated[
        str, typer.Option("--host", help="Address to listen on. Others than the default one let other computers in.")
    ] = "127.0.0.1",
    port: Annotated[
        int | None,
        typer.Option(
            "--port", min=1, max=65535, help=f"Default: {_PORT}, or a free port if it is taken.", show_default=False
        ),
    ] = None,
    open_: Annotated[bool, typer.Option("--open/--no-open", help="Open the page in the browser.")] = True,
    architecture: ArchitectureOption = None,
    device: Annotated[str, typer.Option("--device", autocompletion=DEVICES, help="auto, cpu, cuda or mps.")] = "auto",
) -> None:
    """Open a page in the browser: type words, drop photographs, fine-tune, and download the classifier.

    The page works offline. Only programs on this computer can reach it, unless --host says otherwise. Ctrl-C ends it.
    """
    # First, because it tells which package is missing.
    from tina_framework.ui.application import make_application
    from tina_framework.ui.server import address, is_loopback, listen, own_temporary_folder, serve

    # isort: split
    from tina_framework.generator.generator import Generator
    from tina_framework.plugin.discovery import registries
    from tina_framework.ui.session import Session
    from tina_framework.ui.store import SessionStore

    name = model or (_PREFERRED if _PREFERRED in registries().generators else _FALLBACK)
    with listen(host, port, _PORT) as listener, clean_stop(lambda: "Its temporary files were removed."):
        generator = Generator.from_pretrained(name, device=device, architecture=architecture)
        samples = _samples(name)
        about = {"model": generator.name, "example": _example(generator, samples)}
        first = Session(generator)
        first.generate(about["example"])  # the first call takes longer than the others
        page = address(listener, host)
        if not is_loopback(listener):
            print_error(
                f"Warning: --host {host} lets everyone in the network use this page and see its pictures. "
                "There is no password. Leave out --host to keep others out."
            )
        print_line(f"The page is at {page} (generator: {generator.name}). Press Ctrl-C to end it.")
        _flush()
        with own_temporary_folder() as folder:
            store = SessionStore(lambda: Session(generator, samples))

            def on_ready() -> None:
                if open_:
                    _open(page)
                _warm_up(first)

            try:
                serve(make_application(store, about, folder, host), listener, on_ready)
            finally:
                store.close()


def _samples(name: str) -> Any:
    """Return the function that finds shipped pictures for class names."""
    from tina_framework.cli.demo_pictures import demo_pictures
    from tina_framework.ui.session import Sample

    def found(class_names: Sequence[str]) -> list[Sample]:
        return [Sample(picture.path, picture.truth) for picture in demo_pictures(name, class_names)]

    return found


def _example(generator: Generator, samples: Any) -> str:
    """Return words to begin with: classes of shipped pictures, or others that the generator knows."""
    names = generator.config.class_names
    found: list[Sample] = samples(names)
    shown = list(dict.fromkeys(sample.truth for sample in found)) or list(names)
    return "\n".join(shown[:_EXAMPLE])


def _warm_up(session: Session) -> None:
    """Classify and fine-tune once, because PyTorch imports and compiles much at the first time."""
    import io

    from PIL import Image

    picture = io.BytesIO()
    Image.new("RGB", (64, 64)).save(picture, "PNG")
    session.add_photograph("", picture.getvalue())
    for label in range(len(session.classifier.class_names)):
        session.add_example(label, "", picture.getvalue())
    session.fine_tune()


def _open(page: str) -> None:
    """Open the page in a graphical browser, if there is one. In any case the address was printed."""
    import threading
    import webbrowser

    has_display = any(os.environ.get(name) for name in ("DISPLAY", "WAYLAND_DISPLAY", "BROWSER"))
    # Elsewhere on Linux, Python would start a browser for terminals in this terminal.
    if has_display or not sys.platform.startswith("linux"):
        # Some browsers keep the caller waiting until they are closed.
        threading.Thread(target=webbrowser.open, args=(page,), daemon=True).start()


def _flush() -> None:
    from tina_framework.terminal.console import flush_output

    # The program goes on for hours, and another program may wait for this line.
    flush_output()
