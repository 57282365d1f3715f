"""The denoiser: equivariance, padding, what it reads, and how it is trained."""

from __future__ import annotations

import copy
import dataclasses

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from tina_framework.builtins.architectures.cnn_2layer import cnn_2layer
from tina_framework.builtins.schedulers.ddim import DDIMScheduler
from tina_framework.builtins.tokenizers.chunk import ChunkTokenizer
from tina_framework.builtins.tokenizers.class_row import ClassRowTokenizer
from tina_framework.denoiser.presets import PRESETS, build_config
from tina_framework.denoiser.transformer import Denoiser
from tina_framework.errors import ConfigError
from tina_framework.interfaces.spec import ParameterSpec
from tina_framework.interfaces.tokenizer import TokenLayout

SPEC = ParameterSpec(cnn_2layer)
TOKENIZERS = {"class-row": ClassRowTokenizer(), "chunk": ChunkTokenizer()}
BOTH = pytest.mark.parametrize("tokenizer", TOKENIZERS)
E, MAX = 24, 10


def layout_of(tokenizer: str, classes: int) -> TokenLayout:
    return TOKENIZERS[tokenizer].layout(SPEC, classes, MAX)


def make(tokenizer: str, name: str = "tiny", *, trained: bool = True, **overrides) -> Denoiser:
    """A denoiser; `trained` gives every parameter a random value, zero heads included."""
    torch.manual_seed(0)
    config = build_config(name, condition_dim=E, layout=layout_of(tokenizer, MAX), max_classes=MAX, **overrides)
    denoiser = Denoiser(config).eval()
    if trained:
        with torch.no_grad():
            for parameter in denoiser.parameters():
                parameter.add_(0.05 * torch.randn_like(parameter))
    return denoiser


def inputs(layout: TokenLayout, batch: int = 2, seed: int = 1) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    condition = torch.randn(batch, layout.num_classes, E, generator=generator)
    tokens = torch.randn(batch, layout.num_tokens, layout.token_width, generator=generator)
    mask = torch.ones(batch, layout.num_classes, dtype=torch.bool)
    return condition, mask, tokens, torch.tensor([999.0, 3.5])[:batch]


@BOTH
@pytest.mark.parametrize("classes", [1, 3, 10])
def test_shapes_and_zeros_where_no_parameter_is(tokenizer: str, classes: int) -> None:
    denoiser, layout = make(tokenizer), layout_of(tokenizer, classes)
    condition, mask, tokens, t = inputs(layout)
    encoded = denoiser.encode(condition, mask)
    assert encoded.hidden_BKH.shape == (2, classes, 64)
    if tokenizer == "class-row":
        assert encoded.skip_BKD.shape == (2, classes, layout.token_width)
    else:
        assert encoded.skip_BKD is None
    out = denoiser.denoise(tokens, t, encoded, layout, mask)
    assert out.shape == tokens.shape
    assert torch.equal(out != 0, layout.element_mask(mask))
    assert torch.equal(denoiser(condition, mask, tokens, t, layout), out)


@BOTH
def test_untrained_gives_exactly_zero(tokenizer: str) -> None:
    layout = layout_of(tokenizer, 10)
    condition, mask, tokens, t = inputs(layout)
    out = make(tokenizer, trained=False)(condition, mask, tokens, t, layout)
    assert torch.equal(out, torch.zeros_like(tokens))


@pytest.mark.parametrize("encoder_layers", [0, 2])
def test_permuting_classes_permutes_class_rows_and_nothing_else(encoder_layers: int) -> None:
    denoiser = make("class-row", num_encoder_layers=encoder_layers)
    layout = layout_of("class-row", 10)
    condition, mask, tokens, t = inputs(layout)
    order = torch.randperm(10, generator=torch.Generator().manual_seed(4))
    shared = layout.num_tokens - 10
    token_order = torch.cat([torch.arange(shared), shared + order])
    out = denoiser(condition, mask, tokens, t, layout)
    permuted = denoiser(condition[:, order], mask, tokens[:, token_order], t, layout)
    torch.testing.assert_close(permuted, out[:, token_order], atol=1e-5, rtol=1e-4)
    assert (permuted - out).abs().max() > 0.1


