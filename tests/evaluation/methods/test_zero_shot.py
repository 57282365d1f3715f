"""*zero-shot*: text vectors as a head, by hand, and every reason why there is none."""

from __future__ import annotations

import re
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from tina_framework.errors import ConfigError
from tina_framework.evaluation.methods import DEFAULT_METHODS, default_methods, parse_methods
from tina_framework.evaluation.methods.zero_shot import ZeroShot, linear_head
from tina_framework.interfaces.architecture import FrozenTrunk, TargetArchitecture
from tina_framework.interfaces.encoder import Vectors
from tina_framework.interfaces.method import Context, MethodUnavailable, Network
from tina_framework.interfaces.spec import ParameterSpec
from tina_framework.zoo.tasks import Task

TASKS = [Task(("red_fox", "bee")), Task(("hen", "bee"))]


class Words:
    """Two templates, the second of which gives vectors a hundred times as long."""

    name, dim, space, templates = "words:/somewhere/private/v.npz", 4, "toy/space", ("a {}", "b {}")

    def encode_text(self, texts: list[str], template: int = 0) -> Vectors:
        rows = [np.random.default_rng([template, *text.encode()]).standard_normal(4) for text in texts]
        return np.asarray(rows, dtype=np.float32).reshape(-1, 4) * (1.0, 100.0)[template]


class Cosine(nn.Module):
    """Parameters of the shapes of a linear head; another function."""

    def __init__(self, num_classes: int) -> None:
        super().__init__()
        self.fc = nn.Linear(4, num_classes)

    def forward(self, features: Tensor) -> Tensor:
        return nn.functional.linear(nn.functional.normalize(features, dim=1), self.fc.weight, self.fc.bias)


class BiasFirst(nn.Module):
    def __init__(self, num_classes: int) -> None:
        super().__init__()
        self.b = nn.Parameter(torch.zeros(num_classes))
        self.w = nn.Parameter(torch.zeros(num_classes, 4))

    def forward(self, features: Tensor) -> Tensor:
        return features @ self.w.T + self.b


def architecture(build: Any = BiasFirst, space: str | None = "toy/space", width: int = 4) -> TargetArchitecture:
    return TargetArchitecture("toy-head", build, trunk=FrozenTrunk("toy", nn.Identity, (width,), space))


def method(made: TargetArchitecture, argument: str | None = None, encoder: Any = None) -> ZeroShot:
    generator: Any = SimpleNamespace(spec=ParameterSpec(made), encoder=encoder or Words())
    return ZeroShot(Context(generator=generator, dataset=cast(Any, None)), argument)


def rows(text: str, *templates: int) -> Tensor:
    """By hand: unit vectors, their mean, unit length again."""
    vectors = [torch.from_numpy(Words().encode_text([text], template)[0]) for template in templates]
    mean = torch.stack([vector / vector.norm() for vector in vectors]).mean(dim=0)
    return mean / mean.norm()


@pytest.mark.parametrize(("argument", "templates"), [(None, (0, 1)), ("0", (0,)), ("1", (1,))])
def test_the_head_is_the_text_vectors(argument: str | None, templates: tuple[int, ...]) -> None:
    asked = method(architecture(), argument)
    asked.prepare(TASKS)
    answers = asked.parameters(TASKS)
    for answer, classes in zip(answers, (("red fox", "bee"), ("hen", "bee")), strict=True):
        assert isinstance(answer, Network)
        state = asked.context.spec.unflatten(answer.flat, 2)
        torch.testing.assert_close(state["w"], torch.stack([rows(name, *templates) for name in classes]))
        assert state["b"].tolist() == [0.0, 0.0]
    assert [answer.outputs for answer in answers if isinstance(answer, Network)] == [task.classes for task in TASKS]
    prompts = ", ".join(f"'{Words.templates[number]}'" for number in templates)
    assert asked.describe() == f"text vectors of encoder 'words:v.npz' as the head, prompts {prompts}"


@pytest.mark.parametrize(
    ("made", "argument", "reason"),
    [
        (TargetArchitecture("plain", lambda k: nn.Linear(4, k)), None, "'plain' has no frozen trunk whose features lie"),
        (architecture(space=None), None, "'toy-head' has no frozen trunk whose features lie"),
        (architecture(lambda k: nn.Linear(4, k, bias=False)), None, "is no linear head with a weight and a bias"),
        (architecture(Cosine), None, "is no linear head with a weight and a bias"),
        (architecture(space="other"), None, "encoder 'words:v.npz' gives vectors of the space 'toy/space' (4 wide), but the features of "
         "architecture 'toy-head' lie in 'other' (4 wide)"),
        (architecture(lambda k: nn.Linear(5, k), width=5), None, "'toy/space' (4 wide), but the features of"),
        (architecture(), "2", "has no template number 2; it has 2, counted from 0"),
    ],
)  # fmt: skip
def test_where_there_is_none_it_says_why(made: TargetArchitecture, argument: str | None, reason: str) -> None:
    with pytest.raises(MethodUnavailable, match=re.escape(reason)):
        method(made, argument).prepare(TASKS)


@pytest.mark.parametrize("text", ["zero-shot@a {}", "zero-shot@-1", "zero-shot@"])
def test_a_template_is_a_number(text: str) -> None:
    with pytest.raises(ConfigError, match="zero-shot@"):
        parse_methods(text)


def test_linear_heads_are_told_by_what_they_do() -> None:
    assert linear_head(ParameterSpec(architecture(lambda k: nn.Linear(4, k)))) == ("weight", "bias")
    assert linear_head(ParameterSpec(architecture())) == ("w", "b")
    assert linear_head(ParameterSpec(architecture(Cosine))) is None
    layers = architecture(lambda k: nn.Sequential(nn.Linear(4, 4), nn.Linear(4, k)))
    assert linear_head(ParameterSpec(layers)) is None
    pictures = TargetArchitecture("pictures", lambda k: nn.Sequential(nn.Flatten(), nn.Linear(3072, k)))
    assert linear_head(ParameterSpec(pictures)) is None


def test_it_is_compared_by_default_where_it_applies() -> None:
    named = [spec.label for spec in default_methods(architecture())]
    assert named == [*DEFAULT_METHODS.split(","), "zero-shot"]
    assert ",".join(spec.label for spec in default_methods(architecture(space=None))) == DEFAULT_METHODS
