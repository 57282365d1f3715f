"""The fixed forecast of class rows: where it is added, and what a folder keeps of it."""

from __future__ import annotations

import pytest
import torch

from tina_framework.builtins.architectures.cnn_2layer import cnn_2layer
from tina_framework.builtins.tokenizers.filter import FilterTokenizer
from tina_framework.denoiser.row_forecast import RowForecast
from tina_framework.errors import CheckpointError
from tina_framework.interfaces.spec import ParameterSpec

E, C = 6, 33
SPEC = ParameterSpec(cnn_2layer)


def rows(seed: int = 0) -> RowForecast:
    generator = torch.Generator().manual_seed(seed)
    return RowForecast(torch.randn(C, E, generator=generator), torch.randn(C, generator=generator))


def test_the_row_of_each_class_is_a_linear_map_of_its_vector() -> None:
    layout, made = FilterTokenizer(150).layout(SPEC, 4, 10), rows()
    tokens, condition = torch.randn(2, layout.num_tokens, 150), torch.randn(2, 4, E)
    added = made.add(tokens, condition, layout) - tokens
    of_class = layout.token_class >= 0
    assert not added[:, ~of_class].any()
    assert not added[:, :, C:].any()
    expected = condition @ made.weight.T + made.bias
    torch.testing.assert_close(added[:, of_class, :C], expected, atol=1e-5, rtol=1e-4)


def test_the_order_of_classes_has_no_influence() -> None:
    layout, made = FilterTokenizer(40).layout(SPEC, 5, 5), rows()
    condition, tokens = torch.randn(1, 5, E), torch.zeros(1, layout.num_tokens, 40)
    out, turned = made.add(tokens, condition, layout), made.add(tokens, condition.flip(1), layout)
    torch.testing.assert_close(turned[:, -5:], out[:, -5:].flip(1))
    assert (turned - out).abs().max() > 0.1


def test_gradients_flow_through_tokens_and_not_into_the_forecast() -> None:
    layout, made = FilterTokenizer(40).layout(SPEC, 2, 2), rows()
    tokens = torch.zeros(1, layout.num_tokens, 40, requires_grad=True)
    made.add(tokens, torch.randn(1, 2, E), layout).sum().backward()
    assert tokens.grad is not None
    assert torch.equal(tokens.grad, torch.ones_like(tokens))
    assert not made.weight.requires_grad


def test_tokens_keep_their_type() -> None:
    layout = FilterTokenizer(40).layout(SPEC, 2, 2)
    tokens = torch.zeros(1, layout.num_tokens, 40, dtype=torch.bfloat16)
    assert rows().add(tokens, torch.randn(1, 2, E), layout).dtype == torch.bfloat16


def test_a_first_use_under_inference_mode_leaves_tensors_that_training_can_use() -> None:
    made = rows()
    with torch.inference_mode():
        made._at(torch.device("meta"))
    assert not any(tensor.is_inference() for tensor in made._at(torch.device("meta")))


def test_its_tensors_bring_it_back() -> None:
    made = rows()
    assert {name: tuple(tensor.shape) for name, tensor in made.state_dict().items()} == RowForecast.shapes(C, E)
    again = RowForecast.from_tensors(made.state_dict(), C, E)
    assert torch.equal(again.weight, made.weight)
    assert torch.equal(again.bias, made.bias)


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"bias": None}, "lacks bias"),
        ({"more": torch.zeros(1)}, "unknown more"),
        ({"weight": torch.zeros(E, C)}, "shape"),
        ({"bias": torch.full((C,), float("nan"))}, "not finite"),
    ],
)
def test_other_tensors_are_refused(changes: dict[str, torch.Tensor | None], sentence: str) -> None:
    tensors = {name: value for name, value in (rows().state_dict() | changes).items() if value is not None}
    with pytest.raises(CheckpointError, match=f"row forecast.*{sentence}"):
        RowForecast.from_tensors(tensors, C, E)


def test_shares_weigh_filters_and_rows_and_not_the_forecast() -> None:
    layout, made = FilterTokenizer(150).layout(SPEC, 4, 10), rows()
    tokens, condition = torch.randn(2, layout.num_tokens, 150), torch.randn(2, 4, E)
    forecast = made.add(torch.zeros_like(tokens), condition, layout)
    out = made.with_shares(0.3, 0.5).add(tokens, condition, layout) - forecast
    of_class = layout.token_class >= 0
    torch.testing.assert_close(out[:, ~of_class], 0.3 * tokens[:, ~of_class])
    torch.testing.assert_close(out[:, of_class], 0.5 * tokens[:, of_class], atol=1e-5, rtol=1e-4)
    assert torch.equal(made.with_shares(1.0, 1.0).add(tokens, condition, layout), made.add(tokens, condition, layout))
    loaded = RowForecast.from_tensors(made.state_dict(), C, E, (0.3, 0.5))
    assert (loaded.filter_share, loaded.row_share) == (0.3, 0.5)