def test_chunks_know_the_order_of_classes() -> None:
    denoiser, layout = make("chunk"), layout_of("chunk", 10)
    condition, mask, tokens, t = inputs(layout)
    out = denoiser(condition, mask, tokens, t, layout)
    swapped = denoiser(condition.flip(1), mask, tokens, t, layout)
    assert (swapped - out).abs().max() > 1e-3


@pytest.mark.parametrize("classes", [1, 3, 10])
@pytest.mark.parametrize(
    ("tokenizer", "more"),
    [
        ("chunk", {}),
        ("class-row", {}),
        ("class-row", {"num_landmarks": 5, "pool_rank": 6, "pool_moments": 3}),
        ("class-row", {"given_row": True, "skip": False}),
    ],
)
def test_no_class_mask_gives_the_same_bits_as_one_without_padding(tokenizer: str, more: dict, classes: int) -> None:
    denoiser, layout = make(tokenizer, **more), layout_of(tokenizer, classes)
    _, mask, tokens, t = inputs(layout)
    condition = torch.randn(2, classes, denoiser.config.input_dim)
    expected = denoiser.denoise(tokens, t, denoiser.encode(condition, mask), layout, mask)
    found = denoiser.denoise(tokens, t, denoiser.encode(condition), layout)
    assert torch.equal(found, expected)
    assert torch.equal(found != 0, layout.element_mask(mask))


@BOTH
@pytest.mark.parametrize("classes", [1, 4])
def test_padding_changes_nothing(tokenizer: str, classes: int) -> None:
    denoiser = make(tokenizer)
    few, many = layout_of(tokenizer, classes), layout_of(tokenizer, 10)
    condition, mask, tokens, t = inputs(few)
    alone = denoiser(condition, mask, tokens, t, few)

    padded_mask = torch.zeros(2, 10, dtype=torch.bool)
    padded_mask[:, :classes] = True
    padded_condition = torch.full((2, 10, E), 7.0)  # garbage in the padding, on purpose
    padded_condition[:, :classes] = condition
    exists = many.element_mask(padded_mask)
    flat = torch.full((2, many.num_parameters), 7.0)
    keep = many.scatter(exists.float())[0] > 0
    flat[:, keep] = few.scatter(tokens)
    out = denoiser(padded_condition, padded_mask, many.gather(flat), t, many)
    assert not out[~exists].any()
    torch.testing.assert_close(many.scatter(out)[:, keep], few.scatter(alone), atol=1e-5, rtol=1e-4)


@BOTH
def test_rows_of_a_batch_do_not_touch_each_other(tokenizer: str) -> None:
    denoiser, layout = make(tokenizer), layout_of(tokenizer, 10)
    condition, mask, tokens, t = inputs(layout)
    mask[0, 6:] = False
    together = denoiser(condition, mask, tokens, t, layout)
    for row in (0, 1):
        alone = denoiser(*(x[row : row + 1] for x in (condition, mask, tokens, t)), layout)
        torch.testing.assert_close(alone[0], together[row], atol=1e-5, rtol=1e-4)


def test_everything_given_is_read() -> None:
    denoiser, layout = make("class-row", skip=False), layout_of("class-row", 5)
    condition, mask, tokens, t = inputs(layout)
    out = denoiser(condition, mask, tokens, t, layout)
    other_class = condition.clone()
    other_class[:, 2] += 1.0
    for changed in (
        denoiser(other_class, mask, tokens, t, layout),
        denoiser(condition, mask, tokens + 1.0, t, layout),
        denoiser(condition, mask, tokens, t + 100, layout),
    ):
        assert (changed - out).abs().max() > 1e-3
    scalar = denoiser(condition, mask, tokens, torch.tensor(7), layout)
    assert torch.equal(scalar, denoiser(condition, mask, tokens, torch.tensor([7, 7]), layout))


