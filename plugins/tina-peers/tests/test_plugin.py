"""The peers are found by name, documented, and cost no import."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tina_framework.errors import UnknownNameError
from tina_framework.plugin.discovery import registries
from tina_peers.catalogue import PEERS, peer_class

ROOT = Path(__file__).resolve().parent.parent


@pytest.mark.parametrize("name", PEERS)
def test_each_peer_is_a_method_with_its_paper(name: str) -> None:
    assert name in registries().methods
    peer = peer_class(name)
    assert peer.paper
    assert peer.differs
    module = sys.modules[peer.__module__].__doc__ or ""
    assert "Simplified" in module
    assert "arXiv" in module or "Papers" in module
    assert f"| `{name}` |" in (ROOT / "README.md").read_text(encoding="utf-8")


def test_an_unknown_peer_lists_the_others() -> None:
    with pytest.raises(UnknownNameError, match="norm-only"):
        peer_class("norm")


def test_the_hooks_import_nothing_heavy() -> None:
    code = "import sys, tina_peers.plugin; print(sorted({'torch', 'numpy'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
