from __future__ import annotations

import json
import subprocess
import sys

import pytest
import torch

from tina_framework.builtins.architectures.cnn_2layer import cnn_2layer
from tina_framework.builtins.tokenizers.chunk import ChunkTokenizer
from tina_framework.builtins.tokenizers.class_row import ClassRowTokenizer
from tina_framework.builtins.tokenizers.filter import FilterTokenizer
from tina_framework.denoiser.presets import PRESETS, DenoiserConfig, build_config, count_parameters, preset
from tina_framework.denoiser.transformer import Denoiser
from tina_framework.errors import ConfigError, UnknownNameError
from tina_framework.interfaces.spec import ParameterSpec
from tina_framework.interfaces.tokenizer import TokenLayout

SPEC = ParameterSpec(cnn_2layer)
TOKENIZERS = {"class-row": ClassRowTokenizer(), "chunk": ChunkTokenizer()}

# The table in docs/explanation/denoiser.md: preset, tokenizer -> parameters, for CLIP ViT-B/32 and ten classes.
TOTALS = {
    ("tina", "class-row"): 1_214_492_210,
    ("tina", "chunk"): 1_232_250_106,
    ("tina-published", "class-row"): 610_188_850,
    ("tina-published", "chunk"): 627_946_746,
    ("small", "class-row"): 3_030_050,
    ("small", "chunk"): 2_078_074,
    ("tiny", "class-row"): 301_554,
    ("tiny", "chunk"): 844_282,
}
DESCRIBED_TOTAL = 4_753_408
"""For `small` with the tokenizer ``filter:288``."""


def layout(tokenizer: str, classes: int = 10) -> TokenLayout:
    return TOKENIZERS[tokenizer].layout(SPEC, classes, 10)


def minimal(**changes) -> dict:
    values = {
        "condition_dim": 8,
        "group_widths": (4, 3),
        "group_sizes": (2, 1),
        "token_width": 4,
        "max_classes": 5,
        "equivariant": True,
    }
    return values | changes


def real_count(config: DenoiserConfig) -> int:
    with torch.device("meta"):
        return sum(parameter.numel() for parameter in Denoiser(config).parameters())


@pytest.mark.parametrize(("name", "tokenizer"), TOTALS)
def test_parameter_counts(name: str, tokenizer: str) -> None:
    config = build_config(name, condition_dim=512, layout=layout(tokenizer), max_classes=10)
    assert count_parameters(config) == TOTALS[name, tokenizer]
    assert real_count(config) == TOTALS[name, tokenizer]


def test_every_preset_is_counted() -> None:
    assert {name for name, _ in TOTALS} == PRESETS.keys()


@pytest.mark.parametrize(
    "changes",
    [
        {"num_encoder_layers": 0},
        {"mlp_ratio": 3, "num_timestep_frequencies": 5},
        {"equivariant": False, "max_classes": 9},
        {"skip": True, "class_group": 1},
        {"skip": True, "class_group": 0, "num_encoder_layers": 0, "equivariant": False},
        {"pool_rank": 6, "class_group": 1},
        {"pool_rank": 6, "pool_moments": 4, "class_group": 0, "skip": True},
        {"descriptor_size": 7},
        {"descriptor_size": 7, "pool_rank": 6, "pool_moments": 4, "forecast_width": 5, "class_group": 1, "skip": True},
        {"descriptor_size": 7, "class_group": 1, "skip": True, "output_width": 11, "skip_width": 5},
    ],
)
def test_the_formula_holds_for_any_setting(changes: dict) -> None:
    config = DenoiserConfig.from_dict(minimal(hidden_size=12, num_attention_heads=3, **changes))
    assert count_parameters(config) == real_count(config)


def test_difference_from_the_published_count() -> None:
    # docs/explanation/denoiser.md: what the published code counts, in rows of 2048, and what is different here.
    hidden, parameters, classes = 2048, 5_370, 10
    block = 12 * hidden**2 + 13 * hidden
    into = parameters + classes * 512 + 257  # tokens, one projection a class position, timestep; without bias
    tokens = 11 + classes + 1
    published = 12 * block + hidden * (into + tokens + 2 + 2 + parameters)
    assert published == 637_360_128
    ours = TOTALS["tina-published", "chunk"]
    assert published - ours == hidden * (9 * 512 - 1 - 11 + 1 + 2) - parameters == 9_413_382


