"""What a method reads, and what it does if it is not overridden."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import torch

from tina_framework.interfaces.method import Context, Method, MethodUnavailable, Network


def context(**values: Any) -> Context:
    generator: Any = SimpleNamespace(spec="spec", device="cpu", encoder="own")
    dataset: Any = None
    return Context(generator, dataset, **values)


def test_the_context_speaks_for_the_generator() -> None:
    assert (context().spec, context().device, context().encoder) == ("spec", "cpu", "own")
    assert context(replaced_encoder="another").encoder == "another"


def test_what_is_lacking_has_a_reason() -> None:
    with pytest.raises(MethodUnavailable, match="there is no generic model"):
        context().need_generic()
    with pytest.raises(MethodUnavailable, match="give its folder"):
        context(no_zoo="give its folder").need_zoo()
    empty = SimpleNamespace(entries=(), folder=SimpleNamespace(name="empty"))
    with pytest.raises(MethodUnavailable, match="the zoo 'empty' holds no p-Model"):
        context(zoo=empty).need_zoo()
    full = SimpleNamespace(entries=(1,))
    assert context(zoo=full).need_zoo() is full
    assert context(generic=full).need_generic() is full


def test_a_bare_method_accepts_anything_and_answers_nothing() -> None:
    method = Method(context(), "x")
    Method.check_argument("x")
    method.prepare([])
    assert (method.argument, method.batch_size, method.reads_text, method.describe()) == ("x", 1, False, "")
    with pytest.raises(NotImplementedError):
        method.parameters([])


def test_a_network_counts_its_parameters() -> None:
    assert Network(torch.zeros(7), ("a", "b")).num_parameters == 7
