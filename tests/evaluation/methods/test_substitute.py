"""*substitute*: who stands in for whom, by hand; and never twice."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest
import torch

from tina_framework.errors import PromptError
from tina_framework.evaluation.generic_model import GenericModel
from tina_framework.evaluation.methods.selection import Selection
from tina_framework.evaluation.methods.substitute import Substitute, assign
from tina_framework.interfaces.method import Context, Missing, Network
from tina_framework.zoo.store import Zoo
from tina_framework.zoo.tasks import Task

UNSEEN = ("hen", "lion")


@pytest.fixture
def half(context: Context, zoo: Zoo) -> Context:
    """A generic model that never met `UNSEEN`."""
    kept = tuple(name for name in zoo.class_names if name not in UNSEEN)
    rows = torch.tensor([zoo.class_names.index(name) for name in kept])
    return dataclasses.replace(
        context, generic=GenericModel(context.spec.select_classes(zoo.generic, rows), kept, "half")
    )


def test_the_most_similar_pair_comes_first() -> None:
    # Both rows like column 0 best; row 1 likes it more, so row 0 gets the next best.
    assert assign(np.array([[0.8, 0.1, 0.5], [0.9, 0.7, 0.2]], dtype=np.float32)) == [2, 0]
    assert assign(np.array([[-0.8], [0.9]], dtype=np.float32)[:1]) == [0]


def test_a_class_gets_the_row_of_its_nearest(half: Context) -> None:
    task = Task(("fox", "hen", "lion"))
    method = Substitute(half)
    method.prepare([task])
    assert half.generic is not None
    names = [*half.generic.class_names, *UNSEEN]
    space, encoder = half.generator.condition_space, half.encoder
    conditions = torch.nn.functional.normalize(space.apply(np.asarray(encoder.encode_text(names))), dim=1)
    similarity = {u: {n: float(conditions[names.index(u)] @ conditions[names.index(n)]) for n in names} for u in UNSEEN}
    free = [name for name in half.generic.class_names if name != "fox"]
    pairs = {(a, b): similarity["hen"][a] + similarity["lion"][b] for a in free for b in free if a != b}
    found = method.substitutes(task.classes)
    assert isinstance(found, tuple)
    assert found[0] == "fox"
    best = {unseen: max(free, key=lambda name, unseen=unseen: similarity[unseen][name]) for unseen in UNSEEN}
    if best["hen"] != best["lion"]:
        assert found[1:] == (best["hen"], best["lion"])
    assert found[1:] in pairs
    (network,) = method.parameters([task])
    assert isinstance(network, Network)
    assert network.outputs == task.classes
    chosen = half.generic.select(half.spec, found)
    assert isinstance(chosen, Network)
    assert torch.equal(network.flat, chosen.flat)


def test_it_is_selection_where_every_class_is_known(context: Context) -> None:
    task = Task(("hen", "lion", "fox"))
    answers = []
    for method in (Substitute(context), Selection(context)):
        method.prepare([task])
        answers.append(method.parameters([task])[0])
    assert torch.equal(answers[0].flat, answers[1].flat)  # type: ignore[union-attr]


def test_it_says_what_it_cannot_do(half: Context, zoo: Zoo, monkeypatch: pytest.MonkeyPatch) -> None:
    few = half.generic.select(half.spec, ("ant", "bee"))  # type: ignore[union-attr]
    assert isinstance(few, Network)
    small = GenericModel(half.spec.unflatten(few.flat, 2), ("ant", "bee"), "few")
    method = Substitute(dataclasses.replace(half, generic=small))
    task = Task(("ant", "hen", "lion"))
    method.prepare([task])
    (found,) = method.parameters([task])
    assert isinstance(found, Missing)
    assert "only 1 others can replace them" in found.reason

    encode = type(half.encoder).encode_text

    def without_lion(self: Any, texts: Any, template: int = 0) -> Any:
        if "lion" in texts:
            raise PromptError("no lion")
        return encode(self, texts, template)

    monkeypatch.setattr(type(half.encoder), "encode_text", without_lion)
    method = Substitute(half)
    method.prepare([task])
    (found,) = method.parameters([task])
    assert isinstance(found, Missing)
    assert "does not know 'lion'" in found.reason