def test_each_class_row_follows_its_own_class() -> None:
    # The same noise in every token: only its class vector tells one row from another.
    denoiser, layout = make("class-row", skip=False), layout_of("class-row", 5)
    condition, mask, tokens, t = inputs(layout)
    condition[:, 3] = condition[:, 1]
    rows = denoiser(condition, mask, torch.ones_like(tokens), t, layout)[:, layout.token_class >= 0]
    torch.testing.assert_close(rows[:, 3], rows[:, 1], atol=1e-5, rtol=1e-4)
    for other in (0, 2, 4):
        assert (rows[:, other] - rows[:, 1]).abs().max() > 1e-3


def test_tokens_at_different_positions_differ() -> None:
    denoiser, layout = make("class-row"), layout_of("class-row", 10)
    condition, mask, tokens, t = inputs(layout)
    chunks = denoiser(condition, mask, torch.ones_like(tokens), t, layout)[:, layout.group == 1]
    assert (chunks[:, 1:] - chunks[:, :-1]).abs().amax(dim=-1).min() > 1e-3


def test_tokens_may_come_in_any_order() -> None:
    denoiser, layout = make("class-row"), layout_of("class-row", 4)
    order = torch.randperm(layout.num_tokens, generator=torch.Generator().manual_seed(2))
    per_token = ("source", "element_class", "group", "position", "token_class")
    shuffled = dataclasses.replace(layout, **{name: getattr(layout, name)[order] for name in per_token})
    condition, mask, tokens, t = inputs(layout)
    out = denoiser(condition, mask, tokens, t, layout)
    again = denoiser(condition, mask, tokens[:, order], t, shuffled)
    torch.testing.assert_close(again, out[:, order], atol=1e-5, rtol=1e-4)


def test_the_skip_starts_as_a_regression() -> None:
    denoiser, layout = make("class-row", trained=False), layout_of("class-row", 6)
    weight, bias = torch.randn(33, E), torch.randn(33)
    denoiser.init_skip(weight, bias)
    condition, mask, tokens, t = inputs(layout)
    mask[0, 4:] = False
    out = denoiser(condition, mask, tokens, t, layout)
    rows = out[:, layout.token_class >= 0, :33]
    torch.testing.assert_close(rows, (condition @ weight.T + bias) * mask[..., None], atol=1e-5, rtol=1e-4)
    assert not out[:, layout.token_class < 0].any()
    with pytest.raises(ConfigError, match=r"shapes \(33, 24\) and \(33,\), not \(24, 33\)"):
        denoiser.init_skip(weight.T, bias)
    with pytest.raises(ConfigError, match="no skip"):
        make("class-row", skip=False).init_skip(weight, bias)


@pytest.mark.parametrize("name", PRESETS)
def test_one_training_step_and_one_sampling_step_of_a_small_copy(name: str) -> None:
    tokenizer = "chunk" if name == "tina-published" else "class-row"
    layers = {"num_encoder_layers": min(PRESETS[name]["num_encoder_layers"], 2), "num_decoder_layers": 2}
    denoiser = make(tokenizer, name, trained=False, hidden_size=96, **layers).train()
    layout, scheduler = layout_of(tokenizer, 7), DDIMScheduler(prediction_type="sample")
    condition, mask, clean, _ = inputs(layout)
    mask[1, 5:] = False
    exists = layout.element_mask(mask)
    clean = clean * exists
    t = torch.tensor([20, 900])
    noisy = scheduler.add_noise(clean, torch.randn_like(clean), t)
    optimizer = torch.optim.AdamW(denoiser.parameters(), lr=1e-3)

    def loss() -> Tensor:
        return F.mse_loss(denoiser(condition, mask, noisy, t, layout)[exists], clean[exists])

    before = loss()
    before.backward()
    # Distributed training needs a gradient for every parameter, used in this batch or not.
    assert all(p.grad is not None and bool(p.grad.isfinite().all()) for p in denoiser.parameters())
    optimizer.step()
    assert loss() < before

    denoiser.eval()
    scheduler.set_timesteps(2)
    x = torch.randn_like(clean)
    with torch.inference_mode():
        encoded = denoiser.encode(condition, mask)
        for timestep in scheduler.timesteps:
            x = scheduler.step(denoiser.denoise(x, timestep, encoded, layout, mask), timestep, x).prev_sample
    # The last step ends at the prediction: a value for every parameter, and nothing anywhere else.
    assert torch.equal(x != 0, exists)
    assert bool(x.isfinite().all())


