"""Calls of a generator: their types, seeds from a torch generator, and a callback after every step."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from tests.generator.comparison import state_of
from tina_framework.errors import ConfigError
from tina_framework.generator.calling import drawn_seed
from tina_framework.generator.generator import Generator

NAMES = ["dog", "ant", "fox"]


def equal(one: Any, other: Any) -> bool:
    return all(torch.equal(tensor, state_of(other)[name]) for name, tensor in state_of(one).items())


def test_a_seed_is_drawn_from_a_torch_generator(tiny_generator: Generator) -> None:
    draws = torch.Generator().manual_seed(3)
    first, second = (tiny_generator(NAMES, generator=draws) for _ in range(2))
    assert not equal(first, second)
    draws.manual_seed(3)
    assert equal(tiny_generator(NAMES, generator=draws), first)
    # The record of the classifier makes it again.
    assert equal(tiny_generator(NAMES, seed=first.provenance["seed"]), first)


def test_generators_that_are_refused(tiny_generator: Generator) -> None:
    assert drawn_seed(7, None) == 7
    with pytest.raises(ConfigError, match="seed 7 and a generator are given; give one of them"):
        tiny_generator(NAMES, seed=7, generator=torch.Generator())
    for wrong in (5, [torch.Generator()]):
        with pytest.raises(ConfigError, match=r"give one torch\.Generator, or a whole number as seed"):
            tiny_generator(NAMES, generator=wrong)  # type: ignore[arg-type]


def test_a_callback_sees_every_step_and_may_change_the_tokens(tiny_generator: Generator) -> None:
    seen: list[tuple[int, int]] = []

    def watch(pipe: Generator, step: int, timestep: Tensor, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
        assert pipe is tiny_generator
        assert list(tensors) == ["latents"]
        seen.append((step, len(tensors["latents"])))
        return tensors

    plain = tiny_generator([NAMES, NAMES[:2], NAMES[1:]], num_inference_steps=3)
    watched = tiny_generator([NAMES, NAMES[:2], NAMES[1:]], num_inference_steps=3, callback_on_step_end=watch)
    assert seen == [(0, 2), (1, 2), (2, 2), (0, 1), (1, 1), (2, 1)]
    assert all(map(equal, plain, watched))

    def clear(pipe: Generator, step: int, timestep: Tensor, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
        return {"latents": torch.zeros_like(tensors["latents"])} if int(timestep) > 0 else {}

    assert not equal(tiny_generator(NAMES, num_inference_steps=3, callback_on_step_end=clear), tiny_generator(NAMES))

    def look(pipe: Generator, step: int, timestep: Tensor, tensors: dict[str, Tensor]) -> None:
        assert tensors == {}

    alone = tiny_generator(NAMES, callback_on_step_end=look, callback_on_step_end_tensor_inputs=[])
    assert equal(alone, tiny_generator(NAMES))


def test_callbacks_that_are_refused(tiny_generator: Generator) -> None:
    with pytest.raises(ConfigError, match="callback_on_step_end is 3; give a function"):
        tiny_generator(NAMES, callback_on_step_end=3)  # type: ignore[arg-type]
    for names in (["noise"], "latents", None, 5):
        with pytest.raises(ConfigError, match="give a list of the names latents"):
            tiny_generator(NAMES, callback_on_step_end=print, callback_on_step_end_tensor_inputs=names)  # type: ignore[arg-type]
    for answer in ("latents", torch.zeros(2), True):
        with pytest.raises(ConfigError, match="return a dictionary of the changed tensors, or None"):
            tiny_generator(NAMES, callback_on_step_end=lambda *_, answer=answer: answer)
    for wrong, what in ((torch.zeros(2), r"of shape \(2,\)"), (None, "None")):
        with pytest.raises(ConfigError, match=f"returned latents {what}; return a tensor of shape"):
            tiny_generator(NAMES, callback_on_step_end=lambda *_, value=wrong: {"latents": value})


TYPED = """
from pathlib import Path
from typing import Any, assert_type
from PIL import Image
from tina_framework import GeneratedClassifier, Generator, prompt
from tina_framework.prompts.encoded_task import EncodedTask

def calls(generator: Generator, task: EncodedTask, names: list[str], tasks: list[list[str]]) -> None:
    assert_type(generator(["ant", "bee"]), GeneratedClassifier)
    assert_type(generator(names, seed=3, compose="merge"), GeneratedClassifier)
    assert_type(generator(["ant", prompt.text("bee"), Image.new("RGB", (1, 1))]), GeneratedClassifier)
    assert_type(generator("ants or bees"), GeneratedClassifier)
    assert_type(generator(task), GeneratedClassifier)
    assert_type(generator([["ant", "bee"], ["cat", "dog"]]), list[GeneratedClassifier])
    assert_type(generator(tasks), list[GeneratedClassifier])
    assert_type(generator([task]), list[GeneratedClassifier])
    assert_type(generator(Path("tasks.json")), list[GeneratedClassifier])
    assert_type(generator(names, num_samples=1), GeneratedClassifier)
    assert_type(generator(names, num_samples=3), Any)
"""


@pytest.mark.slow
def test_type_checkers_know_what_a_call_returns(tmp_path: Path) -> None:
    pytest.importorskip("mypy", reason="needs the extra dev")
    (tmp_path / "typed.py").write_text(TYPED)
    root = Path(__file__).parents[2]
    command = [
        sys.executable,
        "-m",
        "mypy",
        "--strict",
        "--config-file",
        str(root / "pyproject.toml"),
        str(tmp_path / "typed.py"),
    ]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, check=False, timeout=600)
    assert done.returncode == 0, done.stdout + done.stderr
