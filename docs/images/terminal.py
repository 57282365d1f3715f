"""Record what `make demo` prints as a picture: ``python docs/images/terminal.py`` writes `demo.svg` beside this script.

It runs the command of the Makefile in a terminal of its own, so that colours and line breaks are those that a person sees. It needs
Linux or macOS, and the plugin `tina-photos`.
"""

from __future__ import annotations

import errno
import fcntl
import html
import io
import os
import pty
import re
import shlex
import struct
import subprocess
import sys
import tempfile
import termios
from pathlib import Path

from rich._export_format import CONSOLE_SVG_FORMAT
from rich.console import Console
from rich.text import Text

ROOT = Path(__file__).resolve().parents[2]
COLUMNS = 110
# Rich would load its font from another host. The text is stretched to its columns, so any font of the reader will do.
FORMAT = re.sub(r"@font-face \{\{.*?\}\}\s*", "", CONSOLE_SVG_FORMAT, flags=re.DOTALL)


def demo() -> list[str]:
    """Return the words behind `tina` of the command that `make demo` runs."""
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    words = re.search(r"^DEMO := (.+)$", makefile, re.MULTILINE)
    command = re.search(r"^\t@\$\(BIN\)/tina (generate \$\(DEMO\).*)$", makefile, re.MULTILINE)
    assert words is not None
    assert command is not None
    return shlex.split(command.group(1).replace("$(DEMO)", words.group(1)))


def program(folder: Path) -> Path:
    """Write the script `tina` into a folder. It is the program of this interpreter, also where none is installed beside it."""
    script = folder / "tina"
    script.write_text(f"#!{sys.executable}\nfrom tina_framework.cli.__main__ import main\n\nmain()\n", encoding="utf-8")
    script.chmod(0o755)
    return script


def output_in_a_terminal(command: list[str], folder: Path) -> str:
    """Return what a command writes to a terminal of `COLUMNS` columns, with its colours.

    Raises:
        CalledProcessError: the command fails.
    """
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 50, COLUMNS, 0, 0))
    # As in an activated environment, so that the command is called `tina` wherever this runs.
    path = os.pathsep.join([str(Path(command[0]).parent), os.environ.get("PATH", "")])
    environment = {**os.environ, "TERM": "xterm-256color", "PATH": path}
    with subprocess.Popen(command, stdout=theirs, stderr=theirs, stdin=theirs, cwd=folder, env=environment) as process:
        os.close(theirs)
        written = b""
        while True:
            try:
                part = os.read(ours, 65536)
            except OSError as error:
                if error.errno != errno.EIO:  # Linux says so when the other end is closed
                    raise
                part = b""
            if not part:
                break
            written += part
    os.close(ours)
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, command, written)
    return re.sub(r"\x1b\[\??[\d;]*[A-LN-Za-ln-z]", "", written.decode().replace("\r", ""))  # all but colours


def draw(command: list[str], output: str) -> str:
    """Return the SVG of a terminal in which `tina COMMAND` wrote `output`."""
    console = Console(record=True, width=COLUMNS, file=io.StringIO(), force_terminal=True)
    console.print(Text(f"$ tina {shlex.join(command)}", style="bold"))
    console.print(Text.from_ansi(output.rstrip()))
    return console.export_svg(title="make demo", code_format=FORMAT, unique_id="demo")


def words(svg: str) -> list[str]:
    """Return the words of a recording, with TIME and SIZE for what differs from run to run and with the versions of packages."""
    shown = html.unescape(" ".join(re.findall(r">([^<>]+)</text>", svg))).replace("\xa0", " ")
    return re.sub(r"\b[\d.]+ kB\b", "SIZE", re.sub(r"\b[\d.]+ s\b", "TIME", shown)).split()


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as scripts, tempfile.TemporaryDirectory() as temporary:
        shown = output_in_a_terminal([str(program(Path(scripts))), *demo()], Path(temporary))
    Path(__file__).with_name("demo.svg").write_text(draw(demo(), shown), encoding="utf-8")