def test_training_after_sampling_with_the_same_layout() -> None:
    denoiser, layout = make("class-row"), layout_of("class-row", 3)
    batch = inputs(layout)
    with torch.inference_mode():
        denoiser(*batch, layout)
    denoiser(*batch, layout).square().mean().backward()
    assert denoiser.condition.weight.grad.abs().max() > 0


def test_checkpointing_changes_memory_and_nothing_else() -> None:
    denoiser, layout = make("class-row"), layout_of("class-row", 3)
    batch = inputs(layout)
    gradients = []
    for enabled in (False, True):
        denoiser.enable_checkpointing(enabled)
        denoiser.zero_grad()
        denoiser(*batch, layout).square().sum().backward()
        gradients.append([p.grad.clone() for p in denoiser.parameters()])
    for a, b in zip(*gradients, strict=True):
        torch.testing.assert_close(a, b)


def test_dropout_acts_in_training_only() -> None:
    denoiser, layout = make("class-row", dropout=0.5), layout_of("class-row", 3)
    batch = inputs(layout)
    assert torch.equal(denoiser(*batch, layout), denoiser(*batch, layout))
    denoiser.train()
    assert not torch.equal(denoiser(*batch, layout), denoiser(*batch, layout))


def test_bfloat16_autocast_stays_close_and_keeps_the_skip_exact() -> None:
    denoiser, layout = make("class-row"), layout_of("class-row", 5)
    condition, mask, tokens, t = inputs(layout)
    exact = denoiser(condition, mask, tokens, t, layout)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        mixed = denoiser(condition, mask, tokens, t, layout)
        skip = denoiser.encode(condition, mask).skip_BKD
    assert mixed.dtype == torch.float32
    assert not torch.equal(mixed, exact)
    assert (mixed - exact).abs().max() < 0.1 * exact.abs().max()
    assert torch.equal(skip, denoiser.encode(condition, mask).skip_BKD)


def test_double_precision_weights_take_any_input() -> None:
    denoiser, layout = make("class-row"), layout_of("class-row", 5)
    condition, mask, tokens, t = inputs(layout)
    single = denoiser(condition, mask, tokens, t, layout)
    double = copy.deepcopy(denoiser).double()(condition, mask, tokens, t, layout)
    assert double.dtype == torch.float32
    torch.testing.assert_close(double, single, atol=1e-4, rtol=1e-3)


@BOTH
def test_works_under_vmap_and_functional_call(tokenizer: str) -> None:
    denoiser, layout = make(tokenizer), layout_of(tokenizer, 4)
    condition, mask, tokens, t = inputs(layout)
    stacked = {name: torch.stack([p, 1.1 * p]).detach() for name, p in denoiser.named_parameters()}

    def one(parameters: dict[str, Tensor]) -> Tensor:
        return torch.func.functional_call(denoiser, parameters, (condition, mask, tokens, t, layout))

    both = torch.func.vmap(one)(stacked)
    torch.testing.assert_close(both[0], denoiser(condition, mask, tokens, t, layout), atol=1e-5, rtol=1e-4)
    assert (both[1] - both[0]).abs().max() > 1e-3