def test_small_fits_into_a_bundled_file() -> None:
    assert 4 * TOTALS["small", "class-row"] < 16e6


def test_class_rows_get_a_skip_and_chunks_do_not() -> None:
    rows = build_config("tiny", condition_dim=512, layout=layout("class-row", 3), max_classes=10)
    assert (rows.skip, rows.class_group, rows.equivariant) == (True, 2, True)
    assert not build_config("tiny", condition_dim=512, layout=layout("class-row"), max_classes=10, skip=False).skip
    chunks = build_config("tiny", condition_dim=512, layout=layout("chunk", 3), max_classes=10)
    assert (chunks.skip, chunks.class_group, chunks.equivariant) == (False, -1, False)
    with pytest.raises(ConfigError, match="class-row tokenizer"):
        build_config("tiny", condition_dim=512, layout=layout("chunk"), max_classes=10, skip=True)


def test_the_pooled_forecast_needs_class_rows_and_a_skip() -> None:
    config = build_config("small", condition_dim=512, layout=layout("class-row"), max_classes=10)
    assert (config.pool_rank, config.pool_moments) == (96, 24)
    for where, skip in (("chunk", None), ("class-row", False)):
        assert not build_config("small", condition_dim=512, layout=layout(where), max_classes=10, skip=skip).pool_rank
    asked = build_config("tiny", condition_dim=512, layout=layout("class-row"), max_classes=10, pool_rank=7)
    assert (asked.pool_rank, asked.pool_moments) == (7, 0)


@pytest.mark.parametrize(("rank", "moments"), [(0, 0), (10, 10), (50, 24)])
def test_fewer_directions_than_the_preset_pairs(rank: int, moments: int) -> None:
    config = build_config("small", condition_dim=512, layout=layout("class-row"), max_classes=10, pool_rank=rank)
    assert (config.pool_rank, config.pool_moments) == (rank, moments)


def test_overrides_win() -> None:
    config = build_config(
        "small", condition_dim=16, layout=layout("class-row"), max_classes=10, dropout=0.1, hidden_size=48
    )
    assert (config.dropout, config.hidden_size, config.num_encoder_layers) == (0.1, 48, 1)


def described(name: str = "small", **overrides: object) -> DenoiserConfig:
    layout = FilterTokenizer(288).layout(SPEC, 4, 10)
    return build_config(name, condition_dim=512, layout=layout, max_classes=10, **overrides)


def test_described_tokens_have_one_width_and_a_factored_forecast() -> None:
    config = described()
    assert (config.group_widths, config.group_sizes, config.class_group, config.skip) == ((288, 288), (1, 1), 1, True)
    assert (config.descriptor_size, config.forecast_width) == (91, 4096)
    # The table in docs/explanation/denoiser.md.
    assert count_parameters(config) == real_count(config) == DESCRIBED_TOTAL


@pytest.mark.parametrize(
    ("name", "overrides", "width"),
    [
        ("small", {"forecast_width": 64}, 64),
        ("small", {"pool_rank": 0}, 0),
        ("small", {"skip": False}, 0),
        ("tiny", {}, 0),
        ("tiny", {"pool_rank": 4}, 4096),
    ],
)
def test_the_middle_width_comes_with_the_pooled_forecast(name: str, overrides: dict, width: int) -> None:
    assert described(name, **overrides).forecast_width == width


def test_the_maps_of_described_tokens_are_four_times_as_wide_as_the_hidden_state_or_as_given() -> None:
    assert described(hidden_size=48).widths_of_maps == (192, 192)
    config = described(hidden_size=48, output_width=7, skip_width=5)
    assert config.widths_of_maps == (7, 5)
    assert DenoiserConfig.from_dict(json.loads(json.dumps(config.to_dict()))) == config


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"output_width": 4}, r"output_width=4 belongs to a tokenizer that has descriptors \(filter\); leave"),
        (
            {"skip_width": 4},
            r"skip_width=4 belongs to a tokenizer that has descriptors \(filter\), and to a skip; leave",
        ),
        (
            {"skip_width": 4, "descriptor_size": 3},
            r"skip_width=4 belongs to a tokenizer that has descriptors \(filter\), and to a skip; leave",
        ),
        ({"output_width": -1, "descriptor_size": 3}, r"output_width=-1 is not an integer from 0"),
    ],
)
def test_widths_of_maps_need_described_tokens(changes: dict, sentence: str) -> None:
    with pytest.raises(ConfigError, match=sentence):
        DenoiserConfig.from_dict(minimal(**changes))


