"""Paths that are published."""

from __future__ import annotations

import pytest

from tina_framework.evaluation.paths import without_folders


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        ("arrays:/home/me/toys.npz", "arrays:toys.npz"),
        ("arrays:data/toys.npz", "arrays:data/toys.npz"),
        ("/home/me/zoo", "zoo"),
        ("~/mine/zoo", "zoo"),
        ("arrays:~/mine/toys.npz", "arrays:toys.npz"),
        ("../zoo", "../zoo"),
        ("ddpm:1000", "ddpm:1000"),
        ("clip-lite", "clip-lite"),
    ],
)
def test_published_paths_name_no_folders_of_this_machine(given: str, shown: str) -> None:
    assert without_folders(given) == shown
