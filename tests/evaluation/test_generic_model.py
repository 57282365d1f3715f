"""Generic models are read from zoos, generators and files, and anything else is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from tina_framework.errors import CheckpointError, ConfigError
from tina_framework.evaluation.generic_model import read_generic
from tina_framework.interfaces.spec import ParameterSpec
from tina_framework.storage.files import write_safetensors
from tina_framework.zoo.store import Zoo


def test_a_generic_model_from_each_kind_of_place(
    zoo: Zoo, tiny_folder: Path, tiny_generator: Any, spec: ParameterSpec, tmp_path: Path
) -> None:
    from_zoo = read_generic(str(zoo.folder), spec, ())
    assert from_zoo.class_names == zoo.class_names
    from_model = read_generic(str(tiny_folder), spec, ())
    assert torch.equal(from_model.state["fc.bias"], tiny_generator.generic["fc.bias"])
    file = tmp_path / "generic.safetensors"
    write_safetensors(file, {name: tensor.half() for name, tensor in zoo.generic.items()})
    from_file = read_generic(str(file), spec, zoo.class_names)
    assert from_file.state["fc.bias"].dtype == torch.float32
    names = json.dumps(list(reversed(zoo.class_names)))
    write_safetensors(file, zoo.generic, {"class_names": names})
    assert read_generic(str(file), spec, zoo.class_names).class_names == tuple(reversed(zoo.class_names))


def test_what_is_no_generic_model_is_refused(zoo: Zoo, spec: ParameterSpec, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no zoo folder"):
        read_generic(str(tmp_path / "nothing"), spec, zoo.class_names)
    file = tmp_path / "generic.safetensors"
    write_safetensors(file, zoo.generic)
    with pytest.raises(CheckpointError, match="shape"):
        read_generic(str(file), spec, zoo.class_names[:5])
    for broken in ("ant,bee", '{"a": 1}'):
        write_safetensors(file, zoo.generic, {"class_names": broken})
        with pytest.raises(CheckpointError, match="not a JSON list"):
            read_generic(str(file), spec, zoo.class_names)
