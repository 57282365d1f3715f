"""The half-precision copy of a zoo."""

from __future__ import annotations

import pytest
import torch

from tina_framework.errors import ConfigError
from tina_framework.zoo.export import export_zoo
from tina_framework.zoo.store import Zoo


def test_export_is_small_and_close(tmp_path, zoo_folder, spec):
    zoo = Zoo.open(zoo_folder)
    size = export_zoo(zoo, tmp_path / "small")
    small = Zoo.open(tmp_path / "small")
    assert size < sum(f.stat().st_size for f in zoo_folder.rglob("*") if f.is_file())
    assert small.entries == zoo.entries
    for entry in zoo.entries:
        torch.testing.assert_close(small.flat(entry.id), zoo.flat(entry.id), atol=1e-3, rtol=1e-3)
    assert all(torch.equal(small.generic[n], zoo.generic[n]) for n in zoo.generic)
    with pytest.raises(ConfigError, match="exists"):
        export_zoo(zoo, tmp_path / "small")
    with pytest.raises(ConfigError, match="lies in the folder of a zoo"):
        export_zoo(zoo, zoo_folder / "small")
    assert [path.name for path in tmp_path.iterdir()] == ["small"]


def test_generic_models_of_all_widths_are_exported(tmp_path, wide_zoo):
    zoo = Zoo.open(wide_zoo)
    export_zoo(zoo, tmp_path / "small")
    small = Zoo.open(tmp_path / "small")
    small.verify()
    for width in (0.5, 1):
        found = small.generic_at(width)
        assert all(torch.equal(found[name], tensor) for name, tensor in zoo.generic_at(width).items())
