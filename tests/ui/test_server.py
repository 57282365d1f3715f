from __future__ import annotations

import os
import socket
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from tina_framework.errors import ConfigError

pytest.importorskip("uvicorn", reason="needs the extra ui")
from tina_framework.ui.server import address, is_loopback, listen, own_temporary_folder


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def test_the_default_port_is_used_if_it_is_free() -> None:
    port = free_port()
    with listen("127.0.0.1", None, port) as listener:
        assert listener.getsockname() == ("127.0.0.1", port)
        assert is_loopback(listener)
        assert address(listener, "127.0.0.1") == f"http://127.0.0.1:{port}"


def test_another_port_takes_the_place_of_a_taken_default() -> None:
    port = free_port()
    with listen("127.0.0.1", None, port), listen("127.0.0.1", None, port) as second:
        assert second.getsockname()[1] not in (0, port)


def test_a_taken_port_that_was_asked_for_is_said() -> None:
    port = free_port()
    with (
        listen("127.0.0.1", port, 1),
        pytest.raises(ConfigError, match=rf"127.0.0.1, port {port} .*choose another --port"),
    ):
        listen("127.0.0.1", port, 1)


@pytest.mark.parametrize("host", ["no such host", "192.0.2.1", "." * 300])
def test_a_host_that_is_not_here_is_said(host: str) -> None:
    with pytest.raises(ConfigError, match="--host"):
        listen(host, None, free_port())


def test_all_networks_are_not_loopback() -> None:
    with listen("0.0.0.0", None, free_port()) as listener:
        assert not is_loopback(listener)
        assert address(listener, "0.0.0.0").startswith("http://127.0.0.1:")


def test_the_temporary_folder_is_private_and_removed() -> None:
    before, variable = tempfile.gettempdir(), os.environ.get("TMPDIR")
    with own_temporary_folder() as folder:
        assert folder.stat().st_mode & 0o777 == 0o700
        with tempfile.NamedTemporaryFile() as file:
            assert folder in Path(file.name).parents
    assert not folder.exists()
    assert (tempfile.gettempdir(), os.environ.get("TMPDIR")) == (before, variable)


@pytest.mark.skipif(os.name == "nt", reason="needs SIGKILL")
def test_the_folder_of_a_killed_process_is_removed_by_the_next(tmp_path: Path) -> None:
    code = (
        "import os, signal\nfrom tina_framework.ui.server import own_temporary_folder\n"
        "with own_temporary_folder() as folder:\n    print(folder, flush=True)\n    os.kill(os.getpid(), signal.SIGKILL)"
    )
    environment = {**os.environ, "TMPDIR": str(tmp_path)}
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment, check=False)
    assert Path(run.stdout.strip()).is_dir(), run.stderr
    code = "from tina_framework.ui.server import own_temporary_folder\nwith own_temporary_folder():\n    pass"
    subprocess.run([sys.executable, "-c", code], env=environment, check=True)
    assert list(tmp_path.iterdir()) == []