def test_settings_of_described_tokens_are_written_for_these_alone() -> None:
    only = {"descriptor_size", "forecast_width", "output_width", "skip_width"}
    assert only <= described().to_dict().keys()
    assert DenoiserConfig.from_dict(json.loads(json.dumps(described().to_dict()))) == described()
    plain = build_config("small", condition_dim=512, layout=layout("class-row"), max_classes=10).to_dict()
    # Older versions of this program refuse settings that they do not know.
    assert not only & plain.keys()
    assert (DenoiserConfig.from_dict(plain).descriptor_size, DenoiserConfig.from_dict(plain).forecast_width) == (0, 0)


@pytest.mark.parametrize(
    "changes",
    [
        {"forecast_width": 4},
        {"forecast_width": 4, "descriptor_size": 3},
        {"forecast_width": 4, "pool_rank": 2, "class_group": 1},
        {"descriptor_size": 3, "pool_rank": 2, "class_group": 1},
    ],
)
def test_a_middle_width_needs_a_pooled_forecast_of_described_tokens(changes: dict) -> None:
    with pytest.raises(
        ConfigError, match=r"forecast_width=\d+, descriptor_size=\d+ and pool_rank=\d+ do not fit together"
    ):
        DenoiserConfig.from_dict(minimal(**changes))


def test_a_configuration_goes_through_json() -> None:
    config = build_config("small", condition_dim=512, layout=layout("class-row"), max_classes=10)
    assert DenoiserConfig.from_dict(json.loads(json.dumps(config.to_dict()))) == config


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"hidden_size": 10, "num_attention_heads": 3}, "hidden_size=10 cannot be divided"),
        ({"hidden_size": 0}, "hidden_size=0 is not an integer from 1 to 65,536"),
        ({"num_decoder_layers": 2.0}, r"num_decoder_layers=2\.0"),
        ({"num_encoder_layers": -1}, "num_encoder_layers=-1"),
        ({"equivariant": "yes"}, "equivariant='yes' is not true or false"),
        ({"dropout": 1.0}, r"dropout=1\.0 lies outside"),
        ({"embedding_std": float("nan")}, "embedding_std=nan"),
        ({"input_floor": 1.5}, r"input_floor=1\.5 lies outside"),
        ({"input_floor": True}, "input_floor=True lies outside"),
        ({"group_widths": (4,)}, "1 group widths but 2 group sizes"),
        ({"group_widths": ()}, r"group_widths=\(\)"),
        ({"group_sizes": (2, 0)}, "group_sizes=0"),
        ({"token_width": 3}, "4 wide, but tokens only 3"),
        ({"class_group": 2}, "only 2 token groups"),
        ({"pool_rank": 2}, "pool_rank=2 needs tokens that each belong to one class"),
        ({"pool_rank": 2, "pool_moments": 3, "class_group": 1}, "pool_moments=3 is more than pool_rank=2"),
        ({"max_classes": 10**7}, "max_classes=10000000 is not an integer from 1 to 10,000"),
        ({"num_decoder_layers": 10**6}, "num_decoder_layers=1000000 is not an integer from 1 to 512"),
        ({"group_sizes": (1, 10**9)}, "group_sizes=1000000000 is not an integer from 1 to 1,000,000"),
        ({"hidden_size": 65_536, "mlp_ratio": 64, "num_attention_heads": 1}, "make a denoiser of .* parameters"),
        ({"hidden": 3}, "Unknown denoiser setting 'hidden'"),
        ({"hiden_size": 3}, "Did you mean 'hidden_size'"),
    ],
)
def test_wrong_settings_are_refused(changes: dict, sentence: str) -> None:
    with pytest.raises(ConfigError, match=sentence):
        DenoiserConfig.from_dict(minimal(**changes))


def test_missing_settings_and_unknown_presets_are_refused() -> None:
    with pytest.raises(ConfigError, match="lacks condition_dim, group_widths"):
        preset("small")
    with pytest.raises(UnknownNameError, match="Did you mean 'small'"):
        preset("smal", **minimal())


def test_presets_import_no_torch() -> None:
    code = "import sys, tina_framework.denoiser.presets; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