def test_wrong_inputs_are_refused() -> None:
    denoiser, layout = make("class-row"), layout_of("class-row", 4)
    condition, mask, tokens, t = inputs(layout)
    encoded = denoiser.encode(condition, mask)
    with pytest.raises(ConfigError, match=r"needs \(batch, classes, 24\)"):
        denoiser.encode(condition[..., :5], mask)
    with pytest.raises(ConfigError, match="class mask has shape"):
        denoiser.encode(condition, mask[:, :2])
    with pytest.raises(ConfigError, match="use the tokenizer and architecture"):
        denoiser.denoise(tokens, t, encoded, layout_of("chunk", 4), mask)
    with pytest.raises(ConfigError, match="19 tokens, 576 wide, for 10 classes"):
        denoiser.denoise(tokens, t, encoded, layout_of("class-row", 10), mask)
    twelve = TOKENIZERS["class-row"].layout(SPEC, 12, 12)
    with pytest.raises(ConfigError, match="12 classes, but this denoiser was built for 10"):
        denoiser(*inputs(twelve), twelve)


def test_a_given_row_is_added_to_its_class_row_and_changes_nothing_else() -> None:
    layout = layout_of("class-row", 5)
    denoiser = make("class-row", given_row=True, pool_rank=4)
    condition, mask, tokens, t = inputs(layout)
    condition[..., -1] = 0.0
    width = denoiser.config.input_dim - E
    assert width == layout.group_widths[denoiser.config.class_group] == 33
    given = torch.randn(2, 5, width, generator=torch.Generator().manual_seed(2))
    plain = denoiser(torch.cat([condition, torch.zeros_like(given)], -1), mask, tokens, t, layout)
    out = denoiser(torch.cat([condition, given], -1), mask, tokens, t, layout)
    added = (out - plain)[:, layout.token_class >= 0]
    order = layout.token_class[layout.token_class >= 0]
    torch.testing.assert_close(added[..., :width], given[:, order], atol=1e-5, rtol=1e-5)
    assert not (out - plain)[:, layout.token_class < 0].any()
    with pytest.raises(ConfigError, match=f"needs \\(batch, classes, {E + width}\\)"):
        denoiser(condition, mask, tokens, t, layout)


def test_predictions_fade_as_far_as_classes_are_strange() -> None:
    layout = layout_of("class-row", 5)
    denoiser = make("class-row", given_row=True, pool_rank=4)
    condition, mask, tokens, t = inputs(layout)
    mask[:, 4] = False
    given = torch.randn(2, 5, denoiser.config.input_dim - E, generator=torch.Generator().manual_seed(2))
    condition[..., -1] = 1.0
    out = denoiser(torch.cat([condition, given], -1), mask, tokens, t, layout)
    of_class = layout.token_class >= 0
    order = layout.token_class[of_class]
    expected = given[:, order].masked_fill((order == 4)[None, :, None], 0.0)
    torch.testing.assert_close(out[:, of_class][..., : given.shape[-1]], expected)
    assert not out[:, ~of_class].any()
    # One class of four is known: only its row moves, and the shared tokens a quarter of the way.
    condition[:, 1, -1] = 0.0
    part = denoiser(torch.cat([condition, given], -1), mask, tokens, t, layout)
    moved = (part - out).abs().amax(dim=(0, 2))
    assert (moved[of_class][order != 1] == 0).all()
    assert (moved[of_class][order == 1] > 1e-3).all()
    assert (moved[~of_class] > 0).any()
    encoded = denoiser.encode(torch.cat([condition, given], -1), mask)
    whole = denoiser.denoise(tokens, t, encoded._replace(prediction_weight_BK=None), layout, mask)
    torch.testing.assert_close(part[:, ~of_class], whole[:, ~of_class] / 4, atol=1e-6, rtol=1e-5)


def test_a_given_row_needs_class_rows() -> None:
    with pytest.raises(ConfigError, match="given_row=True needs tokens that each belong to one class"):
        make("chunk", given_row=True)
