"""*ridge*, against a regression written out by hand, and against what leaving out a class really gives."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch

from tina_framework.errors import ConfigError
from tina_framework.evaluation.methods import parse_methods
from tina_framework.evaluation.methods.ridge import STRENGTHS, Ridge, left_out_errors
from tina_framework.evaluation.methods.selection import Selection
from tina_framework.interfaces.method import Context, MethodUnavailable, Network
from tina_framework.zoo.store import Zoo
from tina_framework.zoo.tasks import Task

TASK = Task(("hen", "lion", "fox"))


def state(method: Ridge | Selection, task: Task = TASK) -> dict[str, torch.Tensor]:
    method.prepare([task])
    (network,) = method.parameters([task])
    assert isinstance(network, Network)
    assert network.outputs == task.classes
    return method.context.spec.unflatten(network.flat, len(task.classes))


def test_with_hardly_any_strength_the_rows_come_back(context: Context) -> None:
    # Twelve classes in 24 dimensions: every row can be met exactly.
    found, expected = state(Ridge(context, "1e-9")), state(Selection(context))
    for name in expected:
        torch.testing.assert_close(found[name], expected[name], rtol=1e-3, atol=1e-3)


def test_with_great_strength_every_class_gets_the_mean_row(context: Context, zoo: Zoo) -> None:
    found = state(Ridge(context, "1e9"))
    mean = zoo.generic["fc.weight"].mean(dim=0)
    torch.testing.assert_close(found["fc.weight"], mean.expand(3, -1), rtol=0, atol=1e-4)
    assert torch.equal(found["conv1.weight"], zoo.generic["conv1.weight"])


def test_it_is_ridge_regression(context: Context, zoo: Zoo) -> None:
    space, encoder = context.generator.condition_space, context.generator.encoder
    inputs = space.apply(np.asarray(encoder.encode_text(zoo.class_names))).double()
    rows = torch.cat([zoo.generic["fc.weight"], zoo.generic["fc.bias"][:, None]], dim=1).double()
    strength = 0.1 * float(inputs.square().sum(dim=1).mean())
    # The primal form, where the method uses the dual one.
    weights = torch.linalg.solve(
        inputs.T @ inputs + strength * torch.eye(inputs.shape[1], dtype=torch.float64),
        inputs.T @ (rows - rows.mean(dim=0)),
    )
    numbers = [zoo.class_names.index(name) for name in TASK.classes]
    expected = inputs[numbers] @ weights + rows.mean(dim=0)
    found = state(Ridge(context, "0.1"))
    torch.testing.assert_close(found["fc.weight"].double(), expected[:, :-1], rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(found["fc.bias"].double(), expected[:, -1], rtol=1e-4, atol=1e-5)


def test_errors_of_left_out_rows_are_those_of_regressions_without_them() -> None:
    draws = torch.Generator().manual_seed(0)
    inputs, rows = (torch.randn(9, width, generator=draws).double() for width in (5, 3))
    squares = []
    for i in range(9):
        kept = [j for j in range(9) if j != i]
        weights = torch.linalg.solve(
            inputs[kept].T @ inputs[kept] + 0.7 * torch.eye(5, dtype=torch.float64), inputs[kept].T @ rows[kept]
        )
        squares.append((inputs[i] @ weights - rows[i]).square())
    expected = float(torch.stack(squares).mean())
    assert left_out_errors(inputs @ inputs.T, rows, 0.7) == pytest.approx(expected, rel=1e-9)


def test_the_strength_is_chosen_and_told(context: Context) -> None:
    method = Ridge(context)
    method.prepare([TASK])
    assert method.strength in STRENGTHS
    assert method.describe().endswith(f"by strength {method.strength:g}, of least leave-one-class-out error")


@pytest.mark.parametrize("argument", ["0", "-1", "inf", "nan", "much"])
def test_a_strength_is_a_number_above_zero(argument: str) -> None:
    with pytest.raises(ConfigError, match=f"'ridge@{argument}' has no valid strength"):
        parse_methods(f"ridge@{argument}")


def test_without_a_generic_model_it_says_why(context: Context) -> None:
    with pytest.raises(MethodUnavailable, match="there is no generic model"):
        Ridge(dataclasses.replace(context, generic=None)).prepare([TASK])
