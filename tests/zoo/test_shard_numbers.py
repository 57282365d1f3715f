"""Numbers of shards: as users write them, and as messages list them."""

from __future__ import annotations

import pytest

from tina_framework.errors import ConfigError
from tina_framework.zoo.shard_numbers import in_words, option_for, parse_shards


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("3", [3]),
        ("0:3", [0, 1, 2]),
        (" 10: ", [10, 11]),
        (":2", [0, 1]),
        (":", list(range(12))),
        ("3::4", [3, 7, 11]),
        ("10:99", [10, 11]),
        ("0:1000000000000", list(range(12))),
        ("12:16", []),
        ("5:5", []),
    ],
)
def test_ranges_are_those_of_python(text, expected):
    assert list(parse_shards(text, 12)) == expected


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("12", r"There is no shard 12: the zoo has 12 shards, 0 to 11"),
        ("1000000000", r"There is no shard 1000000000: the zoo has 12 shards"),
        ("9" * 30, "expected a number or a range"),
        ("a:b", "The shards are 'a:b'; expected a number or a range"),
        ("", "expected a number or a range"),
        ("-1", "expected a number or a range"),
        ("1:2:3:4", "expected a number or a range"),
        ("1,2", "expected a number or a range"),
        ("٣", "expected a number or a range"),
        ("9" * 5000, "expected a number or a range"),
        ("5:3", "a reversed range"),
        ("::0", "step 0"),
    ],
)
def test_everything_else_is_refused(text, words):
    with pytest.raises(ConfigError, match=words):
        parse_shards(text, 12)


def test_a_zoo_of_one_shard_or_none():
    assert list(parse_shards("0", 1)) == [0]
    with pytest.raises(ConfigError, match="the zoo has 1 shard, number 0"):
        parse_shards("1", 1)
    with pytest.raises(ConfigError, match="the zoo has 0 shards"):
        parse_shards("0", 0)
    assert list(parse_shards(":", 0)) == []


def test_runs_are_named_together():
    assert in_words([3]) == "shard 3"
    assert in_words([7, 3]) == "shards 3 and 7"
    assert in_words([0, 1, 2, 5, 7, 8]) == "shards 0 to 2, 5, 7 and 8"
    assert in_words(range(0, 100, 2), most=3) == "shards 0, 2, 4 and 47 more"
    assert (option_for([7, 3]), option_for([2, 3, 4, 9])) == ("3", "2:5")
