"""The path of an .npz file is short for a spec."""

from __future__ import annotations

import pytest

from tina_framework.cli.data_argument import data_spec


@pytest.mark.parametrize(
    ("given", "spec"),
    [
        ("pictures.npz", "arrays:pictures.npz"),
        ("/a/b.npz", "arrays:/a/b.npz"),
        ("arrays:pictures.npz", "arrays:pictures.npz"),
        ("cifar100", "cifar100"),
        ("shapes:20", "shapes:20"),
    ],
)
def test_specs(given: str, spec: str) -> None:
    assert data_spec(given) == spec
